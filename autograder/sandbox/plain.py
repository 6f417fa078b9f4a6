"""No lock: a Python process for each child, on any system. For one's own code.

Nothing is forbidden. Limits on time, and on memory where the system has them, stop accidents. Messages go through the
process's standard streams, each after its length. Run as a program, this file is the child.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import IO

from autograder.sandbox import runner
from autograder.sandbox.child import Child, Exit, Silent
from autograder.sandbox.limits import Limits, Spent, restrain
from autograder.sandbox.tiers import Lost, Tier
from autograder.sandbox.wire import MESSAGE_BYTES

_LENGTH = struct.Struct("=I")
_WARM = 2 << 30
"""Bytes of address space that Python and its libraries may take, on top of what a submission may."""
_ENDS: dict[Spent, int] = {"cpu": 75, "idle": 76, "total": 77}
"""The exit code of a child that met a limit on time."""
_OUT_OF_CPU = -getattr(signal, "SIGXCPU", -_ENDS["cpu"])
_SPENT: dict[int, Spent] = {**{status: spent for spent, status in _ENDS.items()}, _OUT_OF_CPU: "cpu"}
_GLANCE = 0.25
"""Seconds between two looks at the time."""


class PlainChild:
    """A process and the thread that reads from it: nothing else can wait for a pipe with a time limit on every
    system."""

    def __init__(self, number: int, process: subprocess.Popen[bytes], folder: str, limits: Limits) -> None:
        self.id, self.process, self.folder, self.limits = number, process, folder, limits
        # One message, because an honest child waits for its reply. What isn't read stays with the child.
        self._heard: queue.Queue[bytes | None] = queue.Queue(1)
        self._left = False
        self.before = _cpu_of_children()
        threading.Thread(target=self._listen, daemon=True).start()

    def receive(self, seconds: float) -> bytes | None:
        """Its next message; None when there will be none any more. Raises Silent."""
        try:
            return self._heard.get(timeout=max(seconds, 0))
        except queue.Empty:
            raise Silent from None

    def send(self, reply: bytes) -> None:
        """Answer it; an answer to a child that has ended is lost."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            _say(self.process.stdin, reply)

    def close(self) -> None:
        """Stop answering. Its messages are still read until its end."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()

    def leave(self) -> None:
        """Stop reading its messages."""
        self._left = True

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            message: bytes | None = b""
            while message is not None and len(message) <= MESSAGE_BYTES:
                message = _hear(stream, MESSAGE_BYTES + 1)
                while not self._hand_over(message):
                    if self._left:
                        return

    def _hand_over(self, message: bytes | None) -> bool:
        with contextlib.suppress(queue.Full):
            self._heard.put(message, timeout=_GLANCE)
            return True
        return False


class Plain:
    """Starts a process for each child. `reasons`: why there is no sandbox."""

    def __init__(self, reasons: Sequence[Lost] = ()) -> None:
        self.tier = Tier("none", tuple(reasons))
        self._started = 0
        self._running: dict[int, PlainChild] = {}

    def launch(self, payload: bytes, limits: Limits = Limits()) -> Child:  # noqa: B008  (frozen)
        """A new process, in a folder of its own, that runs the submission of this payload."""
        self._started += 1
        folder = tempfile.mkdtemp(prefix="autograder-")
        process = subprocess.Popen(
            [sys.executable, "-B", "-m", "autograder.sandbox.plain"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            cwd=folder,
            start_new_session=True,  # Ctrl-C is for the judge; and its descendants are found by their group
        )
        child = PlainChild(self._started, process, folder, limits)
        self._running[child.id] = child
        child.send(json.dumps(asdict(limits)).encode())
        child.send(payload)
        return child

    def kill(self, child: Child) -> None:
        """End a child, and the processes that it started, as far as they are still in its group."""
        _end(self._running[child.id].process)

    def reap(self, child: Child) -> Exit:
        """Wait for its end."""
        running = self._running.pop(child.id)
        running.close()
        status = running.process.wait()
        running.leave()
        shutil.rmtree(running.folder, ignore_errors=True)
        return Exit(child.id, status, _cpu_of_children() - running.before, _SPENT.get(status, ""))

    def close(self) -> None:
        """End all of it."""
        for child in list(self._running.values()):
            self.kill(child)
            self.reap(child)


def _cpu_of_children() -> float:
    """CPU seconds of the children that have ended; where the system doesn't count them, all their time."""
    if sys.platform == "win32":
        return time.monotonic()
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _end(process: subprocess.Popen[bytes]) -> None:
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()


def _environment() -> dict[str, str]:
    """This process's environment, without variables that would make two runs differ."""
    paths = os.pathsep.join(path for path in sys.path if path)
    return {**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": "0", "MPLBACKEND": "agg", "TZ": "UTC"}


def _say(stream: IO[bytes], message: bytes) -> None:
    stream.write(_LENGTH.pack(len(message)) + message)
    stream.flush()


def _hear(stream: IO[bytes], most: int) -> bytes | None:
    """The next message, `most` bytes of it; None at the end."""
    try:
        head = stream.read(_LENGTH.size)
        if len(head) < _LENGTH.size:
            return None
        size = min(*_LENGTH.unpack(head), most)
        message = stream.read(size)
    except OSError:
        return None
    return message if len(message) == size else None


class _Judge:
    """The child's end of the conversation with the judge."""

    def __init__(self) -> None:
        self._from, self._to = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
        nowhere = os.open(os.devnull, os.O_RDWR)
        for standard in range(3):
            os.dup2(nowhere, standard)

    def send(self, message: bytes) -> None:
        _say(self._to, message)

    def recv(self, most: int) -> bytes:
        return _hear(self._from, most) or b""


def _watch(limits: Limits) -> None:
    """End this process when its time is up: not every system does that, and the judge may be gone."""
    began = time.monotonic()
    while (cpu := time.process_time()) <= limits.cpu:
        if time.monotonic() - began > limits.wall(cpu):
            os._exit(_ENDS[limits.late(cpu)])
        time.sleep(_GLANCE)
    os._exit(_ENDS["cpu"])


def main() -> None:
    """Be the child."""
    judge = _Judge()
    limits = Limits(**json.loads(judge.recv(_WARM)))
    payload = judge.recv(_WARM)
    restrain(limits.cpu, limits.memory + _WARM)
    threading.Thread(target=_watch, args=(limits,), daemon=True).start()
    runner.main(judge, payload)
    os._exit(0)


if __name__ == "__main__":
    main()
