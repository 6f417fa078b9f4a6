"""The scenarios for `GracefulServer`: requests in flight, a call of `shutdown()`, and what comes after it."""

import asyncio

from faultlab.scenario import scenario
from faultlab.world import error, hang, ok

PATIENCE = 8.0
"""How long the driver keeps looking after everything should be over, in seconds."""
DRAIN_TIMEOUT = 10.0
"""The default of `drain_timeout`, in seconds."""
ENDINGS = ["is cancelled", "answers", "fails"]
"""The ways in which a handler ends after it was cancelled and has cleaned up."""


@scenario
def serving(world, requests=(4, 7)):
    """The server is never stopped: some requests arrive close together, others while these are served."""
    draw = world.stream("requests")
    replies, plan = {}, []
    for _ in range(draw.randint(*requests)):
        _ask(plan, replies, draw.uniform(0.1, 0.3), ok(after=draw.uniform(1.0, 3.0)))
        _ask(plan, replies, draw.uniform(0.4, 0.9), ok(after=draw.uniform(0.3, 2.0)))
    return _brief(world, {}, replies, plan, until=4.0)


@scenario
def leaving(world, requests=(2, 4), patient=1):
    """Some clients disconnect while their requests are served, and their handlers clean up; `patient` clients stay."""
    draw = world.stream("requests")
    replies, plan = {}, []
    for _ in range(draw.randint(*requests)):
        name = _ask(plan, replies, draw.uniform(0.1, 0.3), hang())
        plan.append((draw.uniform(0.8, 1.2), "leave", name))
    for _ in range(patient):
        _ask(plan, replies, draw.uniform(0.1, 0.3), ok(after=draw.uniform(2.6, 3.6)))
    plan += [(0.6, "look", "server"), (2.5, "look", "server"), (4.0, "look", "server")]
    return _brief(world, {}, replies, plan, until=4.2, endings=ENDINGS[:1])


@scenario
def deploy(
    world,
    requests=(2, 5),
    lasts=(0.6, 3.0),
    fails=(),
    stuck=(0, 0),
    early=(0, 0),
    hooks=0,
    broken=0,
    drain_timeout=None,
    readiness_delay=None,
    asks=(),
    hangs=(),
    looks=(),
    callers=(0.0,),
):
    """Requests are in flight when `shutdown()` is called.

    Numbers of requests are drawn from a range (from, to): `requests` end by themselves after `lasts` seconds, `stuck`
    ones never end, `early` ones are over before the call. `fails` lists errors, each of which ends one more request.
    `hooks` is the length of `on_close`; `broken` of these hooks fail. Four lists hold seconds after the first call:
    `asks` (of requests), `hangs` (of requests that never end), `looks` (at the attributes), `callers` (of shutdown).
    """
    draw = world.stream("deploy")
    stop = draw.uniform(0.4, 0.5)
    replies, plan = {}, []
    for _ in range(draw.randint(*requests)):
        _ask(plan, replies, draw.uniform(0.05, 0.3), ok(after=draw.uniform(*lasts)))
    for kind in fails:
        _ask(plan, replies, draw.uniform(0.05, 0.3), error(kind, after=draw.uniform(*lasts)))
    for _ in range(draw.randint(*stuck)):
        _ask(plan, replies, draw.uniform(0.05, 0.3), hang())
    for _ in range(draw.randint(*early)):
        _ask(plan, replies, draw.uniform(0.05, 0.2), ok(after=draw.uniform(0.02, 0.1)))
    for after in hangs:
        _ask(plan, replies, stop + after, hang())
    for after in asks:
        _ask(plan, replies, stop + after, ok(after=draw.uniform(*lasts)))
    plan += [(stop + after, "look", "server") for after in looks]
    plan += [(stop + after, "stop", f"shutdown {number}") for number, after in enumerate(callers, 1)]
    failing = draw.sample(range(1, hooks), broken) if broken else []
    names = [f"hook {number}" for number in range(1, hooks + 1)]
    for number, name in enumerate(names):
        script = [error("RuntimeError") if number in failing else ok()]
        world.service(name, script, latency=draw.uniform(0.2, 0.6))
    given = {"drain_timeout": drain_timeout, "readiness_delay": readiness_delay}
    options = {name: value for name, value in given.items() if value is not None}
    late = DRAIN_TIMEOUT if drain_timeout is None else drain_timeout
    waits = (readiness_delay or 0) + (late if stuck[1] else 0)
    until = stop + max([waits, lasts[1], *asks, *callers, *looks]) + lasts[1] + 0.6 * hooks + PATIENCE
    return _brief(world, options, replies, plan, until, names)


def _ask(plan, replies, at, reply):
    """Plan a request, and how its handler will end; return the request's name."""
    name = f"request {len(replies) + 1}"
    replies[name] = reply
    plan.append((at, "ask", name))
    return name


def _brief(world, options, replies, plan, until, hooks=(), endings=ENDINGS):
    draw = world.stream("cleanup")
    cleanups = {name: ok(after=draw.uniform(0.4, 0.9)) for name in replies}
    world.service("handler", lambda asked: replies[asked.args[0]])
    world.service("cleanup", lambda asked: cleanups[asked.args[0]])
    first = draw.randrange(3)
    ends = {name: endings[(number + first) % len(endings)] for number, name in enumerate(replies)}
    return {"options": options, "hooks": list(hooks), "endings": ends, "plan": sorted(plan), "until": until}


def told(lab, report):
    """Return a report as plain data, with None for each field that it lacks."""
    errors = getattr(report, "close_errors", None)
    if isinstance(errors, list | tuple):
        errors = [
            lab.describe(one) if isinstance(one, BaseException) else {"call": None, "message": f"{one}"}
            for one in errors
        ]
    numbers = {name: getattr(report, name, None) for name in ("completed", "cancelled", "duration")}
    return numbers | {"close_errors": errors}


async def drive(lab, options, hooks, endings, plan, until):
    """Carry out each step of the plan at its instant, and show how it ended."""

    async def handler(request):
        lane = f"{request}"
        try:
            return await lab.service("handler", lane)(request)
        except asyncio.CancelledError:
            cleaned = await lab.service("cleanup", lane)(request)
            if endings.get(lane) == "answers":
                return cleaned
            if endings.get(lane) == "fails":
                raise RuntimeError(f"{lane} was cancelled") from None
            raise

    async def shutdown():
        return told(lab, await server.shutdown())

    if hooks:
        options = options | {"on_close": [lab.service(name, name) for name in hooks]}
    server = lab.answer("GracefulServer")(handler, **options)
    clients = {}
    for at, what, who in [*plan, (until, "end", "")]:
        await lab.until(at)
        if what == "ask":
            lab.mark("asks", lane=who)
            clients[who] = lab.start(who, server.handle, who)
        elif what == "leave":
            lab.mark("disconnects", lane=who)
            clients[who].cancel()
        elif what == "stop":
            lab.mark("stop", lane=who)
            lab.start(who, shutdown)
        elif what == "look":
            lab.mark("look", {"ready": server.ready, "in_flight": server.in_flight}, lane=who)


serving.driver(drive)
leaving.driver(drive)
deploy.driver(drive)
