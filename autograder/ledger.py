"""What was graded already: so that an interrupted grading goes on where it stopped, and nothing is graded twice.

One small file for each student and section, under `build/graded/`, written when the gradebook has the result. It
holds the key of what was graded (the submission's bytes, the section's files, the seed) and the line for `--json`.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from autograder import VERSION
from autograder.course import Course, Section, Submission, file_name, sweep, write_alone
from autograder.result import Behaviour, Result

_SCORES = """
    SELECT submission.student_id, assignment.name, total(grade.auto_score)
    FROM submitted_assignment AS submission
    JOIN assignment ON assignment.id = submission.assignment_id
    JOIN submitted_notebook AS notebook ON notebook.assignment_id = submission.id
    JOIN grade ON grade.notebook_id = notebook.id
    GROUP BY submission.id
"""


@dataclass
class Ledger:
    """The finished results of a course."""

    course: Course

    def finished(self, submission: Submission, key: str) -> Result | None:
        """The result of exactly this submission, if it is there, and in the gradebook too."""
        try:
            entry = json.loads(self._path(submission.student, submission.section.name).read_bytes())
            result = _result(entry["result"]) if entry["key"] == key else None
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return result if result is not None and self._in_gradebook(result) else None

    def _in_gradebook(self, result: Result) -> bool:
        """An older copy may have been restored, or an empty file lie in its place."""
        if self._scores is None:
            return True
        score = self._scores.get((result.student, result.section))
        return score is not None and abs(score - result.score) < 1e-3  # written as text of six digits

    @cached_property
    def _scores(self) -> dict[tuple[str, str], float] | None:
        """Automatic scores by student and section; None when nothing can be said: it is in use, or not here at all."""
        path = self.course.gradebook
        if not path.is_file():
            return None
        try:
            with closing(sqlite3.connect(path, timeout=5)) as connection:
                return {(student, section): score for student, section, score in connection.execute(_SCORES)}
        except sqlite3.DatabaseError as error:
            return None if "locked" in str(error) else {}

    def enter(self, entries: Iterable[tuple[str, Result]]) -> None:
        """Write down results (with their keys) that the gradebook has; an unsettled one is none."""
        for key, result in entries:
            path = self._path(result.student, result.section)
            if result.unsettled:
                sweep(path)
                path.unlink(missing_ok=True)
                continue
            write_alone(path, json.dumps({"key": key, "result": _plain(result)}).encode())

    def _path(self, student: str, section: str) -> Path:
        return self.course.build / "graded" / section / f"{file_name(student)}.json"


def key_of(section: Section, data: bytes | None, setting: str) -> str:
    """What a result depends on: the submission, the section's files, this version, how it is graded."""
    digest = hashlib.sha256(f"{VERSION}\0{setting}\0{_fingerprint(section)}\0".encode())
    digest.update(b"missing" if data is None else data)
    return digest.hexdigest()


@cache
def _fingerprint(section: Section) -> str:
    digest = hashlib.sha256()
    for path in (
        section.tests,
        section.hidden,
        section.scenarios,
        section.released / f"{section.notebook}.ipynb",
    ):
        digest.update(path.read_bytes() if path.exists() else b"\0")
    return digest.hexdigest()


def _plain(result: Result) -> dict[str, Any]:
    titles = [{"title": b.title, "hidden": b.hidden} for b in result.behaviours]
    return {**result.row(), "line": result.line, "exercise": result.exercise, "more": titles}


def _result(entry: dict[str, Any]) -> Result:
    behaviours = tuple(
        Behaviour(
            b["test"], more["title"], b["passed"], b["points"], b["max_points"], b["message"], hidden=more["hidden"]
        )
        for b, more in zip(entry["behaviours"], entry["more"], strict=True)
    )
    return Result(
        entry["student"],
        entry["section"],
        entry["exercise"],
        entry["verdict"],
        entry["sandbox"],
        entry["seconds"],
        behaviours,
        entry["line"],
        tuple(entry["notes"]),
        tuple(entry["mistakes"]),
        entry["needs"] or "",
    )
