"""Markup is made by templates, which escape whatever they are given, and nowhere else."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from jinja2 import UndefinedError

from autograder.course import Course
from autograder.judging.result import Behaviour, Result, Standing
from autograder.learner import progress
from autograder.pages import markup
from autograder.pages.feedback import copy_page, page, part_html
from autograder.pages.report import write_report
from autograder.pages.roll import Roll

ROOT = Path(markup.__file__).parents[2]
HOSTILE = (
    "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>`<b>`<!-- ]]> -->{{ 7*7 }}{% raw %}"
    "\x00\x1b[31m\u202e\u2066&#x27;"
)
RAW = ("<script", "<img", "<b>", "]]>", "49", "\x00", "\x1b", "\u202e", "\u2066", "x onerror=alert(1)>", "\"'>")
TAGS = """
    html head meta title style body main h1 h2 p div pre blockquote ul ol li details summary
    span strong small code br a meter table thead tbody tr th td
"""
ATTRIBUTES = "lang charset http-equiv content name style class scope open href min max value aria-label"


def hostile(one: Any, **given: Any) -> Any:
    """The same with hostile words in each field that holds words."""
    words = {field.name: HOSTILE for field in fields(one) if isinstance(getattr(one, field.name), str)}
    return replace(one, **(words | given))


def live(page: str) -> list[Any]:
    """Tags, attributes and comments that aren't ours."""
    found: list[Any] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: Any) -> None:
            found.extend([tag] if tag not in TAGS.split() else [])
            found.extend((tag, *attribute) for attribute in attrs if attribute[0] not in ATTRIBUTES.split())

        def handle_comment(self, data: str) -> None:
            found.extend([] if re.fullmatch(" [0-9a-f]{64} ", data) else [data])

    Reader().feed(page)
    return found


def pages(folder: Path, course: Course) -> Iterator[tuple[str, str]]:
    """Each page, with hostile words in every field."""
    behaviour = hostile(Behaviour("a", "A", False, 0.0, 1.0, "m", "h", step=HOSTILE))
    behaviours = (behaviour, replace(behaviour, step=None, passed=True), replace(behaviour, hidden=True))
    more = {"behaviours": behaviours, "notes": (HOSTILE,), "mistakes": (HOSTILE,)}
    result = hostile(Result("s", "s", "e", "graded", "full", 0.0), **more)
    standing = Standing(1, 2, 3, by_hand=1, comments=(HOSTILE, f"{HOSTILE}\n  `{HOSTILE}`"))
    for hidden in (False, True):
        yield f"part {hidden}", part_html(result, hidden=hidden)
    yield "nothing to judge", part_html(replace(result, behaviours=()))
    yield "page", page(result)
    marks = {"grade_id": "e", "solution": True}
    copy = {"cells": [{"source": HOSTILE, "metadata": {"nbgrader": marks}}]}
    yield "a copy's page", copy_page(HOSTILE, HOSTILE, copy, standing)
    roll = Roll.of([replace(result, section="s"), replace(result, behaviours=(), section="s")])
    yield "report", write_report(folder, [], title=HOSTILE, roll=roll).read_text(encoding="utf-8")
    section = replace(course.sections[0], name=HOSTILE)
    own = folder / re.sub("[\0/]", "", HOSTILE)[:80]
    own.touch()
    row = progress.Row(section, own, 0, 1, HOSTILE, HOSTILE)
    yield "progress", progress.progress_page([row, row._replace(notebook=folder / "nowhere")], folder)


def test_hostile_words_stay_words(course: Course, tmp_path: Path) -> None:
    """On each page, in every field: no tag, attribute, comment, control sign or template of theirs."""
    for name, found in pages(tmp_path, course):
        assert live(found) == [], name
        assert "alert(1)" in found and "{{ 7*7 }}" in found, name
        assert [raw for raw in RAW if raw in re.sub("(?s)<style>.*?</style>|[0-9a-f]{64}", "", found)] == [], name


def test_equal_results_are_equal_bytes(course: Course, tmp_path: Path) -> None:
    """Twice in one process."""
    assert list(pages(tmp_path, course)) == list(pages(tmp_path, course))


def test_a_forgotten_value_is_an_error() -> None:
    """A page doesn't come out with a hole in it."""
    with pytest.raises(UndefinedError, match="title"):
        markup.render("progress.html", rows=[], links={}, totals="", next_step="")


def test_no_template_switches_escaping_off() -> None:
    """Markup is made in Python, where the tests below look for it."""
    texts = [path.read_text(encoding="utf-8") for path in Path(markup.__file__).with_name("templates").glob("*.html")]
    assert texts and not [text for text in texts if re.search(r"\|\s*safe|autoescape", text)]


def modules() -> Iterator[tuple[str, ast.Module]]:
    for package in ("autograder", "faultlab"):
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def test_only_pictures_are_put_together_by_hand() -> None:
    """No f-string has a tag in it: words for HTML go through a template or `fill`."""
    tag = re.compile(
        "</?(svg|title|p|div|span|strong|small|code|br|table|t[hdr]|details|summary|pre|[uo]l|li|a|h[1-6])[ >]"
    )
    found = {
        name
        for name, tree in modules()
        for one in ast.walk(tree)
        if isinstance(one, ast.JoinedStr)
        and any(isinstance(part, ast.Constant) and tag.search(str(part.value)) for part in one.values)
    }
    assert found == {
        "autograder/authoring/handbook.py",  # a fold in Markdown, around the authors' own words
        "autograder/authoring/problems.py",  # what an author is to type
        "faultlab/pictures/figure.py",  # a label for an SVG that has none
        "faultlab/pictures/svg.py",
    }


def test_templates_are_constant() -> None:
    """What `fill` is given first was written by us."""
    calls = [
        one
        for name, tree in modules()
        if name.startswith("faultlab/")  # elsewhere it is textwrap's
        for one in ast.walk(tree)
        if isinstance(one, ast.Call) and isinstance(one.func, ast.Name) and one.func.id == "fill" and one.args
    ]
    assert len(calls) > 10
    assert not [one for call in calls for one in ast.walk(call.args[0]) if isinstance(one, ast.JoinedStr | ast.Call)]


def test_most_commands_draw_nothing() -> None:
    """They don't wait for the templates' library."""
    code = "import sys, autograder.cli, autograder.pages.feedback, faultlab.explore; print('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
