"""What the virtual clock knows of asyncio's insides."""

from __future__ import annotations

import asyncio
import functools
from asyncio import base_events, events, futures, tasks, timeouts
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def ends_the_run(callback: Any) -> bool:
    return callback is base_events._run_until_complete_cb  # type: ignore[attr-defined]


def is_asyncios(callback: Any) -> bool:
    """Whether a callback is a task's next step, or belongs to the library."""
    inner = callback.func if isinstance(callback, functools.partial) else callback
    return isinstance(getattr(inner, "__self__", None), asyncio.Future) or (
        str(getattr(inner, "__module__", "")).partition(".")[0] in ("asyncio", "_asyncio")
    )


def purpose_of(callback: Any) -> str:
    inner = callback.func if isinstance(callback, functools.partial) else callback
    if inner is futures._set_result_unless_cancelled:  # type: ignore[attr-defined]
        return "sleep"
    owner = getattr(inner, "__self__", None)
    if isinstance(owner, timeouts.Timeout) or inner is getattr(tasks, "_release_waiter", None):
        return "timeout"
    if type(owner).__module__.startswith("anyio"):
        return "timeout"
    return "timer"


@contextmanager
def detached() -> Iterator[None]:
    """Make this thread look as if no loop were running; inside a notebook's cell one always is."""
    loop = events._get_running_loop()
    task = None if loop is None else asyncio.current_task(loop)
    if loop is not None and task is not None:
        tasks._leave_task(loop, task)
    events._set_running_loop(None)
    try:
        yield
    finally:
        events._set_running_loop(loop)
        if loop is not None and task is not None:
            tasks._enter_task(loop, task)
