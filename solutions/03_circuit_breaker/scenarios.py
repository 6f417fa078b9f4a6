"""What is done to `CircuitBreaker`: a script of calls, some of which fail, hang or are given up.

A script is a list of lines such as

    "A at 0: fails after 0.2"                      one call; a KeyError with "fails with KeyError after 0.2"
    "B at 1: works after 0.2"                      "works or fails": the world draws which
    "C at 2: hangs, cancelled at 5"                its caller gives up
    "D at 3: raises at once"                       op itself raises, before there is anything to await
    "25 x E at 31: works after 1"                  callers E1 to E25 in the same instant
    "F on other at 4: works after 0.2"             through another breaker with the same options
    "look at 6"                                    the state is read

Seconds count from an instant that the world draws; what will come of a call only the world knows.
"""

import asyncio
import re

from faultlab.scenario import scenario
from faultlab.world import error, hang, ok

CALL = re.compile(
    r"(?:(?P<many>\d+) x )?(?P<who>\w+)(?: on (?P<breaker>\w+))? at (?P<at>[\d.]+): "
    r"(?P<how>works or fails|works|fails|hangs|raises at once)(?: with (?P<what>\w+))?(?: after (?P<takes>[\d.]+))?"
    r"(?:, cancelled at (?P<cancelled>[\d.]+))?"
)


@scenario
def story(world, script, options=None, ignored=None, watched=False):
    """The calls of a script, in the order of their instants."""
    replies, steps, end = {}, [], 0.0
    draw = world.stream("story")
    for line in script:
        if line.startswith("look at "):
            steps.append([float(line.removeprefix("look at ")), "look", "", ""])
            continue
        call = CALL.fullmatch(line)
        if call is None:
            raise ValueError(f"the script's line {line!r} can't be read")
        at, name = float(call["at"]), call["who"]
        for who in [f"{name}{number}" for number in range(1, int(call["many"]) + 1)] if call["many"] else [name]:
            replies[who] = _reply(call, draw)
            kind = "raise" if call["how"] == "raises at once" else "call"
            steps.append([at, kind, who, call["breaker"] or "breaker"])
            if call["cancelled"]:
                steps.append([float(call["cancelled"]), "cancel", who, ""])
        end = max(end, at + float(call["takes"] or 0))
    world.service("op", lambda call: replies[call.args[0]])
    steps.sort(key=lambda step: step[0])
    end = max(end, steps[-1][0]) + 0.5
    start = round(draw.uniform(0.5, 20), 3)
    return {
        "start": start,
        "steps": steps,
        "end": end,
        "options": options or {},
        "ignored": ignored,
        "watched": watched,
    }


def _reply(call, draw):
    works = {"works": True, "works or fails": draw.random() < 0.5}.get(call["how"], False)
    takes = float(call["takes"] or 0)
    if call["how"] == "hangs":
        return hang()
    if works:
        return ok(after=takes) if call["what"] is None else ok(FALSY[call["what"]], after=takes)
    return error(call["what"] or "ConnectionError", after=takes)


FALSY = {"None": None, "zero": 0, "False": False, "nothing": [], "silence": ""}


@story.driver
async def _(lab, start, steps, end, options, ignored, watched):
    await asyncio.sleep(start)
    begin = asyncio.get_running_loop().time()
    options = _options(lab, options, ignored, watched)
    breakers, tasks = {}, {}
    for at, what, who, name in steps:
        if (wait := begin + at - asyncio.get_running_loop().time()) > 1e-6:  # a crowd comes in one instant and one turn
            await asyncio.sleep(wait)
        if what == "cancel":
            tasks[who].cancel()
        elif what == "look":
            lab.mark("look", _word(breakers["breaker"].state), lane="state")
        else:
            if name not in breakers:
                breakers[name] = lab.answer("CircuitBreaker")(**options)
            op = await _raising(lab, who) if what == "raise" else _asking(lab, who)
            tasks[who] = asyncio.create_task(_caller(lab, breakers[name], op), name=who)
    await asyncio.sleep(begin + end - asyncio.get_running_loop().time())


def _options(lab, options, ignored, watched):
    """What crosses over is plain: functions are made here."""
    options = dict(options)
    if ignored is not None:
        options["is_failure"] = lambda exc: type(exc).__name__ not in ignored
    if watched:
        options["on_state_change"] = lambda old, new: lab.mark("change", [_word(old), _word(new)], lane="state")
    return options


def _word(state):
    return getattr(state, "value", state)


def _asking(lab, who):
    service = lab.service("op", who)
    return lambda: service(who)


async def _raising(lab, who):
    """An op that raises when it is called; its error is one that the world made."""
    try:
        await lab.service("op", f"{who}, asked before")(who)
    except Exception as error:
        found = error

    def op():
        lab.mark("raised at once", None, lane=who)
        raise found

    return op


async def _caller(lab, breaker, op):
    """One call: how it ended, and what a rejection says."""
    said = {}

    async def call():
        try:
            return await breaker.call(op)
        except Exception as error:
            said["retry_after"] = getattr(error, "retry_after", None)
            raise

    try:
        await lab.outcome("outcome", call)
    finally:
        if said:
            lab.mark("retry_after", said["retry_after"])
