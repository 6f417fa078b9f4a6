"""What the virtual clock promises: time that jumps, one order, honest endings, and nothing left behind."""

# ruff: noqa: ASYNC110, ASYNC251, RUF006
# Busy loops, blocking sleeps and tasks that nobody holds are what is tested here.

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import pytest

from faultlab import (
    DeadlockError,
    LimitError,
    LivelockError,
    Service,
    SimulationError,
    World,
    error,
    hang,
    live,
    mark,
    simulate,
)
from faultlab.clock.loop import VirtualLoop
from faultlab.clock.patches import EPOCH
from faultlab.clock.running import run_virtual

ROOT = Path(__file__).parents[3]


def value(main, **options):
    """What a coroutine function returns on the virtual clock."""
    return simulate(main, **options).value


def running():
    """The current task."""
    task = asyncio.current_task()
    assert task is not None
    return task


async def nap(seconds, result=None):
    await asyncio.sleep(seconds)
    return result


class TestTime:
    def test_hours_pass_at_once(self):
        """Virtual time passes; real time hardly does: three weeks of sleep end within the test's time limit."""

        async def main():
            await asyncio.sleep(500_000)
            return asyncio.get_running_loop().time()

        assert value(main) == 500_000

    def test_every_clock_is_virtual_inside(self):
        """All readers of `time` agree with the loop."""

        async def main():
            await asyncio.sleep(2.5)
            return (
                (time.time(), time.time_ns()),
                (time.monotonic(), time.monotonic_ns()),
                (time.perf_counter(), time.perf_counter_ns()),
            )

        elapsed = (2.5, 2_500_000_000)
        assert value(main) == ((EPOCH + 2.5, round(EPOCH) * 10**9 + 2_500_000_000), elapsed, elapsed)

    def test_every_clock_is_real_outside(self):
        """Before and after a run the clocks are the machine's."""
        before = time.time(), time.monotonic()
        simulate(nap(1000))
        after = time.time(), time.monotonic()
        assert before[0] > EPOCH + 10**6, "a real date"
        assert all(0 <= late - early < 500 for early, late in zip(before, after, strict=True))

    def test_other_threads_keep_the_real_clock(self):
        """A real thread's clock is real, also while a simulation runs in the main thread."""
        seen = []

        async def main():
            thread = threading.Thread(target=lambda: seen.append(time.time()))
            thread.start()
            thread.join()

        simulate(main)
        assert seen[0] > EPOCH + 10**6

    def test_equal_deadlines_fire_in_the_order_they_were_set(self):
        """The order of the timers, also when some of them were cancelled."""
        woken: list = []

        async def main():
            loop = asyncio.get_running_loop()
            timers = [loop.call_at(1.0, woken.append, number) for number in range(200)]
            for timer in timers[::3]:
                timer.cancel()
            await asyncio.sleep(1)
            woken.append("last")

        simulate(main)
        assert woken == [*(number for number in range(200) if number % 3), "last"]

    def test_time_is_whole_nanoseconds(self):
        """Ten times a tenth is a second: floats don't add up errors."""

        async def main():
            for _ in range(10):
                await asyncio.sleep(0.1)
            return time.monotonic_ns(), time.monotonic()

        assert value(main) == (10**9, 1.0)

    @pytest.mark.parametrize("wait", [asyncio.sleep, lambda s: asyncio.wait_for(asyncio.Event().wait(), s)])
    def test_timeouts_end_on_time(self, wait):
        """`asyncio.timeout` cuts at its deadline and not before."""

        async def main():
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(3):
                    await wait(10)
            return time.monotonic()

        assert value(main) == 3.0

    def test_an_endless_sleep_doesnt_hold_the_others(self):
        """An endless sleep is no timer to jump to."""

        async def main():
            forever = asyncio.create_task(asyncio.sleep(float("inf")))
            await asyncio.sleep(1)
            forever.cancel()
            return time.monotonic()

        assert value(main) == 1.0


