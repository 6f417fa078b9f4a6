"""Scenarios for a `Bulkhead`: callers arrive one by one or together, come back again and again, or give up."""

import asyncio

from faultlab.scenario import scenario
from faultlab.world import error, ok


def looked_at(lab, bulkhead, lane="bulkhead"):
    """Mark what the bulkhead says about itself."""
    said = {name: getattr(bulkhead, name, None) for name in ("active", "waiting")}
    lab.mark("says", said, lane=lane)


@scenario
def in_line(world, concurrent, callers, every=0.013):
    """Callers arrive one by one or together, and the queue has room for all; the world draws how long each call takes."""
    draw = world.stream("takes")
    world.service("op", [ok(after=draw.uniform(0.3, 0.9)) for _ in range(callers)])
    return {"concurrent": concurrent, "callers": callers, "every": every}


@in_line.driver
async def _(lab, concurrent, callers, every):
    bulkhead = lab.answer("Bulkhead")(concurrent, max_queue=callers)
    tasks = []
    for number in range(1, callers + 1):
        name = f"caller {number}"
        lab.mark("arrives", lane=name)
        tasks.append(lab.start(name, bulkhead.run, lab.service("op", name)))
        if every:
            await asyncio.sleep(every)
    await asyncio.sleep(0.02)
    looked_at(lab, bulkhead)
    await lab.settle(*tasks)
    await asyncio.sleep(0.02)
    looked_at(lab, bulkhead)


@scenario
def comes_again(world, concurrent, callers, again):
    """Busy callers come back the moment they are served, while others wait."""
    draw = world.stream("takes")
    total = concurrent * again + callers
    world.service("op", [ok(after=draw.uniform(0.3, 0.4)) for _ in range(total)])
    return {"concurrent": concurrent, "callers": callers, "again": again}


@comes_again.driver
async def _(lab, concurrent, callers, again):
    bulkhead = lab.answer("Bulkhead")(concurrent, max_queue=concurrent * again + callers)

    async def keen(name):
        for _ in range(again):
            lab.mark("arrives", lane=name)
            await lab.outcome(name, bulkhead.run, lab.service("op", name))

    tasks = []
    for number in range(1, concurrent + 1):
        tasks.append(asyncio.create_task(keen(f"busy {number}"), name=f"busy {number}"))
        await asyncio.sleep(0.011)
    for number in range(1, callers + 1):
        name = f"caller {number}"
        lab.mark("arrives", lane=name)
        tasks.append(lab.start(name, bulkhead.run, lab.service("op", name)))
        await asyncio.sleep(0.017)
    await lab.settle(*tasks)


@scenario
def visits(world, concurrent, arrivals, takes, failing=None, cancelled=None, looks=(), **options):
    """Callers arrive at the `arrivals`, in seconds, and may be cancelled later.

    `takes` has a pair for each call that gets a permit, in the order of their starts: the fewest and the most seconds
    that the call takes. The world draws between the two. `failing` maps a call's number to the error that it raises."""
    kinds, draw = failing or {}, world.stream("takes")
    seconds = [draw.uniform(least, most) for least, most in takes]
    script = [
        error(kinds[str(number)], after=after) if str(number) in kinds else ok(after=after)
        for number, after in enumerate(seconds, 1)
    ]
    world.service("op", script)
    steps = [[at, "arrives", f"caller {number}"] for number, at in enumerate(arrivals, 1)]
    steps += [[at, "gives up", f"caller {number}"] for number, at in (cancelled or {}).items()]
    steps += [[at, "look", ""] for at in looks]
    return {"concurrent": concurrent, "options": options, "steps": sorted(steps)}


@visits.driver
async def _(lab, concurrent, options, steps):
    bulkhead = lab.answer("Bulkhead")(concurrent, **options)
    tasks = {}
    for at, what, name in steps:
        await lab.until(at)
        if what == "look":
            looked_at(lab, bulkhead)
            continue
        lab.mark(what, lane=name)
        if what == "arrives":
            tasks[name] = lab.start(name, bulkhead.run, lab.service("op", name))
        else:
            tasks[name].cancel()
    await lab.settle(*tasks.values())
    await asyncio.sleep(0.02)
    looked_at(lab, bulkhead)


@scenario
def two_bulkheads(world, left, right, callers, **options):
    """Two bulkheads stand side by side, with `callers` at each.

    One has `left` permits and the `options`; the other has `right` permits and no queue."""
    draw = world.stream("takes")
    for name in ("orders", "payments"):
        world.service(name, [ok(after=draw.uniform(1, 2)) for _ in range(callers)])
    return {"left": left, "right": right, "options": options, "callers": callers}


@two_bulkheads.driver
async def _(lab, left, right, options, callers):
    make_bulkhead = lab.answer("Bulkhead")
    bulkheads = {"orders": make_bulkhead(left, **options), "payments": make_bulkhead(right, max_queue=0)}
    tasks = []
    for number in range(1, callers + 1):
        for name, bulkhead in bulkheads.items():
            who = f"{name} {number}"
            lab.mark("arrives", lane=who)
            tasks.append(lab.start(who, bulkhead.run, lab.service(name, who)))
            await asyncio.sleep(0.011)
    for name, bulkhead in bulkheads.items():
        looked_at(lab, bulkhead, lane=name)
    await lab.settle(*tasks)


@scenario(group="chaos")
def chaos(world, calls, concurrent, queue):
    """Callers arrive at random, and half of them are cancelled at random: in the queue, inside `op`, or too late.

    Some callers, when they end, cancel the first caller in the queue, whose permit may be on its way then. Afterwards,
    when all is quiet, as many callers arrive together as there are permits."""
    draw = world.stream("chaos")
    world.service("op", latency=lambda stream: stream.uniform(0.05, 0.5))
    plan, at = [], 0.0
    for _ in range(calls):
        at += draw.expovariate(concurrent / 0.2)
        patience = draw.uniform(0.01, 0.8) if draw.random() < 0.5 else None
        plan.append([at, patience, draw.random() < 0.1])
    return {"concurrent": concurrent, "room": queue, "plan": plan}


@chaos.driver
async def _(lab, concurrent, room, plan):
    bulkhead = lab.answer("Bulkhead")(concurrent, max_queue=room)
    loop = asyncio.get_running_loop()

    async def call(number, takes_along):
        service = lab.service("op", f"caller {number}")

        async def op():
            queue.pop(number, None)
            return await service()

        with lab.whatever_comes():
            try:
                queue[number] = asyncio.current_task()
                await bulkhead.run(op)
            finally:
                queue.pop(number, None)
                if takes_along and queue:
                    next(iter(queue.values())).cancel()

    tasks, queue = [], {}
    for number, (at, patience, takes_along) in enumerate(plan, 1):
        await asyncio.sleep(at - loop.time())
        tasks.append(asyncio.create_task(call(number, takes_along), name=f"caller {number}"))
        if patience is not None:
            loop.call_later(patience, tasks[-1].cancel)
    await asyncio.sleep(0.02)
    looked_at(lab, bulkhead)
    await lab.settle(*tasks)
    await asyncio.sleep(1)
    looked_at(lab, bulkhead)
    late = [f"late {number}" for number in range(1, concurrent + 1)]
    await lab.settle(*(lab.start(name, bulkhead.run, lab.service("op", name)) for name in late))
