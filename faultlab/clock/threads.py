"""Threads and the virtual clock: work that is given away runs inline, and a thread of the program's own is named.

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
import importlib
import importlib.abc
import importlib.util
import queue
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextvars import copy_context
from typing import Any, Protocol

PAUSE = "on the course's clock a pause must be asyncio's: await asyncio.sleep(...)"
SHOWS, WAKES = 1.0, 0.1
"""Real seconds, at most: in the first a thread that was started ends, or shows that it pauses; in the second a thread
that was there before (a kernel's, which prints) wakes code that waits for it.
"""
ANYIO = "anyio._backends._asyncio"


class Clock(Protocol):
    """What is asked of a virtual loop here."""

    threads: list[threading.Thread]
    """Those that this loop's code started."""
    limit_hit: Any
    """What has ended the run; None as long as nothing has."""

    @property
    def ended_by(self) -> type[Exception]:
        """The class of errors that end a run."""

    @property
    def inline(self) -> bool:
        """Whether a thread's work is running inline."""

    def refuse(self, reason: str) -> Exception:
        """End the run with this error, and return it."""

    def is_closed(self) -> bool:
        """Whether the run is over."""

    def block(self, seconds: float) -> None:
        """Let so many seconds pass."""


class _Own(threading.local):
    """In a thread that a virtual loop's code started: that loop, and what to set when it is known to pause."""

    clock: Callable[[], Clock | None] | None = None
    settled: Any = None


_own = _Own()


def watch(running: Callable[[], Clock | None]) -> None:
    """Make the `threading` module name what isn't on the virtual clock. `running` tells this thread's virtual loop."""
    threading.Thread.start = _starting(threading.Thread.start, running)  # type: ignore[method-assign]
    _thread.start_new_thread = _starting_bare(_thread.start_new_thread, running)
    pool = concurrent.futures.ThreadPoolExecutor
    pool.submit = _submitting(pool.submit, running)  # type: ignore[method-assign]
    threading.Condition.wait = _waiting(threading.Condition.wait, running)  # type: ignore[method-assign]
    queue.time = threading._time = time.monotonic  # type: ignore[attr-defined]  # they took the real one, on import


def refuse_pause(what: str) -> None:
    """A pause begins in this thread, and no virtual loop runs in it: an error if one started the thread."""
    clock = None if _own.clock is None else _own.clock()
    if clock is None or clock.is_closed():
        return
    error = clock.refuse(f"this pauses in a thread of its own ({what}): {PAUSE}")
    _own.settled.set()
    raise error


def _starting(real: Callable[[threading.Thread], None], running: Callable[[], Clock | None]) -> Any:
    @functools.wraps(real)
    def start(self: threading.Thread) -> None:
        clock = running()
        if clock is None:
            real(self)
            return
        if isinstance(self, threading.Timer):
            raise clock.refuse(f"this starts a thread of its own (threading.Timer): {PAUSE}")
        clock.threads.append(self)
        if self.name.startswith("ThreadPoolExecutor"):  # its work is watched, piece by piece
            real(self)
            return
        run, settled = self.run, threading.Event()

        def watched() -> None:
            del self.run
            _run(clock, settled, run)

        self.run = watched  # type: ignore[method-assign]
        real(self)
        _await(settled, clock)

    return start


def _starting_bare(real: Callable[..., int], running: Callable[[], Clock | None]) -> Any:
    @functools.wraps(real)
    def start_new_thread(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Any = None, /) -> int:
        clock = running()
        work = functools.partial(function, *args, **(kwargs or {}))
        if clock is None:
            return real(work, ())
        settled = threading.Event()
        number = real(_run, (clock, settled, work))
        _await(settled, clock)
        return number

    return start_new_thread


def _run(clock: Clock, settled: threading.Event, work: Callable[[], Any]) -> None:
    """A thread's work, watched. The error that has ended the run is told where the run ends, and not here."""
    with _watched(clock, settled), contextlib.suppress(clock.ended_by):
        work()


def _submitting(real: Callable[..., Any], running: Callable[[], Clock | None]) -> Any:
    @functools.wraps(real)
    def submit(self: Any, fn: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
        clock = running()
        if clock is None:
            return real(self, fn, *args, **options)
        settled = threading.Event()

        def watched() -> Any:
            with _watched(clock, settled):
                return fn(*args, **options)

        future = real(self, watched)
        _await(settled, clock)
        return future

    return submit


@contextlib.contextmanager
def _watched(clock: Clock, settled: threading.Event) -> Iterator[None]:
    _own.clock, _own.settled = weakref.ref(clock), settled
    try:
        yield
    finally:
        _own.clock = _own.settled = None
        settled.set()


def _await(settled: threading.Event, clock: Clock) -> None:
    """Give a thread the time to show that it pauses, so that the run ends here and not somewhere."""
    with settled._cond:  # type: ignore[attr-defined]
        if not settled.is_set():
            _really_wait(settled._cond, SHOWS)  # type: ignore[attr-defined]
    if clock.limit_hit is not None:
        raise clock.limit_hit


_really_wait = threading.Condition.wait


def _waiting(real: Callable[..., bool], running: Callable[[], Clock | None]) -> Any:
    """`Condition.wait`, on which events, queues, semaphores and `Future.result` are built."""

    @functools.wraps(real)
    def wait(self: Any, timeout: float | None = None) -> bool:
        clock = running()
        if clock is None:
            if timeout is not None and timeout > 0:
                refuse_pause("a threading wait with a time limit")
            elif _own.settled is not None:
                _own.settled.set()  # it waits to be woken, so nobody need wait for it to show anything
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


# -- anyio's threads


def inline(loops: type[asyncio.AbstractEventLoop]) -> None:
    """On loops of this class anyio asks the loop's executor, whether it is imported already or will be.

    `anyio.to_thread.run_sync`, with which Starlette runs endpoints that are no coroutines, doesn't ask the loop for an
    executor but starts threads of its own.
    """
    if ANYIO in sys.modules:
        _ask_the_loop(sys.modules[ANYIO], loops)
    elif not any(isinstance(finder, _Later) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Later(loops))


class _Later(importlib.abc.MetaPathFinder):
    """Meets anyio's backend when a program imports it."""

    def __init__(self, loops: type[asyncio.AbstractEventLoop]) -> None:
        self.loops = loops

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """The backend's own spec, whose module is changed once it is loaded; None for every other module."""
        if name != ANYIO:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            real, loops = spec.loader.exec_module, self.loops

            def exec_module(module: Any) -> None:
                real(module)
                _ask_the_loop(module, loops)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _ask_the_loop(module: Any, loops: type[asyncio.AbstractEventLoop]) -> None:
    backend = module.AsyncIOBackend
    real = backend.run_sync_in_worker_thread
    if getattr(real, "asks_the_loop", False):
        return
    anyio = importlib.import_module("anyio")
    claim = getattr(importlib.import_module("anyio._core._eventloop"), "claim_worker_thread", None)

    @functools.wraps(real)
    async def run_sync_in_worker_thread(
        func: Callable[..., Any], args: tuple[Any, ...], abandon_on_cancel: bool = False, limiter: Any = None
    ) -> Any:
        loop = asyncio.get_running_loop()
        if not isinstance(loop, loops):
            return await real(func, args, abandon_on_cancel, limiter)

        def work() -> Any:
            with claim(backend, loop) if claim else contextlib.nullcontext():  # for `anyio.from_thread`
                return copy_context().run(func, *args)

        await anyio.lowlevel.checkpoint()
        async with limiter or backend.current_default_thread_limiter():
            with anyio.CancelScope(shield=not abandon_on_cancel):
                return await loop.run_in_executor(None, work)

    run_sync_in_worker_thread.asks_the_loop = True  # type: ignore[attr-defined]
    backend.run_sync_in_worker_thread = staticmethod(run_sync_in_worker_thread)