class TestBlocking:
    def test_a_blocking_sleep_stops_everybody(self):
        """`time.sleep` moves the clock on, lets nobody run, and is on the timeline."""

        async def other():
            await asyncio.sleep(1)
            return time.monotonic()

        async def main():
            task = asyncio.create_task(other())
            await asyncio.sleep(0)
            time.sleep(3.2)
            return await task

        run = simulate(main)
        assert run.value == 3.2
        (event,) = run.timeline.of("blocked")
        assert (event.at, event.lane, event.data) == (0, "main", {"seconds": 3.2})

    @pytest.mark.parametrize(("length", "kind"), [(-1, ValueError), (float("nan"), ValueError), ("1", TypeError)])
    def test_a_wrong_length_is_refused(self, length, kind):
        """As the real `time.sleep` does."""

        async def main():
            time.sleep(length)

        with pytest.raises(kind):
            simulate(main)

    def test_thread_work_takes_its_own_time_only(self):
        """Two threads that sleep run side by side, others go on meanwhile, and no timeout fires too early (trap 11)."""
        seen = []

        def work(seconds):
            time.sleep(seconds)
            return time.monotonic()

        async def ticker():
            for _ in range(3):
                await asyncio.sleep(1)
                seen.append(time.monotonic())

        async def main():
            async with asyncio.timeout(30):
                return await asyncio.gather(asyncio.to_thread(work, 2.5), asyncio.to_thread(work, 29), ticker())

        assert value(main) == [2.5, 29.0, None]
        assert seen == [1.0, 2.0, 3.0]

    def test_a_threads_error_comes_out(self):
        """What the function raises is raised where it is awaited, after the time it took."""

        def work():
            time.sleep(2)
            raise KeyError("x")

        async def main():
            with pytest.raises(KeyError):
                await asyncio.to_thread(work)
            return time.monotonic()

        assert value(main) == 2.0

    @pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
    def test_waiting_for_the_loop_in_a_thread_is_refused(self):
        """`run_coroutine_threadsafe(...).result()` would hang: a clear error, whatever the thread catches (trap 6)."""

        async def main():
            loop = asyncio.get_running_loop()

            def work():
                with contextlib.suppress(Exception):
                    return asyncio.run_coroutine_threadsafe(nap(1), loop).result()

            await asyncio.to_thread(work)
            return "went on"

        with pytest.raises(SimulationError, match="threads run inline"):
            simulate(main)

    def test_closing_the_executor_sets_no_timer(self):
        """`shutdown_default_executor` leaves nothing on the loop (trap 11)."""

        async def main():
            await asyncio.to_thread(int)
            await asyncio.get_running_loop().shutdown_default_executor()
            return time.monotonic()

        run = simulate(main)
        assert run.value == 0.0
        assert [pause.how for pause in run.timeline.pauses()] == ["fired"]


class TestOrder:
    def test_a_group_is_cancelled_in_the_order_of_its_tasks(self):
        """A TaskGroup keeps its tasks in a set; the set has one order."""
        order = []

        async def member(number):
            try:
                await asyncio.sleep(60)
            finally:
                order.append(number)

        async def main():
            with contextlib.suppress(ExceptionGroup):
                async with asyncio.TaskGroup() as group:
                    for number in range(50):
                        group.create_task(member(number))
                    group.create_task(asyncio.wait_for(asyncio.sleep(9), 1))

        simulate(main)
        assert order == list(range(50))

    def test_waits_sets_are_ordered(self):
        """`asyncio.wait` gives sets that are iterated in the tasks' order."""

        async def main():
            tasks = [asyncio.create_task(nap(number % 2, number)) for number in range(50)]
            done, pending = await asyncio.wait(tasks, timeout=0.5)
            await asyncio.wait(pending)
            return [task.result() for task in [*done, *pending]]

        assert value(main) == [*range(0, 50, 2), *range(1, 50, 2)]

    def test_as_completed_is_ordered(self):
        """Coroutines that end together come out in the order they were given."""

        async def main():
            return [await item for item in asyncio.as_completed([nap(1, number) for number in range(50)])]

        assert value(main) == list(range(50))

    def test_as_completed_takes_what_the_librarys_takes(self):
        """Doubles once; a lone coroutine is refused with the library's words; tasks and a time limit work."""

        async def main():
            double = nap(1, "once")
            assert [await item for item in asyncio.as_completed([double, double])] == ["once"]
            lone = nap(1)
            with pytest.raises(TypeError, match=r"expects? an iterable"):
                list(asyncio.as_completed(lone))  # type: ignore[arg-type]
            lone.close()
            slow = asyncio.create_task(nap(9))
            (late,) = asyncio.as_completed([slow], timeout=2)
            with pytest.raises(TimeoutError):
                await late
            return time.monotonic()

        assert value(main) == 3.0

    def test_all_tasks_is_ordered_and_complete(self):
        """Every task of this loop that isn't done, in order; none of another loop."""

        async def main():
            for number in range(30):
                asyncio.create_task(nap(1), name=f"{number}").add_done_callback(lambda task: None)
            await asyncio.sleep(0)
            return [task.get_name() for task in asyncio.all_tasks()]

        assert value(main) == ["main", *(f"{number}" for number in range(30))]

    def test_names_start_anew_and_count_named_tasks(self):
        """Unnamed tasks are called after their coroutine and their place, the same on every Python."""

        async def who():
            return running().get_name()

        async def main():
            tasks = [asyncio.create_task(who(), name=name) for name in (None, "mine", None)]
            return [await task for task in tasks]

        assert value(main) == value(main) == ["who", "mine", "who#3"]


