"""Test the behaviours of ../test_degradation.py again, with other values and interleavings."""

from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import pytest

visible = SimpleNamespace(**run_path(str(Path(__file__).parents[1] / "test_degradation.py")))
LIARS = 0.25
"""Points that a replay of the solution's transcript can still earn by luck."""


def as_visible(test):
    """Give this test the title, the hint and the step of the visible one."""
    same = getattr(visible, test.__name__)
    test.__doc__ = same.__doc__
    step = next(mark.args[0] for mark in same.pytestmark if mark.name == "step")
    return pytest.mark.step(step)(test)


@pytest.mark.points(0.25)
@pytest.mark.scenario(
    "asked",
    replies={"kim": ["ok", "ok", "ValueError"], "lee": ["ok"]},
    asks=[[2, "kim"], [3, "lee"], [4, "kim"], [90, "kim"]],
)
@as_visible
def test_primary(run):
    visible.test_primary(run)


@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "asked",
    replies={"kim": [["ok", 0.55, 0.8], "hang", ["ZeroDivisionError", 0.1, 0.8], ["TimeoutError", 0.1, 0.8]]},
    asks=[[3, "kim"], [17, "kim"], [60, "kim"], [75, "kim"]],
    options={"primary_timeout": 0.9, "max_stale": 80.0},
)
@pytest.mark.scenario(
    "asked",
    replies={"lee": ["ok", "LookupError", "hang"]},
    asks=[[4, "lee"], [100, "lee"], [280, "lee"]],
)
@as_visible
def test_cached(runs):
    visible.test_cached(runs, timeouts=(0.9, 0.5))


@pytest.mark.points(0.25)
@pytest.mark.scenario(
    "asked",
    replies={"kim": ["ok", "hang", "NotFound", "OSError", "ok", "KeyError"]},
    asks=[[0, "kim"], [33, "kim"], [35, "kim"], [36, "kim"], [40, "kim"], [48, "kim"]],
)
@as_visible
def test_reported(runs):
    visible.test_reported(runs, degraded=(2, 6))


@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "asked",
    replies={"kim": ["ok", "OSError"], "lee": ["RuntimeError"], "max": ["ok", "hang"]},
    asks=[[0, "kim"], [3, "lee"], [9, "kim"], [13, "kim"], [600, "kim"]],
    options={"max_stale": 12.0},
)
@as_visible
def test_unavailable(run):
    visible.test_unavailable(run, none=(2, 4, 5), still=(3,))


@pytest.mark.points(0.25)
@pytest.mark.scenario(
    "asked",
    replies={"kim": ["ok", "NotFound", "hang"], "lee": ["ok", "TimeoutError"]},
    asks=[[1, "kim"], [3, "lee"], [50, "kim"], [60, "kim"], [64, "lee"]],
)
@as_visible
def test_not_found(run):
    visible.test_not_found(run)


@pytest.mark.points(0.25)
@pytest.mark.scenario(
    "asked",
    replies={"kim": ["ok", "hang", "OSError", "hang", "ok", "hang"]},
    asks=[[0, "kim"], [18, "kim"], [27, "kim"], [35, "kim"], [36, "kim"], [60, "kim"]],
    options={"max_stale": 30.0},
)
@as_visible
def test_recovery(run):
    visible.test_recovery(run, old=(2, 3), none=4, back=5)


@pytest.mark.points(0.75)
@pytest.mark.scenario(
    "asked",
    replies={
        "ada": [["ok", 0.35, 0.47], ["ConnectionError", 0.25, 0.45], ["ok", 0.1, 0.4]],
        "bob": [["ok", 0.35, 0.47]],
    },
    asks=[
        *[[at, key] for at in (0, 0.05, 0.3) for key in ("ada", "bob")],
        *[[at, "ada"] for at in (70, 70.1, 70.2, 71)],
    ],
)
@pytest.mark.scenario(
    "asked",
    replies={"kim": [["KeyError", 0.2, 0.45], ["NotFound", 0.38, 0.47], ["ok", 0.42, 0.48]]},
    asks=[[2, "kim"], [2.15, "kim"], [3, "kim"], [3.35, "kim"], [9, "kim"], [9.4, "kim"]],
)
@as_visible
def test_shared(runs):
    visible.test_shared(runs)


@pytest.mark.points(0.25)
@pytest.mark.scenario(
    "asked",
    replies={"kim": [["ok", 0.38, 0.48]]},
    asks=[[1, "kim"], [1.2, "kim"], [1.35, "kim"]],
    cancel={"1": 1.25},
)
@pytest.mark.scenario(
    "asked",
    replies={"kim": [["ok", 0.38, 0.48]]},
    asks=[[1, "kim"], [1.2, "kim"], [1.3, "kim"]],
    cancel={"2": 1.25},
)
@as_visible
def test_cancelled(runs):
    visible.test_cancelled(runs, at=1.25)
