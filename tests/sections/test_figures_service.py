"""The numbers that the complete service's notebook tells, from the notebook's own cells."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations
from typing import Any

import pytest

from autograder.notebook.answer import read_cells
from autograder.notebook.cells import CodeCell
from autograder.notebook.execution import run_notebook
from tests.sections.conftest import SECTIONS, notebook

SECTION = next(section for section in SECTIONS if section.name == "09_service")
INTENDED = "retry > bulkhead > breaker > timeout"
WANTED = ["LECTURES_ORDER", "night", "sick", "until_open", "measured", "order_trial", "Pile", "twelve", "crawled"]
MENDED = """
def new_breaker():
    return SmallBreaker(threshold=5, is_failure=lambda problem: not isinstance(problem, NotFound))


async def find_user(breaker, backend):
    return await small_retry(lambda: breaker.call(backend))
"""


def names_of(cells: list[str]) -> Mapping[str, Any]:
    found, errors = run_notebook([CodeCell(source, False, number) for number, source in enumerate(cells)], WANTED)
    assert not errors
    return found


@pytest.fixture(scope="module")
def cells() -> list[str]:
    return [cell.source for cell in read_cells(notebook(SECTION))]


@pytest.fixture(scope="module")
def names(cells: list[str]) -> Mapping[str, Any]:
    return names_of(cells)


def test_slots_held_through_everything(names):
    """100 slots of 20.7 s: after two minutes 500 of 2,400 requests have an answer, 1,800 wait; after 20 s none has."""
    timeline = names["night"](names["LECTURES_ORDER"], 120, threshold=10_000)
    came, answered = len(timeline.marks("comes")), len(timeline.marks("answered"))
    assert (came, answered, came - answered - 100) == (2400, 500, 1800)
    assert not names["night"](names["LECTURES_ORDER"], 20).marks("answered")


@pytest.mark.parametrize(("order", "attempts", "opens"), [(None, 20, 4.5), (INTENDED, 5, 0.95)])
def test_attempts_until_open(names, order, attempts, opens):
    """A dead backend gets 20 attempts in the lecture's order, and 5 with the retry outside of the breaker."""
    found = names["until_open"](names["sick"](order or names["LECTURES_ORDER"]))
    assert found == (attempts, pytest.approx(opens))


def test_slot_held(names):
    """A hanging backend: 20.7 s in the lecture's order, 5 s when the slot is taken for each attempt."""
    assert names["measured"](names["LECTURES_ORDER"], True)[2] == "20.7 s"
    assert names["measured"](INTENDED, True)[2] == "5 s"


def test_orders(names):
    """Of all orders those grant the three wishes that have the retry outermost and the timeout inside of the breaker;
    a hanging backend opens the circuit exactly where the timeout is inside of the breaker."""
    for order in permutations(["retry", "bulkhead", "breaker", "timeout"]):
        inside = order.index("breaker") < order.index("timeout")
        good = names["order_trial"]("\n".join(order)) == ""
        assert good == (order[0] == "retry" and inside), order
        assert (names["until_open"](names["sick"](" > ".join(order), True)) is not None) == inside, order


def test_buttons(names):
    """A button lifts its layer by one."""
    pile = names["Pile"]("a > b > c")
    pile.rows[2].click()
    assert pile.value == "a > c > b"
    pile.rows[0].click()
    assert pile.value == "a > c > b"


def test_deadline_too_short(names):
    """All twelve hang when the deadline ends the attempts; six when the attempt's own timeout does."""
    assert [len(names["twelve"](seconds).calls()) for seconds in (10, 1)] == [12, 6]


def test_crawler_can_be_mended(names, cells):
    """The warm-up says what is wrong, and is content with the fixed cell."""
    assert "CircuitIsOpen" in names["crawled"]()
    place = next(number for number, source in enumerate(cells) if source.startswith("def new_breaker"))
    assert names_of([*cells[:place], MENDED, *cells[place + 1 :]])["crawled"]() == ""