class TestEndings:
    def test_a_deadlock_names_the_suspended_lines(self):
        """Nothing scheduled: an error that tells each task's line, from the outside in."""

        async def inner():
            await asyncio.Event().wait()  # never set

        async def main():
            await asyncio.create_task(inner(), name="stuck")

        with pytest.raises(DeadlockError) as caught:
            simulate(main)
        assert "task 'stuck' waits at inner:" in str(caught.value)
        assert "`await asyncio.Event().wait()  # never set`" in str(caught.value)
        assert "asyncio/locks.py" not in str(caught.value) and "wait:" not in str(caught.value)
        assert caught.value.timeline[-1].data["how"] == "deadlock"

    def test_a_livelock_is_an_error(self):
        """Running on without time ever passing."""

        async def main():
            await asyncio.sleep(1)
            while True:
                await asyncio.sleep(0)  # round and round

        with pytest.raises(LivelockError, match=r"no time passes.*\n.*round and round") as caught:
            simulate(main, max_stall=5_000)
        assert caught.value.timeline[-1].data["how"] == "livelock"

    def test_stalling_is_allowed_for_long(self):
        """The limit is generous: 90,000 turns at one instant are no livelock (trap 10)."""

        async def main():
            for _ in range(90_000):
                await asyncio.sleep(0)
            return "through"

        assert value(main) == "through"

    def test_a_stalled_clock_creeps(self):
        """A microsecond every 2,000 stalled turns (trap 10)."""

        async def main():
            for _ in range(4_001):
                await asyncio.sleep(0)
            return time.monotonic_ns()

        assert value(main) == 2_000

    def test_too_many_turns(self):
        """`max_turns` ends a run whose time does pass."""

        async def main():
            while True:
                await asyncio.sleep(1)  # forever

        with pytest.raises(LimitError, match=r"more than 300 turns.*\n.*forever"):
            simulate(main, max_turns=300)

    @pytest.mark.parametrize("blocking", [False, True])
    def test_too_much_time(self, blocking):
        """`max_time` ends a run, also one that blocks."""

        async def main():
            while True:
                time.sleep(10) if blocking else await asyncio.sleep(10)

        with pytest.raises(LimitError, match="more than 100 simulated seconds"):
            simulate(main, max_time=100)

    @pytest.mark.parametrize(
        ("stuck", "kind", "limits"),
        [
            (lambda: asyncio.Event().wait(), DeadlockError, {}),
            (lambda: asyncio.sleep(0), LivelockError, {"max_stall": 3_000}),
            (lambda: asyncio.sleep(1), LimitError, {"max_turns": 1_000}),
            (lambda: asyncio.sleep(1), LimitError, {"max_time": 50}),
            (lambda: asyncio.to_thread(time.sleep, 100), LimitError, {"max_time": 50}),
        ],
    )
    @pytest.mark.parametrize("caught", [TimeoutError, Exception, BaseException])
    def test_no_task_swallows_the_end(self, stuck, kind, limits, caught):
        """Whatever a task catches: the loop raises the error, it is no TimeoutError, and cleaning up doesn't
        meet the limit again (traps 1 and 2).
        """

        async def main():
            while True:
                try:
                    await stuck()
                except caught:
                    if running().cancelling():
                        raise

        with pytest.raises(kind) as seen:
            simulate(main, **limits)
        assert not isinstance(seen.value, TimeoutError)

    def test_a_task_that_wont_be_cancelled_is_left(self):
        """Cleaning up is bounded: a task that swallows every cancellation is dropped."""

        async def main():
            while True:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    mark("no")

        with pytest.raises(DeadlockError):
            simulate(main)

    def test_nobody_waits_for_a_service_that_hangs(self):
        """A call that is never answered is a deadlock too, told with the caller's line."""
        world = World()
        service = world.service("op", [hang()])

        async def main():
            await service("forever")

        with pytest.raises(DeadlockError, match="await service"):
            simulate(main, world=world)

    def test_an_interrupt_leaves_everything_usable(self):
        """KeyboardInterrupt comes out at once, background tasks end, and the next run works (trap 3)."""
        ended = []

        async def background():
            try:
                await asyncio.sleep(60)
            finally:
                ended.append("background")

        async def main():
            task = asyncio.create_task(background())
            await asyncio.sleep(1)
            raise KeyboardInterrupt
            await task

        with pytest.raises(KeyboardInterrupt):
            simulate(main)
        assert ended == ["background"]
        assert value(lambda: nap(1, "again")) == "again"

    @pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="Windows has no alarm")
    def test_an_interrupt_at_any_point_is_survived(self):
        """A real signal that lands in the loop's own code loses no clean-up (trap 3)."""

        def alarm(number, frame):
            raise KeyboardInterrupt

        async def spin():
            while True:
                await asyncio.sleep(0)

        async def main():
            await asyncio.gather(*(spin() for _ in range(5)))

        before = signal.signal(signal.SIGVTALRM, alarm)
        try:
            for microseconds in range(3_000, 12_000, 450):
                # Again after a while, should the first land where Python swallows it.
                signal.setitimer(signal.ITIMER_VIRTUAL, microseconds / 1e6, 1)
                with pytest.raises(KeyboardInterrupt):
                    simulate(main, max_stall=10**9, max_turns=10**9)
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
                assert value(lambda: nap(1, "again")) == "again"
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.signal(signal.SIGVTALRM, before)

    @pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
    def test_an_interrupt_at_any_step_of_the_loop_is_survived(self):
        """As it starts, turns and ends (trap 3): only the interrupt comes out, and all is as before."""
        steps = {"run_until_complete", "run_forever", "_run_forever_setup", "_run_forever_cleanup", "_run_once"}
        hooks = sys.get_asyncgen_hooks()

        def interrupted(number):
            """Whether step `number` was there, to be interrupted."""
            left = number

            def trace(frame, event, arg):
                nonlocal left
                if frame.f_code.co_name not in steps:
                    return None
                left -= event == "line"
                if left == 0 and event == "line":
                    sys.settrace(None)
                    raise KeyboardInterrupt
                return trace

            before = sys.gettrace()
            sys.settrace(trace)
            try:
                simulate(lambda: nap(1, "done"))
            except KeyboardInterrupt:
                pass
            finally:
                sys.settrace(before)
            return left <= 0

        count = next(number for number in itertools.count(1) if not interrupted(number))
        assert count > 40
        assert sys.get_asyncgen_hooks() == hooks
        assert value(lambda: nap(1, "again")) == "again"

    def test_stop_means_what_it_always_means(self):
        """`loop.stop()` ends the loop before main: the library's error, and no limit's."""

        async def main():
            asyncio.get_running_loop().stop()
            await asyncio.sleep(1)

        with pytest.raises(RuntimeError, match="stopped before Future completed") as caught:
            simulate(main)
        assert not isinstance(caught.value, SimulationError)

    def test_unheard_errors_are_told(self):
        """An exception that nobody asked for reaches the loop's handler at the end of the run, in order."""
        heard = []

        async def fail(number):
            raise ValueError(number)

        async def main():
            asyncio.get_running_loop().set_exception_handler(lambda loop, told: heard.append(told))
            asyncio.create_task(fail(1))
            asyncio.create_task(fail(2))
            await asyncio.sleep(1)

        simulate(main)
        assert [str(told["exception"]) for told in heard] == ["1", "2"]
        assert heard[0]["message"] == "the task 'fail' failed and nobody awaited it"

    def test_async_generators_are_closed(self):
        """Their `finally` runs before the loop closes."""
        closed = []

        async def numbers():
            try:
                yield 1
                yield 2
            finally:
                await asyncio.sleep(1)
                closed.append(True)

        async def main():
            async for _ in (kept := numbers()):
                break
            return kept

        assert simulate(main).value is not None
        assert closed == [True]

    def test_the_real_world_is_refused(self):
        """Sockets and processes say what to do instead, whatever the code catches."""

        async def main():
            with contextlib.suppress(Exception):
                await asyncio.open_connection("localhost", 1)
            await asyncio.sleep(1)

        with pytest.raises(SimulationError, match=r"create_connection\(\) needs the real world.*laboratory's services"):
            simulate(main)


