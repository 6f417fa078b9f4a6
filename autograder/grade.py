"""The class's loop: read, run, judge, write.

Grading one submission is a function of its bytes, its section and a seed: no database and no folder in it
(`Grader.grade`). Around it stand the loop over a class (`grade_class`), which keeps one grader on each core busy, and
`grade_course`, which leaves alone what hasn't changed and writes results where nbgrader's commands look for them.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import multiprocessing
import os
import random
import re
import secrets
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import chain
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path

from autograder.answer import Answer, Cell, Unreadable, answer, read
from autograder.check import explained
from autograder.course import (
    Course,
    NothingHandedIn,
    Section,
    Submission,
    UnreadableSubmission,
    UsageError,
    stage,
)
from autograder.handin import HandedIn, open_submission
from autograder.judge import Judge, JudgeError, ended_badly
from autograder.mistakes import NAME, Mistake, headlines, read_known
from autograder.notes import capped, worded
from autograder.result import Behaviour, Result, VerdictName
from autograder.sandbox.child import Sandbox, ZygoteDied
from autograder.sandbox.limits import WALL, Budget
from autograder.sandbox.play import Outcome, play_all
from autograder.sandbox.start import start
from autograder.sandbox.tiers import SandboxUnavailable, TierName
from autograder.stamps import read_stamps, with_note
from faultlab.scenario import Played, Scenario, ScenarioError, asked, load, uncollected
from faultlab.timeline import Timeline

LIBRARIES = ("numpy", "matplotlib", "anyio", "tenacity", "stamina", "structlog", "prometheus_client", "starlette")
"""Worth importing before children are forked, when a submission mentions them."""
SAMPLE = 200
"""So many submissions of a class are read beforehand to see which libraries they mention."""
WORKER_CPU = 60
"""Seconds of CPU time that a grading process may take for one submission: many times what the judge allows itself."""


@dataclass
class _Kit:
    """What grading a section needs, read once."""

    section: Section
    judge: Judge
    scenarios: dict[str, Scenario]
    source: str
    names: list[str]
    """What the scenarios ask a notebook for."""
    released: list[Cell]
    mistakes: list[Mistake]
    _intended: dict[Played, Timeline] | None = None

    @cached_property
    def unjudged(self) -> tuple[Behaviour, ...]:
        """Every behaviour at 0: one list for all submissions that can't be judged."""
        return tuple(
            Behaviour(test.id, test.title, False, 0.0, test.points, "not judged", hidden=test.hidden, step=test.step)
            for test in self.judge.tests
        )

    @classmethod
    def of(cls, section: Section) -> _Kit:
        exercise = section.exercise
        notebook = section.released / f"{section.notebook}.ipynb"
        if exercise is None:
            raise UsageError(f"{section.name} has no graded exercise")
        if not notebook.exists():
            raise UsageError(f"{notebook} isn't built yet; run: autograder build {section.name}")
        hidden = section.hidden if section.hidden.exists() else None
        try:
            judge = Judge(section.tests, hidden)
            scenarios = load(section.scenarios)
            for one in judge.scenarios:
                if one.name not in scenarios:
                    raise ScenarioError(f"a test names the scenario {one.name!r}, which {section.scenarios} hasn't got")
        except (JudgeError, ScenarioError, SyntaxError, OSError) as error:
            raise UsageError(f"{section.name} can't be graded: {error}") from None
        source = section.scenarios.read_text(encoding="utf-8")
        return cls(
            section,
            judge,
            scenarios,
            source,
            asked(source),
            read(notebook.read_bytes()),
            read_known(section.released / NAME),
        )


