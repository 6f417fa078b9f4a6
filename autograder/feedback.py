"""Results -> what one student reads: a table of behaviours, and for those that failed what was seen, on a timeline.

The same markup stands in the notebook, in nbgrader's feedback and in our own page. Everything that comes from a
submission is cleaned and escaped, nothing is fetched, nothing runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from autograder.document import document
from autograder.result import Behaviour, Result
from faultlab.lanes import scene
from faultlab.sheet import clean
from faultlab.svg import compare_svg, svg
from faultlab.words import safe

PICTURES = 4
"""At most so many timelines are drawn for one part: the first failures teach most."""

_COLOURS = "color:#111;background:#fff"
# said of each cell: a dark theme gives its own background to every second row
_CELL = f"{_COLOURS};padding:3px 10px;text-align:left;vertical-align:top;border-bottom:1px solid #ddd"
_PART = (
    f"{_COLOURS};font-family:system-ui,sans-serif;line-height:1.45;max-width:60rem;padding:4px 10px;border-radius:4px"
)
# to MathJax, of either generation, words are no formulas, which have links and styles of their own
_INERT = "tex2jax_ignore mathjax_ignore"
_RIGHT, _WRONG = "#00664b", "#a33a00"
_CODE = re.compile("`([^`]+)`")
_REST = "The whole exercise"
"""Behaviours of no step, in an exercise that has some."""


class _Same:
    """A result by its identity: comparing all its timelines would take longer than drawing them."""

    def __init__(self, result: Result) -> None:
        self.result = result

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.result is self.result

    def __hash__(self) -> int:
        return id(self.result)


def part_html(result: Result, *, hidden: bool = False) -> str:
    """The visible or the hidden part of a result."""
    return _part(_Same(result), hidden)


@lru_cache(maxsize=128)  # the gradebook and the page show the same pictures
def _part(same: _Same, hidden: bool) -> str:
    result = same.result
    behaviours = result.part(hidden=hidden)
    known = [] if hidden else [f"It behaves like a typical mistake: {headline}" for headline in result.mistakes]
    lines = [line for line in (result.line, *known, *([] if hidden else result.notes)) if line]
    notes = "".join(f"<p>{safe(line)}</p>" for line in lines)
    if not behaviours:
        return f'<div class="{_INERT}" style="{_PART}">{notes}</div>'
    kind = "hidden" if hidden else "visible"
    head = f"<p><strong>{_points(behaviours, kind)}</strong>{_cheer(behaviours)}</p>"
    drawn: set[int] = set()
    steps = dict.fromkeys(behaviour.step for behaviour in behaviours)
    if set(steps) == {None}:
        body = _table(behaviours) + _details(behaviours, drawn)
    else:
        body = _steps([(step, [b for b in behaviours if b.step == step]) for step in steps], drawn)
    return f'<div class="{_INERT}" style="{_PART}">{head}{notes}{body}</div>'


def _points(behaviours: Iterable[Behaviour], kind: str = "") -> str:
    score, best = (sum(points) for points in zip(*((b.points, b.max_points) for b in behaviours), strict=True))
    return " ".join(filter(None, (f"{score:g} of {best:g}", kind, "points")))


def _steps(steps: Sequence[tuple[str | None, Sequence[Behaviour]]], drawn: set[int]) -> str:
    """A fold for each step; the first one that lacks something is open: that is where to go on."""
    passed = [all(b.passed for b in behaviours) for _, behaviours in steps]
    red = passed.index(False) if False in passed else -1
    return "".join(
        f'<details{" open" if number == red else ""} style="margin:.6em 0"><summary>'
        f"{_mark(passed[number])} <strong>{safe(step or _REST)}</strong> · {_points(behaviours)}"
        f'</summary><div style="margin-left:1.2em">{_table(behaviours)}{_details(behaviours, drawn)}</div></details>'
        for number, (step, behaviours) in enumerate(steps)
    )


def _cheer(behaviours: Iterable[Behaviour]) -> str:
    failed = sum(not behaviour.passed for behaviour in behaviours)
    if not failed:
        return " · every behaviour was seen"
    return f" · {failed} {'behaviour wasn’t' if failed == 1 else 'behaviours weren’t'} seen yet"


def _table(behaviours: Iterable[Behaviour]) -> str:
    rows = "".join(
        f'<tr><td style="{_CELL};white-space:nowrap">{_mark(b.passed, "passed", "not yet")}</td>'
        f'<td style="{_CELL}">{_prose(b.title)}</td>'
        f'<td style="{_CELL};text-align:right;white-space:nowrap">{_worth(b)}</td></tr>'
        for b in behaviours
    )
    heads = "".join(f'<th scope="col" style="{_CELL}">{word}</th>' for word in ("seen?", "behaviour", "points"))
    style = "border-collapse:collapse;font-size:90%"
    return f'<table style="{style}"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'


def _mark(passed: bool, yes: str = "", no: str = "") -> str:
    """A state in a sign, a word and a colour."""
    sign, word, colour = ("✓", yes, _RIGHT) if passed else ("✗", no, _WRONG)
    return f'<span style="color:{colour}">{sign}{" " if word else ""}{word}</span>'


def _worth(behaviour: Behaviour) -> str:
    return f"{behaviour.points:g} / {behaviour.max_points:g}" if behaviour.max_points else "advice"


def _prose(text: str) -> str:
    """A sentence of ours or of a submission: escaped, and `code` set as code."""
    return _CODE.sub(r"<code>\1</code>", safe(text))


def _details(behaviours: Iterable[Behaviour], drawn: set[int]) -> str:
    """A fold for each behaviour that wasn't seen, the first one open. `drawn` timelines aren't drawn again."""
    failed = [behaviour for behaviour in behaviours if not behaviour.passed]
    parts = []
    for number, behaviour in enumerate(failed):
        fresh = behaviour.timeline is not None and id(behaviour.timeline) not in drawn and len(drawn) < PICTURES
        if fresh:
            drawn.add(id(behaviour.timeline))
        parts.append(_one(behaviour, unfold=number == 0, picture=fresh))
    return "".join(parts)


def _one(behaviour: Behaviour, *, unfold: bool, picture: bool) -> str:
    seen = "<br>".join(_prose(line) for line in behaviour.message.splitlines())
    hint = f"<p><strong>Hint:</strong> {_prose(behaviour.hint)}</p>" if behaviour.hint else ""
    opened = " open" if unfold else ""
    return (
        f'<details{opened} style="margin:.6em 0">'
        f"<summary>{_mark(False)} <strong>{_prose(behaviour.title)}</strong></summary>"
        f'<div style="margin-left:1.2em"><p><strong>Seen:</strong> {seen}</p>{hint}'
        f"{_picture(behaviour) if picture else ''}</div></details>"
    )


def _picture(behaviour: Behaviour) -> str:
    drawn = [one for one in (behaviour.timeline, behaviour.intended) if one is not None]
    if behaviour.timeline is None or not any(scene(one).lanes for one in drawn):
        return ""  # two pictures of nothing
    if behaviour.intended is None:
        return svg(behaviour.timeline)
    return compare_svg(behaviour.timeline, behaviour.intended)


def page(result: Result) -> str:
    """A whole page for one student: both parts, nothing fetched, no script allowed."""
    parts = "".join(
        f"<h2>{name}</h2>{part_html(result, hidden=hidden)}"
        for hidden, name in ((False, "The tests that you have"), (True, "The tests that were kept back"))
        if result.part(hidden=hidden)
    )
    parts = parts or part_html(result)
    title = f"{clean(result.name, 100)} · {result.section}"
    return document(title, f"<p>{result.score:g} of {result.max_score:g} points · {safe(result.verdict)}</p>{parts}")
