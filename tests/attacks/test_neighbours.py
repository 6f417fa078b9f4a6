"""Several in flight: hostile submissions beside honest ones, two graders side by side."""

from __future__ import annotations

import os
import shutil
import tempfile
from multiprocessing import resource_tracker
from pathlib import Path

import pytest

from autograder.course import Submission
from autograder.grading.grade import course_secret
from autograder.grading.pool import Job, Setting, grade_class
from tests.attacks.canaries import canaries
from tests.attacks.corpus import FULL, SECTION, attacks, make_course
from tests.attacks.field import HONESTLY
from tests.autograder.sandbox.boxes import descendants, eventually

EVERY = 12
"""Of each category every so-manieth attack."""
NAMES = ("resources", "exits", "escape", "forgery", "values", "threats")


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_neighbours_in_flight(record_property) -> None:
    """Whatever is graded before, after and beside them, the honest get full marks, and nobody earns more than alone."""
    chosen = [attack for name in NAMES for attack in attacks(name)[::EVERY] if not attack.idle]
    assert {attack.heavy for attack in chosen} == {True, False}
    resource_tracker.ensure_running()  # Python's own helper of its processes, which stays
    before = descendants(os.getpid())
    folder = Path(tempfile.mkdtemp(prefix="course-"))
    try:
        course = make_course(folder)
        section = course.section(SECTION)
        course_secret(course)
        with canaries(folder) as birds:
            facts = birds.facts() | {"JUDGE": os.getpid(), "ZYGOTE": os.getpid(), "COURSE": str(folder), "SYS": {}}
            jobs, known = [], {}
            for number, attack in enumerate(chosen):
                known[f"mallory{number}"] = attack
                jobs.append(Job(Submission(f"mallory{number}", section, folder), attack.data(facts)))
                jobs.append(Job(Submission(f"ada{number}", section, folder), HONESTLY))
            state = birds.state()
            results = {job.submission.student: result for job, result in grade_class(course, jobs, Setting(jobs=2))}
            assert birds.state() == state and birds.heard() == []
    finally:
        shutil.rmtree(folder)
    assert len(results) == len(jobs)
    harmed = [name for name, one in results.items() if name.startswith("ada") and one.score != FULL]
    gained = [name for name, attack in known.items() if results[name].score > attack.points]
    record_property("attack", (len(gained), len(harmed)))
    assert not harmed, [(results[name].verdict, results[name].line) for name in harmed]
    assert not gained, [(known[name].name, results[name].score) for name in gained]
    assert eventually(lambda: descendants(os.getpid()) == before)
