"""Threads on the virtual clock: delegated work runs inline, and a thread that pauses is named in an error.

Real threads would race a clock that jumps. Work that a coroutine awaits (`asyncio.to_thread`, an executor,
`anyio.to_thread.run_sync`) runs inline and takes the virtual time that it sleeps. A thread that a program starts for
itself is real. It may compute; if it pauses, or calls the event loop, the run ends with an error that names it.
"""

from __future__ import annotations

import _thread
import asyncio
import concurrent.futures
import contextlib
import functools
import queue
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from faultlab.clock.insides import running_loop

PAUSE = "on the course's clock a pause must be asyncio's: await asyncio.sleep(...)"
SHOWS, WAKES = 1.0, 0.1
"""The most real seconds to wait. First: until a started thread ends or shows that it pauses. Second: until an older
thread (a kernel's, which prints) wakes code that waits for it.
"""


class Clock:
    """What patched functions ask of a loop with its own time, `VirtualLoop`."""

    ended_by: type[Exception]
    """The class of errors that end a run."""
    threads: list[threading.Thread]
    """The threads that this loop's code started."""
    limit_hit: Any
    """The error that has ended the run, or None."""
    inline: bool
    """Whether a thread's work is running inline."""
    time: Callable[[], float]
    """Seconds since the run began."""
    is_closed: Callable[[], bool]
    """Whether the run is over."""

    @property
    def reading(self) -> int:
        """Nanoseconds since the run began."""
        raise NotImplementedError

    def block(self, seconds: float) -> None:
        """Let so many seconds pass."""
        raise NotImplementedError

    def refuse(self, reason: str) -> Exception:
        """End the run with this error, and return it."""
        raise NotImplementedError

    def unfinished(self) -> set[asyncio.Task[Any]]:
        """The tasks that aren't done."""
        raise NotImplementedError


def running_clock() -> Clock | None:
    """The virtual loop that runs in this thread, or None."""
    loop = running_loop()
    return loop if isinstance(loop, Clock) else None


class _Settled:
    """Set once. Its wait isn't `Condition.wait`, which is patched."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        """Release the waiters."""
        with contextlib.suppress(RuntimeError):  # it is set already
            self._lock.release()

    def wait(self, seconds: float) -> None:
        """Wait until it is set, so long at most."""
        if self._lock.acquire(timeout=seconds):
            self.set()


class _Own(threading.local):
    """In a thread that a virtual loop's code started: that loop, and what to set when it is known to pause."""

    clock: Callable[[], Clock | None] | None = None
    settled: _Settled | None = None


_own = _Own()


def refuse_pause(what: str) -> None:
    """A pause begins in this thread, and no virtual loop runs in it: an error if one started the thread."""
    clock = None if _own.clock is None else _own.clock()
    if clock is None or clock.is_closed():
        return
    error = clock.refuse(f"this pauses in a thread of its own ({what}): {PAUSE}")
    if _own.settled is not None:
        _own.settled.set()
    raise error


def _starting(real: Callable[[threading.Thread], None]) -> Any:
    @functools.wraps(real)
    def start(self: threading.Thread) -> None:
        clock = running_clock()
        if clock is None:
            real(self)
            return
        if isinstance(self, threading.Timer):
            raise clock.refuse(f"this starts a thread of its own (threading.Timer): {PAUSE}")
        clock.threads.append(self)
        if self.name.startswith("ThreadPoolExecutor"):  # its work is watched, piece by piece
            real(self)
            return
        run, settled = self.run, _Settled()

        def watched() -> None:
            del self.run
            _run(clock, settled, run)

        self.run = watched  # type: ignore[method-assign]
        real(self)
        _await(settled, clock)

    return start


def _starting_bare(real: Callable[..., int]) -> Any:
    @functools.wraps(real)
    def start_new_thread(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Any = None, /) -> int:
        clock = running_clock()
        work = functools.partial(function, *args, **(kwargs or {}))
        if clock is None:
            return real(work, ())
        settled = _Settled()
        number = real(_run, (clock, settled, work))
        _await(settled, clock)
        return number

    return start_new_thread


def _run(clock: Clock, settled: _Settled, work: Callable[[], Any]) -> None:
    """Watch a thread's work. The error that ended the run is reported where the run ends, not here."""
    with _watched(clock, settled), contextlib.suppress(clock.ended_by):
        work()


def _submitting(real: Callable[..., Any]) -> Any:
    @functools.wraps(real)
    def submit(self: Any, fn: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
        clock = running_clock()
        if clock is None:
            return real(self, fn, *args, **options)
        settled = _Settled()

        def watched() -> Any:
            with _watched(clock, settled):
                return fn(*args, **options)

        future = real(self, watched)
        _await(settled, clock)
        return future

    return submit


@contextlib.contextmanager
def _watched(clock: Clock, settled: _Settled) -> Iterator[None]:
    _own.clock, _own.settled = weakref.ref(clock), settled
    try:
        yield
    finally:
        _own.clock = _own.settled = None
        settled.set()


def _await(settled: _Settled, clock: Clock) -> None:
    """Give a thread time to show that it pauses, so that the run ends here rather than anywhere."""
    settled.wait(SHOWS)
    if clock.limit_hit is not None:
        raise clock.limit_hit


def _waiting(real: Callable[..., bool]) -> Any:
    """`Condition.wait`, on which events, queues, semaphores and `Future.result` are built."""

    @functools.wraps(real)
    def wait(self: Any, timeout: float | None = None) -> bool:
        clock = running_clock()
        if clock is None:
            if timeout is not None and timeout > 0:
                refuse_pause("a threading wait with a time limit")
            elif _own.settled is not None:
                _own.settled.set()  # it waits to be woken, so there is nothing to wait for
            return real(self, timeout)
        if not self._is_owned():
            raise RuntimeError("cannot wait on un-acquired lock")
        own = any(thread.is_alive() for thread in clock.threads)
        others = threading.active_count() > 1
        if timeout is None:
            if not own and (clock.inline or not others):
                raise clock.refuse(
                    "code waits for another thread, and there is none that could wake it: on the course's clock "
                    "threads run inline; await it in a coroutine instead"
                )
            return real(self)
        if (own or others) and real(self, timeout if own else min(timeout, WAKES)):
            return True
        if timeout > 0:
            clock.block(timeout)
        return False

    return wait


def _on_the_clock(_: Any) -> Any:
    """`queue` and `threading` took the real function when they were imported."""
    return time.monotonic


PATCHES: Sequence[tuple[Any, str, Callable[[Any], Any]]] = (
    (threading.Thread, "start", _starting),
    (_thread, "start_new_thread", _starting_bare),
    (concurrent.futures.ThreadPoolExecutor, "submit", _submitting),
    (threading.Condition, "wait", _waiting),
    (threading, "_time", _on_the_clock),
    (queue, "time", _on_the_clock),
)
"""Where a function stands, its name, and the factory of a version that names what isn't on the virtual clock."""
