"""The class's loop: read, run, judge, write.

Grading one submission is a function of its bytes, its section and a seed: no database, no folder (`Grader.grade`). Two
functions stand around it. `grade_class` loops over a class and keeps one grader busy on each core. `grade_course` skips
what hasn't changed, and writes results where nbgrader's commands look for them.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from msgspec.structs import replace as replace_fields

from autograder.course import Course, Section
from autograder.errors import UsageError
from autograder.files import stage
from autograder.grading.kit import Kit
from autograder.grading.verdict import lacks_a_name, line_of, needs_of, notes_of, unjudged, verdict_of
from autograder.judging.bench import explain_missing, remarks
from autograder.judging.judge import beside_intended
from autograder.judging.mistakes import headlines
from autograder.judging.result import Behaviour, Result
from autograder.notebook.answer import Answer, Unreadable, find_answer, read_cells
from autograder.pages.feedback import to_draw
from autograder.sandbox.child import Sandbox, ZygoteDied
from autograder.sandbox.limits import WALL, Budget
from autograder.sandbox.play import Outcome, play_all
from autograder.sandbox.start import start
from autograder.sandbox.tiers import SandboxUnavailable, TierName
from autograder.sandbox.wire import Given
from faultlab.scenario import Played, uncollected
from faultlab.timeline import Timeline


@dataclass
class Grader:
    """Grades submissions one after the other in one sandbox. `seed` decides everything that the exercise doesn't
    fix."""

    course: Course
    seed: int = 0
    preload: tuple[str, ...] = ()
    core: int | None = None
    allow_unsandboxed: bool = False
    tier: TierName | None = None
    limit: float = WALL
    """Wall-clock seconds that one submission may take."""
    _box: Sandbox | None = None
    _kits: dict[str, Kit] = field(default_factory=dict)

    @property
    def box(self) -> Sandbox:
        """The sandbox, started when first needed. Raises SandboxUnavailable."""
        if self._box is None:
            self._box = start(
                tier=self.tier, preload=self.preload, core=self.core, allow_unsandboxed=self.allow_unsandboxed
            )
        return self._box

    def kit(self, section: Section) -> Kit:
        """A section's tests and scenarios, read once."""
        if section.name not in self._kits:
            self._kits[section.name] = Kit.of(section)
        return self._kits[section.name]

    def grade(self, data: bytes, section: Section, student: str = "") -> Result:
        """Grade one notebook's bytes. Raises UsageError and SandboxUnavailable, which concern the whole class."""
        kit = self.kit(section)
        try:
            with uncollected():
                return self._graded(data, kit, student)
        except (UsageError, SandboxUnavailable):
            raise
        except Exception as error:
            said = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            line = f"the grader failed on it ({said}); marked for manual grading"
            return replace(unjudged(kit, student, "unreadable", line), unsettled=True)

    def _graded(self, data: bytes, kit: Kit, student: str) -> Result:
        began = time.perf_counter()
        section = kit.section
        assert section.exercise is not None
        try:
            found = find_answer(read_cells(data), kit.released, section.exercise)
        except Unreadable as error:
            return unjudged(kit, student, "unreadable", f"{error}; marked for manual grading")
        _ = self.box  # starting it doesn't count as the submission's time
        outcome = self._played(kit, found)
        outcome.timelines = explain_missing(outcome.timelines, found.lost, outcome.cell_errors)
        behaviours = kit.judge.judge(outcome.timelines)
        if kit.judge.exhausted:
            outcome.mishaps.append(("timeout", "its timelines take too long to judge"))
            outcome.needs = "judging what it did took too long: look at it, or grade it again with --force"
        behaviours = self._with_intended(kit, found, behaviours, outcome.timelines)
        return Result(
            student=student,
            section=section.name,
            exercise=section.exercise,
            verdict=verdict_of(outcome),
            sandbox=self.box.tier.name,
            seconds=time.perf_counter() - began,
            behaviours=tuple(behaviours),
            line=line_of(outcome, found),
            notes=(*notes_of(outcome, found), *remarks(outcome.timelines.values())),
            mistakes=tuple(headlines(behaviours, kit.mistakes)),
            needs=needs_of(outcome),
            unsettled=outcome.killed > 1,
        )

    def _played(self, kit: Kit, found: Answer) -> Outcome:
        """Like `_play`; if the sandbox dies meanwhile, play once more in another one."""
        budget = Budget(self.limit)
        for _ in range(2):
            try:
                return self._play(kit, found, budget)
            except ZygoteDied as died:
                last_words = str(died)
                self._close_box()
        return Outcome(mishaps=[("crashed", f"the whole sandbox died of it, twice ({last_words})")], killed=2)

    def _play(self, kit: Kit, found: Answer, budget: Budget) -> Outcome:
        wanted = [(one, self._seed(kit, found, one)) for one in kit.judge.scenarios]
        seed = self._drawn(kit, found, "cells")
        given = Given(found.cells, kit.names, kit.source, seed)
        outcome = play_all(self.box, given, kit.scenarios, wanted, budget)
        lacking = any(lacks_a_name(timeline) for timeline in outcome.timelines.values())
        if lacking and budget.used_up():
            outcome.needs = budget.needs
        elif lacking:
            given = replace_fields(given, cells=[replace_fields(cell, needed=True) for cell in found.cells])
            outcome = play_all(self.box, given, kit.scenarios, wanted, budget)
        return outcome

    def _seed(self, kit: Kit, found: Answer, wanted: Played) -> int:
        if kit.scenarios[wanted.name].fixed:
            return _number(repr(wanted).encode())
        return self._drawn(kit, found, repr(wanted))

    def _drawn(self, kit: Kit, found: Answer, what: str) -> int:
        """A seed derived from this submission and the course's secret, which nobody can foresee."""
        told = f"{self.seed}\0{kit.section.name}\0{what}\0{found.own}".encode("utf-8", "backslashreplace")
        return _number(hmac.digest(course_secret(self.course), told, "sha256"))

    def _with_intended(
        self, kit: Kit, found: Answer, behaviours: list[Behaviour], timelines: Mapping[Played, Timeline]
    ) -> list[Behaviour]:
        """The behaviours, each drawn run with the worked solution's run of the same random numbers."""
        parts = [[one for one in behaviours if one.hidden is hidden] for hidden in (False, True)]
        wanted = {(one.test, one.hidden) for part in parts for one in to_draw(part)}

        @cache  # the visible and the hidden part may use the same run
        def intended(one: Played) -> Timeline | None:
            return kit.intended(one, self._seed(kit, found, one))

        beside = []
        for behaviour, test in zip(behaviours, kit.judge.tests, strict=True):
            runs = [(one, timelines[one]) for one in test.scenarios if one in timelines]
            drawn = (behaviour.test, behaviour.hidden) in wanted
            beside.append(beside_intended(behaviour, runs, intended) if drawn else behaviour)
        return beside

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
    """The secret from which scenarios' values are derived: made once, kept beside the gradebook, never handed out."""
    path = course.root / ".course-secret"
    if not path.exists():
        made = stage(path, secrets.token_hex(32).encode(), mode=0o600)
        with contextlib.suppress(FileExistsError):
            os.link(made, path)  # if two processes come at once, one makes it and both read the same
        made.unlink()
    return path.read_bytes()


def _number(data: bytes) -> int:
    return int.from_bytes(hashlib.sha256(data).digest()[:6], "big")