@dataclass
class Grader:
    """Grades submissions, one after the other, in one sandbox. `seed` varies what isn't fixed by the exercise."""

    course: Course
    seed: int = 0
    preload: tuple[str, ...] = ()
    core: int | None = None
    allow_unsandboxed: bool = False
    tier: TierName | None = None
    limit: float = WALL
    """Wall-clock seconds that one submission may take."""
    _box: Sandbox | None = None
    _kits: dict[str, _Kit] = field(default_factory=dict)

    @property
    def box(self) -> Sandbox:
        """The sandbox, started when first needed. Raises SandboxUnavailable."""
        if self._box is None:
            self._box = start(
                tier=self.tier, preload=self.preload, core=self.core, allow_unsandboxed=self.allow_unsandboxed
            )
        return self._box

    def kit(self, section: Section) -> _Kit:
        """A section's tests and scenarios, read once."""
        if section.name not in self._kits:
            self._kits[section.name] = _Kit.of(section)
        return self._kits[section.name]

    def grade(self, data: bytes, section: Section, student: str = "") -> Result:
        """The verdict on one notebook's bytes. Raises UsageError and SandboxUnavailable, which concern all of them."""
        kit = self.kit(section)
        try:
            with uncollected():
                return self._graded(data, kit, student)
        except (UsageError, SandboxUnavailable):
            raise
        except Exception as error:
            said = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            line = f"the grader failed on it ({said}); marked for manual grading"
            return replace(_unjudged(kit, student, "unreadable", line), unsettled=True)

    def _graded(self, data: bytes, kit: _Kit, student: str) -> Result:
        began = time.perf_counter()
        section = kit.section
        assert section.exercise is not None
        try:
            found = answer(read(data), kit.released, section.exercise)
        except Unreadable as error:
            return _unjudged(kit, student, "unreadable", f"{error}; marked for manual grading")
        _ = self.box  # starting it isn't the submission's time
        outcome = self._played(kit, found)
        outcome.timelines = {one: explained(run, found.lost) for one, run in outcome.timelines.items()}
        behaviours = kit.judge.judge(outcome.timelines)
        if kit.judge.exhausted:
            outcome.mishaps.append(("timeout", "what it did takes too long to judge"))
            outcome.needs = "judging what it did took too long: look at it, or grade it again with --force"
        if any(not behaviour.passed for behaviour in behaviours):
            intended = self._intended(kit)
            behaviours = [_with_intended(behaviour, intended) for behaviour in behaviours]
        return Result(
            student=student,
            section=section.name,
            exercise=section.exercise,
            verdict=_verdict(outcome),
            sandbox=self.box.tier.name,
            seconds=time.perf_counter() - began,
            behaviours=tuple(behaviours),
            line=_line(outcome, found),
            notes=_notes(outcome, found),
            mistakes=tuple(headlines(behaviours, kit.mistakes)),
            needs=_needs(outcome),
            unsettled=outcome.killed > 1,
        )

    def _played(self, kit: _Kit, found: Answer) -> Outcome:
        """As `_play`; should the sandbox die meanwhile, once more in another one."""
        budget = Budget(self.limit)
        for _ in range(2):
            try:
                return self._play(kit, found, budget)
            except ZygoteDied as died:
                last_words = str(died)
                self._close_box()
        return Outcome(mishaps=[("crashed", f"the whole sandbox died of it, twice ({last_words})")], killed=2)

    def _play(self, kit: _Kit, found: Answer, budget: Budget) -> Outcome:
        wanted = [(one, self._seed(kit, found, one)) for one in kit.judge.scenarios]
        seed = self._drawn(kit, found, "cells")
        given = {"cells": found.cells, "wanted": kit.names, "scenarios": kit.source, "seed": seed}
        outcome = play_all(self.box, given, kit.scenarios, wanted, budget)
        lacking = any(_lacks_a_name(timeline) for timeline in outcome.timelines.values())
        if lacking and budget.used_up():
            outcome.needs = budget.needs
        elif lacking:
            given["cells"] = [{**cell, "needed": True} for cell in found.cells]
            outcome = play_all(self.box, given, kit.scenarios, wanted, budget)
        return outcome

    def _seed(self, kit: _Kit, found: Answer, wanted: Played) -> int:
        if kit.scenarios[wanted.name].fixed:
            return _number(repr(wanted).encode())
        return self._drawn(kit, found, repr(wanted))

    def _drawn(self, kit: _Kit, found: Answer, what: str) -> int:
        """A seed that belongs to this submission and the course, and can't be foreseen."""
        told = f"{self.seed}\0{kit.section.name}\0{what}\0{found.own}".encode("utf-8", "backslashreplace")
        return _number(hmac.digest(course_secret(self.course), told, "sha256"))

    def _intended(self, kit: _Kit) -> dict[Played, Timeline]:
        """The worked solution's own timelines, played once where it is at hand."""
        if kit._intended is None:
            built = kit.section.built / f"{kit.section.notebook}.ipynb"
            kit._intended = {}
            if built.exists():
                found = answer(read(built.read_bytes()), kit.released, kit.section.exercise or "")
                kit._intended = self._play(kit, found, Budget()).timelines
        return kit._intended

    def close(self) -> None:
        """End the sandbox and the tests' sessions."""
        self._close_box()
        for kit in self._kits.values():
            kit.judge.close()

    def _close_box(self) -> None:
        box, self._box = self._box, None
        if box is not None:
            box.close()


