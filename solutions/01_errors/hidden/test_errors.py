"""The behaviours of ../test_errors.py once more, with other values and interleavings."""

from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import pytest

visible = SimpleNamespace(**run_path(str(Path(__file__).parents[1] / "test_errors.py")))
LIARS = 0.25
"""Points that a replay of the solution's transcript can still earn by luck."""


def as_visible(test):
    """Give a test the title and the hint of the visible test of its name."""
    test.__doc__ = getattr(visible, test.__name__).__doc__
    return test


@pytest.mark.points(0.5)
@pytest.mark.scenario("one_by_one", ids=[77, 601, 18, 5, 1202, 33, 94, 260], known=4)
@as_visible
def test_row(run):
    visible.test_row(run, ids=(77, 601, 18, 5, 1202, 33, 94, 260))


@pytest.mark.points(0.5)
@pytest.mark.scenario("odd_ids", kinds=["None", "a float", "False", "negative"], known=[23, 2, 440, 61])
@as_visible
def test_validates(run):
    visible.test_validates(run, kinds=("None", "a float", "False", "negative"))


@pytest.mark.points(0.25)
@pytest.mark.scenario("failing", kinds=["TimeoutError"])
@as_visible
def test_timeout(run):
    visible.test_timeout(run)


@pytest.mark.points(0.25)
@pytest.mark.scenario("failing", kinds=["OperationalError", "ConnectionResetError"])
@as_visible
def test_unavailable(run):
    visible.test_unavailable(run, kinds=("OperationalError", "ConnectionResetError"))


@pytest.mark.points(0.25)
@pytest.mark.scenario("failing", kinds=["ConnectionError", "TimeoutError"])
@as_visible
def test_note(run):
    visible.test_note(run, kinds=("ConnectionError", "TimeoutError"))


@pytest.mark.points(0.25)
@pytest.mark.scenario("failing", kinds=["ValueError", "IntegrityError", "OSError"])
@pytest.mark.scenario("given_up", at=1.3, known=30)
@as_visible
def test_untouched(runs):
    visible.test_untouched(runs, kinds=("ValueError", "IntegrityError", "OSError"), at=1.3)


@pytest.mark.points(0.25)
@pytest.mark.scenario(
    "together",
    ids=[61, 15, 15, 70, 2],
    latency={"61": 0.3, "15": 1.2, "70": 0.1, "2": 0.6},
    known=[61, 15, 70, 2],
    alone=15,
)
@as_visible
def test_concurrent(run):
    visible.test_concurrent(run, ids=(61, 15, 15, 70, 2), single=15)


@pytest.mark.points(0.25)
@pytest.mark.scenario(
    "together",
    ids=[61, 15, 70],
    latency={"61": 2.0, "15": 1.8, "70": 0.4},
    known=[61, 15, 70],
    failing={"70": "IndexError"},
    alone=70,
)
@pytest.mark.scenario("together", ids=[80], latency={"80": 0.7}, known=[4], alone=80)
@pytest.mark.scenario("together", ids=[61, 15], latency={}, known=[61, 15], alone=61)
@as_visible
def test_group(runs):
    visible.test_group(runs)
