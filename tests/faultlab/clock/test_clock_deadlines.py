"""What the virtual clock promises to code that computes its deadlines: they have come when their timers fire."""

# ruff: noqa: ASYNC110, ASYNC251

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import time
from decimal import Decimal
from fractions import Fraction

import aiolimiter
import anyio
import pytest

from faultlab import LimitError, World, simulate
from faultlab.clock.loop import VirtualLoop
from faultlab.clock.running import run_virtual
from faultlab.timeline import NS

LENGTHS = [
    lambda draw: draw.random(),
    lambda draw: draw.randint(1, 400) / 10,
    lambda draw: draw.choice([0.1, 0.2, 0.3, 0.7, 1.1, 29.9, 30, 30.1]),
    lambda draw: draw.expovariate(1),
    lambda draw: 10 ** draw.uniform(-12, 3),
]


@pytest.mark.parametrize("seed", range(5))
def test_every_timer_fires_when_its_deadline_has_come(seed):
    """10,000 deadlines, 2,000 for each way to draw them, are set at odd instants. Each fires with `time() >= when`,
    less than a nanosecond late apart from the float's own resolution. It says the `when` that it was given, and equal
    ones keep their order.
    """
    draw, fired = random.Random(seed), []
    deadlines: list[float] = []

    async def main():
        loop = asyncio.get_running_loop()
        for _ in range(20):
            await asyncio.sleep(LENGTHS[seed](draw))
            for _ in range(50):
                when = loop.time() + LENGTHS[seed](draw)
                deadlines.extend([when, when])

        def note(number):
            fired.append((number, loop.time()))

        for number, when in enumerate(deadlines):
            timer = loop.call_at(max(when, loop.time()), note, number)
            assert timer.when() == max(when, loop.time())
            deadlines[number] = timer.when()
        await asyncio.sleep(max(deadlines) + 1)

    simulate(main, record=False)
    assert sorted(number for number, _ in fired) == list(range(2_000))
    for number, seen in fired:
        assert 0 <= seen - deadlines[number] <= 1e-9 + math.ulp(seen)
    places = {number: place for place, (number, _) in enumerate(fired)}
    assert all(places[number] < places[number + 1] for number in range(0, 2_000, 2))
    assert [deadlines[number] for number, _ in fired] == pytest.approx(sorted(deadlines), abs=1e-9)


async def by_the_loop(seconds):
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while (left := end - loop.time()) > 0:
        await asyncio.sleep(left)


async def by_monotonic(seconds):
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        await asyncio.sleep(left)


async def by_perf_counter(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        await asyncio.sleep(end - time.perf_counter())


async def by_nanoseconds(seconds):
    end = time.monotonic_ns() + round(seconds * NS)
    while (left := end - time.monotonic_ns()) > 0:
        await asyncio.sleep(left / NS)


async def by_anyio(seconds):
    end = anyio.current_time() + seconds
    while anyio.current_time() < end:
        await anyio.sleep_until(end)


async def by_call_at(seconds):
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        event = asyncio.Event()
        loop.call_at(end, event.set)
        await event.wait()


async def by_timeout_at(seconds):
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        try:
            async with asyncio.timeout_at(end) as scope:
                assert scope.when() == end
                await asyncio.Event().wait()
        except TimeoutError:
            assert scope.expired()


async def by_wait_for(seconds):
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while (left := end - loop.time()) > 0:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), left)


async def by_wait(seconds):
    loop = asyncio.get_running_loop()
    end, never = loop.time() + seconds, loop.create_future()
    while (left := end - loop.time()) > 0:
        await asyncio.wait([never], timeout=left)


async def by_move_on_after(seconds):
    end = anyio.current_time() + seconds
    while anyio.current_time() < end:
        with anyio.move_on_after(end - anyio.current_time()):
            await anyio.Event().wait()


async def by_fail_after(seconds):
    with pytest.raises(TimeoutError):
        with anyio.fail_after(seconds) as scope:
            await anyio.Event().wait()
    assert anyio.current_time() >= scope.deadline


