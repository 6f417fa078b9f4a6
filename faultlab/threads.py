"""anyio's threads on the virtual clock: run inline, as asyncio's are.

`anyio.to_thread.run_sync`, with which Starlette runs endpoints that are no coroutines, doesn't ask the loop for an
executor but starts threads of its own, and a clock that jumps wouldn't wait for them.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import sys
from collections.abc import Callable
from contextvars import copy_context
from typing import Any


def inline(loops: type[asyncio.AbstractEventLoop]) -> None:
    """On loops of this class anyio asks the loop's executor. Nothing to do before anyio was imported, or twice."""
    if "anyio" not in sys.modules:
        return
    backend = importlib.import_module("anyio._backends._asyncio").AsyncIOBackend
    real = backend.run_sync_in_worker_thread
    if getattr(real, "asks_the_loop", False):
        return
    anyio = sys.modules["anyio"]
    current_limiter = importlib.import_module("anyio.to_thread").current_default_thread_limiter

    @functools.wraps(real)
    async def run_sync_in_worker_thread(
        func: Callable[..., Any], args: tuple[Any, ...], abandon_on_cancel: bool = False, limiter: Any = None
    ) -> Any:
        loop = asyncio.get_running_loop()
        if not isinstance(loop, loops):
            return await real(func, args, abandon_on_cancel, limiter)
        await anyio.lowlevel.checkpoint()
        async with limiter or current_limiter():
            with anyio.CancelScope(shield=not abandon_on_cancel):
                return await loop.run_in_executor(None, functools.partial(copy_context().run, func, *args))

    run_sync_in_worker_thread.asks_the_loop = True  # type: ignore[attr-defined]
    backend.run_sync_in_worker_thread = staticmethod(run_sync_in_worker_thread)
