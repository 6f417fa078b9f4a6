"""Threads on the virtual clock: those that run inline, and those that are named."""

# ruff: noqa: ASYNC251

from __future__ import annotations

import _thread
import asyncio
import concurrent.futures
import contextlib
import gc
import itertools
import queue
import re
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import anyio
import pytest
from anyio import from_thread
from anyio import to_thread as to_thread_of_anyio
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from faultlab import DeadlockError, LimitError, SimulationError, simulate
from faultlab.scenario import play, scenario

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def nothing_left():
    """What a run that ended in the middle never awaited goes now, not during another test."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


def work(seconds: float) -> str:
    time.sleep(seconds)
    return threading.current_thread().name


def test_anyio_threads_run_inline_and_take_virtual_time():
    """Work that anyio gives to a thread ends at the instant at which a thread would have ended it."""

    async def main():
        name = await to_thread_of_anyio.run_sync(work, 30.0)
        return name, anyio.current_time()

    name, now = simulate(main()).value
    assert name == threading.current_thread().name
    assert now == pytest.approx(30.0)


def test_their_errors_come_out():
    """What the work raises, its caller gets."""

    async def main():
        await to_thread_of_anyio.run_sync(int, "no number")

    with pytest.raises(ValueError, match="no number"):
        simulate(main())


def test_starlette_endpoints_without_async_answer():
    """An endpoint that is a plain function answers on the virtual clock."""
    app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("here"))])
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}

    async def main():
        sent = []

        async def receive():
            return {"type": "http.request", "body": b""}

        async def send(message):
            sent.append(message)

        await app(scope, receive, send)
        return sent

    assert simulate(main()).value[1]["body"] == b"here"


def test_real_threads_elsewhere():
    """On the real clock anyio's threads stay threads."""
    simulate(to_thread_of_anyio.run_sync(work, 0.0))
    assert anyio.run(to_thread_of_anyio.run_sync, work, 0.0) == "AnyIO worker thread"


# -- pauses in threads, in process and through the scenario runner


async def to_thread(seconds):
    await asyncio.to_thread(time.sleep, seconds)


async def executor(seconds):
    await asyncio.get_running_loop().run_in_executor(None, time.sleep, seconds)


async def own_executor(seconds):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        await asyncio.get_running_loop().run_in_executor(pool, time.sleep, seconds)


async def anyio_thread(seconds):
    await to_thread_of_anyio.run_sync(time.sleep, seconds)


async def event_in_thread(seconds):
    assert not await asyncio.to_thread(threading.Event().wait, seconds)


async def queue_in_thread(seconds):
    with pytest.raises(queue.Empty):
        await asyncio.to_thread(queue.Queue().get, True, seconds)


async def callback_from_thread(seconds):
    loop, event = asyncio.get_running_loop(), asyncio.Event()

    def work():
        time.sleep(seconds)
        loop.call_soon_threadsafe(event.set)
        time.sleep(seconds)

    task = asyncio.ensure_future(asyncio.to_thread(work))
    await event.wait()
    task.cancel()


PAUSES = [to_thread, executor, own_executor, anyio_thread, event_in_thread, queue_in_thread, callback_from_thread]


async def time_sleep(seconds):
    time.sleep(seconds)


async def event(seconds):
    assert not threading.Event().wait(seconds)


async def get(seconds):
    with pytest.raises(queue.Empty):
        queue.Queue().get(timeout=seconds)


async def condition(seconds):
    with (condition := threading.Condition()):
        assert not condition.wait(seconds)
        assert not condition.wait_for(lambda: False, 1e-6)


async def semaphore(seconds):
    assert not threading.Semaphore(0).acquire(timeout=seconds)


async def future(seconds):
    with pytest.raises(TimeoutError):
        concurrent.futures.Future().result(seconds)


BLOCKING = [time_sleep, event, get, condition, semaphore, future]


async def timer(seconds):
    event, loop = asyncio.Event(), asyncio.get_running_loop()
    threading.Timer(seconds, lambda: loop.call_soon_threadsafe(event.set)).start()
    await event.wait()


async def timer_joined(seconds):
    started = threading.Timer(seconds, int)
    started.start()
    started.join()


async def thread_joined(seconds):
    started = threading.Thread(target=time.sleep, args=(seconds,))
    started.start()
    started.join()


async def thread_calls_back(seconds):
    event, loop = asyncio.Event(), asyncio.get_running_loop()

    def work():
        time.sleep(seconds)
        loop.call_soon_threadsafe(event.set)

    threading.Thread(target=work).start()
    await event.wait()


async def bare_thread(seconds):
    event, loop = asyncio.Event(), asyncio.get_running_loop()

    def work():
        time.sleep(seconds)
        loop.call_soon_threadsafe(event.set)

    _thread.start_new_thread(work, ())
    await event.wait()


