"""What the tests do to `run_with_deadline`: work that ends or hangs, callers that give up, cleanup that fails."""

import asyncio

from faultlab.scenario import scenario
from faultlab.world import error, hang, ok

PATIENCE = 60
"""How long the driver waits for a call that doesn't end, in seconds."""


def start(lab, who, timeout, options, outer=None):
    """Start the answer in a task of its own; work, its unwinding and cleanup are calls in the lane `who`.

    outer: the timeout around the whole call, in seconds. Returns the task, an event that is set when the call has
    ended, and an event that lets the task end. Until the second is set, the task notices a late cancellation.
    """
    service, unwind, cleanup = (lab.service(name, who) for name in ("work", "unwinding", "cleanup"))
    ended, leave = asyncio.Event(), asyncio.Event()

    async def work():
        try:
            return await service()
        except asyncio.CancelledError:
            await unwind()
            raise

    async def call():
        async with asyncio.timeout(outer):
            return await run_with_deadline(work, timeout=timeout, cleanup=cleanup, **options)

    async def caller():
        try:
            await lab.outcome(who, call)
        finally:
            ended.set()
        try:
            await leave.wait()
        except asyncio.CancelledError:
            lab.mark("cancelled afterwards")
            raise

    run_with_deadline = lab.answer("run_with_deadline")
    return asyncio.create_task(caller(), name=who), ended, leave


async def over(lab, task, ended, leave):
    """Wait until the call has ended, but at most PATIENCE seconds; then wait 5 s more for late events."""
    try:
        async with asyncio.timeout(PATIENCE):
            await ended.wait()
    except TimeoutError:
        lab.mark("out of patience", lane=task.get_name())
        task.cancel()
    await asyncio.sleep(5)
    leave.set()


def about(world, seconds):
    """This many seconds, give or take 10 %: the world draws how many."""
    return round(seconds * world.stream(f"about {seconds}").uniform(0.9, 1.1), 3)


def at_most(seconds):
    """A latency that the world draws for each call: 70 to 100 % of this."""
    return lambda draw: round(seconds * draw.uniform(0.7, 1), 3)


def tidy(world, unwinding, cleanup, fails):
    """Set up what a stopped call uses.

    unwinding, cleanup: about how many seconds each takes (cleanup=None: forever). fails: what cleanup raises.
    """
    world.service("unwinding", then=ok(after=about(world, unwinding)))
    after = 0 if cleanup is None else about(world, cleanup)
    ending = hang() if cleanup is None else error(fails, after=after) if fails else ok(after=after)
    world.service("cleanup", then=ending)


@scenario
def in_time(world, takes, timeout):
    """One caller for each result, some of them falsy, in an order that the world draws.

    The calls overlap. The work ends in time, after at most `takes` s.
    """
    replies = [ok(), ok(None), ok(0), ok(), ok("")]
    world.stream("results").shuffle(replies)
    world.service("work", replies, latency=at_most(takes))
    tidy(world, 0.1, 0.1, None)
    return {"callers": len(replies), "timeout": timeout}


@in_time.driver
async def _(lab, callers, timeout):
    started = []
    for number in range(1, callers + 1):
        started.append(start(lab, f"caller {number}", timeout, {}))
        await asyncio.sleep(0.011)
    for one in started:
        await over(lab, *one)


@scenario
def failing(world, kinds, takes, timeout):
    """One caller for each kind of error that the work raises within `takes` s, then one whose work succeeds."""
    world.service("work", [error(kind) for kind in kinds], latency=at_most(takes))
    tidy(world, 0.1, 0.1, None)
    return {"callers": [*kinds, "all is well"], "timeout": timeout}


@failing.driver
async def _(lab, callers, timeout):
    for who in callers:
        await over(lab, *start(lab, who, timeout, {}))


@scenario
def too_slow(world, timeout, unwinding, cleanup, grace=None, fails=None):
    """The work never ends, and the timeout is about `timeout` s; unwinding and cleanup take time."""
    world.service("work", then=hang())
    world.service("seconds", [ok(about(world, timeout))])
    tidy(world, unwinding, cleanup, fails)
    return {"options": {} if grace is None else {"grace": grace}}


@too_slow.driver
async def _(lab, options):
    await asyncio.sleep(8)
    timeout = await lab.service("seconds", "")()
    await over(lab, *start(lab, "caller", timeout, options))


@scenario
def given_up(world, at, unwinding, cleanup, grace=None, fails=None, outer=False, timeout=30.0):
    """The work never ends. The call is cancelled after about `at` s, directly or by a timeout around it (`outer`)."""
    world.service("work", then=hang())
    world.service("seconds", [ok(about(world, at))])
    tidy(world, unwinding, cleanup, fails)
    options = {} if grace is None else {"grace": grace}
    return {"outer": outer, "timeout": timeout, "options": options}


@given_up.driver
async def _(lab, outer, timeout, options):
    at = await lab.service("seconds", "")()
    call = start(lab, "caller", timeout, options, at if outer else None)
    if not outer:
        await asyncio.sleep(at)
        call[0].cancel()
    await over(lab, *call)
