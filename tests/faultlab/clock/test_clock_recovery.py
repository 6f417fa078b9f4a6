"""What the virtual clock promises to a notebook: one loop for many cells, and an error is one cell's alone."""

# ruff: noqa: ASYNC110, ASYNC251, RUF006, SIM105

from __future__ import annotations

import asyncio
import contextlib
import itertools
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from faultlab import DeadlockError, LimitError, LivelockError, SimulationError, World, live, mark, simulate
from faultlab.clock.loop import VirtualLoop
from faultlab.clock.running import run_part

ROOT = Path(__file__).parents[3]


async def deadlock():
    await asyncio.Event().wait()


async def livelock():
    while True:
        await asyncio.sleep(0)


async def callbacks():
    loop = asyncio.get_running_loop()

    def again():
        loop.call_soon(again)

    again()
    await asyncio.sleep(1)


async def absent():
    await asyncio.open_connection("localhost", 1)


async def swallowed():
    with contextlib.suppress(Exception):
        await absent()


async def too_late():
    while True:
        await asyncio.sleep(10)


async def too_many_turns():
    for _ in range(50_000):
        await asyncio.sleep(1e-6)


async def blocked():
    time.sleep(1e7)


async def stubborn():
    while True:
        try:
            await asyncio.sleep(0)
        except BaseException:
            pass


async def deaf():
    while True:
        try:
            await asyncio.Event().wait()
        except BaseException:
            pass


async def slow_to_go():
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(30)


async def exits():
    try:
        await asyncio.Event().wait()
    finally:
        raise SystemExit(3)


async def absent_at_the_end():
    try:
        await asyncio.Event().wait()
    finally:
        await absent()


FAILURES = [
    (deadlock, DeadlockError),
    (livelock, LivelockError),
    (callbacks, LivelockError),
    (absent, SimulationError),
    (swallowed, SimulationError),
    (too_late, LimitError),
    (too_many_turns, LimitError),
    (blocked, LimitError),
    (stubborn, LivelockError),
    (deaf, DeadlockError),
    (slow_to_go, DeadlockError),
    (exits, DeadlockError),
    (absent_at_the_end, DeadlockError),
]


async def nap(seconds):
    began = time.monotonic()
    await asyncio.sleep(seconds)
    return time.monotonic() - began


@pytest.fixture
def loop():
    loop = VirtualLoop(max_time=5_000, max_turns=20_000, max_stall=2_500)
    yield loop
    loop.clean_up()


@pytest.mark.parametrize(("failing", "kind"), FAILURES, ids=lambda one: getattr(one, "__name__", None))
def test_the_next_part_is_as_if_nothing_had_been(loop, failing, kind):
    """After each kind of end another coroutine runs on the same loop, and its clock moves on from where it was."""
    assert run_part(loop, nap(1)) == 1
    for _ in range(3):
        with pytest.raises(kind):
            run_part(loop, failing())
        before = loop.now
        loop.recover()
        assert loop.now == before and loop.unfinished() == set()
        assert run_part(loop, nap(4_000)) == pytest.approx(4_000)


@pytest.mark.parametrize(("failing", "kind"), [pair for pair in FAILURES if pair[1] is not DeadlockError])
def test_tasks_that_are_left_go_on(loop, failing, kind):
    """A background task of an earlier part ticks on; what the failed part started is gone."""
    ticks: list[int] = []
    leftover: list[int] = []

    async def tick(times, every):
        for count in itertools.count():
            await asyncio.sleep(every)
            times.append(count)

    async def start():
        asyncio.create_task(tick(ticks, 100))
        await asyncio.sleep(250)

    async def fail():
        asyncio.create_task(tick(leftover, 1000))
        await failing()

    run_part(loop, start())
    alive = loop.unfinished()
    assert len(alive) == 1
    with pytest.raises(kind):
        run_part(loop, fail())
    loop.recover(leave=alive)
    assert loop.unfinished() == alive
    before = len(ticks)
    leftover.clear()
    run_part(loop, nap(4_000))
    assert len(ticks) - before >= 40 and leftover == []


