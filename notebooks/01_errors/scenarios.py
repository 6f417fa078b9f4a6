"""What is done to `get_user` and `get_users`: a database that finds, fails, hangs; ids that are none."""

import asyncio
import re
import sqlite3

from faultlab.scenario import scenario
from faultlab.world import error, hang, ok

SQLITE = {kind.__name__: kind for kind in (sqlite3.OperationalError, sqlite3.IntegrityError)}


class Database:
    """What the answer gets as `db`: each `fetch_one` is a call to the world."""

    def __init__(self, service):
        self._service = service

    async def fetch_one(self, sql, params=()):
        try:
            row = await self._service(sql, list(params))
        except Exception as failure:
            raise real(failure) from None
        return None if row is None else tuple(row)


def real(failure):
    """The world names an error of sqlite3; the answer gets one."""
    kind = SQLITE.get(type(failure).__name__)
    if kind is None:
        return failure
    found = kind(*failure.args)
    found.__faultlab_call__ = failure.__faultlab_call__
    return found


def ask(lab, who, number):
    """`get_user` in a task of its own, its calls to the database in a lane named alike."""
    return lab.start(who, lab.answer("get_user"), Database(lab.service("db", who)), number)


def users(world, known, *, failing=None, latency=None):
    """A service that knows these ids, by names that the world draws; `failing` maps ids to kinds of errors."""
    names = {number: world.token("name") for number in known}

    def script(call):
        sql, params = call.args
        number = params[0] if params else int(re.search(r"\d+", sql)[0])
        after = (latency or {}).get(str(number), 0.05)
        if kind := (failing or {}).get(str(number)):
            return hang() if kind == "hang" else error(kind, after=after)
        return ok([number, names[number]] if number in names else None, after=after)

    world.service("db", script)


@scenario
def one_by_one(world, ids, known):
    """Each id is asked for once; the database knows so many of them: which, the world draws."""
    users(world, world.stream("known").sample(ids, known))
    return {"ids": ids}


@one_by_one.driver
async def _(lab, ids):
    for number in ids:
        await lab.settle(ask(lab, f"user {number}", number))


@scenario
def odd_ids(world, kinds, known):
    """Ids that are none, and some that are, in an order that the world draws."""
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
    """One id that is found, and one for each kind of failure; the world draws the ids."""
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
    """The database never answers, and the caller gives up."""
    users(world, [known], failing={"40": "hang"})
    return {"at": at, "known": known}


@given_up.driver
async def _(lab, at, known):
    await lab.settle(ask(lab, "found", known))
    call = ask(lab, "cancelled", 40)
    await asyncio.sleep(at)
    call.cancel()
    await asyncio.sleep(1)


@scenario
def together(world, ids, latency, known, failing=None):
    """All ids at once; about how long each takes (seconds, by id), and what fails."""
    pace = world.stream("pace").uniform(0.7, 1.4)
    latency = {number: round(pace * seconds, 3) for number, seconds in latency.items()}
    users(world, known, latency=latency, failing=failing)
    return {"ids": ids}


@together.driver
async def _(lab, ids):
    db = Database(lab.service("db"))
    await lab.settle(lab.start("users", lab.answer("get_users"), db, ids))
    await asyncio.sleep(3)
