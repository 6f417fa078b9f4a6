"""Write results to gradebook, graded copies, pages and ledger: in batches, while the next ones are graded."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from autograder.course import Course, Submission, student_problem
from autograder.errors import GradebookProblem
from autograder.files import cannot_write, write_alone
from autograder.grading.keys import Keys, Parts
from autograder.grading.ledger import Ledger
from autograder.judging.result import Result
from autograder.notebook.handin import HandedIn
from autograder.pages.feedback import page
from autograder.pages.report import page_name, renew
from autograder.pages.roll import Brief, named

PORTION = 20
"""The size of a batch: results that a crash loses are graded again."""
PORTION_BYTES = 32 * 1024 * 1024
"""A batch is also full when its submissions have so many bytes."""
WAITING = 2
"""How many batches may wait for the gradebook before grading waits too."""


class _Judged(NamedTuple):
    submission: Submission
    data: bytes | None
    result: Result
    parts: Parts

    @property
    def name(self) -> str:
        return Brief.of(self.result).name


@dataclass
class Problems:
    """What couldn't be written: for each kind of problem the first line that says why, and the students it struck."""

    found: dict[str, tuple[str, list[str]]] = field(default_factory=dict)

    def add(self, said: str, name: str = "") -> None:
        """One more."""
        _, names = self.found.setdefault(kind_of(said), (said, []))
        if name:
            names.append(name)

    def lines(self) -> list[str]:
        """A line for each kind."""
        return [f"{named(names)}: {said}" if names else said for said, names in self.found.values()]


def kind_of(said: str) -> str:
    """The end of a problem's line, without the place, which differs for each student."""
    return said.rpartition(": ")[2]


@dataclass
class Writer:
    """Writes results; a result that can't be written harms no other."""

    course: Course
    ledger: Ledger
    keys: Keys
    problems: Problems = field(default_factory=Problems)
    _fresh: list[_Judged] = field(default_factory=list)
    _under_way: deque[Future[None]] = field(default_factory=deque)
    _common: str = ""
    """The kind of problem that struck a whole batch: for the same kind, later batches aren't tried one by one."""

    def __post_init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._thread.submit(_load_gradebook)

    def add(self, submission: Submission, found: HandedIn | Result, result: Result) -> None:
        """Queue this result for writing; `found` is what was handed in, or the verdict that nothing was."""
        parts = self.keys.judged(submission, found) | self.keys.written(submission)
        data = None if isinstance(found, Result) else found.data
        self._fresh.append(_Judged(submission, data, result, parts))
        size = sum(len(one.data or b"") for one in self._fresh)
        if len(self._fresh) >= PORTION or size >= PORTION_BYTES:
            self._send()

    def close(self) -> None:
        """Write the rest, and wait until it is written."""
        self._send()
        while self._under_way:
            self._under_way.popleft().result()
        self._thread.shutdown()

    def page_of(self, brief: Brief) -> Path:
        """The page that was written for the student of this result."""
        return self.course.section(brief.section).feedback_page(brief.student)

    def _send(self) -> None:
        portion, self._fresh = self._fresh, []
        if portion:
            self._under_way.append(self._thread.submit(self._write_portion, portion))
        while len(self._under_way) > WAITING:
            self._under_way.popleft().result()

    def _write_portion(self, portion: Sequence[_Judged]) -> None:
        try:
            problems = self._write(portion)
        except Exception as error:
            problems = self._one_by_one(portion, _in_words(error))
        for one, said in problems:
            self.problems.add(said, one.name)

    def _one_by_one(self, portion: Sequence[_Judged], said: str) -> list[tuple[_Judged, str]]:
        """Write each alone after a problem that may concern one or all, unless a whole batch just had the same."""
        if len(portion) == 1 or kind_of(said) == self._common:
            return [(one, said) for one in portion]
        problems = []
        for one in portion:
            try:
                problems += self._write([one])
            except Exception as error:
                problems.append((one, _in_words(error)))
        kinds = {kind_of(why) for _, why in problems}
        self._common = kind_of(said) if len(problems) == len(portion) and kinds == {kind_of(said)} else ""
        return problems

    def _write(self, portion: Sequence[_Judged]) -> list[tuple[_Judged, str]]:
        """Write gradebook, copies, pages, and then the ledger; return the students that the gradebook refuses, and
        why."""
        from autograder.nbgrader.save import write

        # a name that nbgrader can't have has no place in a gradebook
        listed = [one for one in portion if not student_problem(one.result.student)]
        data = {(one.result.student, one.result.section): one.data for one in listed if one.data is not None}
        folder = portion[0].submission.path.parents[2]
        refused = write(self.course, [one.result for one in listed], data, folder) if listed else {}
        for one in listed:
            if one.result.student not in refused:
                self.ledger.enter(one.result, one.parts)
        for one in portion:
            self._show(one)
        return [(one, refused[one.result.student]) for one in listed if one.result.student in refused]

    def _show(self, one: _Judged) -> None:
        """Put the student's page into the report while grading goes on; failures are tried again at the end."""
        copy = self.course.build / "report" / page_name(one.result.student, one.result.section)
        with suppress(OSError):
            if student_problem(one.result.student):
                write_alone(copy, page(one.result).encode())
            elif one.result.behaviours:
                renew(copy, one.submission.section.feedback_page(one.result.student))


def _in_words(error: Exception) -> str:
    if isinstance(error, GradebookProblem):
        return f"nothing was written to the gradebook: {error}"
    if isinstance(error, OSError):
        return cannot_write(error)
    return f"it can't be written ({type(error).__name__}: {error})".splitlines()[0][:300]


def _load_gradebook() -> None:
    """Import nbgrader while grading goes on, since it takes a second. Import it in the thread that uses it, because two
    threads that import parts of it at once can deadlock."""
    import autograder.nbgrader.save  # noqa: F401
