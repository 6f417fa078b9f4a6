"""The behaviours of ../test_shutdown.py again, with other values and interleavings."""

from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import pytest

visible = SimpleNamespace(**run_path(str(Path(__file__).parents[1] / "test_shutdown.py")))
LIARS = 0.5
"""Points that a replay of the solution's transcript can still earn by luck."""


def as_visible(test):
    """Give the hidden test the title and hint of the visible one."""
    test.__doc__ = getattr(visible, test.__name__).__doc__
    return test


@pytest.mark.step("Serving")
@pytest.mark.points(0.5)
@pytest.mark.scenario("deploy", requests=[1, 3], fails=["OSError", "RuntimeError"], lasts=[1.0, 4.0], drain_timeout=9.0)
@as_visible
def test_handler_errors(run):
    visible.test_handler_errors(run)


@pytest.mark.step("Draining")
@pytest.mark.points(1)
@pytest.mark.scenario("deploy", requests=[5, 9], early=[1, 4], lasts=[1.0, 8.0], drain_timeout=9.0, looks=[0.4, 9.5])
@as_visible
def test_drains(runs):
    visible.test_drains(runs)


@pytest.mark.step("Draining")
@pytest.mark.points(0.5)
@pytest.mark.scenario("deploy", requests=[1, 2], lasts=[1.0, 2.5], drain_timeout=30.0)
@pytest.mark.scenario("deploy", requests=[4, 7], lasts=[0.02, 0.09])
@as_visible
def test_returns_when_idle(runs):
    visible.test_returns_when_idle(runs, delays=(0.0, 0.0))


@pytest.mark.step("Draining")
@pytest.mark.points(1)
@pytest.mark.scenario("deploy", requests=[4, 9], lasts=[2.0, 2.2], hooks=2, asks=[0.011, 1.0, 1.5, 1.8, 2.0, 2.2, 9.0])
@as_visible
def test_rejects(run):
    visible.test_rejects(run)


@pytest.mark.step("Deadline")
@pytest.mark.points(1.5)
@pytest.mark.scenario("deploy", requests=[1, 4], stuck=[3, 5], lasts=[0.6, 4.0], drain_timeout=5.5)
@as_visible
def test_cancels_and_awaits(run):
    visible.test_cancels_and_awaits(run, timeout=5.5)


@pytest.mark.step("Closing")
@pytest.mark.points(1)
@pytest.mark.scenario("deploy", hooks=5, broken=3)
@pytest.mark.scenario("deploy", stuck=[2, 3], lasts=[0.6, 1.1], drain_timeout=1.5, hooks=4, broken=2)
@as_visible
def test_closes(runs):
    visible.test_closes(runs, hooks=(5, 4))


@pytest.mark.step("Readiness")
@pytest.mark.points(1)
@pytest.mark.scenario(
    "deploy", readiness_delay=4.0, asks=[0.02, 3.1, 3.95, 4.05, 4.5], looks=[-0.3, 0.012, 3.9, 4.6, 9.0]
)
@pytest.mark.scenario("deploy", lasts=[0.02, 0.1], readiness_delay=1.5, asks=[0.7, 1.4, 1.6], looks=[-0.02, 0.02, 1.7])
@pytest.mark.scenario("deploy", lasts=[1.0, 2.0], asks=[0.02, 0.5], looks=[-0.2, 0.011, 5.0])
@as_visible
def test_readiness(runs):
    visible.test_readiness(runs, delays=(4.0, 1.5, 0.0))


@pytest.mark.step("Again")
@pytest.mark.points(0.5)
@pytest.mark.scenario("deploy", requests=[3, 6], hooks=3, broken=2, callers=[0.0, 8.0, 8.5, 9.0])
@as_visible
def test_idempotent(run):
    visible.test_idempotent(run, callers=4)
