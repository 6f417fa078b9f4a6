"""Scripts: lines of text that say how an answer is called.

    "A at 0: works after 0.2"               one call, 0 s after the start
    "B then: fails, fails, works"           it comes when all before it are over; its attempts end so, one after another
    "C at 2: hangs, cancelled at 5"         its caller gives up
    "25 x D at 31: works"                   callers D1 to D25, in the same instant
    "E on other at 4: fails with KeyError"  at another one than the rest
    "look at 6"                             no call, but something else to do

The scenario decides what an ending such as `works` means, and what other lines do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

_LINE = re.compile(
    r"(?:(?P<many>\d+) x )?(?P<who>\w+)(?: on (?P<on>\w+))? (?:at (?P<at>[\d.]+)|then)"
    r"(?:: (?P<ends>.+?)(?:, cancelled at (?P<cancelled>[\d.]+))?)?"
)
_END = re.compile(r"(?P<how>[a-z ]+?)(?: with (?P<what>\w+))?(?: after (?P<after>[\d.]+))?")


class End(NamedTuple):
    """How one attempt of a call ends: `fails with KeyError after 0.2`."""

    how: str
    what: str
    """What stands behind `with`; "" without it."""
    after: float | None
    """Seconds that it takes; None if the script doesn't say."""


class Call(NamedTuple):
    """One call of a script, or another line, which has no `ends`."""

    who: str
    on: str
    at: float | None
    """Seconds after the start; None means after all calls before it."""
    ends: list[End]
    cancelled: float | None
    """Seconds after the start at which its caller gives up."""


def read_script(lines: Iterable[str]) -> list[Call]:
    """The calls of a script, in the order of its lines. Raises ValueError for a line that can't be read."""
    return [call for line in lines for call in _calls(line)]


def _calls(line: str) -> Iterator[Call]:
    found = _LINE.fullmatch(line)
    ends = [_END.fullmatch(end) for end in found["ends"].split(", ")] if found and found["ends"] else []
    if found is None or None in ends:
        raise ValueError(f"the script's line {line!r} can't be read")
    read = [End(end["how"], end["what"] or "", _seconds(end["after"])) for end in ends if end is not None]
    for number in range(1, int(found["many"]) + 1) if found["many"] else [""]:
        who = f"{found['who']}{number}"
        yield Call(who, found["on"] or "", _seconds(found["at"]), read, _seconds(found["cancelled"]))


def _seconds(text: str | None) -> float | None:
    return None if text is None else float(text)


def in_order(calls: Iterable[Call]) -> list[list[Any]]:
    """The steps of a script in the form of a brief, sorted by instant: each is [at, what, who, on].

    `what` is "call", "cancel", or the first word of a line that is no call. A call without an instant comes after those
    before it in the script.
    """
    latest, steps = 0.0, []
    for call in calls:
        instant = latest if call.at is None else call.at
        if call.ends:
            latest = max(latest, instant)
            steps.append((instant, [call.at, "call", call.who, call.on]))
        else:
            steps.append((instant, [call.at, call.who, "", call.on]))
        if call.cancelled is not None:
            steps.append((call.cancelled, [call.cancelled, "cancel", call.who, call.on]))
    return [step for _, step in sorted(steps, key=lambda one: one[0])]