async def by_cancel_scope(seconds):
    end = anyio.current_time() + seconds
    with anyio.CancelScope(deadline=end) as scope:
        await anyio.Event().wait()
    assert scope.cancelled_caught and anyio.current_time() >= end


async def by_blocking(seconds):
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(left)
    await asyncio.sleep(0)


ONE_PAUSE = [
    by_the_loop,
    by_monotonic,
    by_perf_counter,
    by_nanoseconds,
    by_anyio,
    by_call_at,
    by_timeout_at,
    by_wait_for,
    by_wait,
    by_move_on_after,
    by_fail_after,
    by_cancel_scope,
    by_blocking,
]


def lengths():
    draw = random.Random(7)
    return [max(1e-6, length(draw)) for _ in range(40) for length in LENGTHS]


@pytest.mark.parametrize("pause", ONE_PAUSE)
def test_a_pause_costs_one_timer(pause):
    """Code that goes on waiting while its deadline hasn't come waits once, whichever clock and timer it uses."""

    async def main():
        for seconds in lengths():
            await pause(seconds)

    run = simulate(main)
    waits = run.timeline.of("sleep", "blocked")
    assert len(waits) == len(lengths())
    assert run.timeline.duration == pytest.approx(sum(lengths()), abs=1e-6)


async def by_the_calendar(seconds):
    end = time.time() + seconds
    while (left := end - time.time()) > 0:
        await asyncio.sleep(left)


async def by_the_calendar_blocking(seconds):
    end = time.time() + seconds
    while (left := end - time.time()) > 0:
        time.sleep(left)
    await asyncio.sleep(0)


async def by_two_clocks(seconds):
    end = asyncio.get_running_loop().time() + seconds
    while (left := end - time.monotonic_ns() / NS) > 0:
        await asyncio.sleep(left)


@pytest.mark.parametrize(
    ("pause", "most"), [(by_the_calendar, 1.1), (by_the_calendar_blocking, 1.1), (by_two_clocks, 2)]
)
def test_where_clocks_differ_by_their_resolution_it_costs_one_or_two(pause, most):
    """`time.time()` counts in steps of 238 ns, and whole nanoseconds aren't floats: sometimes a second wait is needed,
    and never a third.
    """

    async def main():
        for seconds in lengths():
            await pause(seconds)

    waits = simulate(main).timeline.of("sleep", "blocked")
    assert len(lengths()) <= len(waits) <= most * len(lengths())


