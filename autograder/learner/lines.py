"""A check's result as lines for a terminal: all that was seen, or what has changed since the last check."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.text import Text

from faultlab.pictures.sheet import clean

Found = dict[str, Any]
"""What `check_file` returns."""


def passes(found: Found) -> bool:
    """Whether a check saw every behaviour."""
    return bool(found["behaviours"]) and all(behaviour["passed"] for behaviour in found["behaviours"])


def all_lines(path: Path, found: Found) -> Iterator[Text]:
    """The points, each behaviour, and what was seen of those that have an explanation."""
    yield Text(f"{path.name}: {_points(found)}", style="bold")
    yield from _error(found)
    yield from map(Text, _remarks(found))
    yield from _behaviours(found)
    yield from _printed(found)


def changed_lines(path: Path, before: Found, found: Found) -> Iterator[Text]:
    """The points, what passes now and what no longer does, and where to go on if that is something else now."""
    yield Text(f"{path.name}: {_points(found)}{_compared(before, found)}", style="bold")
    lines = list(_changes(before, found))
    yield from lines or [Text("  nothing has changed since the last check")]


def _points(found: Found) -> str:
    return f"{found['score']:g} of {found['max_score']:g} visible points"


def _compared(before: Found, found: Found) -> str:
    return "" if found["score"] == before["score"] else f" ({before['score']:g} before)"


def _changes(before: Found, found: Found) -> Iterator[Text]:
    if list(_error(found)) != list(_error(before)):
        yield from _error(found)
    yield from (Text(remark) for remark in _remarks(found) if remark not in _remarks(before))
    passed = {one["test"] for one in before["behaviours"] if one["passed"]}
    for one in found["behaviours"]:
        if one["passed"] and one["test"] not in passed:
            yield Text(f"  ✓ passes now: {one['title']}", style="green")
        elif not one["passed"] and one["test"] in passed:
            yield Text(f"  ✗ no longer passes: {one['title']}", style="yellow")
    explained = found.get("explanations", [])[:1]
    if explained and explained != before.get("explanations", [])[:1]:
        title = next(one["title"] for one in found["behaviours"] if one["test"] == explained[0]["test"])
        yield Text(f"  ✗ to correct next: {title}", style="yellow")
        yield from _explanation(explained[0], hint=True)
    if found.get("printed") != before.get("printed"):
        yield from _printed(found)


def _error(found: Found) -> Iterator[Text]:
    """The answer's own error, and why nothing could be judged, if so."""
    if slip := found.get("slip"):
        what, _, text = slip.partition("\n")
        yield Text(f"  {what}{':' if text else ''}", style="bold red")
        yield Text(f"      {text}" if text else "")
        many = found["waiting"]
        yield Text(f"  Correct this first: {many} behaviour{' waits' if many == 1 else 's wait'} for it.")
    if found["line"]:
        yield Text(f"  {found['line']}")


def _remarks(found: Found) -> list[str]:
    mistakes = [f"  it behaves like a typical mistake: {headline}" for headline in found.get("mistakes", [])]
    return mistakes + [f"  {note}" for note in found.get("notes", [])]


def _behaviours(found: Found) -> Iterator[Text]:
    """Each behaviour, what was seen of those that have an explanation, and one hint: that of what to correct first."""
    explained = {one["test"]: one for one in found.get("explanations", [])}
    first = next(iter(explained), None)
    for behaviour in found["behaviours"]:
        mark, style = ("✓", "green") if behaviour["passed"] else ("✗", "yellow")
        yield Text(f"  {mark} {behaviour['title']}", style=style)
        if explanation := explained.get(behaviour["test"]):
            yield from _explanation(explanation, hint=behaviour["test"] == first)


def _explanation(explanation: dict[str, str], *, hint: bool) -> Iterator[Text]:
    yield from (Text(f"      seen: {line}") for line in explanation["message"].splitlines())
    if hint and explanation["hint"]:
        yield Text(f"      hint: {explanation['hint']}")


def _printed(found: Found) -> Iterator[Text]:
    for text in found.get("printed", []):
        yield Text("  the code printed:")
        yield from (Text(f"      {clean(line)}") for line in text.splitlines())
