"""Grading processes side by side, each with a grader of its own, which may die of a submission."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait

from autograder.course import Course, Section, Submission
from autograder.errors import UsageError
from autograder.grading.grade import Grader, course_secret
from autograder.grading.verdict import not_graded, unjudged
from autograder.judging.result import Result
from autograder.notebook.handin import HandedIn
from autograder.sandbox.limits import WALL
from autograder.sandbox.tiers import TierName

WORKER_CPU = 60
"""Seconds of CPU time that a grading process may take for one submission: many times what the judge allows itself."""


@dataclass
class Job:
    """One submission on its way through."""

    submission: Submission
    data: bytes
    notes: tuple[str, ...] = ()
    needs: str = ""
    """What is to be said about the choice of the notebook, as in HandedIn."""
    deaths: int = 0
    """Of grading processes that were at it."""

    @property
    def handed_in(self) -> HandedIn:
        """What a grading process gets of it."""
        return HandedIn(self.data, self.notes, self.needs)


@dataclass(frozen=True)
class Setting:
    """How a class is graded."""

    seed: int = 0
    jobs: int = 2
    allow_unsandboxed: bool = False
    tier: TierName | None = None
    limit: float = WALL
    """Wall-clock seconds that one submission may take."""


def grade_class(
    course: Course, jobs: Iterable[Job], setting: Setting, preload: tuple[str, ...] = ()
) -> Iterator[tuple[Job, Result]]:
    """Grade these submissions side by side; each comes out, drawn, as soon as it is judged.

    A job is taken from `jobs` when a grading process is free for it. `preload` names libraries worth importing once.
    Raises SandboxUnavailable when students' code can't be run safely here.
    """
    options = {
        "seed": setting.seed,
        "preload": preload,
        "allow_unsandboxed": setting.allow_unsandboxed,
        "tier": setting.tier,
        "limit": setting.limit,
    }
    if setting.jobs == 1:
        grader = Grader(course, **options)  # type: ignore[arg-type]
        try:
            for job in jobs:
                yield job, _graded_and_drawn(grader, job.handed_in, job.submission.section, job.submission.student)
        finally:
            grader.close()
    else:
        yield from _side_by_side(course, _Todo(iter(jobs)), setting.jobs, options)


@dataclass
class _Todo:
    """The jobs that are left; each is read when it is taken, so that only those under way are held."""

    jobs: Iterator[Job]
    again: list[Job] = field(default_factory=list)
    """Those whose grading process died."""

    def pop(self) -> Job | None:
        return self.again.pop() if self.again else next(self.jobs, None)


def _side_by_side(
    course: Course, todo: _Todo, count: int, options: Mapping[str, object]
) -> Iterator[tuple[Job, Result]]:
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    course_secret(course)
    workers = [_Worker(course, cores[n % len(cores)] if cores else None, options) for n in range(count)]
    try:
        for worker in workers:
            worker.take(todo)
        while any(worker.job for worker in workers):
            ready = wait([worker.pipe for worker in workers if worker.job])
            for worker in [worker for worker in workers if worker.pipe in ready]:
                job = worker.job
                result = worker.hear()
                if worker.died:
                    workers[workers.index(worker)] = worker = worker.successor()
                    if result is None and job is not None:
                        todo.again.append(job)
                elif result is None:
                    continue
                worker.take(todo)
                if job is not None and result is not None:
                    yield job, result
    finally:
        for worker in workers:
            worker.close()


class _Worker:
    """A grader in a process of its own, which may die of a submission."""

    def __init__(self, course: Course, core: int | None, options: Mapping[str, object]) -> None:
        context = multiprocessing.get_context("spawn")
        self._made_of = (course, core, options)
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, course, core, dict(options)), daemon=True)
        if sys.platform != "win32":
            resource_tracker.ensure_running()  # starting it would unblock the signal
        with _held():
            self.process.start()
        theirs.close()
        self.job: Job | None = None
        self.started = self.died = False

    def take(self, todo: _Todo) -> None:
        self.job = todo.pop()
        if self.job is not None:
            submission = self.job.submission
            with contextlib.suppress(ConnectionError):  # then the next thing heard of it is its end
                self.pipe.send((self.job.handed_in, submission.section.name, submission.student))

    def hear(self) -> Result | None:
        """The result of its job; None when it has only started, or has died and the job is to be repeated."""
        assert self.job is not None
        try:
            said = self.pipe.recv()
        except (EOFError, OSError):  # the latter when it died in the middle of a message
            self.died = True
            self.job.deaths += 1
            self.process.join(10)
            overworked = self.process.exitcode == -getattr(signal, "SIGXCPU", 0)
            if self.job.deaths == 1 and not overworked:
                return None
            if not self.started:
                raise UsageError("a grading process can't be started; run again with --jobs 1 to see why") from None
            line = "the process that judged it died, of too much work or memory; marked for manual grading"
            return replace(not_graded(self.job.submission, "unreadable", line), unsettled=not overworked)
        if isinstance(said, BaseException):
            raise said
        if said == STARTED:
            self.started = True
            return None
        self.job = None
        result: Result = said
        return result

    def successor(self) -> _Worker:
        """Another one in its place."""
        self.close()
        return _Worker(*self._made_of)

    def close(self) -> None:
        self.pipe.close()
        if self.job is not None:
            self.process.kill()  # nobody waits for what it is at; its sandbox ends with it
        self.process.join(10)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


STARTED = "started"


HELD = (signal.SIGINT, signal.SIGTERM)
"""Signals that wait while a grading process is being started."""


def _mask(how: str) -> None:
    if hasattr(signal, "pthread_sigmask"):  # Windows hasn't got it
        signal.pthread_sigmask(getattr(signal, how), HELD)


@contextlib.contextmanager
def _held() -> Iterator[None]:
    """Signals wait, so that no start is left half done; and who is started hears none until it says that it ignores it.

    A mask alone doesn't do: another thread takes the signal, and Python tells this one.
    """
    came: list[int] = []
    handlers = {}
    if threading.current_thread() is threading.main_thread():
        handlers = {number: signal.signal(number, lambda number, _: came.append(number)) for number in HELD}
    _mask("SIG_BLOCK")
    try:
        yield
    finally:
        _mask("SIG_UNBLOCK")
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for late in came:
        signal.raise_signal(late)


def _work(pipe: Connection, course: Course, core: int | None, options: dict[str, object]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits for the results
    _mask("SIG_UNBLOCK")
    grader = Grader(course, core=core, **options)  # type: ignore[arg-type]
    try:
        _ = grader.box  # before there is a limit on CPU time, which the sandbox would inherit
        pipe.send(STARTED)
        while True:
            found, section, student = pipe.recv()
            _limit_cpu(WORKER_CPU)
            pipe.send(_graded_and_drawn(grader, found, course.section(section), student))
    except (EOFError, ConnectionError):
        pass
    except Exception as error:
        with contextlib.suppress(OSError):  # nobody is there any more
            pipe.send(error)
    finally:
        grader.close()


def _graded_and_drawn(grader: Grader, found: HandedIn, section: Section, student: str) -> Result:
    """The result without its timelines: drawn where it was judged, so that they never come together in one process."""
    from autograder.pages.feedback import drawn

    result = grader.grade(found.data, section, student)
    result = replace(result, notes=found.notes + result.notes, needs=found.needs or result.needs)
    try:
        return drawn(result)
    except Exception as error:
        line = f"the grader failed to draw it ({type(error).__name__}); marked for manual grading"
        return replace(unjudged(grader.kit(section), student, "unreadable", line), unsettled=True)


def _limit_cpu(seconds: int) -> None:
    """Let the kernel end this process when it takes so much longer. The judge stops itself before; this is for what
    can't be stopped from within, like a pattern that never finishes matching."""
    if sys.platform == "win32":
        return
    import resource

    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    soft = int(time.process_time()) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))
