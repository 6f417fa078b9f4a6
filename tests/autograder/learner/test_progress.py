"""`autograder progress` and `autograder compare`: how far a learner is, where to go on, other right answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from autograder.authoring import build
from autograder.course import Course
from autograder.grading.demo import write_submission
from autograder.learner import progress, terminal
from autograder.learner.progress import show_progress
from autograder.learner.terminal import compare_answers
from tests.autograder.conftest import SECTION

RIGHT = "def add(a, b):\n    return a + b\n"
HALF = "def add(a, b):\n    return 0\n"


@pytest.fixture
def work(course: Course) -> Path:
    """The learner's folder, nothing in it."""
    return course.root / "work"


def shown(course: Course, capsys: pytest.CaptureFixture[str], html: Path | None = None) -> str:
    assert show_progress(course, None, html) == 0
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("answer", "row", "total", "next_step"),
    [
        (None, "0 of 2.5 not begun", "0 of 1 exercises passed, 0 of 2.5", f"{SECTION}, its exercise"),
        ("stub", "0 of 2.5 not begun", "0 of 1 exercises passed, 0 of 2.5", f"{SECTION}, its exercise"),
        ("1 / 0\n", "0 of 2.5 begun, no points yet", "0 of 2.5 visible", f"{SECTION}, correct this: ZeroDivisionError"),
        (HALF, "1 of 2.5 under way", "0 of 1 exercises passed, 1 of 2.5", f'{SECTION}, the behaviour "Adds small numb'),
        (RIGHT, "2.5 of 2.5 passed", "1 of 1 exercises passed, 2.5 of 2.5", "nothing, every exercise passes"),
    ],
    ids=["no notebook", "as released", "no points", "half", "right"],
)
def test_how_far(course, work, capsys, answer, row, total, next_step):
    """A saved answer that earns nothing is begun; an untouched one isn't. Totals and the next step stand below."""
    if answer is not None:
        write_submission(course.section(SECTION), work / SECTION, None if answer == "stub" else answer)
    said = shown(course, capsys)
    assert f"{SECTION}/sample.ipynb {row}" in said and "91_plain/plain.ipynb nothing graded" in said
    assert total in said and f"next: {next_step}" in said


def test_the_next_step_of_a_long_exercise(course, work, capsys):
    """Its number, how many there are, its name: of the first that isn't complete."""
    tests = course.section(SECTION).tests
    text = tests.read_text().replace("def test_small", '@pytest.mark.step("Small")\ndef test_small')
    tests.write_text(text.replace("def test_zero", '@pytest.mark.step("Zero")\ndef test_zero'))
    assert build.build(course, [SECTION]) == []
    write_submission(course.section(SECTION), work / SECTION, "def add(a, b):\n    return 3\n")
    assert f"next: {SECTION}, step 2 of 2 (Zero)" in shown(course, capsys)


def test_what_was_begun_comes_first(course, work):
    """Before what is open earlier in the course."""
    one = course.section(SECTION)
    rows = [
        progress.Row(one, work, 0, 2, progress.NOT_BEGUN, "its exercise"),
        progress.Row(course.section("91_plain"), work, 1, 2, "under way", "step 1 of 3"),
    ]
    assert progress.next_step(rows) == "next: 91_plain, step 1 of 3"
    assert progress.next_step(rows[:1]) == f"next: {SECTION}, its exercise"


def test_a_broken_notebook_costs_no_other_row(course, work, capsys):
    """It says that it can't be checked, and why."""
    (work / SECTION).mkdir(parents=True)
    (work / SECTION / "sample.ipynb").write_text("{")
    said = shown(course, capsys)
    assert "can't be checked" in said and "nothing graded" in said and "next: 90_sample, sample.ipynb: " in said


def test_the_page(course, work, capsys):
    """The same totals, next step and rows, and a link to each notebook that is there, from where the page lies."""
    write_submission(course.section(SECTION), work / SECTION, HALF)
    (course.root / "pages").mkdir()
    shown(course, capsys, course.root / "pages" / "mine.html")
    page = (course.root / "pages" / "mine.html").read_text()
    assert f'href="../work/{SECTION}/sample.ipynb"' in page and page.count("href=") == 1
    assert "0 of 1 exercises passed, 1 of 2.5 visible points" in page and "1 of 2.5</td><td>under way" in page
    assert "next: 90_sample, the behaviour &#34;Adds small numbers&#34;" in page.replace("&quot;", "&#34;")


def test_other_answers_keep_their_lines(course, work, capsys, monkeypatch):
    """However narrow the terminal is: a line that is broken can't be copied."""
    monkeypatch.setattr(terminal, "_out", Console(highlight=False, width=40))
    long = "add = lambda a, b: a + b  # " + "a long remark " * 8
    (course.section(SECTION).folder / "right" / "lambda.py").write_text(f"{long}\n")
    write_submission(course.section(SECTION), work / SECTION, RIGHT)
    assert compare_answers(course, "sample", None) == 0
    assert long.rstrip() in capsys.readouterr().out


def test_progress_runs_nothing_that_is_as_released(course, work, monkeypatch, capsys):
    """A new learner doesn't wait for stubs; outputs that were saved change nothing."""
    path = write_submission(course.section(SECTION), work / SECTION, None)
    body = json.loads(path.read_text())
    body["cells"][-1] |= {"metadata": {"seen": True}}
    path.write_text(json.dumps(body))
    monkeypatch.setattr(progress, "check_file", lambda path: pytest.fail("it was run"))
    assert "not begun" in shown(course, capsys)
