"""The behaviours of ../test_retry.py once more, with other values and interleavings."""

from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import pytest

visible = SimpleNamespace(**run_path(str(Path(__file__).parents[1] / "test_retry.py")))
LIARS = 0.5
"""Points that a replay of the solution's transcript can still earn by luck."""


def as_visible(test):
    """Give a test the title, the hint and the step of the visible test of its name."""
    same = getattr(visible, test.__name__)
    test.__doc__ = same.__doc__
    step = next(mark.args[0] for mark in same.pytestmark if mark.name == "step")
    return pytest.mark.step(step)(test)


@pytest.mark.points(0.5)
@pytest.mark.scenario("in_turn", attempts=[9], failures=[1, 2, 3, 4, 5, 6], kind="TimeoutError", base=0.3)
@as_visible
def test_recovers(run):
    visible.test_recovers(run, number=6)


@pytest.mark.points(0.5)
@pytest.mark.scenario("in_turn", attempts=[3, 1, 8, 2, 4, 6], kind="TimeoutError")
@pytest.mark.scenario("in_turn", attempts=[1, 8, 5, 2, None], base=0.01)
@as_visible
def test_exact_calls(runs):
    for run, number in zip(runs, (6, 5), strict=True):
        visible.test_exact_calls(run, number)


@pytest.mark.points(0.5)
@pytest.mark.scenario("in_turn", attempts=[3, 1, 8, 2, 4, 6], kind="TimeoutError")
@pytest.mark.scenario("in_turn", attempts=[1, 6, 4, 2], base=0.01)
@as_visible
def test_last_error(runs):
    for run, number in zip(runs, (6, 4), strict=True):
        visible.test_last_error(run, number)


@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "some_errors",
    kinds=["ValueError", "BrokenPipeError", "PermissionError", "TimeoutError", "ConnectionRefusedError", "EOFError"],
)
@pytest.mark.scenario(
    "some_errors", kinds=["TimeoutError", "IndexError", "ConnectionError", "KeyError"], retry_on=["LookupError"]
)
@as_visible
def test_retry_on(runs):
    visible.test_retry_on(runs, retried=("BrokenPipeError", "TimeoutError", "ConnectionRefusedError"))


@pytest.mark.points(0.5)
@pytest.mark.scenario("in_turn", attempts=[5, 7, 4, 3, 6], base=0.5, cap=3.0, seed=11)
@as_visible
def test_no_pause_after_last(run):
    visible.test_no_pause_after_last(run, number=5)


@pytest.mark.points(0.5)
@pytest.mark.scenario("many", clients=275, failures=4, base=0.3, cap=2.0, seed=4)
@as_visible
def test_in_range(runs):
    visible.test_in_range(runs, settings=((0.3, 2.0),))


@pytest.mark.points(1.5)
@pytest.mark.scenario("many", clients=100, failures=4, base=0.1, cap=0.5, seed=1)
@pytest.mark.scenario("many", clients=275, failures=4, base=0.3, cap=2.0, seed=4)
@as_visible
def test_full_jitter(runs):
    visible.test_full_jitter(runs, settings=((0.1, 0.5), (0.3, 2.0)))


@pytest.mark.points(0.5)
@pytest.mark.scenario("many", clients=275, failures=4, base=0.3, cap=2.0, seed=4)
@as_visible
def test_cap(runs):
    visible.test_cap(runs, settings=((3, 2.0),))


@pytest.mark.points(0.5)
@pytest.mark.scenario("same_seeds", seeds=[42, 42, 1, 1, 3, 3], attempts=5, base=0.3, cap=0.3)
@as_visible
def test_seeded(run):
    visible.test_seeded(run)


@pytest.mark.points(1.5)
@pytest.mark.scenario("given_up", failures=2, after=1.3)
@pytest.mark.scenario("given_up", failures=1, after=5.4, base=1e7, cap=1e7, bystander=True)
@as_visible
def test_cancelled(runs):
    visible.test_cancelled(runs)


@pytest.mark.points(0.5)
@pytest.mark.scenario("in_a_hurry", deadline=5.0, takes=[1.3, 0.7, 2.9], base=900.0, cap=900.0)
@pytest.mark.scenario("in_a_hurry", deadline=9.0, takes=[1.2, 1.6, 1.9, 2.7, 3.4], base=0.02, cap=0.02)
@pytest.mark.scenario("in_a_hurry", deadline=9.0, takes=[1.2, 1.6, 1.9, 2.7, 3.4], base=0.02, cap=0.02, recovers=True)
@pytest.mark.scenario("in_a_hurry", deadline=12.0, base=0.02, cap=0.02, retry_after=12.5)
@as_visible
def test_deadline(runs):
    visible.test_deadline(runs, deadline=(5, 9, 9, 12), pause=(900, 0.02, 0.02, 12.5))
