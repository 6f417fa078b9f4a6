"""The numbers that the circuit breaker's notebook shows are the ones that its text names."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from autograder.notebook.answer import read_cells
from autograder.notebook.cells import CodeCell
from autograder.notebook.execution import run_notebook
from tests.sections.conftest import SECTIONS, notebook

BREAKER = next(section for section in SECTIONS if section.exercise == "circuit_breaker")
WANTED = [
    "mean_calls_until_open",
    "scopes",
    "let_through",
    "knockers",
    "with_yours",
    "attempts_until_open",
    "late_result",
    "state_at",
    "incident",
]
BREAKERS = ["LectureCircuitBreaker", "LectureBreakerWithNotes", "TinyBreaker", "CircuitBreaker"]
BREAKERS += ["WatchedBreaker", "tiny_state", "yours"]


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """What the notebook's cells define, its solution included."""
    cells = [CodeCell(cell.source, False, n) for n, cell in enumerate(read_cells(notebook(BREAKER)))]
    found, errors = run_notebook(cells, [*WANTED, *BREAKERS])
    assert not errors
    return found


def test_a_cumulative_count_opens_after_500_calls(names):
    """At 1 % errors and a threshold of 5 the lecture's breaker opens after 5 / 0.01 calls."""
    assert names["mean_calls_until_open"](0.01) == pytest.approx(500, rel=0.1)


def test_one_breaker_for_four_shards_answers_a_tenth(names):
    """One of four shards dead: 0.75 without a breaker, 0.10 with one for all, 0.75 with one for each."""
    shares = names["scopes"]()
    assert shares["no breaker"]["answered"] == pytest.approx(0.752, abs=0.02)
    assert shares["one for all shards"]["answered"] == pytest.approx(0.101, abs=0.015)
    assert shares["one for each shard"]["answered"] == pytest.approx(0.752, abs=0.02)
    load = {name: found["answered"] + found["failed"] for name, found in shares.items()}
    assert load["one for all shards"] == pytest.approx(0.135, abs=0.02)
    assert load["one for each shard"] == pytest.approx(0.756, abs=0.02)


def test_libraries_let_the_crowd_in(names):
    """Of 25 callers each library lets 25 through, as the lecture's breaker does, and the worked solution one."""
    assert list(names["let_through"]().values()) == [25] * 4
    lecture = names["LectureCircuitBreaker"]
    assert names["knockers"](lambda: lecture(3, 30.0)) == 25
    assert names["knockers"](names["with_yours"]) == 1


def test_retry_inside_spends_20_attempts(names):
    """Around the breaker 5 attempts open it, inside 20."""
    assert (names["attempts_until_open"](False), names["attempts_until_open"](True)) == (5, 20)


def test_a_late_result_closes_the_lectures_breaker(names):
    """At 33.5 s the late answer has closed the lecture's breaker, and not the one that takes notes."""
    states = [
        names["state_at"](names["late_result"](lambda kind=kind: names[kind](3, 30.0)), 33.5)
        for kind in ("LectureCircuitBreaker", "LectureBreakerWithNotes")
    ]
    assert states == ["closed", "half_open"]


def test_the_crowd_grows_when_its_answers_reset_the_count(names):
    """Behind the fifteen lines 13 workers get through at 15.3 s, and 22 ten seconds later."""
    watched, tiny, state = names["WatchedBreaker"], names["TinyBreaker"], names["tiny_state"]
    calls = names["incident"](lambda: watched(tiny(), state)).calls()
    assert [sum(at < call.start < at + 1 for call in calls) for at in (15, 25.5)] == [13, 22]


def test_a_callback_that_raises_replaces_the_calls_result(names):
    """What "Code review" says of the worked solution: on_state_change's error comes out instead of op's."""

    def broken(old, new):
        raise RuntimeError("the monitor is broken")

    async def failing():
        raise ConnectionError

    breaker = names["CircuitBreaker"](failure_threshold=1, on_state_change=broken)
    with pytest.raises(RuntimeError, match="the monitor is broken"):
        asyncio.run(breaker.call(failing))
    assert breaker.state == "open"


def test_five_good_probes_end_the_incident(names):
    """Behind the fifteen lines the database never warms up in the minute; behind the worked solution it does."""
    watched, tiny, state = names["WatchedBreaker"], names["TinyBreaker"], names["tiny_state"]
    before = names["incident"](lambda: watched(tiny(), state))
    options = {"failure_threshold": 3, "recovery_time": 10.0, "success_threshold": 5}
    after = names["incident"](lambda: names["yours"](**options))
    late = [[call for call in run.calls() if call.start > 45] for run in (before, after)]
    assert any(call.outcome == "error" for call in late[0])
    assert len(late[0]) < 100
    assert len(late[1]) > 700
    assert all(call.outcome == "ok" for call in late[1])
