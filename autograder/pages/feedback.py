"""Results -> what one student reads: a table of behaviours, and for those that failed what was seen, on a timeline.

The same markup stands in the notebook, in nbgrader's feedback and in our own page. Everything that comes from a
submission is cleaned and escaped, nothing is fetched. In a notebook and on our own page one fixed script plays the
pictures; in nbgrader's copies and feedback nothing runs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from autograder.judging.result import Behaviour, Result, Standing, first_slip
from autograder.pages.markup import render
from autograder.version import VERSION
from faultlab.pictures.difference import first_difference
from faultlab.pictures.lanes import lanes
from faultlab.pictures.moments import side_by_side
from faultlab.pictures.overlay import SAME, compared
from faultlab.pictures.player import Played, has_player, player_html, script_hash, script_html
from faultlab.pictures.scene import scene
from faultlab.pictures.sheet import Sheet, clean
from faultlab.pictures.svg import svg
from faultlab.pictures.words import fill
from faultlab.timeline import Timeline

PRINTED = 6
"""So many texts are shown of what an answer printed."""
PICTURES = 4
"""At most so many timelines are drawn for one part: the first failures teach most."""
MOMENTS = 160
"""So many instants of a picture are told one by one when it is played."""
EVENTS = 20_000
"""Of more events a picture stands still."""


@dataclass(frozen=True, slots=True)
class _Step:
    """The behaviours of one step; None is the step of those that have none."""

    name: str | None
    behaviours: Sequence[Behaviour]
    missing: Sequence[tuple[Behaviour, Markup]]
    """Those that weren't seen and have an explanation of their own, each with its picture."""


def drawn(result: Result) -> Result:
    """The result with its parts as markup, in place of its timelines, which are many times larger."""
    parts = part_html(result), part_html(result, hidden=True)
    plain = tuple(replace(one, timeline=None, intended=None, picture=None, printed="") for one in result.behaviours)
    return replace(result, behaviours=plain, parts=parts)


def part_html(result: Result, *, hidden: bool = False) -> str:
    """The visible or the hidden part of a result."""
    if result.parts is not None:
        return result.parts[hidden]
    behaviours = result.part(hidden=hidden)
    missing = [behaviour for behaviour in behaviours if not behaviour.passed]
    slip = first_slip(behaviours)
    what, _, text = slip.partition("\n")
    known = [] if hidden or slip else [f"It behaves like a typical mistake: {headline}" for headline in result.mistakes]
    line = "" if slip and what in result.line else result.line
    steps = _steps(behaviours)
    return render(
        "part.html",
        behaviours=behaviours,
        kind="hidden" if hidden else "visible",
        failed=len(missing),
        slip=(what, text) if slip else (),
        waiting=waiting(behaviours),
        lines=[line for line in (line, *known, *([] if hidden else result.notes)) if line],
        points=_points,
        steps=steps,
        red=None if slip else next((step for step in steps if step.missing), None),  # where to go on
        printed=printed(behaviours),
    )


def waiting(behaviours: Sequence[Behaviour]) -> int:
    """How many behaviours wait for the answer's own error to be corrected."""
    slip = first_slip(behaviours)
    return sum(one.slip and one.message == slip for one in behaviours)


def printed(behaviours: Sequence[Behaviour]) -> list[tuple[str, str]]:
    """What the answer printed, each text once: of which behaviour, and the text."""
    first: dict[str, str] = {}
    for behaviour in behaviours:
        if behaviour.printed:
            first.setdefault(behaviour.printed, behaviour.title)
    return [(title, text) for text, title in first.items()][:PRINTED]


def _points(behaviours: Sequence[Behaviour]) -> str:
    return f"{sum(one.points for one in behaviours):g} of {sum(one.max_points for one in behaviours):g}"


def _steps(behaviours: Sequence[Behaviour]) -> list[_Step]:
    """The steps in order, each once. No timeline is drawn twice."""
    drawn: set[int] = set()
    missing: dict[str | None, list[tuple[Behaviour, Markup]]] = {}
    for one in explanations(behaviours):
        missing.setdefault(one.step, []).append((one, _fresh_picture(one, drawn)))
    names = dict.fromkeys(behaviour.step for behaviour in behaviours)
    return [_Step(name, [one for one in behaviours if one.step == name], missing.get(name, [])) for name in names]