@cache
def _own_grader(root: Path) -> Grader:
    return Grader(Course(root))


def grade_bytes(data: bytes, section: Section, student: str) -> Result:
    """The verdict on one notebook, for nbgrader's own commands. Raises SandboxUnavailable."""
    return _own_grader(section.course.root).grade(data, section, student)


def need_sandbox(course: Course) -> None:
    """Start the sandbox that `grade_bytes` uses. Raises SandboxUnavailable."""
    _ = _own_grader(course.root).box


@cache
def course_secret(course: Course) -> bytes:
    """What the scenarios' values are derived from; made once, kept beside the gradebook, never handed out."""
    path = course.root / ".course-secret"
    if not path.exists():
        made = stage(path, secrets.token_hex(32).encode(), mode=0o600)
        with contextlib.suppress(FileExistsError):
            os.link(made, path)  # of two processes that come at once one makes it, and both read the same
        made.unlink()
    return path.read_bytes()


def read_submission(submission: Submission) -> HandedIn | Result:
    """A submission's notebook, or the verdict when there is none to grade; a note says so if its timestamp is odd."""
    folder = submission.path.parent
    try:
        found = open_submission(submission)
        return replace(found, notes=(*found.notes, *filter(None, [read_stamps(folder).note])))
    except NothingHandedIn as error:
        return with_note(_without_kit(submission, "missing", str(error)), folder)
    except UnreadableSubmission as error:
        line = f"{error}; marked for manual grading"
        return with_note(_without_kit(submission, "unreadable", line), folder)


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
            return replace(_without_kit(self.job.submission, "unreadable", line), unsettled=not overworked)
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
    from autograder.feedback import drawn

    result = grader.grade(found.data, section, student)
    result = replace(result, notes=found.notes + result.notes, needs=found.needs or result.needs)
    try:
        return drawn(result)
    except Exception as error:
        line = f"the grader failed to draw it ({type(error).__name__}); marked for manual grading"
        return replace(_unjudged(grader.kit(section), student, "unreadable", line), unsettled=True)


def _limit_cpu(seconds: int) -> None:
    """Let the kernel end this process when it takes so much longer. The judge stops itself before; this is for what
    can't be stopped from within, like a pattern that never finishes matching."""
    if sys.platform == "win32":
        return
    import resource

    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    soft = int(time.process_time()) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _mentioned(submissions: Sequence[Submission]) -> tuple[str, ...]:
    """The heavy libraries that more than a few submissions mention in what they import, judged by a sample."""
    pattern = re.compile(rb"import (" + b"|".join(name.encode() for name in LIBRARIES) + rb")\b")
    sample = random.Random(0).sample(submissions, min(SAMPLE, len(submissions)))  # each n-th may be of one section
    counts: dict[str, int] = {}
    for submission in sample:
        found = read_submission(submission)
        for name in set() if isinstance(found, Result) else set(pattern.findall(found.data)):
            counts[name.decode()] = counts.get(name.decode(), 0) + 1
    return tuple(name for name in LIBRARIES if counts.get(name, 0) * len(submissions) > 3 * len(sample))


def _number(data: bytes) -> int:
    return int.from_bytes(hashlib.sha256(data).digest()[:6], "big")


def _with_intended(behaviour: Behaviour, intended: Mapping[Played, Timeline]) -> Behaviour:
    if behaviour.timeline is None or behaviour.passed or behaviour.scenario is None:
        return behaviour
    return replace(behaviour, intended=intended.get(behaviour.scenario))


def _lacks_a_name(timeline: Timeline) -> bool:
    return any(
        isinstance(mark.value, dict) and mark.value.get("error") == "NameError" for mark in timeline.marks()
    ) or bool(timeline.ending and timeline.ending.data.get("error") == "NameError")


