"""Open nbgrader's database, with one line for each problem, and read the final scores.

By default a file, `gradebook.db`; a course with many graders may configure a server's address, PostgreSQL's say.
"""

from __future__ import annotations

import os
import sqlite3
import sysconfig
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from nbgrader.api import (
    Assignment,
    BaseCell,
    Comment,
    Grade,
    Gradebook,
    InvalidEntry,
    SubmittedAssignment,
    SubmittedNotebook,
)
from nbgrader.coursedir import CourseDirectory
from sqlalchemy import case, create_engine, func, inspect, literal, or_, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from autograder.course import Course
from autograder.errors import GradebookProblem
from autograder.files import NO_ROOM
from autograder.judging.result import Standing
from autograder.nbgrader import release


def database(course: Course) -> CourseDirectory:
    """nbgrader's view of the course's folders and database, as the course configures it.

    Raises GradebookProblem if the configured address is none.
    """
    place = CourseDirectory(config=release.nbgrader_config(course))
    try:
        url = make_url(place.db_url)
    except ArgumentError:
        said = "c.CourseDirectory.db_url is no database's address: correct nbgrader_config.py"
        raise GradebookProblem(said) from None
    if url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:"):
        path = os.path.join(course.root, str(url.database))  # one that isn't absolute begins at the course
        place.db_url = url.set(database=path).render_as_string(hide_password=False)
    return place


@contextmanager
def opened(place: CourseDirectory) -> Iterator[Gradebook]:
    """The gradebook, made if there is none.

    Raises GradebookProblem if it is locked, damaged or of another nbgrader version, if possible before anything is
    written.
    """
    try:
        _probe(place.db_url)
        with _alembic_on_path():
            gradebook = Gradebook(place.db_url, place.course_id)
        with gradebook:
            yield gradebook
    except (DBAPIError, sqlite3.DatabaseError, InvalidEntry, ArgumentError, ModuleNotFoundError) as error:
        raise GradebookProblem(_database_problem(place.db_url, error)) from None


def standings(course: Course) -> dict[tuple[str, str], Standing]:
    """The final scores by (student, section), as in `nbgrader export`, of submissions with an entry.

    Raises GradebookProblem if the gradebook can't be read. Without a gradebook nobody has an entry.
    """
    place = database(course)
    if _missing_file(place.db_url):
        return {}
    try:
        engine = create_engine(place.db_url, poolclass=NullPool)
        if not inspect(engine).has_table(Grade.__tablename__):
            return {}
        with Session(engine) as session:
            return read_standings(session, course)
    except (DBAPIError, ArgumentError, ModuleNotFoundError) as error:
        raise GradebookProblem(_database_problem(place.db_url, error)) from None


def _sqlite_file(db_url: str) -> str | None:
    """The path of the database, if it is a file."""
    url = make_url(db_url)
    return url.database if url.get_backend_name() == "sqlite" else None


def _missing_file(db_url: str) -> bool:
    path = _sqlite_file(db_url)
    return path is not None and not os.path.exists(path)


def _probe(db_url: str) -> None:
    """Try the database first: nbgrader answers a locked or damaged one with a traceback."""
    path = _sqlite_file(db_url)
    if path is not None and os.path.exists(path):
        with closing(sqlite3.connect(path, timeout=5)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.rollback()
            connection.execute("SELECT name FROM sqlite_master").fetchall()


@contextmanager
def _alembic_on_path() -> Iterator[None]:
    """nbgrader runs `alembic` by name when it makes a database; our environment need not be the active one."""
    path = os.environ.get("PATH", "")
    os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), path])
    try:
        yield
    finally:
        os.environ["PATH"] = path


