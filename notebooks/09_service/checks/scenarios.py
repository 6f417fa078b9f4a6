"""Try out `UserService` with a script of requests, which says how each of their attempts ends.

A script is a list of lines such as

    "A at 0: works"                        one request, 0 s after the start
    "B then: fails, fails, works"          it comes when all before it are over; its attempts end like this
    "C at 2: hangs, cancelled at 2.5"      its caller gives up
    "8 x D at 31: works after 0.4"         requests D1 to D8, at the same instant

The last ending holds for all further attempts: "fails" means that every attempt fails. There are four more endings:
"missing" (NotFound), "empty" (the value is an empty dict), "nothing" (the value is None) and "works or missing" (the
world draws one of the two). An attempt takes a short time, drawn by the world, or the seconds after "after".
`faultlab.script` describes the rest of the language.

The world draws each user's number. A request knows its number, and only the world knows how its attempts will end.
"""

import asyncio
import contextvars

from faultlab.scenario import in_order, read_script, scenario
from faultlab.world import error, hang, ok


@scenario
def requests(world, script, seed=None, **options):
    """Send the requests of a script to a service with these options. `seed` is the seed of its `rng`."""
    draw = world.stream("requests")
    calls = read_script(script)
    users = draw.sample(range(1_000, 99_999), len(calls))
    replies = {user: [_reply(end, draw) for end in call.ends] for call, user in zip(calls, users, strict=True)}

    def script_of(asked):
        ends = replies[asked.args[0]]
        return ends.pop(0) if len(ends) > 1 else ends[0]

    world.service("fetch", script_of)
    return {
        "begin": round(draw.uniform(0.1, 0.4), 3),
        "steps": in_order(calls),
        "users": {call.who: user for call, user in zip(calls, users, strict=True)},
        "seed": seed,
        "options": options,
    }


def _reply(end, draw):
    takes = draw.uniform(0.1, 0.19) if end.after is None else end.after
    how = end.how
    if how == "works or missing":
        how = draw.choice(["works", "missing"])
    if how == "hangs":
        return hang()
    if how == "works":
        return ok(after=takes)
    if how == "empty":
        return ok({}, after=takes)
    if how == "missing":
        return error("NotFound", "user", draw.randrange(10**9), after=takes)
    if how == "fails":
        return error(end.what or "ConnectionError", after=takes)
    if how == "nothing":
        return ok(None, after=takes)
    raise ValueError(f"no attempt ends like this: {how!r}")


@requests.driver
async def _(lab, begin, steps, users, seed, options):
    asking = contextvars.ContextVar("asking", default="")

    def fetch(user_id, *more):
        return lab.service("fetch", asking.get())(user_id, *more)

    def record(latency, ok):
        lab.mark("record", [asking.get(), latency, ok], lane="")

    async def request(who, user_id):
        asking.set(who)
        answer = await service.handle(user_id)
        if isinstance(answer, tuple | list) and len(answer) == 2 and isinstance(answer[0], int):
            answer = [int(answer[0]), answer[1]]
            lab.mark(f"{answer[0]}")
        return answer

    await asyncio.sleep(begin)
    start = asyncio.get_running_loop().time()
    if seed is not None:
        options["rng"] = lab.random(seed)
    service = lab.answer("UserService")(fetch, record, **options)
    tasks = {}
    for at, what, who, _ in steps:
        if at is None:
            await lab.settle(*tasks.values())
        else:
            await lab.until(start + at)
        lab.mark("ask" if what == "call" else "give up", [who, users[who]], lane="")
        if what == "call":
            tasks[who] = lab.start(who, request, who, users[who])
        else:
            tasks[who].cancel()
    await lab.settle(*tasks.values())
    await asyncio.sleep(1)
