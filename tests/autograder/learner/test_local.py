"""`autograder check`: one's own notebooks in a terminal."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from autograder.course import Course
from autograder.errors import UsageError
from autograder.grading.demo import write_submission
from autograder.learner import terminal
from autograder.learner.local import check_file
from autograder.learner.terminal import check_all, watch_all
from tests.autograder.conftest import SECTION, lay_out_as_before

RIGHT = "def add(a, b):\n    return a + b\n"
HALF = "def add(a, b):\n    return 0\n"


def written(course: Course, answer: str | None) -> Path:
    return write_submission(course.section(SECTION), course.root / "work" / SECTION, answer)


@pytest.mark.parametrize(
    ("answer", "code", "said"), [(RIGHT, 0, "2.5 of 2.5"), (HALF, 1, "1 of 2.5"), (None, 1, "0 of")]
)
def test_exit_codes(course, capsys, answer, code, said):
    """0 when everything passes, else 1; the points and what was seen are printed."""
    shutil.copytree(course.notebooks / SECTION, course.root / "work" / SECTION)
    assert check_all([written(course, answer)]) == code
    out = capsys.readouterr().out
    assert said in out and ("another sum" in out) == (answer != RIGHT)


@pytest.mark.parametrize("lay_out", [lambda folder: None, lay_out_as_before], ids=["one data folder", "as before"])
def test_the_folder_s_own_tests(course, tmp_path, lay_out):
    """Outside any course the tests in the notebook's folder count, wherever the build put them."""
    folder = Path(shutil.copytree(course.notebooks / SECTION, tmp_path / "mine" / SECTION))
    lay_out(folder)
    path = write_submission(course.section(SECTION), folder, HALF)
    assert check_file(path)["score"] == 1


def test_one_bad_apple(course, capsys):
    """With several notebooks each is shown, and one that doesn't pass makes the exit code 1."""
    assert check_all([written(course, RIGHT), course.notebooks / SECTION / "sample.ipynb"]) == 1
    assert capsys.readouterr().out.count("visible points") == 2


@pytest.mark.parametrize(
    "answer", ["import os\nos._exit(0)\n", "import sys\nsys.exit(0)\n", "raise KeyboardInterrupt\n"]
)
def test_ending_isn_t_passing(course, answer):
    """Code that ends the process has no points."""
    found = check_file(written(course, answer))
    assert found["score"] == 0 and (found["line"] or found["slip"])


@pytest.mark.parametrize(
    ("answer", "note"),
    [
        ("!pip install adding\n" + RIGHT, "the shell command pip isn't run"),
        ("%%time\n" + RIGHT, ""),
        (RIGHT + "1 / 0\n", "ZeroDivisionError"),
    ],
)
def test_notes(course, capsys, answer, note):
    """What wasn't done is printed with the result."""
    assert check_all([written(course, answer)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "2.5 of 2.5" in out and note in out


def test_an_answer_that_is_text(course, capsys):
    """The line says what became of its cell; so does each behaviour."""
    path = written(course, RIGHT)
    body = json.loads(path.read_text())
    next(cell for cell in body["cells"] if cell.get("id") == "sample")["cell_type"] = "markdown"
    path.write_text(json.dumps(body))
    found = check_file(path)
    said = "your answer's cell is a Markdown cell now: change it back to Code"
    assert found["line"] == said and {behaviour["message"] for behaviour in found["behaviours"]} == {said}


def test_odd_cells(course):
    """They are skipped with a note, and cost nobody the others."""
    path = written(course, RIGHT)
    body = json.loads(path.read_text())
    body["cells"][0:0] = [{"cell_type": "markdown", "metadata": None, "source": None}, 7]
    path.write_text(json.dumps(body))
    found = check_file(path)
    assert found["score"] == 2.5 and found["notes"] == [
        "cell 1 has no text and was skipped",
        "cell 2 is no cell and was skipped",
    ]


def test_no_notebook(tmp_path):
    """A line that names the file."""
    for text in ("", "{", json.dumps({"cells": [], "nbformat": 4})):
        path = tmp_path / "mine.ipynb"
        path.write_text(text)
        with pytest.raises(UsageError, match=r"mine\.ipynb"):
            check_file(path)


def watched(course: Course, monkeypatch, capsys, saves: list[str | None], *, full: bool = False) -> list[str]:
    """What each check of a watch prints: of the half answer, then of each of these as it is saved (None: it isn't)."""
    path, turns = written(course, HALF), iter(saves)

    def sleep(seconds: float) -> None:
        try:
            answer = next(turns)
        except StopIteration:
            raise KeyboardInterrupt from None
        if answer is not None:
            written(course, answer)
            os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))

    monkeypatch.setattr(terminal, "time", SimpleNamespace(sleep=sleep))
    assert watch_all([path], full=full) == 0
    return re.split(r"^sample\.ipynb: ", capsys.readouterr().out, flags=re.MULTILINE)[1:]


def test_watching(course, monkeypatch, capsys):
    """Checked at first, and again after a save, not otherwise; an interrupt ends it. Only the first check is printed
    whole, the others say what has changed."""
    first, *later = watched(course, monkeypatch, capsys, [None, RIGHT, None, HALF, HALF])
    assert first.startswith("1 of 2.5 visible points\n") and "Adds up to zero" in first and "another sum" in first
    assert later == [
        "2.5 of 2.5 visible points (1 before)\n  ✓ passes now: Adds small numbers.\n",
        (
            "1 of 2.5 visible points (2.5 before)\n  ✗ no longer passes: Adds small numbers.\n"
            "  ✗ to correct next: Adds small numbers.\n      seen: another sum\n"
        ),
        "1 of 2.5 visible points\n  nothing has changed since the last check\n",
    ]


def test_watching_an_error_of_one_s_own(course, monkeypatch, capsys):
    """It is told when it is new, and not again while it stays."""
    _, *later = watched(course, monkeypatch, capsys, ["1 / 0\n", "1 / 0\n# the same\n", RIGHT])
    assert "ZeroDivisionError" in later[0] and "ZeroDivisionError" not in later[1] + later[2]
    assert "passes now" in later[2]


def test_watching_in_full(course, monkeypatch, capsys):
    """On request the whole result is printed each time."""
    first, again = watched(course, monkeypatch, capsys, [HALF], full=True)
    assert first.splitlines()[:-1] == again.splitlines()  # the first is followed by a line that says how to end it
