"""What the notebook on degradation tells in its prose, from the notebook's own cells."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from autograder.authoring.worked import solution_notebook
from autograder.notebook.answer import read_cells
from autograder.notebook.cells import CodeCell
from autograder.notebook.execution import run_notebook
from faultlab import simulate
from tests.sections.conftest import SECTIONS, notebook

SECTION = next(section for section in SECTIONS if section.name == "07_degradation")
WANTED = ["green", "honest", "eldest", "night_shift", "crowd", "each_for_itself", "single_flight", "leader_leaves"]
WANTED += ["lecture_get_user_with_fallback", "led_by_the_first"]
MENDED = """
async def led_by_the_first(user, database, under_way):
    if user not in under_way:
        under_way[user] = asyncio.create_task(database(user))
    return await asyncio.shield(under_way[user])
"""


@pytest.fixture(scope="module")
def names() -> Mapping[str, Any]:
    cells = enumerate(read_cells(notebook(SECTION)))
    found, errors = run_notebook([CodeCell(cell.source, False, number) for number, cell in cells], WANTED)
    assert not errors
    return found


def sources(got: list[tuple[float, str]]) -> Counter[str]:
    return Counter(source for _, source in got)


def test_half_of_the_night_was_invented(names):
    """Four visits a second for ten minutes, the database away for five: 1,200 answers are invented, none fails."""
    assert sources(names["green"]) == {"fresh": 1200, "default": 1200}


def test_a_memory_serves_nine_of_ten(names):
    """With a memory nine of ten visits in the outage get an old answer, the others an error, nobody a default."""
    found = sources(names["honest"])
    assert set(found) == {"fresh", "stale", "error"} and found["stale"] / 1200 == pytest.approx(0.9, abs=0.03)
    assert 300 < names["eldest"] < 420


def test_the_listing_invents_and_never_fails(names):
    """In that night the lecture's listing answers always: from the database, from the copy, or with a default."""
    assert set(sources(names["night_shift"](names["lecture_get_user_with_fallback"]))) == {"fresh", "stale", "default"}


def test_single_flight_lanes(names):
    """Five visitors make five calls, and one when they share; Ben alone leaves, and all five are cancelled."""
    crowd = names["crowd"]
    assert len(crowd(names["each_for_itself"]).calls()) == 5
    shared = crowd(names["single_flight"])
    assert len(shared.calls()) == 1 and len(shared.marks("has it")) == 5
    left = crowd(names["single_flight"], gives_up="ben").waits()
    assert [wait.how for wait in left] == ["cancelled"] * 5


def test_the_cancelled_leader_can_be_mended(names):
    """The warm-up is red as it is, red without a shield, and green with a task and a shield."""
    leader_leaves = names["leader_leaves"]
    space = leader_leaves.__globals__
    assert "forever" in leader_leaves()
    exec(MENDED.replace("asyncio.shield(under_way[user])", "under_way[user]"), space)
    assert "an answer: none" in leader_leaves()
    exec(MENDED, space)
    assert leader_leaves() == ""


def test_the_worked_solution_is_what_its_review_says():
    """A thousand keys leave a thousand old answers, and a listener's error replaces the answer."""
    cells = [CodeCell(cell.source, False, n) for n, cell in enumerate(read_cells(solution_notebook(SECTION)))]
    found, errors = run_notebook(cells, ["Fallback"])
    assert not errors
    well = True

    async def primary(key: int) -> int:
        if not well:
            raise OSError(key)
        return key

    def listener(served: Any) -> None:
        raise ZeroDivisionError

    async def both() -> int:
        nonlocal well
        fallback = found["Fallback"](primary, max_stale=1.0, on_degraded=listener)
        for key in range(1000):
            await fallback.get(key)
        well = False
        with pytest.raises(ZeroDivisionError):
            await fallback.get(0)
        await asyncio.sleep(100)
        return len(fallback.cache)

    assert simulate(both).value == 1000
