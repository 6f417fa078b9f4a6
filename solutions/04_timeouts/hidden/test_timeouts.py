"""The behaviours of ../test_timeouts.py again, with other values and interleavings."""

from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import pytest

visible = SimpleNamespace(**run_path(str(Path(__file__).parents[1] / "test_timeouts.py")))


def as_visible(test):
    """Give a hidden test the title and the hint of the visible one."""
    test.__doc__ = getattr(visible, test.__name__).__doc__
    return test


@pytest.mark.points(0.5)
@pytest.mark.scenario("in_time", takes=4.2, timeout=4.7)
@as_visible
def test_in_time(run):
    visible.test_in_time(run)


@pytest.mark.points(0.5)
@pytest.mark.scenario("too_slow", timeout=0.3, unwinding=4.1, cleanup=0.1, grace=0.5)
@pytest.mark.scenario("too_slow", timeout=3.5, unwinding=0.05, cleanup=0.1)
@as_visible
def test_stops_work(runs):
    visible.test_stops_work(runs)


@pytest.mark.points(0.75)
@pytest.mark.scenario("too_slow", timeout=1.1, unwinding=1.6, cleanup=2.7, grace=3.0)
@pytest.mark.scenario("too_slow", timeout=7.0, unwinding=0.3, cleanup=0.2)
@as_visible
def test_cleanup(runs):
    visible.test_cleanup(runs)


@pytest.mark.points(0.75)
@pytest.mark.scenario("given_up", at=2.6, unwinding=1.4, cleanup=1.7, grace=2.0)
@pytest.mark.scenario("given_up", at=0.2, unwinding=0.3, cleanup=0.9, outer=True)
@pytest.mark.scenario("too_slow", timeout=2.6, unwinding=1.4, cleanup=1.7, grace=2.0)
@as_visible
def test_cancelled(runs):
    visible.test_cancelled(runs)


@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "failing", kinds=["TimeoutError", "ValueError", "OSError", "DeadlineExceeded"], takes=1.9, timeout=2.1
)
@as_visible
def test_own_errors(run):
    visible.test_own_errors(run, kinds=("TimeoutError", "ValueError", "OSError", "DeadlineExceeded"))


@pytest.mark.points(0.25)
@pytest.mark.scenario("too_slow", timeout=0.8, unwinding=1.2, cleanup=None, grace=0.3)
@pytest.mark.scenario("too_slow", timeout=2.0, unwinding=0.1, cleanup=None)
@pytest.mark.scenario("given_up", at=1.5, unwinding=0.4, cleanup=None, grace=1.8)
@as_visible
def test_grace(runs):
    visible.test_grace(runs, grace=(0.3, 1.0, 1.8))


@pytest.mark.points(0.25)
@pytest.mark.scenario("too_slow", timeout=0.6, unwinding=0.3, cleanup=0.4, fails="ValueError")
@pytest.mark.scenario("too_slow", timeout=2.2, unwinding=0.1, cleanup=0.2, fails="TimeoutError")
@pytest.mark.scenario("given_up", at=1.2, unwinding=0.3, cleanup=0.2, fails="OSError")
@as_visible
def test_masks_nothing(runs):
    visible.test_masks_nothing(runs, kinds=("ValueError", "TimeoutError", "OSError"))
