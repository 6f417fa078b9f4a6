"""What is done to `retry`: services that fail, callers that give up, many clients side by side."""

import asyncio
import builtins
import contextlib

from faultlab.scenario import scenario
from faultlab.world import error, hang, ok

ALWAYS = 9_999


@scenario
def one_caller(world, failures=ALWAYS, attempts=4, kind="ConnectionError", base=0.1, cap=2.0, seed=None):
    """One caller; the service fails `failures` times and then answers."""
    world.service("op", [error(kind)] * failures, latency=0.05)
    return {"options": {"max_attempts": attempts, "base": base, "cap": cap}, "seed": seed}


@one_caller.driver
async def _(lab, options, seed):
    if seed is not None:
        options["rng"] = lab.random(seed)
    await lab.settle(lab.start("caller", lab.answer("retry"), lab.service("op", "caller"), **options))


@scenario
def long_after(world, failures, attempts):
    """One caller; its op fails so often without asking the service, which would take long, and then asks it."""
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

    await lab.settle(lab.start("caller", lab.answer("retry"), op, max_attempts=attempts))
    lab.mark("failures", failed)


@scenario
def some_attempts(world, numbers):
    """One caller after the other, each with another number of attempts; the service is well."""
    world.service("op", latency=0.05)
    return {"numbers": numbers}


@some_attempts.driver
async def _(lab, numbers):
    for number in numbers:
        who = f"max_attempts={number}"
        await lab.settle(lab.start(who, lab.answer("retry"), lab.service("op", who), max_attempts=number))


@scenario
def some_errors(world, kinds, retry_on=None):
    """One caller for each kind of error: it comes once, and then an answer."""
    for kind in kinds:
        world.service(kind, [error(kind)], latency=0.05)
    return {"kinds": kinds, "retry_on": retry_on}


@some_errors.driver
async def _(lab, kinds, retry_on):
    options = {} if retry_on is None else {"retry_on": tuple(getattr(builtins, name) for name in retry_on)}
    for kind in kinds:
        await lab.settle(lab.start(kind, lab.answer("retry"), lab.service(kind, kind), **options))


@scenario
def some_results(world):
    """One caller for each result, truthy or not, in an order that the world draws."""
    results = [None, 0, False, "", [], {}, 0.0, "something"]
    world.stream("results").shuffle(results)
    for number, result in enumerate(results, 1):
        world.service(f"op {number}", [ok(result)], latency=0.05)
    return {"services": world.services}


@some_results.driver
async def _(lab, services):
    for name in services:
        await lab.settle(lab.start(name, lab.answer("retry"), lab.service(name, name), base=0.01))


@scenario
def told_when(world, retry_after, base=0.2, cap=0.2, seed=1):
    """The service says how long to wait: an error for each item of `retry_after`, None for one that says nothing."""
    says = [error() if wait is None else error(retry_after=wait) for wait in retry_after]
    world.service("op", says, latency=0.05)
    return {"options": {"max_attempts": len(says) + 3, "base": base, "cap": cap}, "seed": seed}


@told_when.driver
async def _(lab, options, seed):
    call = lab.start("caller", lab.answer("retry"), lab.service("op", "caller"), rng=lab.random(seed), **options)
    await lab.settle(call)


@scenario
def given_up(world, failures, at, base=0.001, cap=0.002, bystander=False):
    """The caller is cancelled at `at` s: while the service, after `failures`, never answers, or while it pauses."""
    world.service("op", [error()] * failures, then=hang(), latency=0.05)
    world.service("other", [error()], latency=0.05)
    return {"at": at, "base": base, "cap": cap, "bystander": bystander}


@given_up.driver
async def _(lab, at, base, cap, bystander):
    if bystander:
        lab.start("bystander", lab.answer("retry"), lab.service("other", "bystander"), base=0.1)
    call = lab.start("caller", lab.answer("retry"), lab.service("op", "caller"), base=base, cap=cap)
    await asyncio.sleep(at)
    call.cancel()
    await asyncio.sleep(3)


@scenario
def in_a_hurry(world, deadline, failures=ALWAYS, takes=0.05, base=0.1, cap=2.0, seed=1):
    """Ten attempts of `takes` s each and a deadline; the caller comes 40 s after the world began."""
    world.service("op", [error()] * failures, latency=takes)
    return {"options": {"max_attempts": 10, "base": base, "cap": cap, "deadline": deadline}, "seed": seed}


@in_a_hurry.driver
async def _(lab, options, seed):
    await asyncio.sleep(40)
    call = lab.start("caller", lab.answer("retry"), lab.service("op", "caller"), rng=lab.random(seed), **options)
    await lab.settle(call)


@scenario
def at_once(world, clients=20):
    """Clients side by side, each with a service of its own that fails a few times: how often, the world draws."""
    draw = world.stream("failures")
    for number in range(1, clients + 1):
        world.service(f"op {number}", [error()] * draw.randrange(3), latency=0.3)
    return {"services": world.services}


@at_once.driver
async def _(lab, services):
    await lab.settle(*(lab.start(name, lab.answer("retry"), lab.service(name, name)) for name in services))


@scenario
def same_seeds(world, seeds, attempts=6, base=1.0, cap=1.0):
    """One caller after the other, each with the random numbers of one of the seeds."""
    for number in range(len(seeds)):
        world.service(f"op {number}", [error()] * (attempts - 1), latency=0.05)
    return {"seeds": seeds, "options": {"max_attempts": attempts, "base": base, "cap": cap}}


@same_seeds.driver
async def _(lab, seeds, options):
    for number, seed in enumerate(seeds):
        op = lab.service(f"op {number}", f"seed {seed}" if seeds.index(seed) == number else f"seed {seed} again")
        await lab.settle(lab.start(op.lane, lab.answer("retry"), op, rng=lab.random(seed), **options))


@scenario(fixed=True)
def many(world, clients, failures, base, cap, seed):
    """Many clients side by side, each with a seed of its own; each one's call fails so often and then works."""
    asked = {}

    def script(call):
        client = call.args[0]
        asked[client] = asked.get(client, 0) + 1
        return error() if asked[client] <= failures else ok()

    world.service("op", script)
    world.rounds(1.01 * cap)
    return {"clients": clients, "seed": seed, "options": {"max_attempts": failures + 2, "base": base, "cap": cap}}


@many.driver
async def _(lab, clients, seed, options):
    retry = lab.answer("retry")

    async def client(number):
        service = lab.service("op", f"client {number}")

        async def op():
            return await service(number)

        with contextlib.suppress(Exception):
            await retry(op, rng=lab.random(seed * 10_000 + number), **options)

    await asyncio.gather(*map(client, range(clients)))
