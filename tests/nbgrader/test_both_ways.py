"""`autograder grade` and `nbgrader autograde` write the same gradebook, column by column, and the same pages."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from autograder.course import Course
from autograder.nbgrader import database
from tests.nbgrader.accounts import SECTION, Instructor

RIGHT = "def add(a, b):\n    return a + b\n"
ANSWERS = {
    "right": RIGHT,
    "wrong": "def add(a, b):\n    return a - b\n",
    "half": "def add(a, b):\n    return abs(a) + b\n",
    "syntax": "def add(a, b:\n",
    "raises": "raise ValueError('no')\n",
    "late": RIGHT,
    "later": "def add(a, b):\n    return abs(a) + b\n",
    "intime": RIGHT,
    "odd": RIGHT,
    "hand": "def add(a, b):\n    return abs(a) + b\n",
    "extra": RIGHT,
    "o'neil (1)": RIGHT,
}
TIMES = {
    "late": "2026-03-01 00:00:01 UTC",
    "later": "2026-04-01 02:00:00 Europe/Vienna",
    "intime": "2026-02-28 23:59:59.999999 UTC",
    "odd": "30 February",
    "hand": "2026-05-01 00:00:00 UTC",
}
TABLES = {
    "submitted_assignment": "SELECT s.student_id, s.timestamp, s.extension FROM submitted_assignment s",
    "submitted_notebook": """
        SELECT s.student_id, n.flagged, n.late_submission_penalty
        FROM submitted_notebook n JOIN submitted_assignment s ON s.id = n.assignment_id
    """,
    "grade": """
        SELECT s.student_id, c.name, g.auto_score, g.manual_score, g.extra_credit, g.needs_manual_grade
        FROM grade g JOIN base_cell c ON c.id = g.cell_id
        JOIN submitted_notebook n ON n.id = g.notebook_id JOIN submitted_assignment s ON s.id = n.assignment_id
    """,
    "comment": """
        SELECT s.student_id, c.name, m.auto_comment, m.manual_comment
        FROM comment m JOIN base_cell c ON c.id = m.cell_id
        JOIN submitted_notebook n ON n.id = m.notebook_id JOIN submitted_assignment s ON s.id = n.assignment_id
    """,
    "student": "SELECT s.id, s.first_name, s.last_name, s.email FROM student s",
}


def make_class(course: Course) -> None:
    """Right, wrong, untouched, broken, unreadable, missing, late, with a timestamp that nobody can read."""
    released = (course.notebooks / SECTION / "sample.ipynb").read_bytes()
    for student, answer in ANSWERS.items():
        body = json.loads(released)
        next(cell for cell in body["cells"] if cell["id"] == "sample")["source"] = answer
        put(course, student, json.dumps(body).encode())
    put(course, "stub", released)
    put(course, "junk", b"this is no notebook")
    put(course, "empty", b"")
    folder = course.submitted / "nothing" / SECTION
    folder.mkdir(parents=True)
    for student, stamp in TIMES.items():
        (course.submitted / student / SECTION / "timestamp.txt").write_text(stamp)
    (course.submitted / "right" / SECTION / "submission_secret.txt").write_text("ab" * 64)
    with database.opened(database.database(course)) as book:
        book.update_or_create_assignment(SECTION, duedate="2026-03-01 00:00:00 UTC")


def put(course: Course, student: str, data: bytes) -> None:
    folder = course.submitted / student / SECTION
    folder.mkdir(parents=True)
    (folder / "sample.ipynb").write_bytes(data)


def enter_by_hand(course: Course) -> None:
    """Between the first grading and the second."""
    with database.opened(database.database(course)) as book:
        for student in ("hand", "junk"):
            grade = book.find_grade("sample_score", "sample", SECTION, student)
            grade.manual_score, grade.needs_manual_grade = 1.75, False
        book.find_grade("sample_hidden", "sample", SECTION, "extra").extra_credit = 0.5
        book.find_grade("sample_hidden", "sample", SECTION, "later").extra_credit = 1.5
        book.find_comment("sample", "sample", SECTION, "stub").manual_comment = "Do try."
        book.find_submission_notebook("sample", SECTION, "wrong").flagged = True
        book.db.commit()
        book.grant_extension(SECTION, "late", hours=1)


def tables(course: Course) -> dict[str, list[str]]:
    """The gradebook's columns, without its own random names for rows."""
    engine = create_engine(database.database(course).db_url)
    with engine.connect() as connection:
        found = {name: sorted(str(tuple(row)) for row in connection.execute(text(sql))) for name, sql in TABLES.items()}
    engine.dispose()
    return found


def pages(course: Course) -> dict[str, str]:
    return {path.parts[-3]: path.read_text(encoding="utf-8") for path in course.feedback.glob("*/*/sample.html")}


@pytest.fixture
def two(course: Course, tmp_path: Path) -> tuple[Instructor, Instructor]:
    """The same class twice."""
    (course.root / "lateness.py").write_text(
        "from nbgrader.plugins import LateSubmissionPlugin\n\n\nclass Third(LateSubmissionPlugin):\n"
        "    def late_submission_penalty(self, student_id, score, total_seconds_late):\n        return score / 3\n"
    )
    config = course.root / "nbgrader_config.py"
    config.write_text(config.read_text() + '\nc.AssignLatePenalties.plugin_class = "lateness.Third"\n')
    make_class(course)
    other = Course(Path(shutil.copytree(course.root, tmp_path / "other")))
    (tmp_path / "home").mkdir()
    return Instructor(course, tmp_path / "home"), Instructor(other, tmp_path / "home")


def test_both_ways_agree(two: tuple[Instructor, Instructor]) -> None:
    """The first time, and when people have entered points, extra credit, comments and an extension since."""
    ours, stock = two
    for again in ((), ("--force",)):
        ours.autograder("grade", *again)
        stock.nbgrader("autograde", SECTION, *again)
        assert tables(ours.course) == tables(stock.course)
        stock.nbgrader("generate_feedback", SECTION)
        assert pages(ours.course) == pages(stock.course)
        if not again:
            enter_by_hand(ours.course)
            enter_by_hand(stock.course)
    assert "handed in late" in head(pages(ours.course)["later"])
    assert "handed in late" not in head(pages(ours.course)["late"])  # an extension was granted
    assert "Do try." in pages(stock.course)["stub"]
    assert beside(ours.course) == beside(stock.course)


def head(page: str) -> str:
    return page.partition("<h2>")[0]


def beside(course: Course) -> dict[str, Any]:
    """What lies beside copies and pages of nbgrader's exchange."""
    return {
        str(path.relative_to(course.root)): path.read_bytes()
        for step in (course.autograded, course.feedback)
        for path in step.rglob("*.txt")
        if os.path.isfile(path)
    }
