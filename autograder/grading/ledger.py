"""Remember what was graded: an interrupted grading resumes where it stopped, and nothing is graded twice.

One small file per student and section under `build/graded/`, written when the gradebook has the result. It holds the
digests that decided the result (`keys`), and the line for `--json`. It holds no timelines or pictures: when only the
gradebook's row must be written again, the pictures come from the graded copy.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from autograder.course import Course, Section, Submission
from autograder.files import file_name, write_alone
from autograder.grading.jobs import read_submission
from autograder.grading.keys import GRADED_AGAIN, WRITTEN_AGAIN, Keys, Parts
from autograder.judging.result import Behaviour, Result
from autograder.pages.feedback import parts_of

NEW = "new"
"""The reason to grade a submission that has no entry."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A written result, with the digests that decided it."""

    parts: Parts
    """Empty in an entry of an earlier version."""
    result: Result


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done about a submission, and why."""

    submission: Submission
    what: Literal["grade", "write", "keep"]
    """Run and judge it, write the old result once more, or do nothing."""
    why: str = ""


@dataclass(frozen=True)
class Ledger:
    """The finished results of a course."""

    course: Course

    def step(self, submission: Submission, keys: Keys, *, force: bool) -> Step:
        """The step that the next grading takes with this submission."""
        entry = self.entry(submission.student, submission.section)
        if entry is None:
            return Step(submission, "grade", NEW)
        if why := "forced" if force else self._graded_again(entry, submission, keys):
            return Step(submission, "grade", why)
        why = self._written_again(entry, submission, keys)
        return Step(submission, "write" if why else "keep", why)

    def entry(self, student: str, section: Section) -> Entry | None:
        """The entry of this student's section; None if there is none or it can't be read."""
        try:
            found = json.loads(self._path(student, section.name).read_bytes())
            return Entry(found.get("parts", {}), _result(found["result"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def entries(self, submissions: list[Submission]) -> Iterator[Result]:
        """The results of those submissions that were ever graded."""
        for submission in submissions:
            entry = self.entry(submission.student, submission.section)
            if entry is not None:
                yield entry.result

    def enter(self, result: Result, parts: Parts) -> None:
        """Record a result that the gradebook has."""
        write_alone(
            self._path(result.student, result.section),
            json.dumps({"parts": parts, "result": _plain(result)}).encode(),
        )

    def with_parts(self, entry: Entry, submission: Submission) -> Result | None:
        """The entry's result with its parts from the graded copy; None if the copy has none."""
        parts = _parts_of_copy(submission.section.graded_copy(submission.student))
        return replace(entry.result, parts=parts) if parts else None

    def _graded_again(self, entry: Entry, submission: Submission, keys: Keys) -> str:
        if entry.result.unsettled:
            return "the last result was unsettled"
        if not entry.parts:
            return GRADED_AGAIN["grader"]
        now = keys.judged(submission, read_submission(submission))
        changed = (why for part, why in GRADED_AGAIN.items() if now[part] != entry.parts.get(part))
        copy = submission.section.graded_copy(submission.student)
        return next(changed, "" if copy.exists() else "its graded copy is gone")

    def _written_again(self, entry: Entry, submission: Submission, keys: Keys) -> str:
        student, section = submission.student, submission.section
        now = keys.written(submission)
        changed = [part for part in now if now[part] != entry.parts.get(part)]
        if "database" not in changed and not keys.books.has(student, section.name, entry.result.score):
            return "the gradebook lacks it"
        if why := next((why for part, why in WRITTEN_AGAIN.items() if part in changed), ""):
            return why
        return "" if section.feedback_page(student).exists() else "its feedback page is gone"

    def _path(self, student: str, section: str) -> Path:
        return self.course.build / "graded" / section / f"{file_name(student)}.json"


def _parts_of_copy(path: Path) -> tuple[str, str] | None:
    """What the graded cells of a copy show, visible and hidden; None when they don't."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        shown = parts_of(json.loads(path.read_bytes()))
        return (shown[False], shown.get(True, "")) if shown.get(False) else None
    return None


def _plain(result: Result) -> dict[str, Any]:
    more = [{"title": b.title, "hidden": b.hidden, "step": b.step} for b in result.behaviours]
    said = {"line": result.line, "exercise": result.exercise, "unsettled": result.unsettled}
    return {**result.row(), **said, "more": more}


def _result(entry: dict[str, Any]) -> Result:
    behaviours = tuple(
        Behaviour(
            b["test"],
            more["title"],
            b["passed"],
            b["points"],
            b["max_points"],
            b["message"],
            hidden=more["hidden"],
            step=more.get("step"),
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
        tuple(entry.get("notes", ())),
        tuple(entry.get("mistakes", ())),
        entry.get("needs") or "",
        entry.get("unsettled", False),
    )
