"""The folder of submissions as it was found: graded once, with honest neighbours on both sides."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from autograder.course import Course
from autograder.grading.jobs import everything
from autograder.grading.pool import Setting
from autograder.judging.result import Result
from autograder.pages.report import write_report
from tests.attacks.canaries import SECRET
from tests.attacks.collected import CASES, NEIGHBOURS, RIGHT, Case, notebook
from tests.attacks.corpus import FULL, make_course

pytestmark = pytest.mark.xdist_group("collected")


@pytest.fixture(scope="module")
def course() -> Iterator[Course]:
    folder = Path(tempfile.mkdtemp(prefix="course-"))
    course = make_course(folder)
    course.gradebook.write_text(SECRET)
    for student in NEIGHBOURS:
        notebook(course.submitted, student).write_text(RIGHT.decode())
    for case in CASES:
        case.place(course.submitted)
    yield course
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def found(course: Course) -> dict[str, Result]:
    results = [result for _, result in everything(course, course.submissions(), Setting(jobs=1))]
    by_student = {result.student: result for result in results}
    assert len(by_student) == len(results), "somebody is there twice"
    return by_student


@pytest.mark.parametrize("case", CASES, ids=lambda case: ascii(case.student))
def test_collected(found: dict[str, Result], case: Case, record_property) -> None:
    """Its own verdict, one clear line, no point that isn't an own answer's."""
    result = found.get(case.student)
    record_property("attack", (result.score if result and case.verdict != "graded" else 0, 0))
    if not case.verdict:
        assert result is None
        return
    assert result is not None
    assert (result.verdict, result.score) == (case.verdict, FULL if case.verdict == "graded" else 0), result.line
    assert case.says in result.line and "\n" not in result.line and len(result.line) < 400
    assert SECRET not in result.line


def test_neighbours(found: dict[str, Result]) -> None:
    """Full marks for everybody with an id and an answer; nobody is there who handed in nothing."""
    assert {student: found[student].score for student in NEIGHBOURS} == dict.fromkeys(NEIGHBOURS, FULL)
    assert set(found) == {*NEIGHBOURS, *(case.student for case in CASES if case.verdict)}


def test_nothing_of_a_link_is_shown(course: Course, found: dict[str, Result], tmp_path: Path) -> None:
    """Neither copied nor quoted: the gradebook stays where it is, as it was; pages lie in their own folder."""
    report = tmp_path / "report"
    write_report(report, list(found.values()), title="x")
    pages = [path for path in report.rglob("*") if path.is_file()]
    assert len(pages) == len(found) + 1 and not [path for path in pages if SECRET.encode() in path.read_bytes()]
    assert course.gradebook.read_text() == SECRET
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