def _verdict(outcome: Outcome) -> VerdictName:
    hows = {how for how, _ in outcome.mishaps}
    hows |= {"timeout" for timeline in outcome.timelines.values() if _how(timeline) == "endless"}
    order: tuple[VerdictName, ...] = ("tampered", "crashed", "timeout")
    for verdict in order:
        if verdict in hows:
            return verdict
    return "graded"


def _how(timeline: Timeline) -> str:
    return str(timeline.ending.data["how"]) if timeline.ending else ""


def _notes(outcome: Outcome, found: Answer) -> tuple[str, ...]:
    cells = max((cell["number"] for cell in found.cells), default=-1) + 1
    return capped([*found.notes, *worded(outcome.cell_notes, cells)])


def _line(outcome: Outcome, found: Answer) -> str:
    if outcome.mishaps:
        how, message = outcome.mishaps[0]
        return {
            "timeout": f"the code ran too long and was stopped: {message}",
            "crashed": f"the code ended its own run: {message}",
            "tampered": f"its process sent what the course's own code never sends: {message}",
        }[how]
    if any(_how(timeline) == "endless" for timeline in outcome.timelines.values()):
        return "the code was still computing when its time was up: a loop without an end or an await?"
    if found.lost:
        return found.lost
    for number, kind, text in outcome.cell_errors:
        if not any(not ended_badly(timeline) for timeline in outcome.timelines.values()):
            return f"cell {number + 1} doesn't run: {kind}: {text}"
    return ""


def _needs(outcome: Outcome) -> str:
    """Why a person has to look at it: where the machine may have decided, and before anybody is suspected."""
    if _verdict(outcome) == "tampered":
        return "its process sent what the course's own code never sends: read the notebook before its score counts"
    return outcome.needs


def _unjudged(kit: _Kit, student: str, verdict: VerdictName, line: str) -> Result:
    """A verdict without a run: every behaviour at 0."""
    exercise = kit.section.exercise or ""
    return Result(student, kit.section.name, exercise, verdict, "", 0.0, kit.unjudged, line, needs=line)


def _without_kit(submission: Submission, verdict: VerdictName, line: str) -> Result:
    return _unjudged(_kit_for_points(submission.section), submission.student, verdict, line)


def points_of(section: Section) -> dict[str, float]:
    """What the section's tests are worth now, by the graded cells' names.

    Raises UsageError when the section can't be graded.
    """
    points = {f"{section.exercise}_{part}": 0.0 for part in ("score", "hidden")}
    for test in _kit_for_points(section).judge.tests:
        points[f"{section.exercise}_{'hidden' if test.hidden else 'score'}"] += test.points
    return points


def _kit_for_points(section: Section) -> _Kit:
    notebook = section.released / f"{section.notebook}.ipynb"
    read = (section.tests, section.hidden, section.scenarios, notebook)
    return _kit_at(section, tuple(path.stat().st_mtime_ns for path in read if path.exists()))


@cache
def _kit_at(section: Section, saved: tuple[int, ...]) -> _Kit:
    return _Kit.of(section)


def everything(
    course: Course, submissions: Iterable[Submission], setting: Setting
) -> Iterator[tuple[Job | None, Result]]:
    """Every submission's verdict, those without bytes to grade included; each is read when its turn comes."""
    chosen = with_exercise(submissions)
    aside: deque[Result] = deque()
    jobs = _jobs(chosen, aside)
    first = next(jobs, None)
    if first is not None:
        setting = replace(setting, jobs=max(1, min(setting.jobs, len(chosen))))
        for job, result in grade_class(course, chain([first], jobs), setting, _mentioned(chosen)):
            yield from _emptied(aside)
            yield job, result
    yield from _emptied(aside)


def with_exercise(submissions: Iterable[Submission]) -> list[Submission]:
    """Those of sections that have a graded exercise."""
    chosen = list(submissions)
    graded = {section for section in {one.section for one in chosen} if section.exercise is not None}
    return [one for one in chosen if one.section in graded]


def _jobs(submissions: Iterable[Submission], aside: deque[Result]) -> Iterator[Job]:
    """What is there to be graded; the verdict on anything else is laid aside."""
    for submission in submissions:
        found = read_submission(submission)
        if isinstance(found, Result):
            aside.append(found)
        else:
            yield Job(submission, found.data, found.notes, found.needs)


def _emptied(aside: deque[Result]) -> Iterator[tuple[None, Result]]:
    while aside:
        yield None, aside.popleft()
