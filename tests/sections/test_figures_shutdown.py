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


def test_the_stage_stops_at_sigterm():
    """The first picture shows five requests in flight, and nothing of what becomes of them."""
    stage = names(*STAGE, "Frozen")
    stopped = stage["deploy"](stage["Frozen"])
    assert [call.outcome for call in stopped.calls()] == ["ok"] * 5 + ["pending"] * 5
    assert [mark.at for mark in stopped.marks("SIGTERM")] == [3.2]
    assert stopped.ending.data["how"] == "returned"
    assert stage["suffered"](stopped) == {"cut off": 0, "refused": 0}


def test_a_cancelled_cleanup_needs_time():
    """Not awaited, the cleanup of request 3 has begun and no answer when the process is gone; awaited, it has one."""
    stage = names("three_requests", "cancel_and_go")

    async def cancel_and_await(tasks):
        _, late = await asyncio.wait(tasks, timeout=3)
        for task in late:
            task.cancel()
        await asyncio.wait(late)

    outcomes = [
        stage["three_requests"](leave).timeline.calls("cleanup", lane="request 3")[0].outcome
        for leave in (stage["cancel_and_go"], cancel_and_await)
    ]
    assert outcomes == ["pending", "ok"]


@pytest.mark.parametrize(("together", "siblings"), [("wait", "runs"), ("gather", "runs"), ("wait_for", "cancelled")])
def test_what_cancels(together, siblings):
    """`wait` and `gather` cancel nothing when one task fails or the time is over; `wait_for` cancels and raises."""

    async def fails():
        raise ValueError("failed")

    async def main():
        sibling = asyncio.create_task(asyncio.sleep(3600))
        if together == "wait":
            _, late = await asyncio.wait({asyncio.create_task(fails()), sibling}, timeout=0.01)
            assert late == {sibling}
        elif together == "gather":
            with pytest.raises(ValueError, match="failed"):
                await asyncio.gather(fails(), sibling)
        else:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(sibling, timeout=0.01)
        seen = "cancelled" if sibling.cancelled() else "ended" if sibling.done() else "runs"
        sibling.cancel()
        return seen

    assert asyncio.run(main()) == siblings


def test_the_report_drops_a_cleanups_error():
    """A cleanup that fails counts as cancelled, is none of `close_errors`, and only its client hears of it."""
    server_class = names("GracefulServer")["GracefulServer"]

    async def handler(request):
        try:
            await asyncio.sleep(3600)
        finally:
            raise RuntimeError(request)

    async def main():
        server = server_class(handler, drain_timeout=0.01)
        client = asyncio.create_task(server.handle("cleanup failed"))
        await asyncio.sleep(0)
        report = await server.shutdown()
        with pytest.raises(RuntimeError, match="cleanup failed"):
            await client
        return report.completed, report.cancelled, report.close_errors

    assert asyncio.run(main()) == (0, 1, [])


@pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="needs SIGTERM")
def test_uvicorn():
    """uvicorn drains, refuses new connections at once, and at its timeout cancels without awaiting the cleanup."""
    cells = names("real_deploy")
    saw, said = asyncio.run(cells["real_deploy"]())
    assert ["ConnectError" in saw[0], " 200" in saw[1], " 200" in saw[2]] == [True, True, False]
    lines = [line for line in said if line.startswith("APP")]
    assert lines == ["APP: cancelled, cleaning up", "APP: everything is closed"]