def test_exact_instants_stay_whole():
    """Tenths of a second and their sums are the nanoseconds that one expects, on the timeline as by the clock."""

    async def main():
        seen = []
        for seconds in (0.1, 0.1, 0.1, 29.6, 0.1, 0.1, 0.7, 1.1):
            await asyncio.sleep(seconds)
            seen.append(time.monotonic_ns())
        return seen

    run = simulate(main)
    tenths = [1, 2, 3, 299, 300, 301, 308, 319]
    assert run.value == [number * NS // 10 for number in tenths]
    assert [event.at for event in run.timeline.of("wake")] == run.value


def test_answers_and_deadlines_meet_at_the_same_nanosecond():
    """An answer of the world and a deadline that a float sum puts at the same instant come in the order they had: the
    answer was there in time.
    """

    async def main():
        world_is_asked_at = 0.2
        await asyncio.sleep(world_is_asked_at)
        async with asyncio.timeout(0.1):
            return await service()

    world = World()
    service = world.service("op", latency=0.1)
    run = simulate(main, world=world)
    assert run.value and run.timeline.calls()[0].end == 0.3


@pytest.mark.parametrize(
    "when", [-1.0, 0, 0.0, -math.inf, -1e300, 1, Fraction(1, 3), Decimal("0.1"), 5e-324, 1e-10, 0.1 + 0.2, 12_345.678_9]
)
def test_odd_deadlines(when):
    """Past, tiny, whole and broken numbers: fired once, never early, at most a nanosecond late."""

    async def main():
        loop = asyncio.get_running_loop()
        seen = loop.create_future()
        loop.call_at(when, lambda: seen.set_result(loop.time()))
        return await seen

    seen = simulate(main).value
    assert seen >= float(when) and seen - max(0.0, float(when)) <= 1e-9


@pytest.mark.parametrize("when", [math.inf, 1e300, 1e18, 10**30, math.nan])
def test_deadlines_that_never_come(when):
    """They hold nobody, and don't count as something that will happen."""

    async def main():
        loop = asyncio.get_running_loop()
        timer = loop.call_at(when, int)
        await asyncio.sleep(1)
        assert not timer.cancelled()
        return loop.time()

    assert simulate(main).value == 1


def test_a_deadline_beyond_the_limit_is_the_limits_error():
    """What lies after `max_time` is told as such, by a timer as by a blocking sleep."""
    for wait in (lambda: asyncio.sleep(1e8), lambda: asyncio.to_thread(time.sleep, 1e8)):
        with pytest.raises(LimitError, match="simulated seconds"):
            simulate(wait)


def test_the_clock_never_goes_back():
    """Over odd pauses of every kind each reader only grows, and the readers agree within a nanosecond."""

    async def main():
        draw, before = random.Random(1), (0.0, 0, 0.0)
        for _ in range(500):
            seconds = LENGTHS[draw.randrange(5)](draw)
            if draw.random() < 0.3:
                time.sleep(seconds)
            elif draw.random() < 0.5:
                await asyncio.to_thread(time.sleep, seconds)
            else:
                await asyncio.sleep(seconds)
            now = time.monotonic(), time.monotonic_ns(), time.time()
            assert all(late >= early for early, late in zip(before, now, strict=True))
            assert 0 <= now[0] - now[1] / NS <= 1e-9
            before = now

    simulate(main)


def test_a_threads_deadline_has_come_too():
    """Code in a thread that waits until a deadline has waited once, and its caller goes on after it."""

    async def main():
        loop, slept = asyncio.get_running_loop(), []

        def work(seconds):
            end = time.monotonic() + seconds
            while (left := end - time.monotonic()) > 0:
                slept.append(left)
                time.sleep(left)
            return end

        for seconds in lengths():
            assert await asyncio.to_thread(work, seconds) <= loop.time()
        return len(slept)

    assert simulate(main).value == len(lengths())


def test_the_time_after_a_run_is_its_end():
    """What was left took its own time to go; the clock says when the run was over."""

    async def left():
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(0.1 + 0.2)

    async def main():
        asyncio.get_running_loop().create_task(left())
        await asyncio.sleep(0.2)
        await asyncio.sleep(0.1)

    loop = VirtualLoop()
    run_virtual(loop, main())
    assert (loop.now, loop.time()) == (3 * NS // 10, 0.1 + 0.2)


def test_a_timer_that_sets_itself_again_sees_time_pass():
    """A rate limiter whose floats don't add up sets its timer for an instant that has come, again and again: a few
    timers for each wait, and not thousands.
    """

    async def main():
        limiter = aiolimiter.AsyncLimiter(3, 0.7)
        for _ in range(300):
            async with limiter:
                pass
        return time.monotonic()

    run = simulate(main)
    assert run.value == pytest.approx(297 * 0.7 / 3, abs=1e-6)
    assert len(run.timeline.of("sleep")) < 300 * 12


def test_timers_that_are_due_take_no_time():
    """Many at one instant, and short chains of them, leave the clock where it is."""

    async def main():
        loop, seen = asyncio.get_running_loop(), []

        def chain(left):
            if left:
                loop.call_later(0, chain, left - 1)
            seen.append(loop.time())

        for _ in range(100):
            chain(5)
        await asyncio.sleep(1)
        return seen

    assert simulate(main).value == [0.0] * 600
