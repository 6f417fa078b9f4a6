"""Do jobs in several processes, any of which a job may kill.

A job is taken when a process is free, and its result comes as soon as it is there; lines that a process tells come at
once. A process that dies is replaced, and `Died` comes in place of the result. Ctrl-C, SIGTERM and failures leave no
process behind. If this process is killed, the others end by themselves.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, Literal, TypeVar

Tell = Callable[[str], None]
"""Receives lines about what is going on."""

Job = TypeVar("Job")
Input = TypeVar("Input")
Output = TypeVar("Output")

Start = Callable[[int | None, Tell], AbstractContextManager[Callable[[Input], Output]]]
"""Prepares a process and returns the function that does a job there. Arguments: the process's number, from 0, or None
if no other is started; and the function that receives lines."""

LAST_MOMENTS = 5.0
"""Seconds in which a process may clean up after the process that waits for its results is gone."""


@dataclass
class Died:
    """A process died doing the job."""

    exitcode: int | None
    started: bool
    """Whether it had been ready for jobs."""
    again: bool = False
    """Set by the caller to have the job done once more."""


def side_by_side(
    jobs: Iterable[tuple[Job, Input]], count: int, start: Start[Input, Output], tell: Tell = lambda _: None
) -> Generator[tuple[Job, Output | Died], None, None]:
    """Do these jobs in `count` processes, or in this one where it is the only one.

    Each job comes with its argument for a process, and comes back with the result or with `Died`. `start` must be
    picklable. An exception in a process is raised here, and ends all processes. Close the iterator, or exhaust it.
    """
    if count > 1:
        yield from _Pool(iter(jobs), start, tell).run(count)
        return
    with start(None, tell) as work:
        for job, given in jobs:
            yield job, work(given)


@dataclass
class _Pool(Generic[Job, Input, Output]):
    jobs: Iterator[tuple[Job, Input]]
    start: Start[Input, Output]
    tell: Tell
    again: list[tuple[Job, Input]] = field(default_factory=list)
    workers: list[_Worker] = field(default_factory=list)

    def next_job(self) -> tuple[Job, Input] | None:
        """Each job is read when it is taken, so that only those under way are held."""
        return self.again.pop() if self.again else next(self.jobs, None)

    def run(self, count: int) -> Iterator[tuple[Job, Output | Died]]:
        try:
            while len(self.workers) < count and (job := self.next_job()) is not None:
                self.workers.append(_Worker(self.start, len(self.workers)))
                self.workers[-1].take(job)
            while busy := [worker for worker in self.workers if worker.job is not None]:
                ready = wait([worker.pipe for worker in busy])
                for worker in busy:
                    if worker.pipe in ready:
                        yield from self._hear(worker)
        finally:
            for worker in self.workers:
                worker.close()

    def _hear(self, worker: _Worker) -> Iterator[tuple[Job, Output | Died]]:
        """Receive one message of this process; a result is passed on after the process has its next job."""
        assert worker.job is not None
        job = worker.job
        what, said = worker.hear()
        if what == "line":
            self.tell(said)
        elif what == "failure":
            raise said
        elif what == "result":
            worker.take(self.next_job())
            yield job[0], said
        elif what == "death":
            yield job[0], said
            if said.again:
                self.again.append(job)
            worker.close()
            successor = self.workers[worker.number] = _Worker(self.start, worker.number)
            successor.take(self.next_job())


What = Literal["start", "line", "result", "failure", "death"]


class _Worker:
    """A child process, as seen by the process that waits for its results."""

    def __init__(self, start: Start[Any, Any], number: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.number = number
        self.job: tuple[Any, Any] | None = None
        self.started = False
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, start, number), daemon=True)
        if sys.platform != "win32":
            resource_tracker.ensure_running()  # starting it would unblock the signal
        with held():
            self.process.start()
        theirs.close()

    def take(self, job: tuple[Any, Any] | None) -> None:
        """Send the next job, or say that there is none."""
        self.job = job
        if job is not None:
            with contextlib.suppress(ConnectionError):  # then its end is the next thing received
                self.pipe.send(job[1])

    def hear(self) -> tuple[What, Any]:
        """Wait for its next message."""
        try:
            what, said = self.pipe.recv()
        except (EOFError, OSError):  # the latter when it died in the middle of a message
            self.process.join(10)
            return "death", Died(self.process.exitcode, self.started)
        self.started |= what == "start"
        return what, said

    def close(self) -> None:
        self.pipe.close()
        if self.job is not None:
            self.process.kill()  # nobody waits for its result
        self.process.join(10)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


HELD = (signal.SIGINT, signal.SIGTERM)
"""Signals that are held back while a process starts."""


def _mask(how: str) -> None:
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        signal.pthread_sigmask(getattr(signal, how), HELD)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Hold SIGINT and SIGTERM while a process starts, so that no start is left half done; the process inherits the mask
    until it has set its own handlers.

    A mask alone isn't enough: another thread takes the signal, and Python runs the handler in this one.
    """
    came: list[int] = []
    handlers = {}
    if threading.current_thread() is threading.main_thread():
        handlers = {number: signal.signal(number, lambda number, _: came.append(number)) for number in HELD}
    _mask("SIG_BLOCK")
    try:
        yield
    finally:
        _mask("SIG_UNBLOCK")
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for late in came:
        signal.raise_signal(late)


def _work(pipe: Connection, start: Start[Any, Any], number: int) -> None:
    """The loop of a child process: do jobs until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits for the results
    _mask("SIG_UNBLOCK")
    threading.Thread(target=_end_with_the_parent, daemon=True).start()

    def say(what: What, said: object = None) -> None:
        pipe.send((what, said))

    try:
        with start(number, lambda line: say("line", line)) as work:
            say("start")
            while True:
                say("result", work(pipe.recv()))
    except (EOFError, ConnectionError):
        pass
    except Exception as error:
        error.add_note("".join(traceback.format_exception(error)))  # it doesn't travel along
        with contextlib.suppress(OSError):  # nobody is there any more
            say("failure", error)


def _end_with_the_parent() -> None:
    """End with the parent: a process that waits for it notices; one that doesn't is ended."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    time.sleep(LAST_MOMENTS)
    os._exit(1)
