"""The final scores, and what makes them: what nbgrader's own export says, for every student."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from nbgrader.api import Gradebook
from nbgrader.plugins import CsvExportPlugin

from autograder.course import Course
from autograder.errors import GradebookProblem
from autograder.judging.result import Behaviour, Result, Standing
from autograder.nbgrader import database, save

SECTION = "90_sample"


def graded(student: str, visible: float, hidden: float) -> Result:
    behaviours = (
        Behaviour("small", "Adds.", visible == 2.5, visible, 2.5),
        Behaviour("small", "Adds.", hidden == 0.5, hidden, 0.5, hidden=True),
    )
    return Result(student, SECTION, "sample", "graded", "none", 0.0, behaviours)


def exported(course: Course, place: Path) -> dict[tuple[str, str], dict[str, str]]:
    """What `nbgrader export` writes, by student and section."""
    with database.opened(database.database(course)) as book:
        CsvExportPlugin(to=str(place)).export(book)
    with open(place, newline="") as file:
        return {(row["student_id"], row["assignment"]): row for row in csv.DictReader(file)}


@pytest.fixture
def marked(course: Course) -> Course:
    """Tests only, by hand, less by hand, extra credit, late, later than its points, nothing but comments."""
    names = ("tests", "hand", "less", "extra", "late", "lost", "words", "blank")
    save.write(course, [graded(name, 1.5, 0.5) for name in names], {})
    with Gradebook(database.database(course).db_url, "resilience") as book:

        def find(student):
            return book.find_grade("sample_score", "sample", SECTION, student)

        find("hand").manual_score = 2.25
        find("less").manual_score = 0.5
        find("extra").extra_credit = 0.75
        book.find_submission_notebook("sample", SECTION, "late").late_submission_penalty = 0.5
        book.find_submission_notebook("sample", SECTION, "lost").late_submission_penalty = 99.0
        book.find_comment("sample", "sample", SECTION, "words").manual_comment = "Well done."
        book.find_comment("sample", "sample", SECTION, "blank").manual_comment = " \n"
        book.add_student("bare")
        book.add_submission(SECTION, "bare")  # collected, never graded
        book.find_grade("sample_score", "sample", SECTION, "bare").extra_credit = 1.0  # doesn't count yet
        book.db.commit()
    return course


def test_standings_say_what_makes_a_score(marked: Course) -> None:
    """Tests, points by hand, extra credit, lateness and comments; an automatic comment is none."""
    found = {student: standing for (student, _), standing in database.standings(marked).items()}
    assert found == {
        "tests": Standing(2.0, 3.0, 2.0),
        "hand": Standing(2.75, 3.0, 2.0, by_hand=0.75),
        "less": Standing(1.0, 3.0, 2.0, by_hand=-1.0),
        "extra": Standing(2.75, 3.0, 2.0, extra=0.75),
        "late": Standing(1.5, 3.0, 2.0, penalty=0.5),
        "lost": Standing(0.0, 3.0, 2.0, penalty=99.0),
        "words": Standing(2.0, 3.0, 2.0, comments=("Well done.",)),
        "blank": Standing(2.0, 3.0, 2.0),
        "bare": Standing(0.0, 3.0, 0.0),
    }


def test_standings_are_what_nbgrader_exports(marked: Course, tmp_path: Path) -> None:
    """Score, best score and penalty of everybody."""
    rows = exported(marked, tmp_path / "grades.csv")
    for key, standing in database.standings(marked).items():
        row = rows[key]
        assert standing.score == float(row["score"]), key
        assert standing.max_score == float(row["max_score"]), key
        assert standing.penalty == float(row["late_submission_penalty"]), key
        assert standing.tests + standing.by_hand + standing.extra == pytest.approx(float(row["raw_score"])), key


def test_no_gradebook_has_no_standings(course: Course) -> None:
    """And none is made by asking; an empty file is none either."""
    course.gradebook.unlink()
    assert database.standings(course) == {}
    assert not course.gradebook.exists()
    course.gradebook.touch()
    assert database.standings(course) == {}


def test_a_damaged_gradebook_is_one_line(course: Course) -> None:
    """It says what to do."""
    course.gradebook.write_bytes(b"not a database" * 100)
    with pytest.raises(GradebookProblem, match=r"restore a backup, then run again$"):
        database.standings(course)


def test_a_relative_database_begins_at_the_course(course: Course, monkeypatch, tmp_path: Path) -> None:
    """Wherever one stands."""
    config = course.root / "nbgrader_config.py"
    config.write_text(config.read_text() + '\nc.CourseDirectory.db_url = "sqlite:///other.db"\n')
    monkeypatch.chdir(tmp_path)
    save.write(course, [graded("ada", 1.5, 0.5)], {})
    assert (course.root / "other.db").is_file() and not (tmp_path / "other.db").exists()
    assert database.standings(course)["ada", SECTION].score == 2.0


def test_a_password_is_never_printed(course: Course) -> None:
    """The address of a database server may hold one."""
    url = "postgresql://teacher:geheim@localhost:1/grades"
    said = database._database_problem(url, Exception("connection refused"))
    assert "geheim" not in said and "teacher:***@localhost:1/grades" in said


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://teacher:geheim@127.0.0.1:1/grades", "see that the server runs and has this database"),
        ("nothing at all", "is no database's address: correct nbgrader_config.py"),
        ("nosuch://x/y", "can't be used"),
    ],
)
def test_an_address_that_leads_nowhere_is_one_line(course: Course, url: str, said: str) -> None:
    """Whatever is asked of it, without a password."""
    config = course.root / "nbgrader_config.py"
    config.write_text(config.read_text() + f"\nc.CourseDirectory.db_url = {url!r}\n")
    for ask in (lambda: database.standings(course), lambda: save.write(course, [graded("ada", 1.5, 0.5)], {})):
        with pytest.raises(GradebookProblem) as caught:
            ask()
        assert said in str(caught.value) and "\n" not in str(caught.value) and "geheim" not in str(caught.value)
