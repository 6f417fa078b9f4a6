"""Names and values in readable form: without tokens and internal names, long ones shortened in the middle."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from faultlab.pictures.sheet import clean, measure
from faultlab.timeline import Timeline

ROOM = 48
"""The most characters of a value that are shown."""

NESTED = 50
"""Lines of JSON with more brackets than this stay as they are."""

_TOKEN = re.compile(r"(?<=\w)-[0-9a-f]{10}\b")
_COUNTED = re.compile(r"(.*)#\d+", re.DOTALL)
_DIGITS = re.compile(r"(\d+)")


def tidy(text: object) -> str:
    """The text without the world's random suffixes: `op-4f7b59e018` becomes `op`."""
    return _TOKEN.sub("", str(text))


def with_places(text: object, tokens: Mapping[str, int]) -> str:
    """The text with each token replaced by its place among those of its name: `op (2nd)`."""
    return _TOKEN.sub(lambda found: f" ({nth(tokens[found[0]])})" if found[0] in tokens else "", str(text))


def token_places(*timelines: Timeline) -> dict[str, int]:
    """The place of each token among those of its name, in the order of their appearance."""
    places: dict[str, int] = {}
    counts: dict[str, int] = {}
    for timeline in timelines:
        for event in timeline:
            text = json.dumps(event.data, ensure_ascii=False)
            for found in _TOKEN.finditer(text):
                if found[0] not in places:
                    name = re.findall(r"\w+$", text[: found.start()])[0]
                    places[found[0]] = counts[name] = counts.get(name, 0) + 1
    return places


def nth(number: int) -> str:
    """A number as a place: 1st, 2nd, 11th."""
    ending = "th" if 10 < number % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """A sort key that puts `caller 2` before `caller 10`."""
    parts = _DIGITS.split(name)
    return [(int(part[:18]), "") if part.isdecimal() else (-1, part) for part in parts], name


def lane_words(lanes: Iterable[str]) -> dict[str, str]:
    """Each lane's name in a picture.

    A task that nobody named is called by its function; where there are several of these, or the function's name is a
    private one, they are `task 1`, `task 2`, in their order.
    """
    lanes = [lane for lane in dict.fromkeys(lanes) if lane]
    several = {found[1] for lane in lanes if (found := _COUNTED.fullmatch(lane))}
    unnamed = [lane for lane in lanes if lane.startswith("_") or _COUNTED.fullmatch(lane) or lane in several]
    words = {lane: tidy(lane) for lane in lanes}
    words.update({lane: f"task {number}" for number, lane in enumerate(unnamed, 1)})
    return words


def readable(value: Any, room: int = ROOM) -> str:
    """A value of a timeline in words, shortened in the middle to this many characters."""
    value = parsed(value)
    text = value if isinstance(value, str) else _words(value)
    return shorten(clean(tidy(text), 2_000), room)


def state_word(value: Any) -> str:
    """A state's name as a person writes it: `half_open` is half-open."""
    return clean(str(value).replace("_", "-"), 40)


def parsed(value: Any) -> Any:
    """The content of a line of JSON; other values unchanged."""
    if isinstance(value, str) and value.startswith("{") and value.count("{") + value.count("[") < NESTED:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def shorten(text: str, room: int) -> str:
    """The text, shortened in the middle to this many characters."""
    if len(text) <= room:
        return text
    head = (room - 1) * 2 // 3
    return f"{text[:head].rstrip()}…{text[len(text) - (room - 1 - head) :].lstrip()}"


def squeeze(text: object, width: float, size: int = 11) -> str:
    """The cleaned words, shortened in the middle to fit the width in pixels."""
    words = clean(text)
    room = len(words)
    while room > 2 and measure(shorten(words, room), size) > width:
        room -= 1
    found = shorten(words, room)
    return found if measure(found, size) <= width else ""


def _words(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.12g}"
    if isinstance(value, list):
        return f"[{', '.join(map(_inner, value))}]"
    if isinstance(value, dict):
        return _special(value) or _error(value) or ", ".join(f"{key} {_inner(item)}" for key, item in value.items())
    return str(value)


def _inner(value: Any) -> str:
    return f"({_words(value)})" if isinstance(value, dict) and len(value) > 1 else _words(value)


def _error(value: Mapping[str, Any]) -> str:
    """A driver's description of an exception, and what is said besides."""
    if "error" not in value or "builtins" not in value:
        return ""
    known = ("error", "names", "builtins", "call", "args", "message", "notes", "cause", "exceptions", "how")
    said = [f"{value['error']}: {value['message']}" if value.get("message") else str(value["error"])]
    return ", ".join([*said, *(f"{key} {_inner(item)}" for key, item in value.items() if key not in known)])


def _special(value: Mapping[str, Any]) -> str:
    """A value that `plain` described because it isn't plain."""
    if len(value) != 1:
        return ""
    (kind, what), *_ = value.items()
    if kind in ("$object", "$deep"):
        name = str(what).lstrip("_") or "thing"
        return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
    return {"$more": f"and {what} more", "$int": str(what), "$float": str(what)}.get(kind, "")
