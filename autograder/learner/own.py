"""A learner's own answer to another notebook's exercise, for the notebooks that build on it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograder.course import refuse_submission
from autograder.errors import UnreadableSubmission, UsageError
from autograder.files import read_regular
from autograder.judging.bench import Bench
from autograder.learner.checking import judge_answer
from autograder.learner.local import check_file
from autograder.notebook.answer import Unreadable, find_answer, only, read_cells
from autograder.notebook.execution import run_notebook
from autograder.notebook.guest import in_a_kernel


@dataclass(frozen=True)
class Own:
    """A learner's own answer to an exercise: the names that its notebook defines, if it passes, and a line about it."""

    exercise: str
    names: Mapping[str, Any] | None
    line: str


def own_answer(exercise: str, folder: Path | None = None) -> Own:
    """The learner's answer to another notebook's exercise, from the folders beside this one's (`folder`).

    `.names` is None, and `.line` says why, when there is no such notebook or its answer doesn't pass yet.
    """
    beside = sorted((folder or Path.cwd()).resolve().parent.glob(f"*/{exercise}.ipynb"))
    if not beside:
        return Own(exercise, None, f"{exercise}: no notebook of yours here, so the worked answer")
    try:
        passed, seen = _standing(exercise, beside[0])
        if passed:
            return Own(exercise, _answer_alone(exercise, beside[0]), f"{exercise}: yours")
    except (UsageError, Unreadable, UnreadableSubmission) as error:
        return Own(exercise, None, f"{exercise}: the worked answer ({error})")
    return Own(exercise, None, f"{exercise}: the worked answer (yours has {seen})")


def _standing(exercise: str, path: Path) -> tuple[bool, str]:
    """Whether a notebook's answer passes, and its points, as judged in a process that runs cells as a notebook does.

    A learner's kernel can't be that process. Raises UsageError, Unreadable and UnreadableSubmission.
    """
    if in_a_kernel() and sys.platform != "emscripten":
        said = check_file(path, alone=True)
        passed = [behaviour["passed"] for behaviour in said["behaviours"]]
        score, most, line = said["score"], said["max_score"], said["line"]
    else:
        result = judge_answer(exercise, _answer_alone(exercise, path), path.parent).result
        passed = [behaviour.passed for behaviour in result.behaviours]
        score, most, line = result.score, result.max_score, result.line
    return bool(passed) and all(passed), f"{score:g} of {most:g} visible points so far" if passed else line


def _answer_alone(exercise: str, path: Path) -> Mapping[str, Any]:
    """The names of a notebook's answer and of what it uses; figures and experiments aren't run again.

    Raises UsageError, Unreadable and UnreadableSubmission.
    """
    refuse_submission(path)
    bench = Bench.at(exercise, path.parent)
    cells = read_cells(read_regular(path))
    with _unseen():
        return run_notebook(only(find_answer(cells, [], exercise)).cells, bench.wanted)[0]


@contextmanager
def _unseen() -> Iterator[None]:
    """In a notebook, keep displays of the other notebook's cells out of this cell."""
    if not in_a_kernel():
        yield
        return
    from IPython.utils.capture import capture_output

    with capture_output():
        yield