def explanations(behaviours: Sequence[Behaviour]) -> list[Behaviour]:
    """Those of a part's behaviours that are to be explained, step by step, in the order in which to correct them.

    Of each cause one: it explains the others. A slip is told above all; hints of other causes would lead away from it.
    """
    places = {step: place for place, step in enumerate(dict.fromkeys(behaviour.step for behaviour in behaviours))}
    missing = sorted(
        (one for one in behaviours if not one.passed), key=lambda one: (places[one.step], not one.slip, not one.cause)
    )
    told: dict[str, Behaviour] = {}
    found = [one for one in missing if not one.slip and (not one.cause or told.setdefault(one.cause, one) is one)]
    return [replace(one, hint="") for one in found] if any(one.slip for one in missing) else found


def _fresh_picture(behaviour: Behaviour, drawn: set[int]) -> Markup:
    """The picture of what isn't among the `drawn` yet, while there are few of them."""
    what = behaviour.timeline if behaviour.picture is None else behaviour.picture
    if what is None or id(what) in drawn or len(drawn) == PICTURES:
        return Markup()
    drawn.add(id(what))
    return Markup(_picture(behaviour))


def to_draw(behaviours: Sequence[Behaviour]) -> list[Behaviour]:
    """Those of a part's behaviours of which the runs are drawn."""
    drawn: dict[int, Behaviour] = {}
    for one in explanations(behaviours):
        if one.timeline is not None and one.picture is None and len(drawn) < PICTURES:
            drawn.setdefault(id(one.timeline), one)
    return list(drawn.values())


def _picture(behaviour: Behaviour) -> str:
    if behaviour.picture is not None:
        return svg(behaviour.picture)
    own, intended = behaviour.timeline, behaviour.intended
    if own is None or not any(scene(one).lanes for one in (own, intended) if one is not None):
        found = first_difference(own, intended) if own and intended else None
        return _said(found.words) if found else ""  # a picture of nothing
    if intended is None:
        return _played(lanes(own), {"Your run": own})
    found, both = compared(own, intended)
    runs = {"Your run": own, "Intended run": intended} if found else {"Your run": own}
    return _said(found.words if found else SAME) + _played(both if found else lanes(own), runs)


def _played(picture: Sheet, runs: Mapping[str, Timeline]) -> str:
    """A picture to play, where the page has the script; everywhere else it stands still."""
    if picture.plot is None or sum(map(len, runs.values())) > EVENTS:
        return svg(picture)
    told = side_by_side(runs, until=picture.plot.until, most=MOMENTS)
    told = [one for one in told if one.at >= picture.plot.since]
    return str(player_html([Played(picture, told)], table=False, whole=True))


def with_script(part: str) -> str:
    """A part as a notebook shows it: with the script that plays its pictures, where there is one to play."""
    return part + script_html() if has_player(part) else part


def _said(words: str) -> str:
    return str(fill("<p>{}</p>", words, longest=500))


def page(result: Result) -> str:
    """A whole page for one student, from a result: nothing fetched, no script allowed but the player's."""
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
    name = clean(student, 100).strip() or ascii(student)  # as `Result.name`
    return render(
        "page.html",
        title=f"{name} · {section}",
        stamp=_stamp(standing),
        standing=standing,
        made_of=made_of(standing),
        parts=[(hidden, Markup(part)) for hidden, part in sorted(parts.items())],
        answers=answers,
        script=script_html() if any(map(has_player, parts.values())) else "",
        script_hash=script_hash(),
    )


def _stamp(standing: Standing) -> str:
    """What tells whether a page is still right: it stands at the page's beginning."""
    return hashlib.sha256(f"{VERSION} {standing!r}".encode()).hexdigest()


def _shown(cell: Mapping[str, Any]) -> str:
    """The markup that `part_html` made, as the graded cell's output keeps it."""
    found = [output.get("data", {}).get("text/html", "") for output in cell.get("outputs", ())]
    return "".join("".join(markup) for markup in found)
