"""The private parts of asyncio that the virtual clock uses: no other file of the laboratory touches them.

`loop.py` extends asyncio's own loop and timer, and uses what it inherits from these two.
"""

from __future__ import annotations

import asyncio
import functools
from asyncio import base_events, events, futures, tasks, timeouts
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

running_loop: Callable[[], asyncio.AbstractEventLoop | None] = events._get_running_loop
"""The loop that runs in this thread, or None."""

_kept: list[asyncio.Task[Any]] = []


def forget_running_loop() -> None:
    """Let no loop count as running in this thread."""
    events._set_running_loop(None)


# -- callbacks


def ends_the_run(callback: Any) -> bool:
    """Whether a callback is the one with which `run_until_complete` stops the loop."""
    return callback is base_events._run_until_complete_cb  # type: ignore[attr-defined]


def forget_the_end(task: asyncio.Task[Any]) -> None:
    """Keep a task's end from stopping a loop."""
    task.remove_done_callback(base_events._run_until_complete_cb)  # type: ignore[attr-defined]


def is_asyncios(callback: Any) -> bool:
    """Whether a callback is a task's next step, or belongs to the library."""
    inner = callback.func if isinstance(callback, functools.partial) else callback
    return isinstance(getattr(inner, "__self__", None), asyncio.Future) or (
        str(getattr(inner, "__module__", "")).partition(".")[0] in ("asyncio", "_asyncio")
    )


def submits_a_coroutine(callback: Any) -> bool:
    """Whether a callback is that of `run_coroutine_threadsafe`, whose caller waits for a result."""
    return getattr(callback, "__module__", "") == tasks.__name__


def purpose_of(callback: Any) -> str:
    """What a timer is for, in the timeline's words: sleep, timeout or timer."""
    inner = callback.func if isinstance(callback, functools.partial) else callback
    if inner is futures._set_result_unless_cancelled:  # type: ignore[attr-defined]
        return "sleep"
    owner = getattr(inner, "__self__", None)
    if isinstance(owner, timeouts.Timeout) or inner is getattr(tasks, "_release_waiter", None):
        return "timeout"
    if type(owner).__module__.startswith("anyio"):
        return "timeout"
    return "timer"


def take_back(ready: deque[Any], unwanted: Callable[[Any], bool]) -> None:
    """Remove the handles of unwanted callbacks from those that wait for their turn."""
    for _ in range(len(ready)):
        handle = ready.popleft()
        if handle.cancelled() or not unwanted(handle._callback):
            ready.append(handle)


# -- tasks


def is_unheard(task: asyncio.Task[Any]) -> bool:
    """Whether a task failed and nobody has retrieved its exception."""
    return task._log_traceback


def count_as_heard(task: asyncio.Task[Any]) -> None:
    """Let a failed task be collected without a message."""
    task._log_traceback = False


def let_go_of_cancellation(task: asyncio.Task[Any]) -> None:
    """Make a cancelled task forget its error, and with it the frames that the error refers to."""
    task._make_cancelled_error()  # type: ignore[attr-defined]


def keep_forever(task: asyncio.Task[Any]) -> None:
    """Keep a task from ever being collected. One that swallows every cancellation swallows GeneratorExit too, and its
    coroutine would run on in the garbage collector or at the interpreter's exit, perhaps forever.
    """
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    _kept.append(task)
    with suppress(ImportError):
        import ctypes

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(task))


@contextmanager
def set_aside(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Let no task count as this loop's current one."""
    task = asyncio.current_task(loop)
    if task is not None:
        tasks._leave_task(loop, task)
    try:
        yield
    finally:
        if task is not None:
            tasks._enter_task(loop, task)


@contextmanager
def detached() -> Iterator[None]:
    """Make this thread look as if no loop were running; inside a notebook's cell one always is."""
    loop = running_loop()
    with nullcontext() if loop is None else set_aside(loop):
        events._set_running_loop(None)
        try:
            yield
        finally:
            events._set_running_loop(loop)
