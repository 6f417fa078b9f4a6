"""Check the behaviours of ../test_service.py again, with other values and interleavings."""

from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import pytest

visible = SimpleNamespace(**run_path(str(Path(__file__).parents[1] / "test_service.py")))


def as_visible(test):
    """Give a hidden test the title and the hint of the visible one."""
    test.__doc__ = getattr(visible, test.__name__).__doc__
    return test


@pytest.mark.points(0.25)
@pytest.mark.scenario(
    "requests", script=["9 x A at 0: works or missing", "B then: empty", "C then: missing"], max_attempts=2
)
@as_visible
def test_answers(run):
    visible.test_answers(run)


@pytest.mark.points(0.25)
@pytest.mark.scenario(
    "requests",
    script=["A then: missing", "B then: fails, fails, works after 0.5", "C then: hangs", "D then: fails"]
    + [f"{who} then: fails" for who in "EFG"]
    + ["H then: works"],
    attempt_timeout=0.7,
    max_attempts=3,
    failure_threshold=7,
)
@pytest.mark.scenario(
    "requests", script=["5 x A at 0: works after 0.4", "B then: works"], max_concurrent=2, max_queue=1
)
@as_visible
def test_recorded(runs):
    visible.test_recorded(runs, expected=(tuple("ABCDEFGH"), ("A1", "A2", "A3", "A4", "A5", "B")))


@pytest.mark.points(0.25)
@pytest.mark.scenario(
    "requests",
    script=["A then: fails, fails, fails, fails, works", "B then: fails", "C then: fails, works"],
    max_attempts=5,
    base=0.1,
    cap=0.25,
    failure_threshold=90,
    seed=11,
)
@pytest.mark.scenario(
    "requests",
    script=["A then: fails, fails, fails, fails, works", "B then: fails", "C then: fails, works"],
    max_attempts=5,
    base=0.1,
    cap=0.25,
    failure_threshold=90,
    seed=2,
)
@pytest.mark.scenario(
    "requests",
    script=["A then: fails, fails, fails, fails, works", "B then: fails", "C then: fails, works", "D then: works"],
    max_attempts=5,
    base=0.1,
    cap=0.25,
    failure_threshold=90,
    seed=11,
)
@as_visible
def test_retries(runs):
    table = {"A": (200, 5), "B": (502, 5), "C": (200, 2)}
    visible.test_retries(runs, expected=(table, table, table), ceilings=(0.1, 0.2, 0.25, 0.25), crowds=())


@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "requests",
    script=[
        "A then: hangs",
        "B then: hangs, hangs, works",
        "C then: works after 0.4",
        "D then: works after 0.6, works",
    ],
    max_attempts=3,
    attempt_timeout=0.5,
    failure_threshold=50,
)
@pytest.mark.scenario(
    "requests",
    script=["A then: hangs", "B then: fails after 1.7", "C then: fails, works after 1.5"],
    max_attempts=7,
    attempt_timeout=2.0,
    deadline=4.5,
    base=0.02,
    cap=0.02,
    failure_threshold=50,
)
@pytest.mark.scenario(
    "requests",
    script=["A at 0: hangs", "B at 0.5: hangs", "C then: works after 1.8"],
    max_attempts=7,
    attempt_timeout=2.0,
    deadline=3.0,
    base=0.01,
    cap=0.01,
    max_concurrent=1,
    max_queue=2,
    failure_threshold=50,
)
@as_visible
def test_timeouts(runs):
    tables = (
        {"A": (504, 3), "B": (200, 3), "C": (200, 1), "D": (200, 2)},
        {"A": (504, 3), "B": (504, 3), "C": (200, 2)},
        {"A": (504, None), "B": (504, None), "C": (200, 1)},
    )
    late = ((), ("A", "B"), ("A", "B"))
    visible.test_timeouts(runs, limits=(0.5, 2.0, 2.0), deadlines=(5.0, 4.5, 3.0), late=late, expected=tables)


@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "requests", script=["9 x A at 0: works after 0.7", "B at 2: works"], max_concurrent=3, failure_threshold=4
)
@pytest.mark.scenario(
    "requests", script=["7 x A at 0: works after 0.2", "B at 3: works"], max_concurrent=2, max_queue=3
)
@pytest.mark.scenario(
    "requests",
    script=[
        "A then: fails",
        "B then: fails",
        "C then: fails",
        "D then: works",
        "E at 12: works",
        "2 x F at 17: works after 0.2",
    ],
    max_attempts=1,
    failure_threshold=3,
    recovery_time=15.0,
)
@as_visible
def test_unavailable(runs):
    visible.test_unavailable(
        runs,
        served=(3, 5),
        full=(6, 2),
        slots=(3, 2),
        queues=(0, 3),
        failing=("A", "B", "C"),
        rejected=("D", "E"),
        probes="F",
    )