class TestGarbage:
    def test_a_run_leaves_no_cycles(self):
        """With the collector off, the loop and its tasks are gone when the run is over, also after timeouts, failed
        calls and left tasks (trap 4).
        """
        seen: list[weakref.ref] = []

        async def worker(number):
            seen.append(weakref.ref(running()))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await asyncio.sleep(number)
            await asyncio.to_thread(time.sleep, 1)

        async def main():
            seen.append(weakref.ref(asyncio.get_running_loop()))
            await asyncio.gather(*(worker(number) for number in range(5)))
            for _ in range(2):
                with contextlib.suppress(TimeoutError, ConnectionError):
                    async with asyncio.timeout(1):
                        await Service("op")()
            asyncio.create_task(asyncio.sleep(60))

        def run():
            world = World()
            world.service("op", [hang(), error()])
            simulate(main, world=world)

        run()  # what is made once and kept, is made
        seen.clear()
        gc.collect()
        gc.disable()
        try:
            run()
            alive = [ref() for ref in seen if ref() is not None]
        finally:
            gc.enable()
        assert len(seen) == 6 and alive == []

    def test_no_task_is_collected_early(self):
        """A task that nobody holds runs to its end: the loop holds it."""
        done = []

        async def lonely():
            await asyncio.get_running_loop().create_task(asyncio.sleep(1))
            done.append(True)

        async def main():
            asyncio.create_task(lonely())
            await asyncio.sleep(0.5)
            gc.collect()
            await asyncio.sleep(1)

        simulate(main)
        assert done == [True]

    def test_the_loop_is_closed(self):
        """After a run the loop takes nothing more."""
        loop = VirtualLoop()
        assert run_virtual(loop, nap(1, 5)) == 5
        assert loop.is_closed()


