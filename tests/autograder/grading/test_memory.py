"""The parent of a grading holds rows, not results: its memory doesn't grow with the class."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from autograder.cli import main
from autograder.course import Course, Submission
from autograder.grading import jobs
from autograder.grading.demo import write_submission
from autograder.grading.grade import Grader
from autograder.grading.jobs import everything
from autograder.grading.pool import Setting
from autograder.judging.result import Behaviour, Result
from autograder.nbgrader import save
from autograder.notebook.handin import HandedIn, open_submission
from autograder.pages import feedback

SECTION = "90_sample"
COUNT = 400


class Watched:
    """In a timeline's place, and its end is noticed: a picture of it isn't drawn here."""


@pytest.fixture
def alive(monkeypatch: pytest.MonkeyPatch) -> weakref.WeakSet[Watched]:
    """The timelines that somebody still holds; each submission is given two."""
    found: weakref.WeakSet[Watched] = weakref.WeakSet()

    def graded(grader: Grader, data: bytes, section: Any, student: str = "") -> Result:
        own, intended = Watched(), Watched()
        found.update((own, intended))
        behaviours = (
            Behaviour("small", "Adds.", False, 0.0, 2.5, "not seen", timeline=_as_any(own), intended=_as_any(intended)),
            Behaviour("small", "Adds.", True, 0.5, 0.5, hidden=True),
        )
        return Result(student, section.name, "sample", "graded", "full", 0.1, behaviours)

    monkeypatch.setattr(Grader, "grade", graded)
    monkeypatch.setattr(feedback, "_picture", lambda behaviour: "<svg></svg>")
    return found


def _as_any(value: object) -> Any:
    return value


@pytest.fixture
def many(course: Course) -> Course:
    """A class of 400, all alike: what they hand in isn't looked at."""
    first = write_submission(course.section(SECTION), course.submitted / "s000" / SECTION, "x = 1\n")
    for number in range(1, COUNT):
        folder = course.submitted / f"s{number:03}" / SECTION
        folder.mkdir(parents=True)
        (folder / first.name).hardlink_to(first)
    return course


def test_timelines_end_where_they_were_judged(many: Course, alive: weakref.WeakSet[Watched], monkeypatch) -> None:
    """Of 400 results with two timelines each, those of one submission are held at a time, and the rows are whole."""
    most = 0
    written: list[str] = []

    def write(course: Course, results: Any, *more: Any) -> dict[str, str]:
        written.extend(result.student for result in results)
        assert all("svg" in feedback.part_html(result) for result in results)
        return {}

    def watched(*given: Any) -> Iterator[Any]:
        nonlocal most
        for one in everything(*given):
            gc.collect(0)
            most = max(most, len(alive))
            yield one

    monkeypatch.setattr(save, "write", write)
    monkeypatch.setattr("autograder.grading.classroom.everything", watched)
    monkeypatch.chdir(many.root)
    done = CliRunner().invoke(main, ["grade", "--jobs", "1", "--json", "rows.json"])
    assert done.exit_code == 0, done.output
    assert sorted(written) == sorted(path.name for path in many.submitted.iterdir())
    assert len((many.root / "rows.json").read_text().splitlines()) == COUNT
    assert most <= 4


def test_submissions_are_read_when_their_turn_comes(many: Course, alive: Any, monkeypatch) -> None:
    """Beforehand only a sample is looked at; then no more are read than were handed out."""
    read: list[str] = []

    def watched(submission: Submission) -> HandedIn:
        read.append(submission.student)
        return open_submission(submission)

    monkeypatch.setattr(jobs, "open_submission", watched)
    monkeypatch.setattr(jobs, "SAMPLE", 20)
    for number, _ in enumerate(everything(many, many.submissions(), Setting(jobs=1)), 1):
        assert len(read) <= 20 + number + 2


def test_a_sample_says_which_libraries_are_worth_importing(many: Course, tmp_path: Path) -> None:
    """What many of a large class import is found in the sample; what three of a small one do isn't worth it."""
    text = "import numpy as np\n"
    write_submission(many.section(SECTION), tmp_path / "handed" / "with" / SECTION, text)
    path = tmp_path / "handed" / "with" / SECTION / "sample.ipynb"
    plain = list(many.submissions())
    importing = [Submission(f"i{n}", many.section(SECTION), path) for n in range(200)]
    assert jobs._mentioned(plain) == ()
    assert jobs._mentioned([one for pair in zip(plain, importing, strict=False) for one in pair]) == ("numpy",)
    assert jobs._mentioned(plain[:5] + importing[:3]) == ()
    assert jobs._mentioned(plain[:5] + importing[:4]) == ("numpy",)
    assert jobs._mentioned([]) == ()
