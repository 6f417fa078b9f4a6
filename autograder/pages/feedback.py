"""Results -> what one student reads: a table of behaviours, and for those that failed what was seen, on a timeline.

The same markup stands in the notebook, in nbgrader's feedback and in our own page. Everything that comes from a
submission is cleaned and escaped, nothing is fetched, nothing runs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from autograder.judging.result import Behaviour, Result, Standing
from autograder.pages.document import document
from autograder.version import VERSION
from faultlab.pictures.scene import scene
from faultlab.pictures.sheet import clean
from faultlab.pictures.svg import compare_svg, svg
from faultlab.pictures.words import safe

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
_COMMENT = "white-space:pre-wrap;margin:.5em 0;padding:.2em 1em;border-left:4px solid #0072b2"
_ANSWER = "white-space:pre-wrap;padding:.6em;background:#f6f6f6;border-radius:4px"
_LONGEST = 100_000
"""Characters of an answer or a comment that a page shows."""
_SUMMARY = '<summary style="display:list-item">'
"""With its triangle on formgrader's page too, whose style sheet takes it away."""
_CODE = re.compile("`([^`]+)`")
_SET = r"<code>\1</code>"
_REST = "The whole exercise"
"""Behaviours of no step, in an exercise that has some."""


def drawn(result: Result) -> Result:
    """The result with its parts as markup, in place of its timelines, which are many times larger."""
    parts = part_html(result), part_html(result, hidden=True)
    plain = tuple(replace(behaviour, timeline=None, intended=None) for behaviour in result.behaviours)
    return replace(result, behaviours=plain, parts=parts)


def part_html(result: Result, *, hidden: bool = False) -> str:
    """The visible or the hidden part of a result."""
    if result.parts is not None:
        return result.parts[hidden]
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
        f'<details{" open" if number == red else ""} style="margin:.6em 0">{_SUMMARY}'
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
    return _CODE.sub(_SET, safe(text))


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
        f"{_SUMMARY}{_mark(False)} <strong>{_prose(behaviour.title)}</strong></summary>"
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
    """A whole page for one student, from a result: nothing fetched, no script allowed."""
    parts = {hidden: part_html(result, hidden=hidden) for hidden in (False, True) if result.part(hidden=hidden)}
    standing = Standing(result.score, result.max_score, result.score)
    return _page(result.student, result.section, standing, parts or {False: part_html(result)})


def copy_page(student: str, section: str, copy: Mapping[str, Any], standing: Standing) -> str:
    """The same page from a graded copy, whose outputs are the parts; with the student's own answer."""
    marked = ((cell["metadata"].get("nbgrader") or {}, cell) for cell in copy["cells"])
    answers = ["".join(cell["source"]) for marks, cell in marked if marks.get("solution") and not marks.get("grade")]
    return _page(student, section, standing, parts_of(copy), answers)


def parts_of(copy: Mapping[str, Any]) -> dict[bool, str]:
    """What the graded cells of a copy show: the visible part under False, the hidden one under True."""
    marked = ((cell["metadata"].get("nbgrader") or {}, cell) for cell in copy["cells"])
    return {marks["grade_id"].endswith("_hidden"): _shown(cell) for marks, cell in marked if marks.get("grade")}


def is_current(written: str, standing: Standing) -> bool:
    """Whether the page that begins so says what the gradebook says now."""
    return _stamp(standing) in written


def made_of(standing: Standing) -> str:
    """What makes a final score, in words; empty where the tests alone do."""
    parts = [
        f"{name} {points:+g}".replace("-", "\N{MINUS SIGN}")
        for name, points in (
            ("by hand", standing.by_hand),
            ("extra credit", standing.extra),
            ("handed in late", -standing.penalty),
        )
        if points
    ]
    return ", ".join([f"tests {standing.tests:g}", *parts]) if parts else ""


def _page(
    student: str, section: str, standing: Standing, parts: Mapping[bool, str], answers: Sequence[str] = ()
) -> str:
    made = made_of(standing)
    head = f"<p><strong>{standing.score:g} of {standing.max_score:g} points</strong>{made and f' · {made}'}</p>"
    said = "".join(
        f'<blockquote style="{_COMMENT}">{_CODE.sub(_SET, _lines(comment))}</blockquote>'
        for comment in standing.comments
    )
    comments = f"<h2>What your instructor says</h2>{said}" if said else ""
    names = {False: "The tests that you have", True: "The tests that were kept back"}
    tests = "".join(f"<h2>{names[hidden]}</h2>{parts[hidden]}" for hidden in sorted(parts))
    code = "".join(f'<pre style="{_ANSWER}">{_lines(answer)}</pre>' for answer in answers)
    answer = f"<h2>Your answer</h2>{code}" if code else ""
    name = clean(student, 100).strip() or ascii(student)  # as `Result.name`
    return document(f"{name} · {section}", f"{_stamp(standing)}{head}{comments}{tests}{answer}")


def _stamp(standing: Standing) -> str:
    """What tells whether a page is still right: it stands at the page's beginning."""
    return f"<!-- {hashlib.sha256(f'{VERSION} {standing!r}'.encode()).hexdigest()} -->"


def _shown(cell: Mapping[str, Any]) -> str:
    """The markup that `part_html` made, as the graded cell's output keeps it."""
    found = [output.get("data", {}).get("text/html", "") for output in cell.get("outputs", ())]
    return "".join("".join(markup) for markup in found)


def _lines(text: str) -> str:
    """A longer text as words, its lines and indentation as they were typed."""
    lines = text[:_LONGEST].expandtabs(4).splitlines()
    return "\n".join(re.sub("[^ ]+", lambda word: safe(word[0], 1000), line) for line in lines)