class TestInsideARunningLoop:
    def test_as_in_a_notebooks_cell(self):
        """With a loop running and a current task: the run works, and both are as before."""

        async def cell():
            loop, task = asyncio.get_running_loop(), asyncio.current_task()
            background = asyncio.create_task(nap(0.01, "background"))
            await asyncio.sleep(0)
            run = simulate(nap(1000, "inner"))
            assert asyncio.get_running_loop() is loop and asyncio.current_task() is task
            return run.value, await background

        assert asyncio.run(cell()) == ("inner", "background")

    def test_after_an_error_too(self):
        """The outer loop goes on after a deadlock inside."""

        async def cell():
            with pytest.raises(DeadlockError):
                simulate(asyncio.Event().wait())
            return running().get_name(), await nap(0.001, "on")

        assert asyncio.run(cell())[1] == "on"

    def test_a_callback_of_the_outer_loop(self):
        """A widget's callback runs without a current task."""

        async def cell():
            done = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(lambda: done.set_result(simulate(nap(5, "called")).value))
            return await done

        assert asyncio.run(cell()) == "called"

    def test_a_simulation_within_a_simulation(self):
        """Each has its own clock."""

        async def inner():
            await asyncio.sleep(100)
            return time.monotonic()

        async def outer():
            await asyncio.sleep(1)
            within = simulate(inner).value
            await asyncio.sleep(1)
            return within, time.monotonic()

        assert value(outer) == (100.0, 2.0)

    def test_awaiting_a_run_gives_the_run(self):
        """`await simulate(...)` is a natural slip: it does no harm."""

        async def cell():
            return await simulate(nap(1, "value"))

        assert asyncio.run(cell()).value == "value"

    def test_in_another_thread(self):
        """A simulation in a real thread is on its own."""
        seen = []
        thread = threading.Thread(target=lambda: seen.append(value(lambda: nap(10, "threaded"))))
        thread.start()
        thread.join()
        assert seen == ["threaded"]

    def test_plain_script(self):
        """In a script without any loop, in a fresh interpreter with every warning an error."""
        code = "import asyncio; from faultlab import simulate; print(simulate(asyncio.sleep(9, 'slept')).value)"
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-W", "error", "-c", code],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert (done.stdout, done.returncode) == ("slept\n", 0), done.stderr

    @pytest.mark.heavy
    def test_in_a_real_kernel(self):
        """An ipykernel: runs, nested runs, background tasks, and one Interrupt after which it works on."""
        from jupyter_client.manager import start_new_kernel

        manager, client = start_new_kernel(kernel_name="python3", cwd=str(ROOT))
        try:

            def cell(code, interrupt=False):
                said = []

                def hear(message):
                    content = message["content"]
                    said.append(content.get("text", "") or content.get("ename", ""))
                    if interrupt and "now" in said[-1]:
                        manager.interrupt_kernel()

                client.execute_interactive(code, timeout=60, output_hook=hear)
                return "".join(said)

            cell(
                "import asyncio\nfrom faultlab import simulate\nticks = []\n"
                "async def tick():\n    while True:\n        ticks.append(1)\n        await asyncio.sleep(0.01)\n"
                "async def nap(s):\n    await asyncio.sleep(s)\n    return s\n"
                "async def twice():\n    return simulate(nap(5)).value, await nap(6)\n"
                "ticker = asyncio.create_task(tick())"
            )
            assert cell("print(simulate(nap(1000)).value, simulate(twice()).value)") == "1000 (5, 6)\n"
            assert cell("print((await simulate(nap(3))).value)") == "3\n"
            assert cell(
                "async def endless():\n    print('now', flush=True)\n    while True:\n        pass\n"
                "simulate(endless())",
                interrupt=True,
            ).endswith("KeyboardInterrupt")
            assert cell("n = len(ticks)\nwhile len(ticks) < n + 3:\n    await asyncio.sleep(0.01)\nprint('alive')") == (
                "alive\n"
            )
            assert cell("print(simulate(nap(7)).value)") == "7\n"
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)


