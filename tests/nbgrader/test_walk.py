"""The whole way of a submission through nbgrader, by its own commands and two accounts, on either database."""

from __future__ import annotations

import csv
import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from nbgrader.api import Gradebook

from autograder.authoring import build
from autograder.course import Course
from autograder.judging.result import Standing
from autograder.nbgrader import database
from tests.autograder.conftest import make_course
from tests.nbgrader.accounts import SECTION, Account, Instructor

HALF = "def add(a, b):\n    return abs(a) + b\n"
RIGHT = "def add(a, b):\n    return a + b\n"
COMMENT = "A good `start`, but think of\nnumbers below <b>zero</b>."
LATENESS = '''\
from nbgrader.plugins import LateSubmissionPlugin


class HalfAPoint(LateSubmissionPlugin):
    """Of the course's own, beside its configuration."""

    def late_submission_penalty(self, student_id, score, total_seconds_late):
        return 0.5
'''


@pytest.fixture
def instructor(place: Path, tmp_path: Path, db_url: str | None) -> Instructor:
    """A built course with an exchange that everybody may write to, and a late plugin of its own."""
    if os.getuid() != 0:
        pytest.skip("two accounts need root, who may become the other one")
    folder = place / tmp_path.name
    (folder / "exchange").mkdir(parents=True)
    (folder / "exchange").chmod(0o777)
    (folder / "home-instructor").mkdir()
    course = make_course(folder / "course")
    (course.root / "lateness.py").write_text(LATENESS)
    lines = [
        f"c.Exchange.root = {str(folder / 'exchange')!r}",
        'c.AssignLatePenalties.plugin_class = "lateness.HalfAPoint"',
        f"c.CourseDirectory.db_url = {db_url!r}" if db_url else "",
    ]
    config = course.root / "nbgrader_config.py"
    config.write_text("\n".join([config.read_text(), *lines, ""]))
    assert build.build(course) == []
    assert course.gradebook.exists() is (db_url is None)
    return Instructor(course, folder / "home-instructor")


def answer(account: Account, source: str) -> None:
    """Write the answer into the fetched notebook."""
    path = account.home / SECTION / "sample.ipynb"
    body = json.loads(path.read_bytes())
    next(cell for cell in body["cells"] if cell["id"] == "sample")["source"] = source
    account.write(path, json.dumps(body))


def book_of(course: Course) -> Gradebook:
    return Gradebook(database.database(course).db_url, "resilience")


def set_due(course: Course, when: datetime) -> None:
    with book_of(course) as book:
        book.update_or_create_assignment(SECTION, duedate=f"{when:%Y-%m-%d %H:%M:%S} UTC")


def grade_by_hand(course: Course, student: str) -> None:
    """What formgrader's handlers write when somebody enters points, extra credit and a comment."""
    with book_of(course) as book:
        grade = book.find_grade("sample_score", "sample", SECTION, student)
        grade.manual_score, grade.extra_credit, grade.needs_manual_grade = 2.25, 0.25, False
        book.find_comment("sample", "sample", SECTION, student).manual_comment = COMMENT
        book.db.commit()


def fetched(account: Account) -> str:
    """The page of the newest submission that the student has fetched."""
    account.nbgrader("fetch_feedback", SECTION)
    pages = sorted((account.home / SECTION / "feedback").glob("*/sample.html"))
    return pages[-1].read_text(encoding="utf-8")


def hand_out(instructor: Instructor) -> str:
    """Make and release the feedback; what releasing said."""
    instructor.nbgrader("generate_feedback", SECTION)
    return instructor.nbgrader("release_feedback", SECTION)


def test_a_term(instructor: Instructor) -> None:
    """Release, fetch, submit, collect, grade, points by hand, feedback, resubmission, lateness, extension, export."""
    now = datetime.now(UTC)
    exchange = instructor.home.parent / "exchange"
    ada, mallory = (Account.student(name, exchange.parent, exchange) for name in ("nobody", "games"))
    set_due(instructor.course, now + timedelta(days=1))
    hand_in_and_collect(instructor, ada, mallory, exchange)
    grade_and_hand_out(instructor, ada)
    set_due(instructor.course, now - timedelta(days=1))
    hand_in_late(instructor, ada)
    extend(instructor, ada)
    export(instructor)


