"""The welcome's storm: the numbers of the example in "Metastable Failures in Distributed Systems" (HotOS 2021)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from autograder.authoring.worked import solution_notebook
from autograder.notebook.answer import read_cells
from autograder.notebook.cells import CodeCell
from autograder.notebook.execution import run_notebook
from tests.sections.conftest import COURSE

WELCOME = next(section for section in COURSE.sections if section.notebook == "welcome")


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """What the notebook's cells define."""
    cells = [CodeCell(cell.source, False, n) for n, cell in enumerate(read_cells(solution_notebook(WELCOME)))]
    found, _ = run_notebook(cells, ["ask_twice", "evening", "asked", "good"])
    return found


async def ask_once(database: Any) -> None:
    """The same patience, and no second attempt."""
    async with asyncio.timeout(1):
        await database()


def test_the_service_stays_dead(names):
    """280 a second, 300 possible, 10 s without a cable: 560 requests a second afterwards, and none answered in time."""
    asked, good = names["asked"], names["good"]
    assert set(asked[:30]) == {280} and set(good[1:30]) == {280}
    assert set(asked[32:]) == {560} and set(good[31:]) == {0}
    assert len(asked) == len(good) == 120


def test_no_storm_below_half_the_capacity(names):
    """At 140 requests a second, under the example's 150, the same blip passes, though slowly."""
    asked, good = names["evening"](names["ask_twice"], rate=140, seconds=300)
    assert good[-1] == asked[-1] == 140


def test_without_a_second_attempt_it_comes_back(names):
    """A user who asks only once is answered again when the backlog is gone: nothing for a minute or two, then all."""
    _, good = names["evening"](ask_once, seconds=210)
    assert set(good[60:100]) == {0} and set(good[200:]) == {280}


def test_a_crowd_changes_nothing(names):
    """Ten users that count for one make the same evening as one by one."""
    _, alone = names["evening"](names["ask_twice"], crowd=1, seconds=35)
    _, crowd = names["evening"](names["ask_twice"], crowd=10, seconds=35)
    assert alone == pytest.approx(crowd, abs=10)
