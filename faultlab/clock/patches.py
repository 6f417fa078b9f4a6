"""The functions of Python that read the clock, virtual while a virtual loop runs, real elsewhere."""

from __future__ import annotations

import asyncio
import functools
import time
from asyncio import events, futures, tasks
from collections.abc import Callable
from typing import Any

from faultlab.clock import threads
from faultlab.clock.loop import EPOCH, VirtualLoop
from faultlab.timeline import NS

_real = {
    name: getattr(time, name)
    for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "sleep")
}


def running_loop() -> VirtualLoop | None:
    loop = events._get_running_loop()
    return loop if isinstance(loop, VirtualLoop) else None


def _reader(name: str) -> Callable[[], float | int]:
    real = _real[name]
    epoch = EPOCH if name.startswith("time") else 0.0
    whole = name.endswith("_ns")

    def read() -> float | int:
        loop = running_loop()
        if loop is None:
            return real()  # type: ignore[no-any-return]
        return loop.reading + round(epoch * NS) if whole else loop.time() + epoch

    read.__name__ = name
    read.__doc__ = real.__doc__
    return read


def _sleep(seconds: float) -> None:
    loop = running_loop()
    if loop is None:
        if seconds > 0:
            threads.refuse_pause("time.sleep")
        _real["sleep"](seconds)
    else:
        loop.block(seconds)


_sleep.__name__ = "sleep"


def _ordered_as_completed(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def as_completed(fs: Any, *, timeout: float | None = None) -> Any:
        if running_loop() is not None and not futures.isfuture(fs) and not asyncio.iscoroutine(fs):
            # The standard one makes a set of coroutines; a dict drops doubles too, and keeps the order.
            fs = [asyncio.ensure_future(awaitable) for awaitable in dict.fromkeys(fs)]
        return real(fs, timeout=timeout)

    return as_completed


def _ordered_all_tasks(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def all_tasks(loop: Any = None) -> Any:
        loop = running_loop() if loop is None else loop
        if not isinstance(loop, VirtualLoop):
            return real(loop)
        return {task for task in loop._tasks if not task.done()}  # the standard one goes through a set of every loop's

    return all_tasks


def _one_loop(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def run(main: Any, **options: Any) -> Any:
        loop = running_loop()
        if loop is not None and loop.inline:
            main.close()
            raise loop.refuse(
                "code in a thread starts an event loop of its own (asyncio.run): on the course's clock there is one; "
                "await in a coroutine instead"
            )
        return real(main, **options)

    return run


def install() -> None:
    if getattr(time.sleep, "__module__", "") == __name__:
        return
    for name in _real:
        setattr(time, name, _sleep if name == "sleep" else _reader(name))
    threads.watch(running_loop)
    asyncio.run = asyncio.runners.run = _one_loop(asyncio.run)
    asyncio.as_completed = tasks.as_completed = _ordered_as_completed(asyncio.as_completed)
    asyncio.all_tasks = tasks.all_tasks = _ordered_all_tasks(asyncio.all_tasks)
