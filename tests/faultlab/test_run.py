"""Runs: what `simulate` and `live` give back, the same in every process, on every Python."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from faultlab import (
    DeadlockError,
    NotRepeatable,
    Service,
    SimulationError,
    World,
    error,
    hang,
    live,
    mark,
    ok,
    repeatable,
    simulate,
)
from faultlab.world import WorldError

ROOT = Path(__file__).parents[2]


def fingerprint(hash_seed):
    """What a fresh process says of the rich program's timeline: its length and SHA-256."""
    done = subprocess.run(
        [sys.executable, "-s", "-B", str(ROOT / "tests/faultlab/rich.py")],
        env={"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": str(hash_seed), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) > 200
    return done.stdout


class TestDeterminism:
    def test_fresh_processes_agree(self):
        """Four processes, four hash seeds, heaps that differ: the same bytes. `tools/pythons.py` compares Pythons."""
        assert len({fingerprint(seed) for seed in range(4)}) == 1


def scene(latency=0.02):
    world = World(seed=3)
    world.service("op", [error("KeyError", "k"), ok(after=latency), hang()], latency=latency)
    return world


async def visit():
    op = Service("op")
    try:
        await op("first")
    except KeyError as failed:
        mark("failed", failed.args)
    mark("value", await op("second"), lane="somebody")
    try:
        async with asyncio.timeout(0.05):
            await op("third")
    except TimeoutError:
        mark("late")
    return await op("fourth")


class TestLive:
    def test_both_clocks_tell_the_same_story(self):
        """On the real clock the same events, lanes and data; only the instants are the machine's."""

        def story(timeline):
            return [(event.kind, event.lane, event.data) for event in timeline if event.kind not in ("sleep", "wake")]

        async def on_the_real_clock():
            return await asyncio.create_task(live(visit(), world=scene()), name="visit")

        virtual, real = simulate(visit, world=scene()), asyncio.run(on_the_real_clock())
        assert story(virtual.timeline) == story(real.timeline)
        assert virtual.value == real.value
        assert real.timeline.calls()[1].end - real.timeline.calls()[1].start >= 0.039

    def test_nothing_stays_in_the_loop(self):
        """After a run, also one that gave up a call, the loop has no timer of it."""

        async def cell():
            await live(visit(), world=scene())
            loop: Any = asyncio.get_running_loop()
            return [timer for timer in loop._scheduled if not timer.cancelled()]

        assert asyncio.run(cell()) == []

    def test_an_error_comes_out_and_is_on_the_timeline(self):
        """What the coroutine raises."""
        world = World()
        op = world.service("op", [error("KeyError", "k")])

        with pytest.raises(KeyError):
            asyncio.run(live(op(), world=world))
        assert world.timeline()[-1].data["error"] == "KeyError"

    def test_an_unknown_service_is_refused(self):
        """With the names that there are."""
        with pytest.raises(WorldError, match="there is no service 'nobody'; there are: op"):
            asyncio.run(live(Service("nobody")(), world=scene()))


class TestErrors:
    def test_own_error_classes(self):
        """Named in `errors`; unknown names get a class of their own. Each carries its call's receipt."""

        class Busy(Exception):
            pass

        world = World()
        op = world.service("op", [error("Busy", 5), error("Unheard")])

        async def main():
            with pytest.raises(Busy) as seen:
                await op()
            with pytest.raises(Exception) as other:  # noqa: PT011
                await op()
            receipts = [vars(one.value)["__faultlab_call__"] for one in (seen, other)]
            mark("receipts", [{"call": receipt} for receipt in receipts])
            return seen.value.args, type(other.value).__name__

        assert simulate(main, world=world, errors={"Busy": Busy}).value == ((5,), "Unheard")
        assert [mark.value for mark in world.timeline().marks()] == [[{"call": 0}, {"call": 1}]]

    def test_catch_keeps_the_error(self):
        """With `catch` the run comes back, with the error and the timeline up to it."""
        run = simulate(lambda: asyncio.Event().wait(), catch=True)
        assert isinstance(run.error, DeadlockError) and run.value is None
        assert run.timeline[-1].data["how"] == "deadlock"

    def test_a_raised_error_shows_only_the_readers_code(self):
        """The traceback goes from `simulate` to the coroutine, without the loop's own frames."""

        async def main():
            raise ValueError("mine")

        with pytest.raises(ValueError, match="mine") as seen:
            simulate(main)
        assert [entry.name for entry in seen.traceback][-1] == "main"
        assert not [entry for entry in seen.traceback if "asyncio" in str(entry.path)]

    def test_services_answer_only_in_a_run(self):
        """Outside, the error says what to use; marks do nothing."""
        mark("nothing")
        with pytest.raises(SimulationError, match=r"use simulate\(...\)"):
            asyncio.run(Service("op")())

    def test_too_many_arguments_are_cut(self):
        """A call carries at most fifty to the world."""
        world = World()
        op = world.service("op")
        simulate(lambda: op(*range(80)), world=world)
        assert len(world.timeline().calls()[0].args) == 50


class TestRepeatable:
    def test_a_repeatable_experiment_gives_its_run(self):
        """Run twice, returned once."""
        run = repeatable(lambda: simulate(visit, world=scene()))
        assert run.value.startswith("op-") and len(run.timeline) > 5

    def test_the_first_difference_is_named(self):
        """The place, both events, and where to look."""
        left_over = itertools.count()

        async def main():
            mark("same", 1)
            mark("count", next(left_over))

        with pytest.raises(NotRepeatable) as seen:
            repeatable(lambda: simulate(main))
        assert seen.value.index == 1
        assert (
            seen.value.first and seen.value.first.data["value"],
            seen.value.second and seen.value.second.data["value"],
        ) == (0, 1)
        assert "differ from event 1 on" in str(seen.value) and "'name': 'count', 'value': 0" in str(seen.value)

    def test_a_run_that_goes_on_longer_differs(self):
        """One timeline is the other's beginning."""
        times = itertools.count()

        def experiment():
            again = next(times)

            async def main():
                await asyncio.sleep(0)
                if again:
                    mark("once more")

            return simulate(main)

        with pytest.raises(NotRepeatable, match=r"first run: .*end.*\n.*second run:.*once more"):
            repeatable(experiment)


class TestEnd:
    def test_what_is_left_doesnt_prolong_the_run(self):
        """The run ends when its main ends, even if a task that is left won't be cancelled."""

        async def stubborn():
            while True:
                try:
                    await asyncio.sleep(40)
                except asyncio.CancelledError:
                    mark("never")

        async def main():
            task = asyncio.create_task(stubborn())
            await asyncio.sleep(2)
            return task

        timeline = simulate(main).timeline
        assert timeline.ending is not None
        assert timeline.ending.seconds == timeline.duration == 2
