"""Put marks and ends of runs into words; of two that differ, each beside the other."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

from faultlab.pictures.names import parsed, readable, shorten, tidy, with_places
from faultlab.pictures.sheet import clean
from faultlab.timeline import Event

_SHORT = 40
"""Values up to this many characters are said whole, longer ones by their difference."""

_LONG = 90
"""The most characters of a longer value."""

_ENDS = {
    "deadlock": "waits forever",
    "livelock": "keeps running without time passing",
    "limit": "doesn't come to an end",
    "endless": "computes without an end",
    "timeout": "runs too long and is stopped",
    "missing": "isn't there",
    "never": "is never run",
}


def end_words(event: Event) -> str:
    """The end of a run that didn't return, in words."""
    how = str(event.data.get("how"))
    detail = clean(event.data.get("error", ""), 40)
    return _ENDS.get(how) or f"ends the run ({how}{' ' if detail else ''}{detail})"


def mark_words(lane: str, name: str, value: Any) -> str:
    """A run's mark under a name in a lane, in words."""
    if _outcome(value):
        return _whose(lane, name) + _ended(value)
    return _named(lane, name, readable(value, _LONG), value)


def mark_pair(lane: str, name: str, own: Any, intended: Any, places: Mapping[str, int]) -> tuple[str, str]:
    """Both runs' marks under a name in a lane, in words. `places` tells values apart that read the same."""
    if _outcome(own) and _outcome(intended):
        first, second = _outcomes(own, intended, places)
        return _whose(lane, name) + first, _whose(lane, name) + second
    if _outcome(own) or _outcome(intended):
        return mark_words(lane, name, own), mark_words(lane, name, intended)
    first, second = _values(own, intended, places)
    return _named(lane, name, first, own), _named(lane, name, second, intended)


def _whose(lane: str, name: str) -> str:
    """The name of an outcome, unless it is the lane's."""
    return "" if name == lane else f"{clean(tidy(name), 60)}: "


def _named(lane: str, name: str, words: str, value: Any) -> str:
    shown = clean(tidy(name), 60)
    if value is None or value is True:
        return shown
    return words if name == lane else f"{shown} {words}"


def _outcome(value: Any) -> bool:
    """Whether a value says how a call of the answer ended."""
    return isinstance(value, dict) and isinstance(value.get("how"), str)


def _outcomes(own: Mapping[str, Any], intended: Mapping[str, Any], places: Mapping[str, int]) -> tuple[str, str]:
    hows = own["how"], intended["how"]
    if hows == ("returned", "returned"):
        first, second = _values(own.get("value"), intended.get("value"), places)
        return f"returns {first}", f"returns {second}"
    if hows == ("raised", "raised") and own.get("error") == intended.get("error"):
        first, second = _raised(own, intended, places)
        return first, second
    return _ended(own), _ended(intended)


def _ended(value: Mapping[str, Any]) -> str:
    how = value["how"]
    if how == "returned":
        return f"returns {readable(value.get('value'), _LONG)}"
    return f"raises {clean(value.get('error', 'an error'), 60)}" if how == "raised" else f"is {clean(how, 40)}"


def _raised(own: Mapping[str, Any], intended: Mapping[str, Any], places: Mapping[str, int]) -> tuple[str, str]:
    """Two exceptions of the same class, with the first difference between them."""
    words = f"raises {clean(own.get('error', 'an error'), 60)}"
    for tell in (_receipt, _cause, _notes, _inside, _message, _args, _classes):
        first, second = tell(own, intended, places), tell(intended, own, places)
        if first != second:
            return f"{words} {first}", f"{words} {second}"
    causes = own.get("cause"), intended.get("cause")
    if isinstance(causes[0], dict) and isinstance(causes[1], dict):
        first, second = (one.removeprefix("raises ") for one in _raised(causes[0], causes[1], places))
        return f"{words} from {first}", f"{words} from {second}"
    return words, words


def _receipt(value: Mapping[str, Any], _other: Mapping[str, Any], _places: Mapping[str, int]) -> str:
    call = value.get("call")
    return f"(that of {call})" if call else "(one of its own)"


def _cause(value: Mapping[str, Any], _other: Mapping[str, Any], _places: Mapping[str, int]) -> str:
    cause = value.get("cause")
    return f"from {clean(cause.get('error'), 60)}" if isinstance(cause, dict) else "without a cause"


def _notes(value: Mapping[str, Any], other: Mapping[str, Any], places: Mapping[str, int]) -> str:
    notes = value.get("notes")
    return f"with the note {_values(notes, other.get('notes'), places)[0]}" if notes else "without a note"


