"""Where a program is, in its author's own code, without the frames of libraries."""

from __future__ import annotations

import asyncio
import linecache
from pathlib import Path
from typing import Any


def suspended(task: asyncio.Task[Any]) -> list[str]:
    """Where a task waits, from the outermost call to the innermost: `name:line "source"`, library frames left out."""
    steps, innermost = [], ""
    waiting: Any = task.get_coro()
    while waiting is not None:
        frame = next((f for a in ("cr_frame", "gi_frame", "ag_frame") if (f := getattr(waiting, a, None))), None)
        if frame is None:
            break
        step = f"{frame.f_code.co_name}:{frame.f_lineno} `{_source(frame.f_code.co_filename, frame.f_lineno)}`"
        innermost = step
        if not is_library(frame.f_code.co_filename):
            steps.append(step)
        waiting = next((w for a in ("cr_await", "gi_yieldfrom", "ag_await") if (w := getattr(waiting, a, None))), None)
    return steps or ([innermost] if innermost else ["its first line"])


def _source(filename: str, line: int) -> str:
    return linecache.getline(filename, line).strip()


_OURS = str(Path(__file__).parents[1]).replace("\\", "/") + "/"
"""The laboratory's own folder."""


def is_library(filename: str) -> bool:
    """Whether code of this file is asyncio's or the laboratory's own."""
    path = filename.replace("\\", "/")
    return "/asyncio/" in path or path.startswith(_OURS)


def drop_library_frames(error: BaseException) -> None:
    """Remove frames of libraries, so that readers see only their own code."""
    trace = error.__traceback__
    while trace is not None and is_library(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    error.__traceback__ = trace
