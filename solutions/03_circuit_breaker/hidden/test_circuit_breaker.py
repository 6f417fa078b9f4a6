"""The behaviours of ../test_circuit_breaker.py again, with other values and interleavings."""

from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import pytest

visible = SimpleNamespace(**run_path(str(Path(__file__).parents[1] / "test_circuit_breaker.py")))
LIARS = 0.5
"""Points that a replay of the solution's transcript can still earn by luck."""


def as_visible(test):
    """Give a hidden test the title, the hint and the step of the visible one."""
    same = getattr(visible, test.__name__)
    test.__doc__ = same.__doc__
    step = next(mark.args[0] for mark in same.pytestmark if mark.name == "step")
    return pytest.mark.step(step)(test)


@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 40, "half_open_max": 2},
    rounds=1,
    script=[
        "A at 0: fails with ValueError after 0.2 to 0.9",
        "B at 0.1: works with False after 0.1",
        "C at 0.15: works or fails after 3.3 to 4.4",
        "D at 2: works with nothing after 0.3",
        "E at 3: fails with ConnectionResetError after 0.1",
        "F at 5: works or fails after 0.3",
        "G at 6: works with silence after 0.3",
        "H at 7: fails with RuntimeError after 0",
    ],
)
@as_visible
def test_unchanged(run):
    visible.test_unchanged(run, number=8)


@pytest.mark.points(1)
@pytest.mark.scenario(
    "story",
    without="failure_threshold",
    rounds=4,
    script=[
        "4 x A at 0: fails after 0.1 to 0.9",
        "B at 1: works or fails after 0.1",
        "look at 2.5",
        "D at 3: works after 0.1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 3},
    rounds=4,
    script=[
        "A at 0: fails after 1.7 to 2.6",
        "B at 0.5: works after 1 or 4",
        "C at 1: fails after 4.5",
        "E at 1.2: fails after 5",
        "look at 6.5",
        "D at 7: works after 0.1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 1},
    rounds=4,
    script=[
        "A at 0: works or fails after 0.6 to 1.7",
        "look at 2",
        "D at 3: works after 0.1",
    ],
)
@as_visible
def test_opens(runs):
    visible.test_opens(runs, settings=((None, ["A1", "A2", "A3", "A4", "B"]), (3, "ABCE"), (1, "A")))


@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 4},
    rounds=4,
    script=[
        "2 x A at 0: fails after 0.1 to 0.9",
        "B at 1: works or fails with None after 0.1",
        "C at 2: fails after 0.1",
        "D at 3: works or fails with zero after 0.1",
        "2 x E at 4: fails after 0.1",
        "F at 5: works after 0.1",
        "G at 6: fails after 0.1",
        "5 x I at 7: fails after 0.1",
        "H at 8: works after 0.1",
    ],
)
@as_visible
def test_success_resets(run):
    visible.test_success_resets(run, callers=["A1", "A2", "B", "C", "D", "E1", "E2", "F", "G"])


@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 4},
    ignored=["ValueError", "IndexError"],
    rounds=4,
    script=[
        "2 x A at 0: fails with TimeoutError after 0.1",
        "B at 1: fails with ValueError or RuntimeError after 0.1 to 0.9",
        "C1 at 2: fails after 0.1",
        "C2 at 2.5: fails after 0.1",
        "D at 3: works after 0.1",
        "5 x E at 4: fails with OSError after 0.1",
        "F at 5: works after 0.1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 5, "recovery_time": 2.0},
    ignored=["ValueError"],
    rounds=4,
    script=[
        "6 x A at 0: fails after 0.1",
        "2 x B at 3: fails with ValueError or KeyError after 0.1 to 0.9",
        "C at 4: fails with ValueError after 0.1",
        "D at 4.5: fails after 0.1",
        "E at 5: works after 0.1",
    ],
)
@as_visible
def test_is_failure(runs):
    visible.test_is_failure(runs, ignored=("ValueError", "IndexError"))


