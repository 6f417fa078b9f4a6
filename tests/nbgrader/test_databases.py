"""What nbgrader's database says is the same on either one: a file, or a server."""

from __future__ import annotations

from pathlib import Path

from autograder.course import Course
from autograder.nbgrader import database, save
from tests.autograder.nbgrader.test_standings import SECTION, exported, graded


def test_standings_are_what_nbgrader_exports(course: Course, db_url: str | None, tmp_path: Path) -> None:
    """A fresh database is made and filled by the first grading; points by hand, lateness and comments are read."""
    if db_url is not None:
        course.gradebook.unlink()
        config = course.root / "nbgrader_config.py"
        config.write_text(config.read_text() + f"\nc.CourseDirectory.db_url = {db_url!r}\n")
    assert database.standings(course) == {}
    names = ("tests", "hand", "late", "words")
    for _ in range(2):
        save.write(course, [graded(name, 1.5, 0.5) for name in names], {})
        with database.opened(database.database(course)) as book:
            grade = book.find_grade("sample_score", "sample", SECTION, "hand")
            grade.manual_score, grade.extra_credit = 2.25, 0.25
            book.find_submission_notebook("sample", SECTION, "late").late_submission_penalty = 0.5
            book.find_comment("sample", "sample", SECTION, "words").manual_comment = "Well done."
            book.db.commit()
    found = database.standings(course)
    assert {student: standing.score for (student, _), standing in found.items()} == {
        "tests": 2.0, "hand": 3.0, "late": 1.5, "words": 2.0,
    }  # fmt: skip
    rows = exported(course, tmp_path / "grades.csv")
    for key, standing in found.items():
        assert standing.score == float(rows[key]["score"])
        assert standing.max_score == float(rows[key]["max_score"])
        assert standing.penalty == float(rows[key]["late_submission_penalty"])
    save.refresh(course, found)
    assert "Well done." in (course.feedback / "words" / SECTION / "sample.html").read_text()
    assert course.gradebook.exists() is (db_url is None)
