"""A course that an earlier version left in the middle of a term goes on under this one."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from autograder.course import Course
from autograder.learner.lab import copy_missing
from autograder.learner.local import check_file

HERE = Path(__file__).parent
SECTION = "90_sample"
VERSIONS = sorted(path.stem for path in HERE.glob("*.json"))


def lay_out(files: dict[str, str], root: Path) -> Course:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name == "gradebook.db":
            with closing(sqlite3.connect(path)) as book:
                book.executescript(text)
        elif name.endswith("/"):
            path.mkdir(exist_ok=True)
        else:
            path.write_text(text, encoding="utf-8")
    return Course(root.resolve())


def grade(course: Course, *options: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("autograder")), "grade", *options]
    return subprocess.run(command, cwd=course.root, capture_output=True, text=True, check=False)


def rows(course: Course) -> dict[str, dict[str, object]]:
    lines = (course.root / "rows.jsonl").read_text().splitlines()
    return {row["student"]: row for row in map(json.loads, lines)}


def kept_files(course: Course) -> dict[Path, bytes]:
    """All but what Python compiles for itself."""
    paths = (path for path in course.root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path: path.read_bytes() for path in paths}


def in_gradebook(course: Course) -> list[tuple[object, ...]]:
    """By student: automatic points, points by hand, extra credit, and the comment."""
    with closing(sqlite3.connect(course.gradebook)) as book:
        rows: list[tuple[object, ...]] = book.execute("""
            SELECT s.student_id, total(g.auto_score), max(g.manual_score), max(g.extra_credit), max(c.manual_comment)
            FROM submitted_assignment s JOIN submitted_notebook n ON n.assignment_id = s.id
            JOIN grade g ON g.notebook_id = n.id LEFT JOIN comment c ON c.notebook_id = n.id
            GROUP BY s.id ORDER BY s.student_id
        """).fetchall()
    return rows


@pytest.fixture(scope="module", params=VERSIONS)
def files(request: pytest.FixtureRequest) -> dict[str, str]:
    """What that version left, texts by path."""
    found: dict[str, str] = json.loads((HERE / f"{request.param}.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module", params=["its configuration", "ours"])
def went_on(request: pytest.FixtureRequest, files: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Course:
    """The course, graded on by this version, with nbgrader's configuration of that version or of this one."""
    course = lay_out(files, tmp_path_factory.mktemp("term") / "course")
    if request.param == "ours":
        shutil.copy(HERE.parents[1] / "nbgrader_config.py", course.root)
    done = grade(course, "--json", "rows.jsonl")
    assert done.returncode == 0, done.stderr
    return course


def test_everybody_keeps_their_points(went_on: Course, files: dict[str, str]) -> None:
    """Those that were graded have the scores of then; those that waited are graded now."""
    before = {row["student"]: row["score"] for row in map(json.loads, files["rows.jsonl"].splitlines())}
    assert {name: row["score"] for name, row in rows(went_on).items()} == before | {"eve": 3.0, "fay": 0.0}


def test_what_a_person_entered_stays(went_on: Course) -> None:
    """Points by hand, extra credit and the comment are in the gradebook and on the student's page."""
    bob = next(row for row in in_gradebook(went_on) if row[0] == "bob")
    assert bob[2:] == (2.0, 0.5, "The idea is right.")
    assert "The idea is right." in (went_on.feedback / "bob" / SECTION / "sample.html").read_text()


def test_a_second_run_grades_nothing(went_on: Course) -> None:
    """What this version has graded once it leaves alone."""
    before = {path: path.stat().st_mtime_ns for path in went_on.autograded.rglob("*.ipynb")}
    assert before
    assert grade(went_on, "--json", "rows.jsonl").returncode == 0
    assert {path: path.stat().st_mtime_ns for path in went_on.autograded.rglob("*.ipynb")} == before


def test_a_reason_is_told_for_each_that_is_graded_again(files: dict[str, str], tmp_path: Path) -> None:
    """`--dry-run` names those that were handed in since, and says of the others that the grader has changed; it
    changes nothing."""
    course = lay_out(files, tmp_path / "course")
    before = kept_files(course)
    said = grade(course, "--dry-run").stdout
    lines = {name: next(line for line in said.splitlines() if name in line.split()) for name in ("ada", "bob", "eve")}
    assert "grader" in lines["ada"] and "grader" in lines["bob"] and "grader" not in lines["eve"]
    assert kept_files(course) == before


def test_a_learners_folder_goes_on(files: dict[str, str], tmp_path: Path) -> None:
    """Their half-solved copy stays as it is, and its check passes with the files of that version beside it."""
    course = lay_out(files, tmp_path / "course")
    work = course.root / "work"
    before = {path: path.read_bytes() for path in work.rglob("*") if path.is_file()}
    copy_missing(course, work)
    assert {path: path.read_bytes() for path in before} == before
    found = check_file(work / SECTION / "sample.ipynb")
    assert (found["score"], found["max_score"]) == (2.5, 2.5)