def _inside(value: Mapping[str, Any], other: Mapping[str, Any], places: Mapping[str, int]) -> str:
    """The exceptions in a group, by class; if the classes are the same, the first different one."""
    held = [group.get("exceptions") for group in (value, other)]
    groups = [[one for one in group if isinstance(one, dict)] if isinstance(group, list) else [] for group in held]
    names, others = ([str(one.get("error")) for one in group] for group in groups)
    if names != others:
        return f"with {clean(', '.join(names) or 'nothing', 90)} inside"
    pair = next(((one, two) for one, two in zip(*groups, strict=True) if one != two), None)
    return "" if pair is None else f"with {_raised(*pair, places)[0].removeprefix('raises ')} inside"


def _message(value: Mapping[str, Any], other: Mapping[str, Any], places: Mapping[str, int]) -> str:
    text = value.get("message")
    return f"with the text {_values(text, other.get('message'), places)[0]}" if text else "without a text"


def _args(value: Mapping[str, Any], other: Mapping[str, Any], places: Mapping[str, int]) -> str:
    return f"with {_values(value.get('args'), other.get('args'), places)[0]}"


def _classes(value: Mapping[str, Any], _other: Mapping[str, Any], _places: Mapping[str, int]) -> str:
    names = value.get("names")
    return f"({readable(names)})" if names else "(none of the classes asked for)"


# --- values ----------------------------------------------------------------------------------------------------------


def _values(own: Any, intended: Any, places: Mapping[str, int]) -> tuple[str, str]:
    """Two values in words that differ where the values do."""
    both = readable(own, 200), readable(intended, 200)
    whole = both[0] != both[1] and max(map(len, both)) <= _SHORT
    if whole and not (isinstance(own, dict) and isinstance(intended, dict)):
        return both
    held = parsed(own), parsed(intended)
    if type(own) is not type(intended) and (both[0] == both[1] or held[0] == held[1]):
        return _with_type(own), _with_type(intended)
    if isinstance(held[0], dict) and isinstance(held[1], dict) and held[0] != held[1]:
        return _dicts(*held, places)
    if isinstance(own, list) and isinstance(intended, list):
        return _lists(own, intended, places)
    if isinstance(own, str) and isinstance(intended, str):
        return _texts(own, intended, places)
    if both[0] == both[1]:
        return shorten(clean(repr(own)), _SHORT), shorten(clean(repr(intended)), _SHORT)
    return readable(own, _LONG), readable(intended, _LONG)


def _with_type(value: Any) -> str:
    kind = {str: "a text", dict: "a dict", list: "a list", type(None): "None"}.get(
        type(value), f"{type(value).__name__}"
    )
    return f"{readable(value)} ({kind})"


def _dicts(own: Mapping[str, Any], intended: Mapping[str, Any], places: Mapping[str, int]) -> tuple[str, str]:
    keys = [key for key in dict.fromkeys([*intended, *own]) if key not in own or own[key] != intended.get(key)][:2]
    mine, meant = [], []
    for key in keys or list(own)[:1]:
        first, second = _values(own.get(key), intended.get(key), places)
        name = clean(tidy(key), 40)
        mine.append(f"{name} {first}" if key in own else f"no {name}")
        meant.append(f"{name} {second}" if key in intended else f"no {name}")
    return ", ".join(mine), ", ".join(meant)


def _lists(own: list[Any], intended: list[Any], places: Mapping[str, int]) -> tuple[str, str]:
    for number, (one, other) in enumerate(zip(own, intended, strict=False), 1):
        if one != other:
            first, second = _values(one, other, places)
            return f"{first} (item {number})", f"{second} (item {number})"
    return f"{len(own)} items", f"{len(intended)} items"


def _texts(own: str, intended: str, places: Mapping[str, int]) -> tuple[str, str]:
    """The first lines in which two texts differ; tokens are told by their places if nothing else differs."""
    lines, meant = own.splitlines() or [""], intended.splitlines() or [""]
    first, second = next(((a, b) for a, b in zip_longest(lines, meant, fillvalue="") if a != b), ("", ""))
    if readable(first) == readable(second):
        first, second = with_places(first, places), with_places(second, places)
    first, second = clean(tidy(first), 2_000), clean(tidy(second), 2_000)
    same = next((n for n, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), 0)
    cut = same - 12 if max(len(first), len(second)) > 60 and same > 20 else 0
    words = [("…" if cut else "") + shorten(text[cut:], 60) or "nothing" for text in (first, second)]
    return words[0], words[1]
