"""A class that wants more than its share: of the machine's memory, of its time, of the grader's patience.

Two graders side by side, an honest submission beside each hostile one. In CI it is graded twice, at load 0 and 16;
`pytest -m heavy tests/attacks/test_hostile.py --turns 10` does it ten times.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import cycle
from pathlib import Path

import pytest

from autograder.course import Course, Submission
from autograder.grading.grade import course_secret
from autograder.grading.pool import Job, Setting, grade_class
from autograder.judging.result import Result
from benchmarks.regrade import as_bytes, load
from tests.attacks.corpus import FULL, HONEST, SECTION, answered, attacks, make_course
from tests.autograder.sandbox.boxes import descendants

MEMORY = 1500
"""Megabytes that all processes may take together, this one included."""
LIMIT, LATE = 20.0, 20.0
"""Wall-clock seconds that a submission may take, and what stopping and judging it may take on top on a busy machine."""
LOADS = (0, 16)
HOSTILE = {attack.name: attack for attack in attacks("hostile")}
"""Those that are `idle` meet the wall clock."""


def the_class(course: Course) -> list[Job]:
    """A hostile submission, an honest one, a hostile one, ..."""
    section = course.section(SECTION)
    jobs = []
    for number, attack in enumerate(HOSTILE.values()):
        honest = json.dumps(answered(f"# {number}\n{HONEST}")).encode()
        jobs.append(Job(Submission(attack.name, section, course.root), attack.data({})))
        jobs.append(Job(Submission(f"honest {number}", section, course.root), honest))
    return jobs


def memory(others: set[int]) -> int:
    """Megabytes that this process and all below it but `others` take; what several share is counted once."""
    return sum(_proportional(number) for number in {os.getpid(), *descendants(os.getpid())} - others) >> 10


def _proportional(number: int) -> int:
    for name, key in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):  # the first may not be ours to look into
        with suppress(OSError):  # or it has ended
            text = Path(f"/proc/{number}/{name}").read_text()
            return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith(key))
    return 0


@contextmanager
def watched() -> Iterator[list[int]]:
    """What `memory` said, again and again, of this process and of those that are started from now on."""
    others = set(descendants(os.getpid()))
    seen, over = [memory(others)], threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            seen.append(memory(others))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


@pytest.fixture
def course() -> Iterator[Course]:
    folder = Path(tempfile.mkdtemp(prefix="course-"))
    folder.chmod(0o777)
    made = make_course(folder)
    course_secret(made)
    yield made
    shutil.rmtree(folder)


def met_the_clock(result: Result) -> bool:
    """Whether the machine's speed may have decided, so that a person looks at it."""
    return "wall-clock" in result.needs


@pytest.mark.heavy
@pytest.mark.timeout(3600)
def test_a_hostile_class(course: Course, pytestconfig: pytest.Config, record_property) -> None:
    """All processes stay below 1.5 GB together, none takes longer than allowed, honest neighbours get full marks, and
    each line is the same at any load, but of those that met the wall clock: a person is asked about them."""
    first: dict[str, bytes] = {}
    compared: set[str] = set()
    for _, busy in zip(range(pytestconfig.getoption("turns")), cycle(LOADS), strict=False):
        began = time.monotonic()
        with load(busy), watched() as seen:
            found = grade_class(course, the_class(course), Setting(jobs=2, limit=LIMIT))
            results = {result.student: result for _, result in found}
        record_property(f"load {busy}", (max(seen), round(time.monotonic() - began)))
        print(f"load {busy}: {max(seen)} MB at most, {time.monotonic() - began:.0f} s")
        for name, result in results.items():
            print(f"  {name}: {result.verdict} {result.score:g} {result.seconds:.1f} s {result.line} {result.needs}")
        assert max(seen) < MEMORY
        assert {name: one.seconds for name, one in results.items() if one.seconds > LIMIT + LATE} == {}
        assert {name: as_bytes(one) for name, one in results.items() if name.startswith("honest") and lost(one)} == {}
        for name, attack in HOSTILE.items():
            one = results[name]
            assert met_the_clock(one) or not attack.idle, as_bytes(one)
            assert one.score <= attack.points, as_bytes(one)
            if not met_the_clock(one):
                assert one.verdict in attack.verdicts and one.score >= attack.least, as_bytes(one)
        lines = {name: as_bytes(one) for name, one in results.items() if not met_the_clock(one)}
        differing = {name for name in first.keys() & lines.keys() if first[name] != lines[name]}
        assert not differing, [(first[name], lines[name]) for name in differing]
        compared |= first.keys() & lines.keys()
        first = lines | first
    assert len(compared) >= len(HOSTILE) + 3, "nearly all of the hostile ones met the clock"


def lost(result: Result) -> bool:
    return result.score != FULL or result.verdict != "graded" or bool(result.line or result.needs)
