"""The numbers that the health notebook shows are the ones that follow from the lecture's listing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from autograder.authoring.worked import solution_notebook
from autograder.notebook.answer import read_cells
from autograder.notebook.cells import CodeCell
from autograder.notebook.execution import run_notebook
from tests.sections.conftest import SECTIONS, notebook

HEALTH = next(section for section in SECTIONS if section.exercise == "health")
WANTED = ["LectureServiceMetrics", "lecture_health_check", "minutes_unseen", "morning", "repaired_after_a_minute"]


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """What the notebook's cells define."""
    cells = [CodeCell(cell.source, False, n) for n, cell in enumerate(read_cells(notebook(HEALTH)))]
    found, errors = run_notebook(cells, [*WANTED, "quiet_service"])
    assert not errors
    return found


def metrics(names: dict[str, Any], good: int, failed: int, latency_ms: float = 10) -> Any:
    found = names["LectureServiceMetrics"]()
    found.total_requests, found.successful_requests, found.failed_requests = good + failed, good, failed
    found.total_latency_ms = latency_ms * (good + failed)
    return found


def status(names: dict[str, Any], good: int, failed: int, latency_ms: float = 10) -> int:
    return int(names["lecture_health_check"](metrics(names, good, failed, latency_ms))[0])


def test_a_million_good_requests_hide_52_632_failures(names):
    """On a million successes the lecture's check turns at the 52,632nd failure: 8.8 minutes at 100 a second."""
    assert status(names, 10**6, 52_631) == 200
    assert status(names, 10**6, 52_632) == 503
    assert names["minutes_unseen"](10**6) == pytest.approx(8.77, abs=0.02)


def test_each_failure_needs_nineteen_successes(names):
    """Sixty thousand failures and no past: green again after 1,140,000 successes, 3.2 hours at 100 a second."""
    assert status(names, 1_140_000, 60_000) == 503
    assert status(names, 1_140_020, 60_000) == 200


def test_means_hide_tails(names):
    """1 % at a minute is a mean of 610 ms, 5 % at 15 s one of 760 ms, and both are healthy."""
    for share, slow_ms, shown in ((0.01, 60_000, 610), (0.05, 15_000, 760)):
        mean = (1 - share) * 10 + share * slow_ms
        assert mean == pytest.approx(shown, rel=0.01)
        assert status(names, 1000, 0, mean) == 200


def test_three_signals_turn_when_the_text_says(names):
    """The rate since the start turns after 8.8 minutes, and back 23.3 after the repair; the window's after 3 s."""
    since_start, recent, slowest = names["morning"]()
    unready = [second for second, rate in enumerate(since_start) if rate <= 0.95]
    assert ((unready[0] - 300) / 60, (unready[-1] - 900) / 60) == pytest.approx((8.8, 23.3), abs=0.1)
    unready = [second for second, rate in enumerate(recent) if rate <= 0.95]
    assert (unready[0] - 300, unready[-1] - 900) == pytest.approx((3, 56), abs=2)
    slow = [second for second, latency in enumerate(slowest) if latency > 1]
    assert (slow[0] - 300, slow[-1] - 900) == pytest.approx((0, 58), abs=2)
    assert min(since_start) == pytest.approx(0.943, abs=0.001)


def test_only_the_sliding_window_comes_back(names):
    """Behind a load balancer, only the check that forgets when asked gets traffic after the repair."""
    timeline = names["repaired_after_a_minute"]().timeline
    last = {lane: max(call.start for call in timeline.calls(lane=lane)) for lane in timeline.lanes if lane}
    assert last["1 since the start"] < 40 and last["2 when recording"] < 40
    assert last["3 when asked"] > 170


def test_settings_without_a_false_alarm_exist(names):
    """The sliders start with a false alarm and a late notice; forty seconds and twenty requests have neither."""
    start, found = names["quiet_service"](), names["quiet_service"](window=40, min_samples=20)
    assert "noticed after 35 s; false alarms: 1" in start.title
    assert "false alarms: 0" in found.title and int(found.title.split()[2]) <= 15


def test_the_server_stops_when_the_client_raises():
    """A path that the client can't ask for ends in its error, and leaves no server running."""
    cells = [CodeCell(cell.source, False, n) for n, cell in enumerate(read_cells(notebook(HEALTH)))]
    names, errors = run_notebook(cells, ["over_a_socket", "house_app"])
    assert {kind for _, kind, _ in errors} <= {"SimulationError"}  # one cell serves on a real socket

    async def asked() -> int:
        with pytest.raises(TypeError):
            await names["over_a_socket"](names["house_app"], [None])
        return len(asyncio.all_tasks())

    assert asyncio.run(asked()) == 1


def test_rejections_keep_a_service_unready():
    """A breaker's rejections, recorded as failures of 0 s, make the average better and the service unready."""
    cells = [CodeCell(cell.source, False, n) for n, cell in enumerate(read_cells(solution_notebook(HEALTH)))]
    found, errors = run_notebook(cells, ["HealthMonitor"])
    assert not errors

    async def verdicts(rejections: int) -> tuple[bool, float]:
        monitor = found["HealthMonitor"]()
        for latency, ok in [*[(0.1, True)] * 30, *[(0.0, False)] * rejections]:
            monitor.record(latency, ok)
        return monitor.ready(), monitor.snapshot()["p50"]

    assert asyncio.run(verdicts(0)) == (True, 0.1)
    assert asyncio.run(verdicts(70)) == (False, 0.0)
