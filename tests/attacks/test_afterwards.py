"""What people open afterwards: the graded copy, the feedback and the report of hostile submissions are inert."""

from __future__ import annotations

import json
from typing import Any

import nbformat
import pytest

from autograder.course import Course
from autograder.judging.result import Behaviour, Result
from autograder.nbgrader import copy
from autograder.pages.feedback import page, part_html
from autograder.pages.report import write_report
from faultlab.pictures.player import script_hash, script_html
from faultlab.scenario import played
from faultlab.timeline import Event, Timeline
from tests.attacks.afterwards import MARKDOWN, WORDS, cells
from tests.autograder.conftest import pristine
from tests.autograder.nbgrader.test_gradebook import elements

__all__ = ["pristine"]  # a course that was built

pytestmark = pytest.mark.xdist_group("afterwards")

SECTION = "90_sample"
FORBIDDEN = {"script", "link", "img", "iframe", "object", "embed", "base", "form", "input", "textarea", "style", "math"}
FORBIDDEN |= {"animate", "foreignobject", "audio", "video", "frame", "applet", "image", "use"}
TEXT = {"aria-label", "title", "alt", "data-run"}
"""Attributes that are read, not followed."""


def live(markup: str, *, ours: frozenset[str] = frozenset()) -> list[Any]:
    """What in some markup would run or fetch, `ours` left out."""
    found: list[Any] = []
    for tag, attributes in elements(markup):
        if tag in FORBIDDEN - ours:
            found.append(tag)
        for name, value in attributes.items():
            address = "".join((value or "").split()).casefold()
            leads = name in ("href", "src", "xlink:href", "action", "data", "srcdoc") and not address.startswith("#")
            if (
                name.startswith("on")
                or (leads and not address.startswith("../"))
                or (name not in TEXT and "url(" in address)
            ):
                found.append((tag, name, value))
    return found


@pytest.fixture(scope="module")
def source(pristine: Course) -> Any:
    from autograder.nbgrader.release import graded_notebook

    return graded_notebook(pristine.section(SECTION))


@pytest.mark.parametrize("name", MARKDOWN)
def test_copies(source: Any, name: str, record_property) -> None:
    """Of a cell only text and code are left, of its outputs nothing; as nbgrader renders it, nothing is live."""
    from nbconvert.filters import markdown2html

    record_property("attack", (0, 0))
    body = {"cells": cells({name: MARKDOWN[name]}), "metadata": {"widgets": {"x": MARKDOWN[name]}}, "nbformat": 4}
    kept = copy.sanitise(copy.load_copy(json.dumps(body).encode()), source)
    nbformat.validate(kept)
    assert set(kept.metadata) <= {"kernelspec", "language_info"}
    theirs = [cell for cell in kept.cells if not cell.metadata]
    assert len(theirs) == 3
    for cell in theirs:
        assert not cell.get("outputs") and "attachments" not in cell and cell.cell_type in ("code", "markdown")
        if cell.cell_type == "markdown":
            assert live(markdown2html(cell.source)) == []


@pytest.mark.parametrize("name", [*WORDS, *MARKDOWN])
def test_pages(tmp_path: Any, name: str, record_property) -> None:
    """Feedback, report and drawn timelines show hostile words as words; the one script is ours, whatever the words."""
    record_property("attack", (0, 0))
    words = (WORDS | MARKDOWN)[name]
    lane = words[:200]
    timeline = Timeline(
        (
            Event(0, "call", lane, {"call": 0, "service": "op", "args": [words]}),
            Event(5, "ok", lane, {"call": 0, "service": "op", "value": words}),
            Event(6, "mark", lane, {"name": lane, "value": {words: words}}),
            Event(7, "note", "", {"what": "warning", "text": words}),
            Event(8, "end", "", {"how": "raised", "error": lane, "message": words}),
        )
    )
    behaviours = tuple(
        Behaviour(
            f"b{hidden}", "Does it", False, 0.0, 1.0, words, words, hidden, words, timeline, timeline, played("one", {})
        )
        for hidden in (False, True)
    )
    result = Result("mallory", SECTION, "sample", "crashed", "full", 0.0, behaviours, words, (words,), (words,))
    one = page(result)
    parts = [part_html(result, hidden=hidden) for hidden in (False, True)]
    index = write_report(tmp_path, [result], title=words)
    assert all("<script" not in part.casefold() for part in parts), "the parts stand in nbgrader's feedback too"
    ours = str(script_html())
    assert one.count(ours) == 1 and f"script-src '{script_hash()}'" in one
    written = [path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html")]
    for markup in (text.replace(ours, "") for text in (one, *parts, *written)):
        links = {f"{SECTION}/mallory.html"}
        found = [one for one in live(markup, ours=frozenset({"style"})) if not (one[0] == "a" and one[2] in links)]
        assert found == []
        assert not [letter for letter in markup if letter < " " and letter not in "\n\t"]
        assert not set(markup) & set("\u202e\u2066\u200f\ufffe\uffff\x7f")
    assert index.is_file() and "default-src 'none'" in one
