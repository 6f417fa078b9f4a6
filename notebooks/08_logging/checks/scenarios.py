"""Try out `Logger`, `bind` and `serve`: facts to log, tasks that interleave, requests that end in each way.

The world draws the order, how long each thing takes and what is bound. A driver asks the world for each of them.
"""

import asyncio
import contextlib
import datetime
import decimal

from faultlab.scenario import scenario
from faultlab.world import error, hang, ok


class Odd:
    """An object that JSON can't represent; its text is the same in every process."""

    def __repr__(self):
        return "<something odd>"


def listening(lab):
    """Return an instance of the student's `Logger` that shows each line on the timeline."""
    return lab.answer("Logger")(lambda line: lab.mark("line", line))


def attempt(lab, name, function, *args, **options):
    """Call `function`. Show what it raises on the timeline, and continue the scenario."""
    try:
        function(*args, **options)
    except Exception as problem:
        lab.mark(name, {"how": "raised", **lab.describe(problem)})


@scenario
def facts(world, levels, keys):
    """Log facts as they come in, the second half in a `bind` block. The world draws each event's name.

    The block also binds the name of one of the call's fields, to another value.
    """
    levels = list(levels)
    world.stream("levels").shuffle(levels)
    world.service("facts", [ok([level, world.token("event"), world.token("value")]) for level in levels], latency=0.1)
    return {"count": len(levels), "keys": keys}


@facts.driver
async def _(lab, count, keys):
    logger, fact = listening(lab), lab.service("facts")
    for number in range(count):
        level, event, value = await fact("a fact", number)
        fields = {keys[0]: value, keys[1]: number}
        if number < count / 2:
            attempt(lab, "log", logger.log, level, event, **fields)
        else:
            attempt(lab, "bind", bound, lab, {keys[2]: value[::-1], keys[1]: value}, logger, level, event, fields)


def bound(lab, context, logger, level, event, fields):
    """Log one line with `context` bound."""
    with lab.answer("bind")(**context):
        attempt(lab, "log", logger.log, level, event, **fields)


@scenario
def odd_values(world, kinds):
    """Log values that JSON can't represent, each beside one that it can. The world draws the order."""
    kinds = list(kinds)
    world.stream("kinds").shuffle(kinds)
    world.service("facts", [ok([kind, world.token("value")]) for kind in kinds], latency=0.1)
    return {"count": len(kinds)}


@odd_values.driver
async def _(lab, count):
    odd = {
        "a number": 7,
        "an object": Odd(),
        "a set": {1, 2},
        "bytes": b"raw\xff",
        "a datetime": datetime.datetime(2026, 11, 24, 9, 30),
        "a Decimal": decimal.Decimal("0.10"),
        "an exception": ValueError("odd"),
    }
    logger, fact = listening(lab), lab.service("facts")
    for _ in range(count):
        kind, value = await fact()
        attempt(lab, kind, logger.log, "info", kind, odd=odd[kind], value=value)


@scenario
def failures(world, kinds):
    """Call a backend that works or fails in several ways, and log each end, a failure with `exc`."""
    kinds = list(kinds)
    world.stream("failures").shuffle(kinds)
    world.service("backend", [error(kind) if kind else ok() for kind in kinds], latency=0.1)
    return {"count": len(kinds)}


@failures.driver
async def _(lab, count):
    logger, backend = listening(lab), lab.service("backend")
    for number in range(count):
        try:
            value = await backend(number)
        except Exception as problem:
            attempt(lab, "log", logger.log, "error", "failed", exc=problem, number=number)
        else:
            attempt(lab, "log", logger.log, "info", "worked", number=number, value=value)