@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 4, "recovery_time": 100.0},
    rounds=4,
    script=[
        "2 x A at 0: fails after 0.3",
        "3 x B at 5: fails after 0.6 to 1.4 or 2.8 to 3.6 or 5.2 to 6.1 or 8.3 to 9",
        "C at 14.2: works after 0.1",
        "D at 60: works after 0.1",
        "E at 61: works after 0.1",
        "G at 105: works after 0.1",
        "P at 120: fails after 1.5 to 4.5",
        "F at 170: works after 0.1",
    ],
)
@as_visible
def test_rejects(run):
    asks = (("C", 14.2), ("D", 60), ("E", 61), ("G", 105))
    visible.test_rejects(run, asks, again=("F", 170), recovery=100.0)


@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 3, "recovery_time": 75.0},
    rounds=4,
    script=[
        "A at 0: fails after 2.5",
        "3 x B at 1: fails after 4 or 5.5",
        "C at 79.9: works after 0.1 to 0.7",
        "D at 80.1: works after 0.1 to 0.7",
        "E at 81.4: works after 0.1 to 0.7",
        "F at 81.6: works after 0.1 to 0.7",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 1, "recovery_time": 0.7},
    rounds=4,
    script=[
        "2 x A at 0: fails after 0.3 or 0.8",
        "C at 0.9: works after 0.02 to 0.15",
        "D at 1.1: works after 0.02 to 0.25",
        "E at 1.4: works after 0.02 to 0.15",
        "F at 1.6: works after 0.02 to 0.9",
    ],
)
@as_visible
def test_recovery_time(runs):
    settings = ((75.0, "B1", (79.9, 80.1, 81.4, 81.6)), (0.7, "A1", (0.9, 1.1, 1.4, 1.6)))
    visible.test_recovery_time(runs, settings)


@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 4, "half_open_max": 2},
    rounds=4,
    script=[
        "5 x A at 0: fails after 0.1 to 0.9",
        "B at 40: works or fails with None after 0.5",
        "look at 42",
        "E at 43: fails after 0.1",
        "F at 44: works after 1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 4, "success_threshold": 2, "half_open_max": 2},
    rounds=4,
    script=[
        "5 x A at 0: fails after 0.1 to 0.9",
        "B at 31: works after 0.5",
        "C at 32: works with zero after 0.7 or 9",
        "look at 33.5",
        "E at 34: fails after 0.1",
        "F at 35: works after 1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 4, "success_threshold": 2, "recovery_time": 2.0},
    rounds=4,
    script=[
        "5 x A at 0: fails after 0.1 to 0.9",
        "B at 3: works after 0.5",
        "C at 4: works or fails with zero after 9",
        "look at 14",
        "E at 14.3: fails after 0.1",
        "F at 14.7: works after 1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 2, "half_open_max": 2, "success_threshold": 1, "recovery_time": 3.0},
    rounds=2,
    script=[
        "3 x A at 0: fails after 0.1 to 0.9",
        "L at 4: works after 30",
        "B at 5: works or fails after 0.7",
        "look at 6",
        "5 x E at 6.5: works after 0.1",
    ],
)
@as_visible
def test_closes(runs):
    visible.test_closes(runs, settings=((1, "B", 2), (2, "BC", 2), (2, "BC", 10)), most=2)


@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 6, "recovery_time": 12.0},
    rounds=4,
    script=[
        "7 x A at 0: fails after 0.5",
        "B at 20: works or fails after 20",
        "C at 42.3: works after 0.1 to 0.7",
        "D at 51.9: works after 0.1 to 0.7",
        "E at 52.1: works after 0.1 to 0.7",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 3, "half_open_max": 3, "success_threshold": 3, "recovery_time": 12.0},
    rounds=4,
    script=[
        "4 x A at 0: fails after 0.5",
        "2 x P at 31: works after 9",
        "B at 32: works or fails after 3",
        "C at 41: works after 0.1 to 0.7",
        "D at 46.9: works after 0.1 to 0.7",
        "E at 47.1: works after 0.1 to 0.7",
    ],
)
@as_visible
def test_reopens(runs):
    visible.test_reopens(runs, recovery=12.0)


