"""What is done to `get_user` and `get_users`: a database that finds users, fails or hangs, and invalid ids."""

import asyncio
import inspect
import re
import sqlite3

from faultlab.scenario import scenario
from faultlab.world import error, hang, ok

SQLITE = {kind.__name__: kind for kind in (sqlite3.OperationalError, sqlite3.IntegrityError, sqlite3.ProgrammingError)}


class Database:
    """The `db` that an answer is given: each `fetch_one` is a call to the world."""

    def __init__(self, service):
        self._service = service
        self.failures = []

    async def fetch_one(self, sql, params=()):
        try:
            row = await self._service(sql, list(params))
        except Exception as failure:
            self.failures.append(real(failure))
            raise self.failures[-1] from None
        return None if row is None else tuple(row)


def real(failure):
    """The error to raise for a failure of the world, which knows errors of sqlite3 by name only."""
    kind = SQLITE.get(type(failure).__name__)
    if kind is None:
        return failure
    found = kind(*failure.args)
    found.__faultlab_call__ = failure.__faultlab_call__
    return found


def ask(lab, who, number):
    """Start `get_user` in a task of its own, with its calls to the database in a lane of the same name.

    When it raises, a mark tells the key of a NotFound, whether the error hides its context, and the notes on what the
    database raised.
    """
    db, get_user = Database(lab.service("db", who)), lab.answer("get_user")

    async def asked():
        try:
            found = get_user(db, number)
            return await found if inspect.isawaitable(found) else found
        except Exception as error:
            notes = [note for failure in db.failures for note in getattr(failure, "__notes__", [])]
            hides = error.__suppress_context__
            lab.mark(f"{who} tells", {"key": getattr(error, "key", None), "hides": hides, "notes": notes})
            raise

    return lab.start(who, asked)


def users(world, known, *, failing=None, latency=None):
    """Make a service that knows these ids, each with a name that the world draws; `failing` maps ids to errors."""
    names = {number: world.token("name") for number in known}

    def script(call):
        sql, params = call.args
        written = re.search(r"\d+", str(sql))
        if not params and (written is None or "?" in str(sql)):
            return error("ProgrammingError", "Incorrect number of bindings supplied")
        number = params[0] if params else int(written[0])
        after = (latency or {}).get(str(number), 0.05)
        if kind := (failing or {}).get(str(number)):
            return hang() if kind == "hang" else error(kind, after=after)
        found = isinstance(number, int | float | str) and number in names
        return ok([number, names[number]] if found else None, after=after)

    world.service("db", script)


@scenario
def one_by_one(world, ids, known):
    """Each id is asked for once. The database knows `known` of them; the world draws which."""
    users(world, world.stream("known").sample(ids, known))
    return {"ids": ids}


@one_by_one.driver
async def _(lab, ids):
    for number in ids:
        await lab.settle(ask(lab, f"user {number}", number))


@scenario
def odd_ids(world, kinds, known):
    """Invalid ids of these kinds and some valid ids, in an order that the world draws."""
    users(world, known)
    ids = [*kinds, *known]
    world.stream("ids").shuffle(ids)
    world.service("ids", [ok(one) for one in ids])
    return {"number": len(ids)}


@odd_ids.driver
async def _(lab, number):
    odd = {"zero": 0, "negative": -3, "True": True, "a string": "7", "None": None, "a float": 2.0, "False": False}
    for place in range(1, number + 1):
        one = await lab.service("ids", "")()
        await lab.settle(ask(lab, f"caller {place}", odd.get(one, one)))


@scenario
def failing(world, kinds):
    """One id that is found, and one id for each kind of failure. The world draws the ids."""
    known, *ids = world.stream("ids").sample(range(1_000, 10_000), 1 + len(kinds))
    users(world, [known], failing={str(number): kind for number, kind in zip(ids, kinds, strict=True)})
    world.service("ids", [ok(number) for number in (known, *ids)])
    return {"callers": ["found", *kinds]}


@failing.driver
async def _(lab, callers):
    for who in callers:
        await lab.settle(ask(lab, who, await lab.service("ids", "")()))


@scenario
def given_up(world, at, known):
    """The database never answers, and the callers of `get_user` and of `get_users` are cancelled after `at` s."""
    users(world, [known], failing={"40": "hang"})
    return {"at": at, "known": known}


@given_up.driver
async def _(lab, at, known):
    await lab.settle(ask(lab, "found", known))
    calls = [ask(lab, "cancelled", 40)]
    calls.append(lab.start("users", lab.answer("get_users"), Database(lab.service("db")), [40, known]))
    await asyncio.sleep(at)
    for call in calls:
        call.cancel()
    await asyncio.sleep(1)


@scenario
def together(world, ids, latency, known, alone, failing=None):
    """All ids at once, with about how many seconds each takes, and with what fails, both by id.

    Before that, the id `alone` goes through `get_user`, because a mistake there is another behaviour. Afterwards
    `get_users` is called with no ids at all, and with an invalid id.
    """
    pace = world.stream("pace").uniform(0.7, 1.4)
    latency = {number: round(pace * seconds, 3) for number, seconds in latency.items()}
    users(world, known, latency=latency, failing=failing)
    return {"ids": ids, "alone": alone}


@together.driver
async def _(lab, ids, alone):
    await lab.settle(ask(lab, "alone", alone))
    for who, these, after in (("users", ids, 3), ("nobody", [], 0), ("no id", [0], 0)):
        await lab.settle(lab.start(who, lab.answer("get_users"), Database(lab.service("db", who)), these))
        await asyncio.sleep(after)
