"""A section's worked notebook, and the names that an answer defines in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from autograder.course import Section
from autograder.notebook.answer import find_answer, read_cells
from autograder.notebook.cells import CodeCell, needed
from autograder.notebook.execution import run_notebook
from autograder.notebook.source import source_notebook
from faultlab.scenario import asked


def given_texts(section: Section, notebook: bytes) -> list[str]:
    """The texts of the cells that an answer is graded with."""
    cells = read_cells(notebook)
    found = find_answer(
        cells, [cell for cell in cells if cell.grade_id != section.exercise], str(section.exercise)
    ).cells
    wanted = asked(section.scenarios.read_text(encoding="utf-8"))
    return [found[number].source for number in sorted(needed(found, wanted)) if not found[number].own]


def solution_notebook(section: Section) -> bytes:
    """The section's notebook with its solution."""
    import nbformat

    return str(nbformat.writes(source_notebook(section))).encode()


def run_answer(section: Section, notebook: bytes, text: str | None = None) -> dict[str, Any]:
    """The names that grading finds when `text` stands in the student's cell (None: the solution).

    `notebook` is the one with its solution.
    """
    return answer_runner(section, notebook, text)()


def answer_runner(section: Section, notebook: bytes, text: str | None) -> Callable[[], dict[str, Any]]:
    """Run the cells and return their names; each call runs them anew."""
    cells, wanted = answer_cells(section, notebook, text)
    return lambda: run_notebook(cells, wanted)[0]


def answer_cells(section: Section, notebook: bytes, text: str | None) -> tuple[list[CodeCell], list[str]]:
    """The cells that grading runs when `text` stands in the student's cell, and the names that it asks for."""
    assert section.exercise is not None
    cells = read_cells(notebook)
    given = [cell for cell in cells if cell.grade_id != section.exercise]
    if text is not None:
        cells = [replace(cell, source=text) if cell.grade_id == section.exercise else cell for cell in cells]
    wanted = asked(section.scenarios.read_text(encoding="utf-8"))
    return find_answer(cells, given, section.exercise).cells, wanted
