"""Run anyio's threads inline on a virtual loop; the only module that touches anyio's private parts.

`anyio.to_thread.run_sync`, with which Starlette runs endpoints that are no coroutines, doesn't ask the loop for an
executor but starts threads of its own. While this is installed it asks a virtual loop, which runs the work inline.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import importlib.abc
import importlib.util
import sys
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from faultlab.clock.threads import Clock

BACKEND = "anyio._backends._asyncio"
RUN = "run_sync_in_worker_thread"


def install() -> None:
    """Let anyio ask a virtual loop, even if anyio is imported later."""
    if BACKEND in sys.modules:
        _ask_the_loop(sys.modules[BACKEND])
    elif _later not in sys.meta_path:
        sys.meta_path.insert(0, _later)


def uninstall() -> None:
    """Restore anyio's own function."""
    if _later in sys.meta_path:
        sys.meta_path.remove(_later)
    if BACKEND in sys.modules:
        backend = sys.modules[BACKEND].AsyncIOBackend
        if original := getattr(getattr(backend, RUN), "original", None):
            setattr(backend, RUN, original)


class _Later(importlib.abc.MetaPathFinder):
    """An import hook that patches anyio's backend when a program imports it."""

    def find_spec(self, name: str, _path: Any = None, _target: Any = None) -> Any:
        """The backend's own spec, whose module is changed once it is loaded; None for every other module."""
        if name != BACKEND:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            real = spec.loader.exec_module

            def exec_module(module: Any) -> None:
                real(module)
                _ask_the_loop(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


_later = _Later()


def _ask_the_loop(module: Any) -> None:
    backend = module.AsyncIOBackend
    real = getattr(backend, RUN)
    if getattr(real, "original", None):
        return
    anyio = importlib.import_module("anyio")
    claim = getattr(importlib.import_module("anyio._core._eventloop"), "claim_worker_thread", None)

    @functools.wraps(real)
    async def run_sync_in_worker_thread(
        func: Callable[..., Any], args: tuple[Any, ...], abandon_on_cancel: bool = False, limiter: Any = None
    ) -> Any:
        loop = asyncio.get_running_loop()
        if not isinstance(loop, Clock):
            return await real(func, args, abandon_on_cancel, limiter)

        def work() -> Any:
            with claim(backend, loop) if claim else contextlib.nullcontext():  # for `anyio.from_thread`
                return copy_context().run(func, *args)

        await anyio.lowlevel.checkpoint()
        async with limiter or backend.current_default_thread_limiter():
            with anyio.CancelScope(shield=not abandon_on_cancel):
                return await loop.run_in_executor(None, work)

    run_sync_in_worker_thread.original = vars(backend)[RUN]  # type: ignore[attr-defined]
    setattr(backend, RUN, staticmethod(run_sync_in_worker_thread))
