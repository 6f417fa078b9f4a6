"""What the tests do to `CircuitBreaker`: they play scripts of calls, some of which fail, hang or are cancelled.

A script is a list of lines such as

    "A at 0: fails after 0.2"                      one call; "fails with KeyError after 0.2" raises a KeyError
    "B at 1: works or fails after 0.2 or 3"        alternatives: one in this round, another in the next
    "B at 1: works after 0.2 to 0.9"               the world draws a duration between these two
    "C at 2: hangs, cancelled at 5"                its caller gives up
    "D at 3: raises at once"                       op itself raises, before there is anything to await
    "25 x E at 31: works after 1"                  callers E1 to E25 at the same instant
    "F on other at 4: works after 0.2"             through another breaker with the same options
    "look at 6"                                    the state is read

Each script is played in rounds, each against a new breaker: first with every first alternative, then with every second.
If a test asks for a number of `rounds`, every combination comes equally often. The world draws the order of the rounds.
Seconds count from the start of a round. Only the world knows how a call will end.
"""

import asyncio
import itertools
import re

from faultlab.scenario import in_order, read_script, scenario
from faultlab.world import error, hang, ok

BETWEEN = re.compile(r"(?P<least>[\d.]+) to (?P<most>[\d.]+)")
EITHER = re.compile(r"[\w.]+(?: or [\w.]+)+")
FALSY = {"None": None, "zero": 0, "False": False, "nothing": [], "silence": ""}

DEFAULTS = {"failure_threshold": 5, "recovery_time": 30.0, "half_open_max": 1, "success_threshold": 1}
"""Options of every breaker unless a script sets others: so a wrong default fails only the tests of that default."""


@scenario
def story(world, script, options=None, without=None, ignored=None, watched=False, rounds=None):
    """Play the calls of a script in the order of their times, once for each round.

    script: its lines. options: the breaker's options. without: an option that is left to its default. ignored: names
    of exceptions for which is_failure returns False. watched: whether on_state_change is given. rounds: how many.
    """
    draw = world.stream("story")
    lines = list(_drawn(script, rounds, draw))
    told = [_told(world, f"op {number} of {len(lines)}", one) for number, one in enumerate(lines, 1)]
    end = max(end for _, end in told) + 1.5  # the same for all rounds: when a round ends says nothing about it
    return {
        "rounds": [steps for steps, _ in told],
        "end": end,
        "options": {name: value for name, value in {**DEFAULTS, **(options or {})}.items() if name != without},
        "ignored": ignored,
        "watched": watched,
    }


def _drawn(script, rounds, draw):
    """The script's lines for each round, with its alternatives chosen."""
    text = BETWEEN.sub(lambda it: f"{draw.uniform(float(it['least']), float(it['most'])):.3f}", "\n".join(script))
    alternatives = [found.split(" or ") for found in EITHER.findall(text)]
    if rounds is None:
        most = max(map(len, alternatives), default=1)
        combinations = [[these[number % len(these)] for these in alternatives] for number in range(most)]
    else:
        combinations = list(itertools.product(*alternatives))
        combinations *= -(-rounds // len(combinations))
    draw.shuffle(combinations)
    for chosen in combinations[:rounds]:
        words = iter(chosen)
        yield EITHER.sub(lambda _, words=words: next(words), text).split("\n")


def _told(world, service, lines):
    """Set up one round; return its steps and its last second."""
    calls = read_script(lines)
    ends = {call.who: call.ends[0] for call in calls if call.ends}
    replies = {who: _reply(end) for who, end in ends.items()}
    world.service(service, lambda call: replies[call.args[0]])
    steps = in_order(calls)
    for step in steps:
        if step[1] == "call" and ends[step[2]].how.endswith("at once"):
            step[1] = "at once"
    return steps, max([steps[-1][0], *(call.at + (call.ends[0].after or 0.0) for call in calls if call.ends)])


def _reply(end):
    takes, what = end.after or 0.0, end.what
    if end.how == "hangs":
        return hang()
    if end.how in ("works", "works at once"):
        return ok(FALSY[what], after=takes) if what in FALSY else ok(after=takes)
    if end.how in ("fails", "raises", "raises at once"):
        carries = (1.0,) if what == "CircuitOpenError" else ()  # as another breaker raises it
        return error("ConnectionError" if not what or what in FALSY else what, *carries, after=takes)
    raise ValueError(f"no call can end like this: {end.how!r}")


@story.driver
async def _(lab, rounds, end, options, ignored, watched):
    for number, steps in enumerate(rounds, 1):
        await _play(lab, number, f"op {number} of {len(rounds)}", steps, _options(lab, options, ignored, watched), end)


async def _play(lab, number, service, steps, options, end):
    """Play one round; its marks and its service carry its number."""
    begin = asyncio.get_running_loop().time()
    breakers, tasks = {}, {}
    for at, what, who, name in steps:
        await lab.until(begin + at)
        if what == "cancel":
            tasks[who].cancel()
        elif what == "look":
            lab.mark(f"look {number}", _word(breakers[name].state), lane="state")
        else:
            if name not in breakers:
                breakers[name] = lab.answer("CircuitBreaker")(**options)
            op = await (_at_once if what == "at once" else _asking)(lab, number, service, who)
            tasks[who] = asyncio.create_task(_caller(lab, number, breakers[name], op), name=who)
    await lab.until(begin + end)


def _options(lab, options, ignored, watched):
    """The breaker's options; the brief holds only plain data, so the functions are made here."""
    options = dict(options)
    if ignored is not None:
        options["is_failure"] = lambda exc: type(exc).__name__ not in ignored
    if watched:
        options["on_state_change"] = lambda old, new: lab.mark("change", [_word(old), _word(new)], lane="state")
    return options


def _word(state):
    return getattr(state, "value", state)


async def _asking(lab, number, service, who):
    op = lab.service(service, who)
    return lambda: op(who)


async def _at_once(lab, number, service, who):
    """An op that answers or raises as soon as it is called: the world has decided its result beforehand."""
    found = value = None
    try:
        value = await lab.service(service, f"{who}, asked before")(who)
    except Exception as error:
        found = error

    async def answer():
        return value

    def op():
        lab.mark(f"at once {number}", None, lane=who)
        if found is not None:
            raise found
        return answer()

    return op


async def _caller(lab, number, breaker, op):
    """Make one call; mark how it ended and which retry_after a rejection carries."""
    said = {}

    async def call():
        try:
            return await breaker.call(op)
        except Exception as error:
            said["retry_after"] = getattr(error, "retry_after", None)
            raise

    try:
        await lab.outcome(f"outcome {number}", call)
    finally:
        if said:
            lab.mark(f"retry_after {number}", said["retry_after"])
