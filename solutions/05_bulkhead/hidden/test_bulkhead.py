"""Test the behaviours of ../test_bulkhead.py again, with other values and interleavings."""

from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import pytest

visible = SimpleNamespace(**run_path(str(Path(__file__).parents[1] / "test_bulkhead.py")))


def as_visible(test):
    """Give this test the title and the hint of the visible one."""
    test.__doc__ = getattr(visible, test.__name__).__doc__
    return test


@pytest.mark.points(0.5)
@pytest.mark.scenario("in_line", concurrent=1, callers=4)
@pytest.mark.scenario("in_line", concurrent=5, callers=14, every=0.009)
@pytest.mark.scenario("in_line", concurrent=4, callers=9, every=0)
@as_visible
def test_limit(runs):
    visible.test_limit(runs, limits=(1, 5, 4))


@pytest.mark.points(1)
@pytest.mark.scenario(
    "visits", concurrent=1, max_queue=3, arrivals=[0, 0.1, 0.2, 0.3, 0.4, 1.3, 1.4], takes=[[0.8, 1.2]] * 6
)
@pytest.mark.scenario("visits", concurrent=3, max_queue=1, arrivals=[0, 0, 0, 0, 0, 0, 2.5], takes=[[0.8, 1.2]] * 5)
@pytest.mark.scenario("visits", concurrent=2, max_queue=0, arrivals=[0, 0, 0, 0, 1.3, 1.4, 1.5], takes=[[0.8, 1.2]] * 5)
@as_visible
def test_full(runs):
    visible.test_full(runs, rooms=((1, 3), (3, 1), (2, 0)), rejected=((5, 7), (5, 6), (3, 4, 7)))


@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "visits",
    concurrent=2,
    max_queue=4,
    max_wait=2.0,
    arrivals=[0, 0.3, 0.5, 0.6, 0.8, 9.0],
    takes=[[0.7, 1.4], [3.5, 4.5], [6.8, 7.5], [2, 4]],
)
@pytest.mark.scenario(
    "visits", concurrent=1, max_queue=2, max_wait=None, arrivals=[0, 1, 2], takes=[[4000, 5000], [8, 10], [0.5, 1.5]]
)
@as_visible
def test_max_wait(runs):
    visible.test_max_wait(runs, waits=(2.0, None), given_up=((4, 5), ()))


@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "visits",
    concurrent=1,
    max_queue=3,
    arrivals=[0, 0.1, 0.2, 3.0, 4.5],
    takes=[[0.2, 0.5], [0.2, 0.5], [0.2, 0.5], [0.8, 1.3], [0.5, 1.5]],
    failing={"1": "KeyError", "2": "OSError", "3": "IndexError", "4": "RuntimeError"},
)
@pytest.mark.scenario(
    "visits",
    concurrent=3,
    max_queue=2,
    arrivals=[0, 0.1, 0.2, 0.3, 3.0, 3.1, 3.2],
    takes=[[8, 9], [8, 9], [8, 9], [0.2, 0.5], [0.5, 1.5], [0.5, 1.5], [0.5, 1.5]],
    cancelled={"1": 0.7, "2": 0.8, "3": 0.75},
)
@as_visible
def test_permit_returns(runs):
    visible.test_permit_returns(runs, limits=(1, 3), failing=((1, 2, 3, 4), ()), cancelled=((), (1, 2, 3)))
