"""Grade in parallel processes, each with its own grader; a submission may kill its process."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from autograder.course import Course, Section, Submission
from autograder.errors import UsageError
from autograder.grading.grade import Grader, course_secret
from autograder.grading.verdict import not_graded, unjudged
from autograder.judging.result import Result
from autograder.notebook.handin import HandedIn
from autograder.pages.feedback import drawn
from autograder.processes import Died, Tell, side_by_side
from autograder.sandbox.limits import WALL
from autograder.sandbox.tiers import TierName

WORKER_CPU = 60
"""CPU seconds that a grading process may take for one submission: many times what the judge allows itself."""


@dataclass
class Job:
    """One submission on its way through the pool."""

    submission: Submission
    data: bytes
    notes: tuple[str, ...] = ()
    needs: str = ""
    """Notes about the choice of the notebook, as in HandedIn."""
    deaths: int = 0
    """How many grading processes died of it."""

    @property
    def handed_in(self) -> HandedIn:
        """The part that a grading process gets."""
        return HandedIn(self.data, self.notes, self.needs)


@dataclass(frozen=True)
class Setting:
    """The settings of a grading."""

    seed: int = 0
    jobs: int = 2
    allow_unsandboxed: bool = False
    tier: TierName | None = None
    limit: float = WALL
    """Wall-clock seconds that one submission may take."""


def grade_class(
    course: Course, jobs: Iterable[Job], setting: Setting, preload: tuple[str, ...] = ()
) -> Iterator[tuple[Job, Result]]:
    """Grade these submissions in parallel; yield each result, with its pictures, as soon as it is judged.

    A job is taken from `jobs` when a grading process is free for it. `preload` names libraries worth importing once.
    Raises SandboxUnavailable when students' code can't be run safely here.
    """
    course_secret(course)
    given = ((job, (job.handed_in, job.submission.section.name, job.submission.student)) for job in jobs)
    start = partial(_start_grading, course, setting, preload)
    for job, result in side_by_side(given, setting.jobs, start):
        if not isinstance(result, Died):
            yield job, result
        elif (verdict := _verdict_on(job, result)) is not None:
            yield job, verdict


def _verdict_on(job: Job, died: Died) -> Result | None:
    """The verdict on a submission whose grading process died; None when it is graded once more."""
    job.deaths += 1
    overworked = died.exitcode == -getattr(signal, "SIGXCPU", 0)
    if job.deaths == 1 and not overworked:
        died.again = True
        return None
    if not died.started:
        raise UsageError("a grading process can't be started; run again with --jobs 1 to see why")
    line = "the process that judged it died, of too much work or memory; marked for manual grading"
    return replace(not_graded(job.submission, "unreadable", line), unsettled=not overworked)


ToGrade = tuple[HandedIn, str, str]
"""The part of a submission that a grading process gets: its notebook, its section's name, its student."""


@contextlib.contextmanager
def _start_grading(
    course: Course, setting: Setting, preload: tuple[str, ...], number: int | None, _tell: Tell
) -> Iterator[Callable[[ToGrade], Result]]:
    """Make a grader. In a process of its own it gets one core, and a limit on the CPU time of one submission."""
    cores = sorted(os.sched_getaffinity(0)) if number is not None and hasattr(os, "sched_getaffinity") else []
    grader = Grader(
        course,
        setting.seed,
        preload,
        cores[(number or 0) % len(cores)] if cores else None,
        setting.allow_unsandboxed,
        setting.tier,
        setting.limit,
    )

    def grade(given: ToGrade) -> Result:
        if number is not None:
            _limit_cpu(WORKER_CPU)
        found, section, student = given
        return _graded_and_drawn(grader, found, course.section(section), student)

    try:
        if number is not None:
            _ = grader.box  # before the limit on CPU time is set, which the sandbox would inherit
        yield grade
    finally:
        grader.close()


def _graded_and_drawn(grader: Grader, found: HandedIn, section: Section, student: str) -> Result:
    """The result with pictures in place of its timelines: drawn where it was judged, so that no process collects all
    timelines."""
    result = grader.grade(found.data, section, student)
    result = replace(result, notes=found.notes + result.notes, needs=found.needs or result.needs)
    try:
        return drawn(result)
    except Exception as error:
        line = f"the grader failed to draw it ({type(error).__name__}); marked for manual grading"
        return replace(unjudged(grader.kit(section), student, "unreadable", line), unsettled=True)


def _limit_cpu(seconds: int) -> None:
    """Let the kernel end this process after so much more CPU time. The judge stops itself earlier; this limit is for
    what can't be stopped from within, such as a pattern that never finishes matching."""
    if sys.platform == "win32":
        return
    import resource

    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    soft = int(time.process_time()) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))