def hand_in_and_collect(instructor: Instructor, ada: Account, mallory: Account, exchange: Path) -> None:
    """Both hand in half an answer, and one of them cheats."""
    course = instructor.course
    instructor.nbgrader("release_assignment", SECTION)
    assert SECTION in ada.nbgrader("list")
    for student in (ada, mallory):
        student.nbgrader("fetch_assignment", SECTION)
        answer(student, HALF)
        student.nbgrader("submit", SECTION)
    steal(mallory, course, exchange)
    beside_the_exchange(course, ada)

    said = instructor.nbgrader("collect", SECTION)
    assert "'sample.ipynb' was left out: it is a link" in said
    assert "cheating" not in said
    instructor.autograder("grade")
    assert database.standings(course)[ada.name, SECTION] == Standing(2.0, 3.0, 2.0)
    assert database.standings(course)[mallory.name, SECTION].score == 0


def grade_and_hand_out(instructor: Instructor, ada: Account) -> None:
    """Points by hand and comments reach the page that a student fetches."""
    course = instructor.course
    grade_by_hand(course, ada.name)
    instructor.autograder("grade")
    assert "numbers below" in page_of(course, ada.name)
    said = hand_out(instructor)
    assert "bob, eve (no submission_secret.txt" in said
    page = fetched(ada)
    assert "<strong>3 of 3 points</strong> · tests 2, by hand +0.75, extra credit +0.25<" in page
    assert "A good <code>start</code>, but think of\nnumbers below &lt;b&gt;zero&lt;/b&gt;." in page
    assert "Adds up to zero." in page and "return abs(a) + b" in page
    assert "The file timestamp.txt beside the notebook can&#x27;t be read (&#x27;yesterday&#x27;)" in page_of(
        course, "eve"
    )
    assert "timestamp.txt" not in page


def hand_in_late(instructor: Instructor, ada: Account) -> None:
    """A better answer after the deadline costs what the course says; both pages are kept."""
    course = instructor.course
    answer(ada, RIGHT)
    ada.nbgrader("submit", SECTION)
    assert "Updating submission: nobody" in instructor.nbgrader("collect", SECTION, "--update")
    instructor.autograder("grade")
    late = Standing(2.5, 3.0, 3.0, by_hand=-0.25, extra=0.25, penalty=0.5, comments=(COMMENT,))
    assert database.standings(course)[ada.name, SECTION] == late
    hand_out(instructor)
    page = fetched(ada)
    assert "<strong>2.5 of 3 points</strong> · tests 3, by hand −0.25, extra credit +0.25, handed in late −0.5<" in page
    assert len(list((ada.home / SECTION / "feedback").iterdir())) == 2


def extend(instructor: Instructor, ada: Account) -> None:
    """With an extension it isn't late any more."""
    course = instructor.course
    with book_of(course) as book:
        book.grant_extension(SECTION, ada.name, weeks=1)
    instructor.autograder("grade")
    assert database.standings(course)[ada.name, SECTION] == Standing(
        3.0, 3.0, 3.0, by_hand=-0.25, extra=0.25, comments=(COMMENT,)
    )
    hand_out(instructor)
    page = fetched(ada)
    assert "<strong>3 of 3 points</strong>" in page and "late" not in page.partition("<h2>")[0]


def export(instructor: Instructor) -> None:
    """nbgrader's own table has the scores of the gradebook."""
    course = instructor.course
    instructor.nbgrader("export")
    with open(course.root / "grades.csv", newline="") as file:
        rows = {row["student_id"]: row for row in csv.DictReader(file) if row["assignment"] == SECTION}
    assert rows.keys() == {"nobody", "games", "bob", "eve"}
    for (name, _), standing in database.standings(course).items():
        assert standing.score == float(rows[name]["score"])
        assert standing.max_score == float(rows[name]["max_score"])
        assert standing.penalty == float(rows[name]["late_submission_penalty"])


def steal(student: Account, course: Course, exchange: Path) -> None:
    """What was handed in is still the student's: now it is a link to the solution, and brings another along."""
    (folder,) = (exchange / "resilience" / "inbound").glob(f"{student.name}+*")
    (folder / "sample.ipynb").unlink()
    (folder / "sample.ipynb").symlink_to(course.source / SECTION / "sample.ipynb")
    (folder / "grades.db").symlink_to(course.gradebook)


def beside_the_exchange(course: Course, account: Account) -> None:
    """A folder from an LMS, and one whose timestamp nobody can read."""
    for name in ("bob", "eve"):
        folder = course.submitted / name / SECTION
        folder.mkdir(parents=True)
        shutil.copy(account.home / SECTION / "sample.ipynb", folder)
    (course.submitted / "eve" / SECTION / "timestamp.txt").write_text("yesterday")


def page_of(course: Course, student: str) -> str:
    return (course.feedback / student / SECTION / "sample.html").read_text(encoding="utf-8")
