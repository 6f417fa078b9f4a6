"""Test the behaviours of ../test_health.py again, with other values and interleavings."""

from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import pytest

visible = SimpleNamespace(**run_path(str(Path(__file__).parents[1] / "test_health.py")))


def as_visible(test):
    """Give this test the title and the hint of the visible one."""
    test.__doc__ = getattr(visible, test.__name__).__doc__
    return test


@pytest.mark.points(0.5)
@pytest.mark.step("Window")
@pytest.mark.scenario("orders", numbers=[200], middle=0.4, spread=0.6)
@as_visible
def test_percentiles(run):
    visible.test_percentiles(run)


@pytest.mark.points(0.5)
@pytest.mark.step("Window")
@pytest.mark.scenario("long_history", cases=[["slow", 9, 58.0, {}], ["failed", 3, 90.0, {}]])
@pytest.mark.scenario("long_history", cases=[["failed", 2, 25.0, {"window": 25.0}], ["failed", 4, 100.0, {}]])
@as_visible
def test_history_does_not_mask(runs):
    visible.test_history_does_not_mask(runs)


@pytest.mark.points(1)
@pytest.mark.step("Window")
@pytest.mark.scenario(
    "silence",
    cases=[["slow", 1.0, 20.0, 65.4, {}], ["failed", 53.0, 44.0, 72.0, {}], ["slow", 175.0, 53.5, 90.0, {}]],
)
@pytest.mark.scenario(
    "silence", cases=[["failed", 100.0, 95.0, 131.0, {"window": 120.0}], ["slow", 20.0, 40.0, 56.0, {"window": 48.0}]]
)
@as_visible
def test_recovers_without_traffic(runs):
    visible.test_recovers_without_traffic(runs)


@pytest.mark.points(0.5)
@pytest.mark.step("Readiness")
@pytest.mark.scenario(
    "failures",
    cases=[
        *([300, 12, {}], [300, 18, {}], [600, 26, {}], [600, 34, {}], [40, 1, {}], [40, 38, {}]),
        *([200, 1, {"max_error_rate": 0.01}], [200, 4, {"max_error_rate": 0.01}]),
    ],
)
@as_visible
def test_error_rate(run):
    visible.test_error_rate(run)


@pytest.mark.points(0.5)
@pytest.mark.step("Readiness")
@pytest.mark.scenario(
    "slow",
    cases=[
        *([900, 1, 30.0, {}], [900, 330, 3.5, {}], [500, 1, 9.0, {}], [500, 150, 5.0, {}]),
        *([350, 1, 2.0, {"max_p99": 0.5}], [350, 130, 2.0, {"max_p99": 0.5}], [400, 1, 8.0, {}], [400, 130, 7.0, {}]),
    ],
)
@as_visible
def test_one_outlier(run):
    visible.test_one_outlier(run)


@pytest.mark.points(0.5)
@pytest.mark.step("Readiness")
@pytest.mark.scenario("few", cases=[[18, 20, {}], [49, 50, {"min_samples": 50}]])
@pytest.mark.scenario("few", cases=[[9, 24, {}], [11, 12, {"min_samples": 12}]], before=30)
@as_visible
def test_min_samples(runs):
    visible.test_min_samples(runs)


@pytest.mark.points(1)
@pytest.mark.step("Endpoints")
@pytest.mark.scenario(
    "slow",
    cases=[
        *([980, 20, 7.0, {}], [980, 20, 0.75, {}], [400, 10, 1.3, {}], [400, 10, 0.76, {}]),
        *([450, 14, 3.0, {"max_p99": 2.0}], [450, 14, 1.4, {"max_p99": 2.0}], [250, 8, 3.0, {}], [250, 8, 0.4, {}]),
        *([700, 20, 2.0, {}, False], [700, 20, 0.6, {}, False]),
    ],
    questions=["/readyz", "ready()"],
)
@as_visible
def test_tail(run):
    visible.test_tail(run)


@pytest.mark.points(0.5)
@pytest.mark.step("Endpoints")
@pytest.mark.scenario(
    "two_questions",
    cases=[
        *([30, 25, 0], [55, 0, 0], [50, 0, 30], [80, 0, 0], [200, 0, 40], [240, 0, 0], [90, 60, 0], [150, 0, 0]),
    ],
)
@as_visible
def test_liveness(run):
    visible.test_liveness(run)


@pytest.mark.points(0.5)
@pytest.mark.step("Endpoints")
@pytest.mark.scenario("leaving", cases=[0, 19, 120, 21])
@as_visible
def test_drain(run):
    visible.test_drain(run)


@pytest.mark.points(0.5)
@pytest.mark.step("Endpoints")
@pytest.mark.scenario("reports", cases=[[50, 7, 0, 12.0], [25, 0, 40, 80.0], [45, 0, 0, 35.0], [80, 0, 12, 23.0]])
@as_visible
def test_body_and_counters(run):
    visible.test_body_and_counters(run)
