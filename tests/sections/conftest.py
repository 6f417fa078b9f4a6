"""Sections as the tests see them: the notebook's cells, an answer in the student's place, and a table of what each
mistake loses, printed at the end."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from autograder.answer import read
from autograder.authoring import answered, solved
from autograder.check import judged
from autograder.course import Course, Section
from autograder.result import Behaviour

COURSE = Course.find(Path(__file__))
SECTIONS = [section for section in COURSE.sections if section.exercise is not None and section.tests.is_file()]


class Judged(NamedTuple):
    """One answer of `right/` or `wrong/`: what it lost, and whether it was seen as what it is."""

    kind: str
    answer: str
    lost: list[str]
    well: bool


@cache
def notebook(section: Section) -> bytes:
    """The notebook with its solution."""
    return solved(section)


def stub(section: Section) -> str:
    """The student's cell as it is released."""
    cells = read((section.released / f"{section.notebook}.ipynb").read_bytes())
    return next(cell.source for cell in cells if cell.grade_id == section.exercise)


def judge(section: Section, answer: str | None = None) -> list[Behaviour]:
    """Visible and hidden behaviours of an answer."""
    assert section.exercise is not None
    found = answered(section, notebook(section), answer)
    parts = [judged(section.exercise, found, section.folder, hidden=hidden).result for hidden in (False, True)]
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


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Collected where the reports arrive: with several workers, that is in one place only."""
    for name, value in report.user_properties:
        if name == "answer" and report.when == "call" and isinstance(value, list | tuple):
            section, kind, answer, lost = value
            _matrix[section].append(Judged(kind, answer, lost, report.passed))


_matrix: dict[str, list[Judged]] = defaultdict(list)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The kill matrix: what each mistake loses; how many mistakes and right answers are seen as what they are."""
    for section, rows in sorted(_matrix.items()):
        terminalreporter.section(f"{section}: what each mistake loses")
        width = max(len(row.answer) for row in rows)
        for row in sorted(rows):
            if row.kind == "mistake":
                terminalreporter.write_line(f"{row.answer:{width}}  {', '.join(row.lost) or 'nothing'}")
    for section, rows in sorted(_matrix.items()):
        said = [f"{sum(row.well for row in of)} of {len(of)} {words}" for words, of in _kinds(rows)]
        terminalreporter.write_line(f"{section}: {', '.join(said)}")


def _kinds(rows: list[Judged]) -> list[tuple[str, list[Judged]]]:
    kinds = {"mistake": "mistakes caught", "right": "right answers accepted"}
    return [(words, [row for row in rows if row.kind == kind]) for kind, words in kinds.items()]
