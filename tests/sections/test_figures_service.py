"""The numbers that the complete service's notebook tells, from the notebook's own cells."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from itertools import permutations
from statistics import median
from typing import Any

import pytest

from autograder.notebook.answer import read_cells
from autograder.notebook.cells import CodeCell
from autograder.notebook.execution import run_notebook
from faultlab import simulate
from tests.sections.conftest import SECTIONS, notebook

SECTION = next(section for section in SECTIONS if section.name == "09_service")
INTENDED = "retry > bulkhead > breaker > timeout"
WANTED = ["LECTURES_ORDER", "night", "sick", "until_open", "measured", "order_trial", "Stack", "twelve", "crawled"]
WANTED += ["over_http", "lecture_main", "asleep", "latencies", "Bulkhead", "BulkheadFull", "CircuitBreaker"]
FIXED = """
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
    """A dead backend gets 20 attempts in the lecture's order, and 5 with the retry outside the breaker."""
    found = names["until_open"](names["sick"](order or names["LECTURES_ORDER"]))
    assert found == (attempts, pytest.approx(opens))


def test_slot_held(names):
    """A hanging backend: 20.7 s in the lecture's order, 5 s when the slot is taken for each attempt."""
    assert names["measured"](names["LECTURES_ORDER"], True)[2] == "20.7 s"
    assert names["measured"](INTENDED, True)[2] == "5 s"


def test_orders(names):
    """Of all orders those grant the three wishes that have the retry outermost and the timeout inside the breaker;
    a hanging backend opens the circuit exactly where the timeout is inside the breaker."""
    for order in permutations(["retry", "bulkhead", "breaker", "timeout"]):
        inside = order.index("breaker") < order.index("timeout")
        good = names["order_trial"]("\n".join(order)) == ""
        assert good == (order[0] == "retry" and inside), order
        assert (names["until_open"](names["sick"](" > ".join(order), True)) is not None) == inside, order


def test_buttons(names):
    """A button lifts its layer by one."""
    stack = names["Stack"]("a > b > c")
    stack.rows[2].click()
    assert stack.value == "a > c > b"
    stack.rows[0].click()
    assert stack.value == "a > c > b"


def test_deadline_too_short(names):
    """All twelve hang when the deadline ends the attempts; six when the attempt's own timeout does."""
    assert [len(names["twelve"](seconds).calls()) for seconds in (10, 1)] == [12, 6]


def test_crawler_can_be_mended(names, cells):
    """The warm-up says what is wrong, and accepts the fixed cell."""
    assert "CircuitIsOpen" in names["crawled"]()
    place = next(number for number, source in enumerate(cells) if source.startswith("def new_breaker"))
    assert names_of([*cells[:place], FIXED, *cells[place + 1 :]])["crawled"]() == ""


def test_server_stops(names):
    """A client that raises gets its error, and the server it asked has stopped: no task of it is left."""

    async def main() -> int:
        with pytest.raises(TypeError):
            await names["over_http"](names["lecture_main"](None, print), [object()])
        return len(asyncio.all_tasks())

    assert asyncio.run(main()) == 1


def test_asleep(names):
    """Two thirds of the slots' time are spent asleep with the bulkhead outside, and nothing with it inside."""
    assert [names["asleep"](order) for order in ("bulkhead > retry", "retry > bulkhead")] == [pytest.approx(200 / 3), 0]


def test_median_of_a_bad_night(names):
    """In a night without any value, rejections make the median latency 0 s; without them it is 5.1 s."""
    timeline = names["night"](INTENDED, 30)
    of_all = names["latencies"](timeline)
    called = [of_all[lane] for lane in {call.lane for call in timeline.calls()}]
    assert not [call for call in timeline.calls() if call.outcome == "ok"]
    assert (median(of_all.values()), median(called)) == (0, pytest.approx(5.1))


@pytest.mark.parametrize("is_failure", [True, False])
def test_rejecting_bulkhead_inside(names, is_failure):
    """A bulkhead that rejects, inside the exercise's breaker: rejections open the circuit of a healthy backend, or they
    reset the count of a dead one."""
    full = names["BulkheadFull"]
    breaker = names["CircuitBreaker"](
        failure_threshold=3, is_failure=lambda error: is_failure or not isinstance(error, full)
    )
    bulkhead = names["Bulkhead"](1)

    async def backend() -> None:
        await asyncio.sleep(1)
        if not is_failure:
            raise ConnectionError

    async def main() -> str:
        for _ in range(4):
            each = [breaker.call(lambda: bulkhead.run(backend)) for _ in range(4)]
            await asyncio.gather(*each, return_exceptions=True)
        return str(breaker.state)

    assert simulate(main).value == ("open" if is_failure else "closed")
