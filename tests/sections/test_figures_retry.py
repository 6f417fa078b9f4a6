"""What the retry notebook says of contention, of few clients and of lost connections is so.

Its simulation of contention agrees with the published one that it repeats.

Published: aws-samples/aws-arch-backoff-simulator, the simulation behind "Exponential Backoff and Jitter" (AWS
Architecture Blog, 2015), 100 trials of 100 clients. Deviations are those of single trials.
"""

from __future__ import annotations

import random
from math import sqrt
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from autograder.course import Course
from autograder.notebook.cells import CodeCell
from autograder.notebook.execution import run_notebook
from autograder.notebook.source import author_notebook
from faultlab import simulate

CLIENTS, TRIALS, PUBLISHED_TRIALS = 100, 20, 100
PUBLISHED = {  # recipe: calls and their deviation, milliseconds until the last client is done and their deviation
    "none": (2420, 34.2, 2025, 44),
    "exponential": (1848, 60.4, 63290, 3908),
    "equal": (812, 7.5, 6574, 627),
    "full": (795, 6.2, 4892, 582),
    "decorrelated": (997, 26.9, 4677, 663),
}


SECTION = Course.find(Path(__file__)).section("02_retry")


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """What the notebook's cells define."""
    code = [cell.source for cell in author_notebook(SECTION).cells if cell.cell_type == "code"]
    cells = [CodeCell(source, False, number) for number, source in enumerate(code)]
    found, errors = run_notebook(cells, ["contend", "RECIPES", "lecture_retry_with_backoff"])
    assert not errors
    return found


def measure(names: dict[str, Any], clients: int, trials: int) -> dict[str, tuple[float, float]]:
    """Calls and milliseconds for each recipe, the means of some trials with the notebook's own functions."""
    found = {}
    for recipe in names["RECIPES"]:
        rng = random.Random(2015)
        runs = [names["contend"](clients, recipe, rng) for _ in range(trials)]
        found[recipe] = mean(calls for calls, _ in runs), mean(done for _, done in runs)
    return found


@pytest.fixture(scope="module")
def measured(names: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Calls and milliseconds for each recipe and a hundred clients."""
    return measure(names, CLIENTS, TRIALS)


@pytest.mark.parametrize("recipe", PUBLISHED)
def test_published_means(measured: dict[str, tuple[float, float]], recipe: str) -> None:
    """Calls and time lie within four standard errors of the published means."""
    calls, calls_deviation, done, done_deviation = PUBLISHED[recipe]
    error = 4 * sqrt(1 / TRIALS + 1 / PUBLISHED_TRIALS)
    assert measured[recipe][0] == pytest.approx(calls, abs=error * calls_deviation)
    assert measured[recipe][1] == pytest.approx(done, abs=error * done_deviation)


def test_full_jitter_saves_work_and_time(measured: dict[str, tuple[float, float]]) -> None:
    """Against exponential backoff without jitter: less than half of the calls, a tenth of the time."""
    assert measured["full"][0] < 0.45 * measured["exponential"][0]
    assert measured["exponential"][1] > 10 * measured["full"][1]


def test_equal_and_full_cost_the_same_work(measured: dict[str, tuple[float, float]]) -> None:
    """Equal jitter makes as many calls as full jitter, within 5 %, and takes longer."""
    assert measured["equal"][0] == pytest.approx(measured["full"][0], rel=0.05)
    assert measured["equal"][1] > 1.2 * measured["full"][1]


def test_decorrelated_jitter_makes_more_calls(measured: dict[str, tuple[float, float]]) -> None:
    """Decorrelated jitter makes a fifth more calls than full jitter at least."""
    assert measured["decorrelated"][0] > 1.2 * measured["full"][0]


def test_the_lectures_jitter_costs_time(measured: dict[str, tuple[float, float]]) -> None:
    """The lecture's jitter makes as many calls as equal jitter, and needs 1.8 times full jitter's time at least."""
    assert measured["the lecture's"][0] == pytest.approx(measured["equal"][0], rel=0.05)
    assert measured["the lecture's"][1] > 1.8 * measured["full"][1]


def test_none_finishes_first_and_costs_most(measured: dict[str, tuple[float, float]]) -> None:
    """The recipe that never pauses is done first, after the most calls."""
    assert min(measured, key=lambda recipe: measured[recipe][1]) == "none"
    assert max(measured, key=lambda recipe: measured[recipe][0]) == "none"


def test_ten_clients_save_time_and_few_calls(names: dict[str, Any]) -> None:
    """Ten clients: all recipes make 35 to 55 calls, but exponential backoff takes six times full jitter's time."""
    few = measure(names, clients=10, trials=100)
    assert all(35 < calls < 55 for calls, _ in few.values())
    assert few["exponential"][1] > 6 * few["full"][1]


def test_a_lost_connection_charges_again(names: dict[str, Any]) -> None:
    """A server that charges and then loses the connection charges at every attempt: the table allows no plain retry."""
    charges = []

    async def charge() -> None:
        charges.append("a card")
        raise ConnectionResetError("connection lost after the charge")

    simulate(names["lecture_retry_with_backoff"](charge, 3), catch=True)
    assert len(charges) == 4
    rows = [line for cell in author_notebook(SECTION).cells for line in cell.source.splitlines() if "| " in line]
    (row,) = [line for line in rows if "connection lost" in line]
    assert "only if a second execution is harmless" in row
