"""The same work on many things, in several processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from typing import Any

from autograder.errors import UsageError

Tell = Callable[[str], None]
"""Hears what is going on, a line at a time."""


@contextmanager
def side_by_side(jobs: int, tell: Tell) -> Iterator[Callable[..., Iterable[Any]]]:
    """`map`, in so many processes: in this one alone, or in others, which end with it and at its first error. What
    the work has to tell, `tell` hears at once."""
    if jobs == 1:
        yield lambda work, items: map(partial(work, tell), items)
        return
    context = multiprocessing.get_context("spawn")
    lines: Any = context.SimpleQueue()
    teller = threading.Thread(target=_tell_all, args=(lines, tell), daemon=True)
    teller.start()
    with ProcessPoolExecutor(jobs, context, initializer=_attend, initargs=(lines,)) as pool:

        def each(work: Callable[..., Any], items: Iterable[Any]) -> Iterator[Any]:
            # not pool.map: what that calls off when it is interrupted, Python 3.11 stumbles over
            waiting = [pool.submit(_tell_and, work, item) for item in items]
            return (future.result() for future in waiting)

        try:
            yield each
        except BrokenProcessPool:
            raise UsageError("one of its processes was killed from outside; run the same command again") from None
        except BaseException:
            for process in multiprocessing.active_children():
                process.kill()
            raise
    lines.put(None)
    teller.join()


def _tell_all(lines: Any, tell: Tell) -> None:
    for line in iter(lines.get, None):
        tell(line)


_lines: Any = None
"""In such a process: where its lines go."""


def _attend(lines: Any) -> None:
    """In such a process: Ctrl-C is for the one that waits for the results, and nobody works on without it."""
    global _lines
    _lines = lines
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_outlive_nobody, daemon=True).start()


def _tell_and(work: Callable[..., Any], item: Any) -> Any:
    return work(_lines.put, item)


def _outlive_nobody() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
