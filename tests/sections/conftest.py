"""Sections as the tests see them: the notebook's cells, and an answer in the student's place."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from autograder.authoring.worked import run_answer, solution_notebook
from autograder.course import Course, Section
from autograder.judging.result import Behaviour
from autograder.learner.checking import judge_answer
from autograder.notebook.answer import read_cells

COURSE = Course.find(Path(__file__))
SECTIONS = [section for section in COURSE.sections if section.exercise is not None and section.tests.is_file()]


@cache
def notebook(section: Section) -> bytes:
    """The notebook with its solution."""
    return solution_notebook(section)


def stub(section: Section) -> str:
    """The student's cell as it is released."""
    cells = read_cells((section.released / f"{section.notebook}.ipynb").read_bytes())
    return next(cell.source for cell in cells if cell.grade_id == section.exercise)


def judge(section: Section, answer: str | None = None) -> list[Behaviour]:
    """Visible and hidden behaviours of an answer."""
    assert section.exercise is not None
    found = run_answer(section, notebook(section), answer)
    parts = [judge_answer(section.exercise, found, section.folder, hidden=hidden).result for hidden in (False, True)]
    assert all(part.behaviours for part in parts), [part.line for part in parts]
    return [behaviour for part in parts for behaviour in part.behaviours]


def failed(behaviours: list[Behaviour]) -> list[str]:
    """The ids of what wasn't seen, visible or hidden."""
    return sorted({behaviour.test for behaviour in behaviours if not behaviour.passed})


def explained(behaviours: list[Behaviour]) -> str:
    """What wasn't seen, in the words that a student reads."""
    lines = [
        f"{behaviour.test}{' (hidden)' if behaviour.hidden else ''}: {behaviour.message}"
        for behaviour in behaviours
        if not behaviour.passed
    ]
    return "\n".join(lines) or "every behaviour was seen"