@pytest.mark.points(1)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 1, "success_threshold": 2},
    without="half_open_max",
    rounds=4,
    script=[
        "2 x A at 0: fails after 0.1 to 0.9",
        "25 x B at 80: works or hangs after 20",
        "4 x C at 131: works after 0.1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 1, "recovery_time": 3.0},
    rounds=4,
    script=[
        "2 x A at 0: fails after 0.1 to 0.5",
        "25 x B at 3.6: fails after 0.2 or 4",
        "4 x C at 7.1: works after 0.1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 3, "recovery_time": 5.0},
    rounds=4,
    script=[
        "2 x L at 0: fails after 9.5",
        "M at 0: hangs, cancelled at 9.6",
        "4 x A at 0.1: fails after 0.1 to 0.9",
        "25 x B at 9: works after 0.8 or 3",
        "4 x C at 10: works after 0.1",
    ],
)
@as_visible
def test_one_probe(runs):
    visible.test_one_probe(runs, callers=25, settings=((51, 1), (3.5, 1), (1, 4)), default=0)


@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 1, "half_open_max": 4, "success_threshold": 2},
    rounds=4,
    script=[
        "2 x A at 0: fails after 0.1 to 0.9",
        "11 x B at 31: works after 20 or 50",
        "4 x C at 70: works after 0.1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 1, "half_open_max": 3, "success_threshold": 5},
    rounds=1,
    script=[
        "2 x A at 0: fails after 0.5",
        "P at 31: works after 2.4",
        "Q at 31.7: hangs, cancelled at 39",
        "R at 31.8: works after 44",
        "4 x C at 34: works after 40",
        "4 x D at 41: works after 40",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 1, "half_open_max": 2, "success_threshold": 2},
    rounds=1,
    script=[
        "2 x A at 0: fails after 0.5",
        "L at 31: hangs, cancelled at 65",
        "M at 31.5: fails after 0.5",
        "5 x P at 63: works after 9",
        "5 x Q at 66: works after 9",
    ],
)
@as_visible
def test_some_probes(runs):
    *same, late = runs
    visible.test_some_probes(same, most=(4, 3), callers=11, after=39)
    one = visible.Round(late)
    visible.passes(one, "L", "recovery_time is over")
    new = [call for call in one.calls() if call.lane[0] in "PQ"]
    about = "half_open_max=2, a probe of an earlier recovery was cancelled during the next one"
    assert 1 <= len(new) <= 2, f"{about}: {len(new)} new probes were in flight at the same time"


@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 5, "half_open_max": 2},
    rounds=4,
    script=[
        "6 x A at 0: fails after 0.5",
        "B at 50: works after 0.1 to 0.9",
        "3 x C at 52: fails after 0.1",
        "D at 53: works or fails after 0.1",
        "3 x E at 54: fails after 0.1",
        "F at 55: works after 0.1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 4, "success_threshold": 2},
    rounds=4,
    script=[
        "5 x A at 0: fails after 0.5",
        "B at 31: works after 0.1 to 0.9",
        "C at 33: fails after 0.5",
        "D at 65: works after 0.5",
        "E at 66: works or fails after 0.5",
        "F at 67: works after 0.5",
    ],
)
@as_visible
def test_fresh_counters(runs):
    visible.test_fresh_counters(runs, since=3, later=3)


@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 6},
    rounds=4,
    script=[
        "M at 0: hangs, cancelled at 3",
        "3 x A at 0.5: fails after 0.1",
        "4 x C at 1: hangs, cancelled at 2.5",
        "D at 5: works or fails after 0.1 to 0.9",
        "3 x E at 6: fails after 0.1",
        "F at 7: works after 0.1",
    ],
)
@as_visible
def test_cancelled_closed(run):
    visible.test_cancelled_closed(run, before=3, cancelled=("C1", "C2", "C3", "C4"), after=1.5, threshold=6)
    for one in visible.told(run):
        visible.given_up(one, "M", 3, "closed")