@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "requests",
    script=["A then: fails", "B then: fails", "C then: fails", "D then: fails", "E at 9: fails"],
    failure_threshold=7,
    max_attempts=3,
)
@pytest.mark.scenario(
    "requests",
    script=["A then: fails, works", "B then: fails", "C then: fails, works", "D then: works", "E at 9: works"],
    failure_threshold=4,
    max_attempts=3,
)
@as_visible
def test_counts_attempts(runs):
    dead = {"A": (502, 3), "B": (502, 3), "C": (503, 1), "D": (503, 0), "E": (503, 0)}
    partly = {"A": (200, 2), "B": (502, 3), "C": (503, 1), "D": (503, 0), "E": (503, 0)}
    visible.test_counts_attempts(runs[:1], expected=(dead,), threshold=7)
    visible.test_counts_attempts(runs[1:], expected=(partly | {"A": (200, 2)},), threshold=4)


@pytest.mark.points(0.25)
@pytest.mark.scenario("requests", script=["8 x A at 0: hangs", "B then: hangs"])
@as_visible
def test_hanging(run):
    everyone = [(f"A{number}", 1) for number in range(1, 9)]
    visible.test_hanging(run, expected=(*everyone, ("B", 0)), threshold=8)


@pytest.mark.points(0.25)
@pytest.mark.scenario(
    "requests",
    script=["A then: fails, fails, works", "B then: works"],
    failure_threshold=2,
    max_attempts=6,
)
@pytest.mark.scenario(
    "requests",
    script=["2 x A at 0: works after 0.6", "B at 0.2: works", "C then: works"],
    max_concurrent=2,
    max_attempts=7,
    base=0.3,
)
@pytest.mark.scenario(
    "requests",
    script=[f"{who} then: missing" for who in "ABC"] + ["G then: works"],
    failure_threshold=1,
    max_attempts=2,
)
@as_visible
def test_not_retried(runs):
    visible.test_not_retried(
        runs,
        expected=(
            {"A": (503, 2), "B": (503, 0)},
            {"A1": (200, 1), "A2": (200, 1), "B": (503, 0), "C": (200, 1)},
            {"A": (404, 1), "B": (404, 1), "C": (404, 1), "G": (200, 1)},
        ),
    )


@pytest.mark.points(0.25)
@pytest.mark.scenario(
    "requests",
    script=[
        "A at 0: fails, cancelled at 6",
        "B at 0.5: fails, cancelled at 6.5",
        "C at 1: fails, cancelled at 7",
        "D at 2: works after 0.3",
        "E at 3: works",
    ],
    max_concurrent=1,
    deadline=1e6,
    base=2e5,
    cap=2e5,
    seed=8,
)
@as_visible
def test_backoff_frees(run):
    visible.test_backoff_frees(run, waiting=("A", "B", "C"), served=("D", "E"))


@pytest.mark.points(0.25)
@pytest.mark.scenario(
    "requests",
    script=[
        "A then: fails",
        "B at 6.5: works",
        "8 x D at 7.5: fails after 0.2",
        "E at 13: works",
        "8 x F at 15.5: works after 0.3",
        "8 x G at 17: works",
    ],
    max_attempts=1,
    failure_threshold=1,
    recovery_time=7.0,
)
@as_visible
def test_half_open(runs):
    after = tuple((f"G{number}", True, 1) for number in range(1, 9))
    crowds = (("D", False), ("F", True))
    visible.test_half_open(runs, recovery=(7.0,), rejected=(("B", "E"),), crowds=(crowds,), after=(after,))


@pytest.mark.points(0.25)
@pytest.mark.scenario(
    "requests",
    script=[
        "A at 0: hangs, cancelled at 0.4",
        "B at 0.6: fails, cancelled at 0.8",
        "C at 1: hangs, cancelled at 1.9",
        "D at 2: works",
    ],
    max_concurrent=1,
    failure_threshold=3,
    deadline=1e6,
    base=1e5,
    cap=1e5,
    seed=4,
)
@pytest.mark.scenario(
    "requests",
    script=[
        "A at 0: works after 0.9",
        "B at 0.2: works, cancelled at 0.5",
        "C at 0.6: works",
        "D at 0.7: works",
        "E at 2: works",
    ],
    max_concurrent=1,
    max_queue=1,
)
@pytest.mark.scenario(
    "requests",
    script=[
        "A then: fails",
        "B then: fails",
        "C at 5.5: hangs, cancelled at 6",
        "D at 6.1: hangs, cancelled at 6.5",
        "E at 7: works",
        "F then: works",
    ],
    max_attempts=1,
    failure_threshold=2,
    recovery_time=5.0,
)
@as_visible
def test_cancelled(runs):
    visible.test_cancelled(
        runs,
        leaving=(("A", "B", "C"), ("B",), ("C", "D")),
        expected=(
            {"D": (200, 1)},
            {"A": (200, 1), "C": (200, 1), "D": (503, 0), "E": (200, 1)},
            {"A": (502, 1), "B": (502, 1), "E": (200, 1), "F": (200, 1)},
        ),
    )
