"""Python's clocks, patched: virtual while a virtual loop runs in this thread, the computer's own elsewhere.

A running loop has them installed for as long as it runs. `install` installs them for good: code that takes a function
for itself (`from time import monotonic`) must find the patched one when it is imported.
"""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from asyncio import futures, runners, tasks
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakSet

from faultlab.clock import anyio_threads, threads
from faultlab.clock.threads import Clock, running_clock
from faultlab.timeline import NS

EPOCH = 1_700_000_000.0
"""What `time.time()` reads when a simulation starts, in seconds."""
READERS = ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")

_lock = threading.RLock()
_standard: dict[tuple[Any, str], Any] = {}
"""The original functions behind the installed patches."""
_made: dict[tuple[Any, str], tuple[Any, Any]] = {}
"""Every patch that was ever made, by its original: installing again uses the same object."""
_held = False


def install() -> None:
    """Patch Python's clocks, `asyncio.run`, `asyncio.as_completed`, `asyncio.all_tasks` and what starts and pauses
    threads, until `uninstall`. Without a virtual loop in this thread they do what they did before. Idempotent.

    A run does this itself for as long as it lasts. Call it before an import that takes a clock for itself.

    >>> install()
    >>> from time import monotonic
    >>> async def main():
    ...     await asyncio.sleep(3)
    ...     return monotonic()
    >>> simulate(main).value
    3.0
    >>> uninstall()
    """
    global _held
    with _lock:
        _patch()
        _held = True


def uninstall() -> None:
    """Put back what `install` found; while a virtual loop runs, as soon as it ends. Idempotent.

    Functions that somebody else has patched since then are left alone.
    """
    global _held
    with _lock:
        _held = False
        _restore()


class installed:  # noqa: N801  (used as a function; a generator would cost each run more)
    """Install the patches inside the block; afterwards remove them, unless `install` or another user keeps them."""

    def __enter__(self) -> None:
        with _lock:
            if not (_users or _held):
                _patch()
            _users.add(self)

    def __exit__(self, *_: object) -> None:
        with _lock:
            _users.discard(self)
            _restore()


_users: WeakSet[installed] = WeakSet()
"""Weak references: an interrupt between entering and the first line inside leaves none behind."""


def _patch() -> None:
    """Install the missing patches; an interrupt may have come in between."""
    for owner, name, make in _PATCHES:
        place = owner, name
        if place in _standard:
            continue
        real = getattr(owner, name)
        found, made = _made.get(place, (None, None))
        if real is made:  # somebody kept it, and put it back
            real = found
        elif real is not found:
            made = make(real)
            _made[place] = real, made
        _standard[place] = real
        setattr(owner, name, made)
    anyio_threads.install()


def _restore() -> None:
    if _held or _users:
        return
    anyio_threads.uninstall()
    while _standard:
        (owner, name), real = next(reversed(_standard.items()))
        if getattr(owner, name) is _made[owner, name][1]:
            setattr(owner, name, real)
        del _standard[owner, name]


# -- the patched functions


def _reading(name: str) -> Callable[[Any], Any]:
    epoch = EPOCH if name.startswith("time") else 0.0
    whole = name.endswith("_ns")

    def reader(real: Callable[[], float]) -> Callable[[], float]:
        def read() -> float:
            loop = running_clock()
            if loop is None:
                return real()
            return loop.reading + round(epoch * NS) if whole else loop.time() + epoch

        read.__name__ = name
        read.__doc__ = real.__doc__
        return read

    return reader


def _sleeping(real: Callable[[float], None]) -> Callable[[float], None]:
    def sleep(seconds: float, /) -> None:
        loop = running_clock()
        if loop is None:
            if seconds > 0:
                threads.refuse_pause("time.sleep")
            real(seconds)
        else:
            loop.block(seconds)

    return sleep


def _in_order(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def as_completed(fs: Any, *, timeout: float | None = None) -> Any:
        if running_clock() is not None and not futures.isfuture(fs) and not asyncio.iscoroutine(fs):
            # The standard one makes a set of coroutines; a dict drops doubles too, and keeps the order.
            fs = [asyncio.ensure_future(awaitable) for awaitable in dict.fromkeys(fs)]
        return real(fs, timeout=timeout)

    return as_completed


def _of_one_loop(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def all_tasks(loop: Any = None) -> Any:
        loop = running_clock() if loop is None else loop
        # The standard one goes through a set of every loop's.
        return loop.unfinished() if isinstance(loop, Clock) else real(loop)

    return all_tasks


def _one_loop(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def run(main: Any, **options: Any) -> Any:
        loop = running_clock()
        if loop is not None and loop.inline:
            main.close()
            raise loop.refuse(
                "code in a thread starts an event loop of its own (asyncio.run): on the course's clock there is one; "
                "await in a coroutine instead"
            )
        return real(main, **options)

    return run


_PATCHES: Sequence[tuple[Any, str, Callable[[Any], Any]]] = (
    *((time, name, _reading(name)) for name in READERS),
    (time, "sleep", _sleeping),
    *threads.PATCHES,
    *((place, "run", _one_loop) for place in (runners, asyncio)),
    *((place, "as_completed", _in_order) for place in (tasks, asyncio)),
    *((place, "all_tasks", _of_one_loop) for place in (tasks, asyncio)),
)
"""Where a function stands, its name, and the factory of its patch."""
