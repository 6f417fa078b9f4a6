"""The policy table of the errors notebook says what its classes say, and what the logging exercise grades."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import suppress
from typing import Any

import pytest

from autograder.authoring.worked import solution_notebook
from autograder.notebook.answer import read_cells
from autograder.notebook.cells import CodeCell
from autograder.notebook.execution import run_notebook
from faultlab import simulate
from tests.sections.conftest import COURSE


def names_of(notebook: str, *wanted: str) -> dict[str, Any]:
    """What the cells of a notebook define, its solution included."""
    section = next(section for section in COURSE.sections if section.notebook == notebook)
    cells = [CodeCell(cell.source, False, n) for n, cell in enumerate(read_cells(solution_notebook(section)))]
    found, _ = run_notebook(cells, list(wanted))
    return {name: found[name] for name in wanted}


@pytest.fixture(scope="module")
def rows() -> list[list[str]]:
    """The table's rows, without their marks: what came up, becomes, again?, status, breaker?, log level."""
    section = next(section for section in COURSE.sections if section.notebook == "errors")
    lines = section.source.read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("# | what came up |"))
    table = [line for line in lines[start + 2 : start + 20] if line.startswith("# | ")]
    return [[cell.strip(" `*") for cell in line[2:].strip("| ").split("|")] for line in table]


@pytest.fixture(scope="module")
def known() -> dict[str, Any]:
    """The classes that the exercise is given."""
    return names_of("errors", "NotFound", "InvalidInput", "DeadlineExceeded", "Unavailable")


def test_the_classes_agree(rows: list[list[str]], known: dict[str, Any]) -> None:
    """Status and "again?" of each row are those of the class that it names."""
    named = [row for row in rows if row[1] in known]
    assert {row[1] for row in named} == set(known)
    for _, becomes, again, status, *_ in named:
        assert known[becomes].status == int(status)
        assert known[becomes].retryable is (again == "yes")


def test_the_levels_are_those_that_are_graded(rows: list[list[str]], known: dict[str, Any]) -> None:
    """A request that ends so is logged with the table's level by the logging exercise's worked answer."""
    logging = names_of("logging", "Logger", "serve")
    failures = {
        "NotFound": known["NotFound"]("user", 7),
        **{name: known[name]("no") for name in ("InvalidInput", "DeadlineExceeded", "Unavailable")},
        "KeyError, sqlite3.IntegrityError": sqlite3.IntegrityError("a bug"),
        "CancelledError": asyncio.CancelledError(),
    }
    assert len(rows) == 7
    for came, becomes, *_, level in rows:
        failure = failures.get(becomes) or failures[came.replace("`", "")]
        lines: list[str] = []

        async def handler(failure: BaseException = failure) -> None:
            raise failure

        with suppress(asyncio.CancelledError):
            simulate(logging["serve"](logging["Logger"](lines.append), "r1", handler), catch=True)
        assert [json.loads(line)["level"] for line in lines] == [level], came