@scenario
def nested(world, outer, inner):
    """Nest two `bind` blocks, in several turns.

    The first turn has no error, and its inner block binds the outer block's name anew. The world draws the order of the
    other turns: an error or a cancellation leaves both blocks, or an error leaves only the inner one.
    """
    turns = [[how, anew] for how in ("calm", "error", "inner error") for anew in (True, False)]
    turns += [["cancelled", False]]
    world.stream("turns").shuffle(turns)
    turns.insert(0, ["calm", True])
    facts = [ok([*turn, world.token("a"), world.token("b"), world.token("c")]) for turn in turns]
    world.service("facts", facts, latency=0.1)
    return {"turns": len(turns), "outer": outer, "inner": inner}


@nested.driver
async def _(lab, turns, outer, inner):
    logger, fact = listening(lab), lab.service("facts")
    for number in range(1, turns + 1):
        told = await fact(number)
        # each turn has its own task, so that fields left bound don't reach the next turn
        await asyncio.create_task(turn(lab, logger, number, outer, inner, *told))


async def turn(lab, logger, number, outer, inner, how, anew, first, second, third):
    """Log a line in a block, in a block inside it, back in the first, and after both."""
    bind = lab.answer("bind")
    events = {where: f"turn {number}, {where}" for where in ("outer", "inner", "outer again", "after")}
    try:
        with bind(**{outer: first}):
            logger.log("info", events["outer"])
            try:
                with bind(**{inner: second}), bind(**{outer: third}) if anew else contextlib.nullcontext():
                    logger.log("info", events["inner"])
                    if how != "calm":
                        raise asyncio.CancelledError if how == "cancelled" else LookupError(first)
            except LookupError:
                lab.mark("came out", number)
                if how == "error":
                    raise
            logger.log("info", events["outer again"])
    except (LookupError, asyncio.CancelledError):
        lab.mark("came out", number)
    logger.log("info", events["after"])