def test_a_deadlocked_parts_tasks_can_be_left_too(loop):
    """The next part may give what the failed one waited for."""
    event, seen = asyncio.Event(), []

    async def wait():
        await event.wait()
        seen.append(time.monotonic())

    async def give():
        await asyncio.sleep(2)
        event.set()
        await asyncio.sleep(0)

    with pytest.raises(DeadlockError):
        run_part(loop, wait())
    loop.recover(leave=loop.unfinished())
    run_part(loop, give())
    assert seen == [2]


def test_a_dropped_task_never_runs_again(loop):
    """A task that swallows every cancellation isn't woken by what it waits for, and the garbage says nothing of it."""
    event, seen = asyncio.Event(), []

    async def swallow():
        while True:
            try:
                await event.wait()
                seen.append("ran")
                event.clear()
            except BaseException:
                pass

    async def give():
        event.set()
        await asyncio.sleep(1)

    with pytest.raises(DeadlockError):
        run_part(loop, swallow())
    loop.recover()
    run_part(loop, give())
    assert seen == []


def test_an_interrupt_is_recovered_from(loop):
    """After KeyboardInterrupt as after a limit; a cancelled task's own clean-up is done."""
    cleaned = []

    async def interrupted():
        try:
            await asyncio.gather(nap(50), interrupt())
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    async def interrupt():
        await asyncio.sleep(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_part(loop, interrupted())
    loop.recover()
    assert cleaned == [True]
    assert run_part(loop, nap(1)) == 1 and loop.time() == 4


def test_within_a_running_loop():
    """A kernel's own loop is running meanwhile, and is the running one afterwards."""

    async def cell():
        loop = VirtualLoop()
        with pytest.raises(DeadlockError):
            run_part(loop, deadlock())
        loop.recover()
        value = run_part(loop, nap(9))
        loop.clean_up()
        await asyncio.sleep(0)
        return value

    assert asyncio.run(cell()) == 9


def test_only_an_idle_open_loop_recovers(loop):
    """From within a run, and after the loop was closed, it is refused in words."""

    async def inside():
        loop.recover()

    with pytest.raises(RuntimeError, match="the run has to end first"):
        run_part(loop, inside())
    loop.recover()
    other = VirtualLoop()
    other.clean_up()
    with pytest.raises(RuntimeError, match="closed"):
        other.recover()


def test_live_and_simulate_in_a_part(loop):
    """`await live(...)` takes the loop's virtual time and meets its own world; a simulation within has its own."""
    world, inner = World(), World()
    service, other = world.service("op", latency=2.5), inner.service("other", latency=40)

    async def main():
        mark("begin")
        value = await service()
        run = simulate(lambda: other(), world=inner)
        await asyncio.sleep(1)
        mark("end")
        return value, run.timeline.calls()[0].end

    run = run_part(loop, live(main(), world=world))
    assert run.value[0] and run.value[1] == 40
    assert [(seen.name, seen.at) for seen in run.timeline.marks()] == [("begin", 0.0), ("end", 3.5)]
    assert run.timeline.calls()[0].end == 2.5 and loop.time() == 3.5


def test_a_thread_of_an_earlier_part_isnt_named(loop):
    """A deadlock names the threads of its own part."""

    async def compute():
        thread = threading.Thread(target=int, name="early")
        thread.start()
        thread.join()

    run_part(loop, compute())
    with pytest.raises(DeadlockError) as caught:
        run_part(loop, deadlock())
    assert "early" not in str(caught.value)


def test_no_garbage_runs_on():
    """What swallows even GeneratorExit isn't collected, and neither later code nor the interpreter's end runs it."""
    code = """
import asyncio, gc
from faultlab import DeadlockError, simulate

async def deaf():
    event = asyncio.Event()
    while True:
        try:
            await event.wait()
        except BaseException:
            pass

for _ in range(2):
    try:
        simulate(deaf)
    except DeadlockError:
        print("deadlock")
    gc.collect()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == ("deadlock\n" * 2, "", 0)
