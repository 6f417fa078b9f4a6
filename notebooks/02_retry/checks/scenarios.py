"""What is done to `retry`: services that fail, callers that give up, many clients side by side.

The world draws how often, in which order and how slowly services fail. A driver asks the world for what it must know.
"""

import asyncio
import builtins

from faultlab.scenario import scenario
from faultlab.world import TOKEN, error, hang, ok

ALWAYS = 9_999
DEFAULTS = {"max_attempts": 4, "base": 0.1, "cap": 2.0, "retry_on": (ConnectionError, TimeoutError)}


def said(**options):
    """The options of a call. Defaults are passed explicitly, so that a wrong default fails one behaviour only; an option
    that is None here is left out."""
    return {name: value for name, value in {**DEFAULTS, **options}.items() if value is not None}


def briefly(draw):
    """Draw how many seconds an answer takes."""
    return round(draw.uniform(0.02, 0.2), 3)


@scenario
def in_turn(world, attempts, failures=(ALWAYS,), callers=None, kind="ConnectionError", base=0.1, cap=2.0, seed=None):
    """Callers call one after the other, each a service of its own.

    The world shuffles `attempts` and `failures` and deals one of each to every caller; the shorter list is repeated.
    There are as many callers as the longer list has entries, or `callers` of them. None is a call without max_attempts.
    """
    draw, number = world.stream("callers"), callers or max(len(attempts), len(failures))
    attempts, failures = (draw.sample([*values] * -(-number // len(values)), number) for values in (attempts, failures))
    for place, times in enumerate(failures, 1):
        world.service(f"op {place}", [error(kind)] * times, latency=briefly)
    world.service("max_attempts", [ok(most) for most in attempts])
    return {"number": number, "options": {"base": base, "cap": cap}, "seed": seed}


@in_turn.driver
async def _(lab, number, options, seed):
    for place in range(1, number + 1):
        options["max_attempts"] = await lab.service("max_attempts", "")()
        options["rng"] = None if seed is None else lab.random(seed)
        who = f"caller {place}"
        await lab.settle(lab.start(who, lab.answer("retry"), lab.service(f"op {place}", who), **said(**options)))


@scenario
def long_after(world, failures, attempts):
    """One caller. Its op raises so many failures without calling the service, to save time, and then calls it."""
    world.service("op")
    world.rounds(10_000)
    return {"failures": failures, "attempts": attempts}


@long_after.driver
async def _(lab, failures, attempts):
    service, failed = lab.service("op", "caller"), 0

    async def op():
        nonlocal failed
        if failed < failures:
            failed += 1
            raise ConnectionError(f"failure {failed}")
        return await service()

    await lab.settle(lab.start("caller", lab.answer("retry"), op, **said(max_attempts=attempts)))
    lab.mark("failures", failed)


@scenario
def some_errors(world, kinds, retry_on=None):
    """One caller for each kind of error, in an order that the world draws: the error comes once, and then an answer."""
    kinds = list(kinds)
    world.stream("kinds").shuffle(kinds)
    for number, kind in enumerate(kinds, 1):
        world.service(f"op {number}", [error(kind)], latency=briefly)
    return {"services": world.services, "retry_on": retry_on}


@some_errors.driver
async def _(lab, services, retry_on):
    classes = None if retry_on is None else tuple(getattr(builtins, name) for name in retry_on)
    for name in services:
        await lab.settle(lab.start(name, lab.answer("retry"), lab.service(name, name), **said(retry_on=classes)))


@scenario
def some_results(world):
    """One caller for each result, truthy or falsy, in an order that the world draws."""
    results = [None, 0, False, "", [], {}, 0.0, "something"]
    world.stream("results").shuffle(results)
    for number, result in enumerate(results, 1):
        world.service(f"op {number}", [ok(result)], latency=0.05)
    return {"services": world.services}


@some_results.driver
async def _(lab, services):
    for name in services:
        await lab.settle(lab.start(name, lab.answer("retry"), lab.service(name, name), **said(base=0.01)))


@scenario
def told_when(world, shortest, longest, base=0.2, cap=0.2, seed=1):
    """The service tells a caller how long to wait: first `shortest` to `longest` s, then nothing, then a tiny time.

    Two more callers have one attempt each: the first is told nothing, the second is told the long time.
    """
    wait = round(world.stream("waits").uniform(shortest, longest), 3)
    says = [error("ConnectionError", TOKEN, after, retry_after=after) for after in (wait, 0.0005)]
    world.service("op", [says[0], error(), says[1]], latency=briefly)
    world.service("only once", [error(), says[0]], latency=briefly)
    return {"options": {"max_attempts": 6, "base": base, "cap": cap}, "seed": seed}


@told_when.driver
async def _(lab, options, seed):
    options, rng = said(**options), lab.random(seed)
    await lab.settle(lab.start("caller", lab.answer("retry"), lab.service("op", "caller"), **options, rng=rng))
    for name in ("once, not told", "once"):
        once = lab.service("only once", name)
        await lab.settle(lab.start(name, lab.answer("retry"), once, **said(max_attempts=1), rng=rng))


@scenario
def given_up(world, failures, after, base=0.001, cap=0.002, bystander=False):
    """The caller is cancelled while the service, after `failures`, never answers, or while the caller pauses.

    The world draws the instant, within the second that begins `after` s after the caller's start.
    """
    world.service("op", [error()] * failures, then=hang(), latency=0.05)
    world.service("other", [error()], latency=0.05)
    world.service("patience", [ok(round(after + world.stream("patience").random(), 3))])
    return {"base": base, "cap": cap, "bystander": bystander}


@given_up.driver
async def _(lab, base, cap, bystander):
    at = await lab.service("patience", "")()
    if bystander:
        lab.start("bystander", lab.answer("retry"), lab.service("other", "bystander"), **said())
    call = lab.start("caller", lab.answer("retry"), lab.service("op", "caller"), **said(base=base, cap=cap))
    await asyncio.sleep(at)
    call.cancel()
    await asyncio.sleep(3)


@scenario
def in_a_hurry(world, deadline, takes=(0.05,), recovers=False, retry_after=None, base=0.1, cap=2.0, seed=1):
    """A caller with ten attempts and a deadline, in seconds, starts 40 s after the world began.

    An attempt takes about one of `takes` s; the world draws which. If the service `recovers`, the last attempt that may
    start works, provided that pauses are short. The service may ask for a pause of `retry_after` s. Before all that, a
    caller without a deadline makes two attempts.
    """
    draw = world.stream("takes")
    takes = round(draw.choice(takes) * draw.uniform(0.99, 1.01), 3)
    failure = error() if retry_after is None else error("ConnectionError", TOKEN, retry_after, retry_after=retry_after)
    world.service("usual", [error(), error()])
    world.service("op", [failure] * (int(deadline / takes) if recovers else ALWAYS), latency=takes)
    return {"options": {"max_attempts": 10, "base": base, "cap": cap, "deadline": deadline}, "seed": seed}


@in_a_hurry.driver
async def _(lab, options, seed):
    usual = lab.service("usual", "usual")
    await lab.settle(lab.start("usual", lab.answer("retry"), usual, **said(max_attempts=2)))
    await lab.until(40)
    options = said(**options, rng=lab.random(seed))
    await lab.settle(lab.start("caller", lab.answer("retry"), lab.service("op", "caller"), **options))


@scenario
def at_once(world, clients=20):
    """Clients side by side, each with a service of its own. The world draws whether it fails 0, 1 or 2 times."""
    draw = world.stream("failures")
    for number in range(1, clients + 1):
        world.service(f"op {number}", [error()] * draw.randrange(3), latency=0.3)
    return {"services": world.services}


@at_once.driver
async def _(lab, services):
    await lab.settle(*(lab.start(name, lab.answer("retry"), lab.service(name, name), **said()) for name in services))


@scenario
def same_seeds(world, seeds, attempts=6, base=1.0, cap=1.0):
    """Callers call one after the other, each with a generator of one of the seeds, in an order that the world draws."""
    seeds = list(seeds)
    world.stream("seeds").shuffle(seeds)
    for number in range(1, len(seeds) + 1):
        world.service(f"op {number}", [error()] * (attempts - 1), latency=briefly)
    world.service("seed", [ok(seed) for seed in seeds])
    return {"number": len(seeds), "options": {"max_attempts": attempts, "base": base, "cap": cap}}


@same_seeds.driver
async def _(lab, number, options):
    for place in range(1, number + 1):
        op = lab.service(f"op {place}", f"caller {place}")
        rng = lab.random(await lab.service("seed", "")())
        await lab.settle(lab.start(op.lane, lab.answer("retry"), op, **said(**options, rng=rng)))


@scenario
def many(world, clients, failures, seed, base=None, cap=None):
    """Many clients side by side, each with a seed of its own. Each client's op fails `failures` times and then works.

    A base or a cap that is None is left out of the call. Answers come at announced instants only: the world draws the
    next one or the one after.
    """
    asked, every = {}, 1.01 * (cap or DEFAULTS["cap"])

    def script(call):
        client = call.args[0]
        asked[client] = asked.get(client, 0) + 1
        after = call.random.choice([0, every])
        return error(after=after) if asked[client] <= failures else ok(after=after)

    world.service("op", script)
    world.rounds(every)
    return {"clients": clients, "seed": seed, "options": {"max_attempts": failures + 2, "base": base, "cap": cap}}


@many.driver
async def _(lab, clients, seed, options):
    retry = lab.answer("retry")

    async def client(number):
        service = lab.service("op", f"client {number}")

        async def op():
            return await service(number)

        with lab.whatever_comes():
            await retry(op, **said(**options, rng=lab.random(seed * 10_000 + number)))

    await asyncio.gather(*map(client, range(clients)))
