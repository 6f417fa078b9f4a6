"""What 10_shutdown says in words of its pictures and of uvicorn is what its own cells show."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest

from autograder.authoring.worked import solution_notebook
from autograder.notebook.answer import find_answer, read_cells
from autograder.notebook.execution import run_notebook
from tests.sections.conftest import SECTIONS

SECTION = next(section for section in SECTIONS if section.exercise == "shutdown")


@cache
def names(*wanted: str) -> Mapping[str, Any]:
    """What the notebook's cells leave under these names, and under those that they need."""
    cells = read_cells(solution_notebook(SECTION))
    assert SECTION.exercise is not None
    found, problems = run_notebook(find_answer(cells, cells, SECTION.exercise).cells, wanted)
    assert {kind for _, kind, _ in problems} <= {"SimulationError"}, problems  # one cell shows a real process
    return found


STAGE = ("Abrupt", "Draining", "deploy", "suffered", "with_delay")


def test_deploys():
    """Ended at once: five requests are cut off, three refused. Drained: three refused. With 1 s of delay: none."""
    stage = names(*STAGE)
    seen = [stage["suffered"](stage["deploy"](stage[name])) for name in ("Abrupt", "Draining")]
    assert seen == [{"cut off": 5, "refused": 3}, {"cut off": 0, "refused": 3}]
    taken = stage["with_delay"](1.0)
    assert stage["suffered"](taken) == {"cut off": 0, "refused": 0}
    assert sum(call.start > 3.2 for call in taken.calls()) == 3


def test_delay_of_the_lag():
    """With a delay of 2 s, the balancer's lag, no moment of SIGTERM drops anything; with 1.5 s some moment does."""
    stage = names(*STAGE)
    moments = [2.2 + 0.25 * step for step in range(9)]
    dropped = {
        delay: sum(sum(stage["suffered"](stage["with_delay"](delay, at)).values()) for at in moments)
        for delay in (1.5, 2.0)
    }
    assert dropped[2.0] == 0 < dropped[1.5]


@pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="needs SIGTERM")
def test_uvicorn():
    """uvicorn drains, refuses new connections at once, and at its timeout cancels without awaiting the cleanup."""
    cells = names("real_deploy")
    saw, said = asyncio.run(cells["real_deploy"]())
    assert ["ConnectError" in saw[0], " 200" in saw[1], " 200" in saw[2]] == [True, True, False]
    lines = [line for line in said if line.startswith("APP")]
    assert lines == ["APP: cancelled, cleaning up", "APP: everything is closed"]
