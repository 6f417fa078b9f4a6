"""The behaviours of ../test_token_bucket.py once more, with other numbers of buckets and requests."""

# AUTHOR: what a liar earns must be declared here, LIARS = 0.5; as long as nothing is declared, it is 0. Keep it so.

from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import pytest

visible = SimpleNamespace(**run_path(str(Path(__file__).parents[1] / "test_token_bucket.py")))


def as_visible(test):
    """Title and hint are those of the visible test."""
    test.__doc__ = getattr(visible, test.__name__).__doc__
    return test


@pytest.mark.points(0.5)
@pytest.mark.scenario("asks", buckets=8, requests=9, most=0)
@as_visible
def test_burst(run):
    visible.test_burst(run, buckets=8, requests=9)


@pytest.mark.points(0.5)
@pytest.mark.scenario("asks", buckets=8, requests=13, most=7)
@as_visible
def test_refill(run):
    visible.test_refill(run, buckets=8, requests=13)


@pytest.mark.points(0.5)
@pytest.mark.scenario("waits", buckets=5, requests=12)
@as_visible
def test_waits(run):
    visible.test_waits(run, buckets=5, requests=12)
