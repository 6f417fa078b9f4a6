"""Turn values into plain data, which may stand on a timeline and cross to the judge.

The result holds only exact built-in types, of bounded depth and size. So reading it never runs the values' own code,
and an honest run never sends more than the grader's messages can carry.
"""

from __future__ import annotations

from typing import Any

DEPTH = 6
ITEMS = 1_000
LETTERS = 2_000
ROOM = 32_000
"""The most bytes of JSON of a value, roughly; the rest is left out."""
_NUMBER = 28
"""Bytes of the longest number, with its comma."""


def plain(value: Any) -> Any:
    """A copy made of exact built-in types.

    Values that don't fit (huge numbers, deep nesting, long lists, other objects) become short descriptions.
    """
    return _copy(value, 0, [ROOM])


def short(name: Any) -> str:
    """A name for a lane or a mark: at most 200 encodable letters."""
    if type(name) is str and len(name) <= 200 and name.isascii():
        return name
    return _letters(name if type(name) is str else f"{plain(name)}", 200)


def told(error: BaseException, letters: int = 300) -> str:
    """An error's text, even if its class breaks `str`."""
    try:
        text = str(error)
        return _letters(text if type(text) is str else "".join(text), letters)
    except Exception:
        return "(its text can't be shown)"


def _copy(value: Any, depth: int, room: list[int]) -> Any:
    kind = type(value)
    if kind is str:
        text = _letters(value, LETTERS)
        room[0] -= (2 if text.isascii() and text.isprintable() else 12) * len(text) + 4
        return text
    room[0] -= _NUMBER
    if value is None or kind is bool:
        return value
    if kind is int:
        return value if -(2**63) <= value < 2**63 else {"$int": hex(value)[:40]}
    if kind is float:
        return value if value - value == 0 else {"$float": repr(value)}
    if depth > DEPTH:
        return {"$deep": short(kind.__name__)[:80]}
    if kind is list or kind is tuple:
        return _items(value, depth, room)
    if kind is dict:
        return _pairs(value, depth, room)
    return {"$object": short(kind.__name__)[:80]}


def _items(values: list[Any] | tuple[Any, ...], depth: int, room: list[int]) -> list[Any]:
    copied: list[Any] = []
    for value in values[:ITEMS]:
        if room[0] <= 0:
            return [*copied, {"$more": len(values) - len(copied)}]
        copied.append(_copy(value, depth + 1, room))
    return copied


def _pairs(values: dict[Any, Any], depth: int, room: list[int]) -> dict[str, Any]:
    copied: dict[str, Any] = {}
    for key, value in list(values.items())[:ITEMS]:
        if room[0] <= 0:
            return {**copied, "$more": len(values) - len(copied)}
        name = _copy(key, depth + 1, room)
        copied[name if type(name) is str else short(name)] = _copy(value, depth + 1, room)
    return copied


def _letters(text: str, most: int) -> str:
    """The beginning of a text, half characters (lone surrogates) spelled out."""
    text = text[:most]
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()[:most]


def worded(value: Any) -> str:
    """A plain value as a person would write it; an object without a plain form is named by its class ("a module")."""
    if type(value) is list:
        return f"[{', '.join(map(worded, value))}]"
    if type(value) is not dict:
        return repr(value)
    if len(value) == 1:
        ((kind, what),) = value.items()
        if kind in ("$object", "$deep"):
            return f"{'an' if str(what)[:1].lower() in tuple('aeiou') else 'a'} {what}"
        if kind in ("$float", "$int", "$more"):
            return f"{what} more" if kind == "$more" else str(what)
    return f"{{{', '.join(f'{name!r}: {worded(one)}' for name, one in value.items())}}}"