@scenario
def side_by_side(world, gaps, children):
    """Run several callers at once, each with its own context and child tasks.

    Some children bind more, and a child outlives its parent's block. The world draws when each caller comes, which
    children bind something and how long each step takes.
    """
    draw, gaps = world.stream("tasks"), list(gaps)
    draw.shuffle(gaps)
    everybody = [f"caller {number}, child {child}" for number in range(len(gaps)) for child in range(children)]
    binding = draw.sample(everybody, len(everybody) // 2)

    def work(call):
        after = call.random.choice(gaps) + 0.013 * (1 + call.index)
        return ok([world.token("step"), call.args[0] in binding], after=after)

    world.service("arrivals", lambda call: ok(after=gaps[call.index % len(gaps)]))
    world.service("work", work)
    return {"callers": len(gaps), "children": children}


@side_by_side.driver
async def _(lab, callers, children):
    logger, bind = listening(lab), lab.answer("bind")

    async def child(who, number):
        lane = f"{who}, child {number}"
        logger.log("info", "child begins", who=lane)
        found, binds = await lab.service("work", lane)(lane)
        with bind(step=found) if binds else contextlib.nullcontext():
            await lab.service("work", lane + ", again")(lane)
            logger.log("info", "child ends", who=lane)

    async def caller(who):
        arrived = await lab.service("arrivals", who)()
        with bind(caller=arrived):
            tasks = [asyncio.create_task(child(who, number), name=f"{who}, {number}") for number in range(children)]
            await asyncio.sleep(0.01)
            logger.log("info", "caller waits", who=who)
            await lab.service("work", who)(who)
            logger.log("info", "caller goes on", who=who)
        logger.log("info", "caller is done", who=who)
        await asyncio.gather(*tasks)
        logger.log("info", "caller leaves", who=who)

    tasks = [asyncio.create_task(caller(f"caller {number}"), name=f"caller {number}") for number in range(callers)]
    await lab.settle(*tasks)
    for task in tasks:
        task.result()


@scenario
def secrets(world, keys):
    """Log the values of these keys, as fields and as bound context, each beside a value that is no secret.

    The world draws the order. Half of the values are texts; the others are numbers, lists and dicts in turn.
    """
    draw = world.stream("ways")
    kinds = ["number", "list", "dict"]
    ways = [[key, how, kind] for key in keys for how in ("field", "bound") for kind in ("text", "")]
    for number, way in enumerate([way for way in ways if not way[2]]):
        way[2] = kinds[number % 3]
    draw.shuffle(ways)
    raw = [draw.randrange(10**11, 10**12) if way[2] == "number" else world.token("secret") for way in ways]
    facts = [ok([*way, value, world.token("value")]) for way, value in zip(ways, raw, strict=True)]
    world.service("facts", facts, latency=0.1)
    return {"count": len(ways)}


@secrets.driver
async def _(lab, count):
    logger, bind, fact = listening(lab), lab.answer("bind"), lab.service("facts")
    for _ in range(count):
        key, how, kind, secret, value = await fact()
        event = f"{key} ({kind}, {how})"
        if kind in ("list", "dict"):
            secret = [secret] if kind == "list" else {"is": secret}
        if how == "field":
            attempt(lab, key, logger.log, "info", event, **{key: secret, "user": value})
        else:
            with bind(**{key: secret}):
                attempt(lab, key, logger.log, "info", event, user=value)


@scenario
def requests(world, ends, latency):
    """Serve several requests at once. The world deals out the `ends`.

    Each end is a status: 200 succeeds, 0 fails without a status, and any other fails with that status.
    """
    ends = list(ends)
    world.stream("ends").shuffle(ends)

    def end(call):
        status, after = ends[call.index % len(ends)], latency[call.index % len(latency)]
        if status == 200:
            return ok(after=after)
        known = {"status": status} if status else {}
        kind = ["ConnectionError", "ValueError", "TimeoutError", "LookupError"][status % 4]
        return error(kind, world.token("broken"), status, after=after, **known)

    world.service("arrivals", lambda call: ok(world.token("request"), after=0.01 * call.index))
    world.service("backend", end)
    return {"count": len(ends)}


@requests.driver
async def _(lab, count):
    logger = listening(lab)
    await lab.settle(*(asyncio.create_task(request(lab, logger, f"request {n}"), name=f"{n}") for n in range(count)))


async def request(lab, logger, who):
    """Serve one request, and log a line after it."""
    request_id = await lab.service("arrivals", who)()

    async def handler():
        logger.log("debug", "handling", who=who)
        return await lab.service("backend", who)()

    with_end = lab.start(who, lab.answer("serve"), logger, request_id, handler)
    await lab.settle(with_end)
    await asyncio.sleep(0.004)
    try:
        await lab.answer("serve")(logger, request_id + "/2", lambda: asyncio.sleep(0, who))
    except Exception as problem:
        lab.mark("again", lab.describe(problem))
    logger.log("debug", "afterwards", who=who)


@scenario
def given_up(world, leave, ends):
    """Serve requests whose callers leave after `leave` seconds, beside requests that fail before that.

    The world draws which request is which, and how long each takes to fail.
    """
    plan = [("hang", after) for after in leave] + [("fails", status) for status in ends]
    world.stream("ends").shuffle(plan)
    world.service("arrivals", lambda call: ok(world.token("request")))

    def end(call):
        kind, status = plan[call.args[0]]
        if kind == "hang":
            return hang()
        after = round(call.random.uniform(0.1, 0.6), 3)
        return error("ConnectionError", world.token("broken"), status, after=after, status=status)

    world.service("backend", end)
    return {"leave": [after if kind == "hang" else None for kind, after in plan]}


@given_up.driver
async def _(lab, leave):
    logger = listening(lab)

    async def caller(number, after):
        who = f"request {number}"
        request_id = await lab.service("arrivals", who)()
        task = lab.start(who, lab.answer("serve"), logger, request_id, lambda: lab.service("backend", who)(number))
        if after is not None:
            await asyncio.sleep(after)
            lab.mark("left", who)
            task.cancel()
        await asyncio.wait([task], timeout=1)

    await lab.settle(*(asyncio.create_task(caller(n, after), name=f"caller {n}") for n, after in enumerate(leave)))
