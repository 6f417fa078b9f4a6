"""Sort a class's submissions into those that are graded and verdicts on those that can't be."""

from __future__ import annotations

import random
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain

from autograder.course import Course, Submission
from autograder.errors import NothingHandedIn, UnreadableSubmission
from autograder.grading.pool import Job, Setting, grade_class
from autograder.grading.verdict import not_graded
from autograder.judging.result import Result
from autograder.nbgrader.stamps import read_stamps, with_note
from autograder.notebook.handin import HandedIn, open_submission

LIBRARIES = ("numpy", "matplotlib", "anyio", "tenacity", "stamina", "structlog", "prometheus_client", "starlette")
"""Libraries that are worth importing before children are forked, if submissions mention them."""
SAMPLE = 200
"""How many submissions of a class are read beforehand to see which libraries they mention."""


def read_submission(submission: Submission) -> HandedIn | Result:
    """A submission's notebook, or the verdict when there is none to grade; a note reports an odd timestamp."""
    folder = submission.path.parent
    try:
        found = open_submission(submission)
        return replace(found, notes=(*found.notes, *filter(None, [read_stamps(folder).note])))
    except NothingHandedIn as error:
        return with_note(not_graded(submission, "missing", str(error)), folder)
    except UnreadableSubmission as error:
        line = f"{error}; marked for manual grading"
        return with_note(not_graded(submission, "unreadable", line), folder)


def _mentioned(submissions: Sequence[Submission]) -> tuple[str, ...]:
    """The heavy libraries that more than a few submissions mention in what they import, judged by a sample."""
    pattern = re.compile(rb"import (" + b"|".join(name.encode() for name in LIBRARIES) + rb")\b")
    sample = random.Random(0).sample(submissions, min(SAMPLE, len(submissions)))  # every n-th may be of one section
    counts: dict[str, int] = {}
    for submission in sample:
        found = read_submission(submission)
        for name in set() if isinstance(found, Result) else set(pattern.findall(found.data)):
            counts[name.decode()] = counts.get(name.decode(), 0) + 1
    return tuple(name for name in LIBRARIES if counts.get(name, 0) * len(submissions) > 3 * len(sample))


def everything(
    course: Course, submissions: Iterable[Submission], setting: Setting
) -> Iterator[tuple[Job | None, Result]]:
    """Grade every submission, with a verdict on those without bytes too; each is read when its turn comes."""
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
    """The submissions of sections with a graded exercise."""
    chosen = list(submissions)
    graded = {section for section in {one.section for one in chosen} if section.exercise is not None}
    return [one for one in chosen if one.section in graded]


def _jobs(submissions: Iterable[Submission], aside: deque[Result]) -> Iterator[Job]:
    """The jobs; verdicts on everything else are kept aside."""
    for submission in submissions:
        found = read_submission(submission)
        if isinstance(found, Result):
            aside.append(found)
        else:
            yield Job(submission, found.data, found.notes, found.needs)


def _emptied(aside: deque[Result]) -> Iterator[tuple[None, Result]]:
    while aside:
        yield None, aside.popleft()