async def thread_waits(seconds):
    started = threading.Thread(target=threading.Event().wait, args=(seconds,))
    started.start()
    started.join()


async def pool_wrapped(seconds):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        await asyncio.wrap_future(pool.submit(time.sleep, seconds))


async def pool_result(seconds):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        pool.submit(time.sleep, seconds).result()


async def pool_map(seconds):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(time.sleep, [seconds]))


async def loop_of_its_own(seconds):
    await asyncio.to_thread(lambda: asyncio.run(asyncio.sleep(seconds)))


async def for_its_result(seconds):
    loop = asyncio.get_running_loop()
    await asyncio.to_thread(lambda: asyncio.run_coroutine_threadsafe(asyncio.sleep(seconds), loop).result())


async def anyio_from_thread(seconds):
    await to_thread_of_anyio.run_sync(from_thread.run, anyio.sleep, seconds)


async def anyio_from_thread_sync(seconds):
    await to_thread_of_anyio.run_sync(from_thread.run_sync, int, seconds)


async def no_thread_to_wake_it(seconds):
    await asyncio.to_thread(threading.Event().wait)


NAMED = [
    (timer, r"a thread of its own \(threading.Timer\).*await asyncio.sleep"),
    (timer_joined, r"a thread of its own \(threading.Timer\).*await asyncio.sleep"),
    (thread_joined, r"a thread of its own \(time.sleep\).*await asyncio.sleep"),
    (thread_calls_back, r"a thread of its own \(time.sleep\).*await asyncio.sleep"),
    (bare_thread, r"a thread of its own \(time.sleep\).*await asyncio.sleep"),
    (thread_waits, r"a thread of its own \(a threading wait with a time limit\).*await asyncio.sleep"),
    (pool_wrapped, r"a thread of its own \(time.sleep\).*await asyncio.sleep"),
    (pool_result, r"a thread of its own \(time.sleep\).*await asyncio.sleep"),
    (pool_map, r"a thread of its own \(time.sleep\).*await asyncio.sleep"),
    (loop_of_its_own, r"an event loop of its own \(asyncio.run\).*await in a coroutine"),
    (for_its_result, "threads run inline; await it in a coroutine"),
    (anyio_from_thread, "threads run inline; await it in a coroutine"),
    (anyio_from_thread_sync, "threads run inline; await it in a coroutine"),
    (no_thread_to_wake_it, "threads run inline; await it in a coroutine"),
]


def played(pause):
    """How three pauses of 1,000 s, each between two calls, ended in the scenario runner, and their length as seen."""

    async def answer(op):
        await op()
        for _ in range(3):
            try:
                await pause(1_000)
            except Exception:
                await asyncio.sleep(0)
            await op()

    @scenario
    def calls(world):
        world.service("op", latency=0.1)

    @calls.driver
    async def _(lab):
        await lab.settle(lab.start("caller", lab.answer("answer"), lab.service("op", "caller")))

    timeline = play(calls, {}, {"answer": answer})
    assert timeline.ending is not None
    made = timeline.calls("op")
    gaps = [late.start - early.end for early, late in itertools.pairwise(made) if early.end is not None]
    return timeline.ending.data, gaps, timeline.of("blocked")


@pytest.mark.parametrize("pause", PAUSES)
def test_a_pause_in_a_thread_takes_virtual_time(pause):
    """Work that sleeps in a thread and is awaited pauses its caller alone, for exactly so long."""
    run = simulate(lambda: pause(30.0))
    assert run.timeline.duration == pytest.approx(30.0) and not run.timeline.of("blocked")
    end, gaps, blocked = played(pause)
    assert end == {"how": "returned"} and gaps == pytest.approx([1_000] * 3) and not blocked


@pytest.mark.parametrize("seconds", [30.0, 1e7])
@pytest.mark.parametrize("pause", PAUSES)
def test_a_pause_in_a_thread_can_be_cancelled(pause, seconds):
    """Its caller stops at once and doesn't wait for the thread, also when the pause is longer than any run."""

    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await pause(seconds)
        return asyncio.get_running_loop().time()

    assert simulate(main).value == 2.0


def test_a_thread_that_pauses_forever_meets_the_limit():
    """Its caller waits for longer than the run may take, and code that never ends in a thread is ended."""

    def on_and_on(seconds):
        while True:
            with contextlib.suppress(Exception):
                time.sleep(seconds)

    for seconds in (1e5, 1e7):
        with pytest.raises(LimitError, match="simulated seconds"):
            simulate(asyncio.to_thread(on_and_on, seconds))


@pytest.mark.parametrize("pause", BLOCKING)
def test_a_wait_that_stops_everybody_is_seen_as_such(pause):
    """A wait of the `threading` module in a coroutine is like `time.sleep`: time passes, nobody runs, and the timeline
    says so.
    """
    end, gaps, blocked = played(pause)
    assert end == {"how": "returned"} and gaps == pytest.approx([1_000] * 3)
    assert sum(event.data["seconds"] for event in blocked) == pytest.approx(3_000)


