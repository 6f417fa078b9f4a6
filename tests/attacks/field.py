"""Where attacks are tried: a grader in one tier, its canaries, and the checks that follow each attempt."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from autograder.course import Course, Section
from autograder.grading import grade
from autograder.grading.grade import Grader
from autograder.judging.result import Result
from autograder.sandbox import linux
from autograder.sandbox.limits import Budget, Limits
from autograder.sandbox.syscalls import rows
from tests.attacks.canaries import SECRET, Canaries, canaries
from tests.attacks.corpus import BREACH, FULL, HONEST, SECTION, Attack, answered, make_course
from tests.autograder.sandbox.boxes import Setting, descendants, eventually, staged

HONESTLY = json.dumps(answered(HONEST)).encode()
OWN_CPU = 20.0
"""Seconds of processor time that grading one attack may cost the trusted side: many times what its limits allow."""
WALL = 120.0
"""Wall-clock seconds that it may take: many times what its processor time may cost."""


@dataclass
class Field:
    """One grader, and what must not change around it."""

    grader: Grader
    section: Section
    canaries: Canaries
    setting: Setting

    @property
    def hasty(self) -> bool:
        """Whether the kernel's limit comes before the alarms: what takes its time was tried with both elsewhere."""
        return "nobody" in self.setting.roles

    @property
    def course(self) -> Course:
        return self.grader.course

    def facts(self) -> dict[str, Any]:
        """What an attack is told so that it can aim."""
        beneath = descendants(os.getpid())
        calls = {row.name: row.numbers[linux.MACHINE] for row in rows() if linux.MACHINE in row.numbers}
        who = {"JUDGE": os.getpid(), "ZYGOTE": beneath[-1], "COURSE": str(self.course.root)}
        return self.canaries.facts() | who | {"SYS": calls}

    def grade(self, attack: Attack) -> Result:
        with pytest.MonkeyPatch.context() as patch, staged(*self.setting.roles):
            usual = Limits()
            cpu, idle = 2 if self.hastily(attack) else usual.cpu, 1.0 if attack.idle else usual.idle
            sooner = Limits(cpu=cpu, idle=idle, total=10.0 if attack.idle else usual.total)
            patch.setattr(grade, "Budget", lambda limit: Budget(limit, each=sooner))
            return self.grader.grade(attack.data(self.facts()), self.section, "mallory")

    def hastily(self, attack: Attack) -> bool:
        return self.hasty and attack.heavy and not attack.least

    def contain(self, attack: Attack) -> dict[str, Any]:
        """Grade it and look around. What went wrong comes back by name; nothing is what should."""
        box, before, processes = self.grader.box, self.canaries.state(), descendants(os.getpid())
        descriptors = len(os.listdir("/proc/self/fd"))
        began, spent = time.monotonic(), time.process_time()
        result = self.grade(attack)
        took, cost = time.monotonic() - began, time.process_time() - spent
        verdicts = {*attack.verdicts, *(["timeout"] if self.hastily(attack) else [])}
        told = f"{result.row()} {result.line} {result.notes}"
        wrong: dict[str, Any] = {
            "points gained": result.score - attack.points if result.score > attack.points else 0,
            "points lost": attack.least - result.score if result.score < attack.least else 0,
            "verdict": result.verdict if result.verdict not in verdicts else "",
            "line": "" if re.search(attack.says, f"{result.line} {result.notes}") else f"it says {result.line!r}",
            "breach": told if BREACH in told or SECRET in told else "",
            "canaries": [old for old, new in zip(before, self.canaries.state(), strict=True) if old != new],
            "listeners": self.canaries.heard(),
            "time": round(took) if took > WALL or cost > OWN_CPU else 0,
            "processes": [] if eventually(lambda: descendants(os.getpid()) == processes) else descendants(os.getpid()),
            "descriptors": len(os.listdir("/proc/self/fd")) - descriptors,
            "the sandbox died": self.grader.box is not box,
        }
        wrong["neighbour harmed"] = self.harmed()
        wrong = {name: seen for name, seen in wrong.items() if seen}
        return wrong | {"result": f"{result.verdict} {result.score:g}: {result.line}"} if wrong else {}

    def harmed(self) -> str:
        """What became of the next honest submission; empty when it is the same as ever."""
        with staged(*self.setting.roles):  # only while it grades: other tests start boxes too
            result = self.grader.grade(HONESTLY, self.section, "ada")
        good = result.verdict == "graded" and result.score == result.max_score == FULL and not result.line
        return "" if good else f"{result.row()} {result.line}"


@contextmanager
def field(folder: Path, setting: Setting) -> Iterator[Field]:
    """A field in that tier, started as that user."""
    folder.chmod(0o777)
    course = make_course(folder)
    with canaries(course.root) as birds:
        grader = Grader(course, tier=setting.tier)  # type: ignore[arg-type]
        try:
            found = Field(grader, course.section(SECTION), birds, setting)
            assert not found.harmed()
            yield found
        finally:
            grader.close()