def _database_problem(db_url: str, error: Exception) -> str:
    said = str(getattr(error, "orig", error)).splitlines()[0]
    file = _sqlite_file(db_url)
    where = f"the gradebook {file or make_url(db_url).render_as_string(hide_password=True)}"
    if isinstance(error, ModuleNotFoundError):
        return f"{where} needs the package {error.name}: install this course with its extra `postgres`, then run again"
    if "locked" in said:
        return f"{where} is in use by another program: close formgrader or nbgrader, then run again"
    if "is full" in said:
        return f"{where}: {NO_ROOM}"
    if "readonly" in said or "unable to open" in said:
        return f"{where} can't be opened for writing: allow writing to it and to its folder, then run again"
    if "no such column" in said or "no such table" in said:
        return f"{where} is of another nbgrader: back it up, then run: nbgrader db upgrade"
    if file is None:
        return f"{where} can't be used ({said}): see that the server runs and has this database, then run again"
    return f"{where} can't be used ({said}): move it away or restore a backup, then run again"


def read_standings(session: Any, course: Course, ids: list[str] | None = None) -> dict[tuple[str, str], Standing]:
    """The final scores of the submissions with these ids, or of all, read in this session."""
    nothing = literal(0.0)
    auto = func.coalesce(Grade.auto_score, nothing)
    by_hand = case((Grade.manual_score.is_not(None), Grade.manual_score - auto), else_=nothing)
    counts = or_(Grade.manual_score.is_not(None), Grade.auto_score.is_not(None))  # otherwise nbgrader's score is 0
    extra = case((counts, func.coalesce(Grade.extra_credit, nothing)), else_=nothing)
    sums = [func.coalesce(func.sum(column), nothing) for column in (Grade.score, auto, by_hand, extra)]
    best: dict[str, float] = dict(session.execute(select(Assignment.name, Assignment.max_score)).all())
    comments = _comments(session, course, ids)
    notebook = SubmittedNotebook
    query = (
        select(SubmittedAssignment.student_id, Assignment.name, notebook.late_submission_penalty, *sums)
        .join(Assignment, SubmittedAssignment.assignment_id == Assignment.id)
        .outerjoin(notebook, notebook.assignment_id == SubmittedAssignment.id)
        .outerjoin(Grade, Grade.notebook_id == notebook.id)
        .group_by(SubmittedAssignment.student_id, Assignment.name, notebook.id, notebook.late_submission_penalty)
    )
    if ids is not None:
        query = query.where(SubmittedAssignment.id.in_(ids))
    totals: dict[tuple[str, str], list[float]] = {}
    for student, name, penalty, *row in session.execute(query):
        before = totals.setdefault((student, name), [0.0] * 5)
        totals[student, name] = [a + b for a, b in zip(before, [*row, penalty or 0.0], strict=True)]
    return {
        key: Standing(max(0.0, score - penalty), best[key[1]], tests, hand, more, penalty, tuple(comments.get(key, ())))
        for key, (score, tests, hand, more, penalty) in totals.items()
    }


def _comments(session: Any, course: Course, ids: list[str] | None) -> dict[tuple[str, str], list[str]]:
    """The comments that people wrote, in the order of the notebook's cells."""
    query = (
        select(SubmittedAssignment.student_id, Assignment.name, BaseCell.name, Comment.manual_comment)
        .join(Assignment, SubmittedAssignment.assignment_id == Assignment.id)
        .join(SubmittedNotebook, SubmittedNotebook.assignment_id == SubmittedAssignment.id)
        .join(Comment, Comment.notebook_id == SubmittedNotebook.id)
        .join(BaseCell, Comment.cell_id == BaseCell.id)
        .where(func.trim(Comment.manual_comment) != "")
        .order_by(BaseCell.name)
    )
    if ids is not None:
        query = query.where(SubmittedAssignment.id.in_(ids))
    rows = [row for row in session.execute(query) if row[3].strip()]
    order = {section.name: section.exercises for section in course.sections} if rows else {}
    found: dict[tuple[str, str], list[str]] = {}
    for student, name, _, comment in sorted(rows, key=lambda row: _index(order.get(row[1], []), row[2])):
        found.setdefault((student, name), []).append(comment)
    return found


def _index(names: list[str], name: str) -> int:
    return names.index(name) if name in names else len(names)