class TestLibraries:
    def test_anyio(self):
        """anyio's sleep and cancel scopes are on the clock, and the scope's timer is seen as a timeout."""
        anyio = pytest.importorskip("anyio")

        async def main():
            await anyio.sleep(2)
            with anyio.move_on_after(3) as scope:
                await anyio.sleep(10)
            return scope.cancelled_caught, time.monotonic()

        run = simulate(main)
        assert run.value == (True, 5.0)
        assert [(pause.what, pause.until) for pause in run.timeline.pauses()] == [
            ("sleep", 2.0),
            ("timeout", 5.0),
            ("sleep", 12.0),
        ]

    def test_aiolimiter(self):
        """A leaky bucket doesn't livelock on a float-exact clock (trap 10)."""
        aiolimiter = pytest.importorskip("aiolimiter")

        async def main():
            limiter = aiolimiter.AsyncLimiter(3, 0.7)
            for _ in range(30):
                async with limiter:
                    pass
            return time.monotonic()

        assert value(main) == pytest.approx(27 * 0.7 / 3, abs=0.01)

    def test_real_database(self, monkeypatch):
        """A real connection answers from a thread of its own, in real time: an error that names the line that waits
        for it, at once, and the next run is well (trap 7)."""
        aiosqlite = pytest.importorskip("aiosqlite")

        async def main():
            async with aiosqlite.connect(":memory:"):
                pass

        late: list[Any] = []
        before = set(threading.enumerate())
        monkeypatch.setattr(threading, "excepthook", late.append)  # its answer comes when the run is over
        with pytest.raises(DeadlockError, match=r"connect\(\":memory:\"\)"):
            simulate(main)
        for thread in set(threading.enumerate()) - before:
            thread.join(10)
        assert value(lambda: asyncio.sleep(1, "well")) == "well"

    def test_web_application(self):
        """Called through its own interface, an application waits on the virtual clock. Starlette's TestClient brings a
        thread with its own loop, so what happens there is neither on the clock nor on the timeline (trap 8)."""
        httpx2 = pytest.importorskip("httpx2")
        applications = pytest.importorskip("starlette.applications")
        testclient = pytest.importorskip("starlette.testclient")
        from starlette.responses import PlainTextResponse
        from starlette.routing import Route

        async def wait(request):
            await asyncio.sleep(float(request.query_params["seconds"]))
            return PlainTextResponse("waited")

        app = applications.Starlette(routes=[Route("/", wait)])

        async def through_asgi():
            transport = httpx2.ASGITransport(app=app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://service") as client:
                return (await client.get("/?seconds=3000")).text

        async def through_testclient():
            return testclient.TestClient(app).get("/?seconds=0.001").text

        run = simulate(through_asgi)
        assert run.value == "waited" and run.timeline.duration == 3000.0
        assert [pause.until for pause in run.timeline.pauses("sleep")] == [3000.0]
        run = simulate(through_testclient)
        assert run.value == "waited" and run.timeline.duration == 0.0 and run.timeline.pauses() == []

    def test_tenacity(self):
        """tenacity's waits are on the clock."""
        tenacity = pytest.importorskip("tenacity")

        @tenacity.retry(stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_fixed(7))
        async def attempt():
            mark("attempt")
            if time.monotonic() < 14:
                raise ConnectionError
            return time.monotonic()

        run = simulate(attempt)
        assert run.value == 14.0
        assert [seen.at for seen in run.timeline.marks("attempt")] == [0.0, 7.0, 14.0]

    def test_stamina(self):
        """stamina's waits are on the clock, and its time limit is."""
        stamina = pytest.importorskip("stamina")

        @stamina.retry(on=ConnectionError, attempts=None, timeout=60, wait_initial=10, wait_max=10, wait_jitter=0)
        async def attempt():
            raise ConnectionError

        async def main():
            stamina.instrumentation.set_on_retry_hooks([])
            with pytest.raises(ConnectionError):
                await attempt()
            return time.monotonic()

        try:
            assert 50 <= value(main) <= 60
        finally:
            stamina.instrumentation.set_on_retry_hooks(None)


class TestSignals:
    def test_a_delivered_signal_runs_its_handler(self):
        """At the instant that was said, in the loop."""

        async def main():
            loop: Any = asyncio.get_running_loop()
            stopped = asyncio.Event()
            loop.add_signal_handler(signal.SIGTERM, stopped.set)
            loop.call_at(12, loop.deliver_signal, signal.SIGTERM)
            await stopped.wait()
            assert loop.remove_signal_handler(signal.SIGTERM) and not loop.remove_signal_handler(signal.SIGTERM)
            return time.monotonic()

        assert value(main) == 12.0

    def test_a_signal_that_nobody_handles_ends_the_run(self):
        """As it would end a process."""

        async def main():
            loop: Any = asyncio.get_running_loop()
            loop.call_at(1, loop.deliver_signal, signal.SIGTERM)
            with contextlib.suppress(BaseException):
                await asyncio.sleep(5)

        with pytest.raises(SimulationError, match="a real process would die here"):
            simulate(main)


class TestRecording:
    def test_timers_are_told_apart(self):
        """Sleeps, timeouts and other timers, with the waiting task and how each ended."""

        async def main():
            asyncio.get_running_loop().call_later(1, int)
            async with asyncio.timeout(5):
                await asyncio.sleep(2)

        pauses = simulate(main).timeline.pauses()
        assert [(pause.what, pause.until, pause.end, pause.how, pause.lane) for pause in pauses] == [
            ("timer", 1.0, 1.0, "fired", "main"),
            ("timeout", 5.0, 2.0, "cancelled", "main"),
            ("sleep", 2.0, 2.0, "fired", "main"),
        ]

    def test_recording_is_optional(self):
        """Without it the timeline has what the world wrote, and no timers."""
        assert [event.kind for event in simulate(nap(1), record=False).timeline] == ["end"]

    def test_asyncios_debug_mode(self):
        """`PYTHONASYNCIODEBUG`'s checks work on the virtual clock."""

        async def main():
            asyncio.get_running_loop().set_debug(True)
            await asyncio.gather(nap(1), nap(2), asyncio.to_thread(time.sleep, 0.01))
            return time.monotonic()

        assert value(main) == 2.0


def test_the_real_clock_is_untouched_by_a_run():
    """`live` beside `simulate` in one loop: real sleeps are real."""

    async def cell():
        simulate(nap(100))
        began = time.monotonic()
        await live(nap(0.02))
        return time.monotonic() - began

    assert asyncio.run(cell()) >= 0.019