@pytest.mark.parametrize(("pause", "words"), NAMED, ids=lambda one: getattr(one, "__name__", "words"))
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
def test_a_thread_of_the_programs_own_is_named(pause, words):
    """A pause that the virtual clock can't see ends the run at once with a sentence that says which, whatever the code
    catches; a thread doesn't really sleep, and the next run is well.
    """

    async def main():
        with contextlib.suppress(Exception):
            await pause(1_000)
        await asyncio.sleep(1)

    before = time.monotonic()
    with pytest.raises(SimulationError, match=words):
        simulate(main)
    end, gaps, _ = played(pause)
    assert end["how"] == "error" and re.search(words, end["message"]) and gaps == []
    assert time.monotonic() - before < 500
    assert simulate(asyncio.sleep(1, "well")).value == "well"


def test_a_late_pause_of_a_thread_is_named_too():
    """A thread that computes first and then calls the loop: the deadlock, or whatever ends the run, names it."""
    go = threading.Event()

    async def main():
        loop, event = asyncio.get_running_loop(), asyncio.Event()

        def work():
            go.wait()
            with contextlib.suppress(RuntimeError):  # the loop is closed by then
                loop.call_soon_threadsafe(event.set)

        threading.Thread(target=work, name="worker").start()
        await event.wait()

    try:
        with pytest.raises(DeadlockError, match=r"a thread of its own \(worker\) isn't on the course's clock"):
            simulate(main)
    finally:
        go.set()


def test_a_threads_call_to_the_loop_is_named():
    """Whether it would come in time depends on the machine, so it never counts."""

    async def main():
        loop, event = asyncio.get_running_loop(), asyncio.Event()

        def work():
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(event.set)

        threading.Thread(target=work, name="worker").start()
        await event.wait()

    with pytest.raises(DeadlockError, match=r"a thread of its own \(worker\).* isn't on the course's clock"):
        simulate(main)


def test_threads_that_only_compute_are_let_be():
    """Their results are there, by join, by a pool, by a queue; no virtual time passes."""

    async def main():
        seen: queue.Queue[int] = queue.Queue()
        started = threading.Thread(target=lambda: seen.put(sum(range(1000))))
        started.start()
        started.join()
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            doubled = list(pool.map(lambda number: 2 * number, range(5)))
            last = pool.submit(sum, range(100_000)).result(timeout=60)
        return seen.get(timeout=60), doubled, last, asyncio.get_running_loop().time()

    assert simulate(main).value == (499500, [0, 2, 4, 6, 8], 4999950000, 0.0)


def test_threads_of_others_are_heard():
    """A kernel has threads of its own: what they set while code waits is heard, and costs no virtual time."""
    asked, done = threading.Event(), threading.Event()

    def serve():
        asked.wait()
        done.set()

    server = threading.Thread(target=serve)
    server.start()

    async def main():
        asked.set()
        return done.wait(10), asyncio.get_running_loop().time()

    try:
        assert simulate(main).value == (True, 0.0)
    finally:
        asked.set()
        server.join()


def test_real_threads_are_real_outside_a_run():
    """Timers, pools and waits work as ever when no virtual loop runs."""
    fired = threading.Event()
    threading.Timer(0.001, fired.set).start()
    assert fired.wait(60)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        assert pool.submit(time.sleep, 0.001).result() is None
    assert _thread.start_new_thread(int, ())


def test_a_pool_outlives_its_run():
    """A pool made in one run and used in another is watched there too; outside, its threads sleep really."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:

        async def compute():
            return pool.submit(int, "7").result()

        async def pause():
            return pool.submit(time.sleep, 1_000).result()

        assert simulate(compute).value == 7
        with pytest.raises(SimulationError, match="thread of its own"):
            simulate(pause)
        assert pool.submit(time.sleep, 0.001).result() is None


def test_anyio_imported_during_a_run():
    """An answer that imports anyio only when it is called is on the clock all the same."""
    code = """
import sys
from faultlab import simulate

async def main():
    import time
    import anyio
    from anyio import to_thread
    await to_thread.run_sync(time.sleep, 1000)
    return anyio.current_time()

assert "anyio" not in sys.modules
print(simulate(main).value)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("1000.0\n", "")


def test_threads_that_wait_to_be_woken_start_at_once():
    """Each start would otherwise cost a second of real time, and a cell with four of them its answer."""
    stop, started = threading.Event(), time.perf_counter()

    async def main():
        threads = [threading.Thread(target=stop.wait, daemon=True) for _ in range(60)]
        for thread in threads:
            thread.start()
        stop.set()
        for thread in threads:
            thread.join()

    simulate(main())
    assert time.perf_counter() - started < 30
