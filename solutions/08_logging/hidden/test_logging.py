"""Check the behaviours of ../test_logging.py again, with other values and interleavings."""

from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import pytest

visible = SimpleNamespace(**run_path(str(Path(__file__).parents[1] / "test_logging.py")))


def as_visible(test):
    """Give a hidden test the title and the hint of the visible one."""
    test.__doc__ = getattr(visible, test.__name__).__doc__
    return test


@pytest.mark.points(0.25)
@pytest.mark.scenario(
    "facts", levels=["info", "error", "debug", "warning", "info", "error"], keys=["item", "count", "region"]
)
@as_visible
def test_line(run):
    visible.test_line(run, keys=("item", "count", "region"))


@pytest.mark.points(0.5)
@pytest.mark.scenario("requests", ends=[503, 200, 0, 200, 400, 200], latency=[1.7, 0.6, 0.04])
@as_visible
def test_serve(run):
    visible.test_serve(run)


@pytest.mark.points(0.25)
@pytest.mark.scenario("requests", ends=[0, 502, 409, 200, 200, 404, 500, 399, 422, 0], latency=[0.2, 0.5])
@as_visible
def test_level(run):
    visible.test_level(run)


@pytest.mark.points(0.25)
@pytest.mark.scenario("given_up", leave=[0.4, 3.1, 1.9, 0.9], ends=[502, 503, 504])
@as_visible
def test_cancelled(run):
    visible.test_cancelled(run)


@pytest.mark.points(0.25)
@pytest.mark.scenario("nested", outer="step", inner="shard")
@as_visible
def test_nests(run):
    visible.test_nests(run, outer="step", inner="shard")


@pytest.mark.points(0.5)
@pytest.mark.scenario("side_by_side", gaps=[0.31, 0.02, 0.14, 0.07], children=3)
@as_visible
def test_tasks(run):
    visible.test_tasks(run)


@pytest.mark.points(0.25)
@pytest.mark.scenario("secrets", keys=["email", "order", "token", "password", "tokens"])
@as_visible
def test_redacts(run):
    visible.test_redacts(run, number=5)
