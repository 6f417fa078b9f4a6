"""Read what decides an entry from the gradebook, in three queries: due dates, points, and each student's row.

Plain SQL, since importing nbgrader takes seconds; a database other than SQLite is asked through SQLAlchemy.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

_DUE = "SELECT name, duedate FROM assignment"
_POINTS = """
    SELECT assignment.name, base_cell.name, grade_cells.max_score
    FROM grade_cells
    JOIN base_cell ON base_cell.id = grade_cells.id
    JOIN notebook ON notebook.id = base_cell.notebook_id
    JOIN assignment ON assignment.id = notebook.assignment_id
"""
_ROWS = """
    SELECT submission.student_id, assignment.name, submission.extension,
        coalesce(sum(grade.auto_score), 0),
        coalesce(sum(grade.manual_score - coalesce(grade.auto_score, 0)), 0) + coalesce(sum(grade.extra_credit), 0),
        max(notebook.late_submission_penalty)
    FROM submitted_assignment AS submission
    JOIN assignment ON assignment.id = submission.assignment_id
    JOIN submitted_notebook AS notebook ON notebook.assignment_id = submission.id
    JOIN grade ON grade.notebook_id = notebook.id
    GROUP BY submission.id, assignment.id
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One student's row of one section."""

    score: float
    """The tests' points."""
    extension: str
    by_hand: float
    """What else a late penalty depends on: points entered by hand and extra credit; 0 without a penalty."""


@dataclass(frozen=True)
class Books:
    """What the gradebook holds; `known` is False if it can't be read now."""

    known: bool = True
    due: dict[str, str] = field(default_factory=dict)
    """Each registered section's due date; "" if it has none."""
    points: dict[str, dict[str, float]] = field(default_factory=dict)
    """The worth of its graded cells."""
    rows: dict[tuple[str, str], Row] = field(default_factory=dict)
    """By student and section."""

    def has(self, student: str, section: str, score: float) -> bool:
        """Whether the gradebook has this score, as far as is known: somebody may have restored an older copy."""
        row = self.rows.get((student, section))
        return not self.known or (row is not None and abs(row.score - score) < 1e-3)  # written as text of six digits


def read_books(db_url: str, mode: Literal["rw", "ro"] = "rw") -> Books:
    """Read this gradebook without creating it; a damaged one holds nothing.

    SQLite rolls back what a killed process left unfinished in mode `rw`; in `ro` nothing changes.
    """
    path = db_url.removeprefix("sqlite:///")
    try:
        return _from_sqlite(Path(path), mode) if path != db_url else _from_server(db_url)
    except sqlite3.DatabaseError as error:
        return Books(known=not any(word in str(error) for word in ("locked", "readonly")))


def _from_sqlite(path: Path, mode: str) -> Books:
    if not path.is_file():
        return Books()
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode={mode}", timeout=5, uri=True)) as connection:
        return _books(connection.execute)


def _from_server(db_url: str) -> Books:
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import OperationalError, ProgrammingError

    engine = create_engine(db_url)
    try:
        with engine.connect() as connection:
            return _books(lambda query: connection.execute(text(query)))
    except ProgrammingError:  # nothing is registered yet: there are no tables
        return Books()
    except OperationalError:
        return Books(known=False)
    finally:
        engine.dispose()


def _books(ask: Callable[[str], Iterable[Any]]) -> Books:
    books = Books(due={name: str(due or "") for name, due in ask(_DUE)})
    for section, cell, points in ask(_POINTS):
        books.points.setdefault(section, {})[cell] = points
    for student, section, extension, score, by_hand, penalty in ask(_ROWS):
        books.rows[student, section] = Row(score, str(extension or ""), float(by_hand) if penalty else 0.0)
    return books
