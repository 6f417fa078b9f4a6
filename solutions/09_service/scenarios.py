"""What is done to `UserService`: a script of requests, and what becomes of each of their attempts.

A script is a list of lines such as

    "A at 0: works"                        one request, 0 s after the start
    "B then: fails, fails, works"          it comes when all before it are over; its attempts end so, one after the other
    "C at 2: hangs, cancelled at 2.5"      its caller gives up
    "8 x D at 31: works after 0.4"         requests D1 to D8, in the same instant

The last of the endings holds for all further attempts: "fails" fails always. Further endings: "missing" (NotFound),
"empty" (the value is an empty dict), "works or missing" (the world draws which). An attempt takes a moment, drawn by
the world, or as long as "after" says.

Whoever asks for a user knows its number, which the world draws; what will come of it only the world knows.
"""

import asyncio
import contextvars
import re

from faultlab.scenario import scenario
from faultlab.world import error, hang, ok

REQUEST = re.compile(
    r"(?:(?P<many>\d+) x )?(?P<who>\w+) (?:at (?P<at>[\d.]+)|then): (?P<ends>.+?)(?:, cancelled at (?P<cancelled>[\d.]+))?"
)
END = re.compile(r"(?P<how>works or missing|works|fails|hangs|missing|empty)(?: after (?P<takes>[\d.]+))?")


@scenario
def requests(world, script, seed=None, **options):
    """The requests of a script at a service with these options; `seed` is that of its `rng`."""
    draw = world.stream("requests")
    lines = [REQUEST.fullmatch(line) for line in script]
    if not all(lines):
        raise ValueError(f"the script's line {script[lines.index(None)]!r} can't be read")
    names = [who for line in lines for who in _names(line)]
    users = dict(zip(names, draw.sample(range(1_000, 99_999), len(names)), strict=True))
    replies, steps = {}, []
    for line in lines:
        for who in _names(line):
            replies[users[who]] = [_reply(END.fullmatch(end), draw) for end in line["ends"].split(", ")]
            steps.append([None if line["at"] is None else float(line["at"]), "ask", who, users[who]])
            if line["cancelled"]:
                steps.append([float(line["cancelled"]), "give up", who, users[who]])

    def script_of(asked):
        ends = replies[asked.args[0]]
        return ends.pop(0) if len(ends) > 1 else ends[0]

    world.service("fetch", script_of)
    return {"begin": round(draw.uniform(0.1, 0.4), 3), "steps": _in_order(steps), "seed": seed, "options": options}


def _names(line):
    return [f"{line['who']}{number}" for number in range(1, int(line["many"]) + 1)] if line["many"] else [line["who"]]


def _in_order(steps):
    """By their instants; who comes "then" stays behind the ones named before."""
    latest, keyed = 0.0, []
    for place, step in enumerate(steps):
        instant = latest if step[0] is None else step[0]
        latest = max(latest, instant) if step[1] == "ask" else latest
        keyed.append((instant, place, step))
    return [step for _, _, step in sorted(keyed, key=lambda one: one[:2])]


def _reply(end, draw):
    takes = float(end["takes"]) if end["takes"] else draw.uniform(0.1, 0.19)
    how = end["how"]
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
    return error("ConnectionError", after=takes)


@requests.driver
async def _(lab, begin, steps, seed, options):
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
    clock = asyncio.get_running_loop().time
    start = clock()
    if seed is not None:
        options["rng"] = lab.random(seed)
    service = lab.answer("UserService")(fetch, record, **options)
    tasks = {}
    for at, what, who, user_id in steps:
        if at is None:
            await lab.settle(*tasks.values())
        elif (wait := start + at - clock()) > 1e-6:  # a crowd comes in one instant and one turn
            await asyncio.sleep(wait)
        lab.mark(what, [who, user_id], lane="")
        if what == "ask":
            tasks[who] = lab.start(who, request, who, user_id)
        else:
            tasks[who].cancel()
    await lab.settle(*tasks.values())
    await asyncio.sleep(1)