@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 5},
    rounds=4,
    script=[
        "6 x A at 0: fails after 0.5",
        "X at 31: hangs, cancelled at 31.5",
        "Y at 32: hangs, cancelled at 32.5",
        "B at 33: hangs, cancelled at 35",
        "C at 36: works or fails after 0.1 to 0.9",
        "S at 37.5: works after 0.2",
        "E at 38: fails after 1",
        "F at 40: works after 1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 5, "success_threshold": 3},
    rounds=4,
    script=[
        "6 x A at 0: fails after 0.5",
        "X at 31: works after 0.5",
        "Y at 32: works after 0.5",
        "B at 33: hangs, cancelled at 35",
        "C at 36: works or fails after 1.2 to 2.3",
        "E at 39: fails after 0.5",
        "F at 40: works after 1",
    ],
)
@as_visible
def test_cancelled_probe(runs):
    for run in runs:
        visible.test_cancelled_probe(run)


@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 3, "recovery_time": 50.0},
    rounds=4,
    script=[
        "3 x A at 0: fails after 30",
        "B at 0.5: fails after 0.2",
        "3 x C at 1: fails after 1 or 3",
        "D at 31: works after 0.1",
        "E at 51.9: works after 0.1 to 0.7",
        "F at 52.1: works after 0.1 to 0.7",
        "G at 53.9: works after 0.1 to 0.7",
        "H at 54.1: works after 0.1 to 0.7",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 4, "recovery_time": 50.0},
    rounds=4,
    script=[
        "A at 0: fails after 4.5",
        "2 x B at 0.5: fails after 0.2",
        "3 x C at 1: fails after 1 or 3",
        "A0 at 0.1: fails after 51",
        "D at 12: works after 0.1",
        "E at 51.9: works after 0.1 to 0.7",
        "F at 52.1: works after 0.1 to 0.7",
        "G at 53.9: works after 0.1 to 0.7",
        "H at 54.1: works after 0.1 to 0.7",
    ],
)
@as_visible
def test_late_failure(runs):
    visible.test_late_failure(runs, recovery=50.0, asks=(51.9, 52.1, 53.9, 54.1))


@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 4, "recovery_time": 20.0},
    rounds=8,
    script=[
        "L at 0: works or fails after 33",
        "M at 0: works or fails after 3.2 to 4.4",
        "K at 0.1: works after 32.5",
        "5 x A at 1: fails after 0.2",
        "N at 12: works after 0.1",
        "P at 32: works or fails after 5",
        "S at 37.5: works after 0.2",
        "R at 38: fails after 1",
        "T at 40: works after 1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 3, "recovery_time": 10.0},
    rounds=4,
    script=[
        "3 x L at 0: works or fails after 40",
        "5 x A at 1: fails after 0.2",
        "P at 32: works or fails after 0.6 to 1.3",
        "S at 33.5: works after 0.2",
        "2 x B at 39: fails after 0.2",
        "R at 41: fails after 0.2",
        "T at 41.5: works after 0.1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 4, "recovery_time": 10.0, "half_open_max": 2},
    rounds=4,
    script=[
        "5 x A at 0: fails after 0.2",
        "L at 11: works or fails after 30",
        "M at 12: fails after 1",
        "P at 24: works or fails after 19 to 20",
        "R at 45: works after 1",
    ],
)
@as_visible
def test_late_result(runs):
    *same, earlier = runs
    visible.test_late_result(same, failures=2)
    for one in visible.told(earlier):
        late = "worked" if visible.works(one, "L", "recovery_time is over") else "failed"
        good = visible.works(one, "P", "half-open for the second time")
        about = f"half-open: a probe of an earlier recovery {late}, then the probe {'worked' if good else 'failed'}"
        (visible.passes if good else visible.blocked)(one, "R", about)
