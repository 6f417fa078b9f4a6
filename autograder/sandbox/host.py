"""The judge's side of the sandbox: a Box starts one warm zygote and has it launch, kill and reap children.

A Box only starts processes and reports how they ended. The session handles what a child's socket carries.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from autograder.sandbox import cgroup
from autograder.sandbox.child import Child, Exit, Silent, ZygoteDied
from autograder.sandbox.limits import Limits, Spent
from autograder.sandbox.tiers import BEST_FIRST, Lost, SandboxUnavailable, Tier, TierName, advice, require_linux
from autograder.sandbox.wire import MESSAGE_BYTES, Tampered

assert sys.platform == "linux"

RUNNER = "autograder.sandbox.runner:main"
PROBE = "autograder.sandbox.probe:main"
FINE = b"fine"

_START_SECONDS = 120
_END_SECONDS = 5
_CACHE = "/cache"


@dataclass(frozen=True, slots=True)
class Socketed:
    """One submission's process, at the other end of a socket."""

    id: int
    socket: socket.socket
    """The judge's end: non-blocking, SEQPACKET."""

    def receive(self, seconds: float) -> bytes | None:
        """Its next message; None when there will be none any more. Raises Silent and Tampered."""
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and poll.poll(left * 1000):
            try:
                data, ancillary, flags, _ = self.socket.recvmsg(MESSAGE_BYTES)
            except ConnectionError:
                continue  # it is gone, but its last messages can still be read before the end
            if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC) or ancillary:
                raise Tampered("a message that is too long, or brings something along")
            # Reading nothing means the end or an empty message: after the end the socket is hung up.
            return data if data or not _hung_up(poll) else None
        raise Silent

    def send(self, reply: bytes) -> None:
        """Answer it; a child that has gone hears nothing. Raises Tampered."""
        try:
            self.socket.send(reply)
        except BlockingIOError:
            raise Tampered("it doesn't read its replies") from None
        except ConnectionError:
            pass  # its last messages can still be read

    def close(self) -> None:
        """Hear no more of it."""
        self.socket.close()


def _hung_up(poll: select.poll) -> bool:
    return any(event & select.POLLHUP for _, event in poll.poll(0))


class _Refused(Exception):
    """The zygote can't work in this tier, or (`final`) in none."""

    def __init__(self, call: str, *, final: bool) -> None:
        super().__init__(call)
        self.final = final


class Box:
    """One warm zygote in the best tier of this machine, or in the tier asked for.

    `preload`: modules that submissions find imported. `core`: the processor that all its processes stay on. `private`:
    folders that submissions must not see. Raises SandboxUnavailable, with a line for the person, when submissions
    can't be locked in or one of the modules can't be imported in there.
    """

    def __init__(
        self,
        *,
        tier: TierName | None = None,
        preload: Sequence[str] = (),
        core: int | None = None,
        private: Sequence[Path] = (),
        runner: str = RUNNER,
        landlock_version: int = sys.maxsize,
    ) -> None:
        require_linux()
        self._runner = runner
        self._started = 0
        self._limits: dict[int, Limits] = {}
        self._ended: list[Exit] = []
        self._group: Path | None = None
        setup: dict[str, Any] = {
            "preload": list(preload),
            "core": core,
            "private": [str(path) for path in (*private, *_own_secrets())],
            "entries": [runner, PROBE],
            "landlock_version": landlock_version,
        }
        self.tier = self._start_best(tier, setup)

    def launch(self, payload: bytes, limits: Limits = Limits()) -> Socketed:  # noqa: B008  (frozen)
        """Fork a child, lock it in, and have it call the runner with its socket and this payload."""
        return self._launch(payload, limits, self._runner)

    def kill(self, child: Child) -> None:
        """End a child; its exit is reported like any other. One that has ended already is left in peace."""
        self._tell({"kill": child.id})

    def fileno(self) -> int:
        """Readable when there are exits to be read."""
        return self._control.fileno()

    def exits(self) -> list[Exit]:
        """The children that have ended since the last call; doesn't wait.

        Raises ZygoteDied.
        """
        while True:
            try:
                message = self._control.recv(1 << 16, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            except ConnectionError:
                message = b""
            if not message:
                raise ZygoteDied(self._last_words())
            self._ended.append(self._exit(json.loads(message)))
        ended, self._ended = self._ended, []
        return ended

    def reap(self, child: Child) -> Exit:
        """Wait for a child's end; ends of others are dropped. Raises ZygoteDied."""
        while True:
            for end in self.exits():
                if end.id == child.id:
                    return end
            select.select([self], [], [], 5.0)

    def close(self) -> None:
        """End the zygote and every child."""
        self._control.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
        if self._group is not None:
            cgroup.remove(self._group)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start_best(self, tier: TierName | None, setup: dict[str, Any]) -> Tier:
        lost: list[Lost] = []
        for name in [tier] if tier else BEST_FIRST:
            try:
                self._start_again(name, setup)
            except _Refused as refused:
                if refused.final:
                    raise SandboxUnavailable(str(refused), lost, final=True) from None
                lost.append(Lost(name, str(refused), advice(name, str(refused))))
            else:
                return Tier(name, tuple(lost))
        raise SandboxUnavailable(
            f"submissions can't be locked in on this machine: {' '.join(map(str, lost))}"
            " `autograder doctor` says more; --allow-unsandboxed runs them unprotected.",
            lost,
        )

    def _start_again(self, tier: TierName, setup: dict[str, Any]) -> None:
        """Like `_start`, but try twice: one death doesn't mean that the machine can't do better."""
        try:
            self._start(tier, setup)
        except ZygoteDied:
            try:
                self._start(tier, setup)
            except ZygoteDied as died:
                raise _Refused(str(died), final=False) from None

    def _start(self, tier: TierName, setup: dict[str, Any]) -> None:
        """Start one zygote and probe it. Raises _Refused or ZygoteDied, and then leaves nothing behind."""
        folder = _folder("autograder-")
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._log: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the Box)
        try:
            self._process = subprocess.Popen(
                _command(theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                env=_environment(_CACHE if tier == "full" else folder),
                cwd="/",
                start_new_session=True,  # Ctrl-C is for the judge, which then closes the Box
            )
            theirs.close()
            with contextlib.suppress(cgroup.NotGiven):
                self._group = cgroup.make_group(self._process.pid)
            self._tell({**setup, "tier": tier, "folder": folder, "group": self._group and str(self._group)})
            hello = self._next_message()
            if "refused" in hello:
                raise _Refused(hello["refused"], final=hello["final"])
            self._probe(tier, setup["preload"])
        except BaseException:
            self.close()
            raise
        finally:
            # Libraries have read what they put there; the full tier's new root was only made there.
            shutil.rmtree(folder, ignore_errors=True)

    def _probe(self, tier: TierName, preload: list[str]) -> None:
        child = self._launch(json.dumps({"tier": tier, "preload": preload}).encode(), Limits(), PROBE)
        with child.socket:
            ended = self._exit(self._next_message())
            try:
                answer = child.socket.recv(1 << 16)
            except OSError:
                answer = b""
        if ended.failure:
            raise _Refused(ended.failure, final=False)
        if ended.status == -signal.SIGKILL and not ended.spent:
            raise ZygoteDied("a first trial in the sandbox was killed")
        if answer != FINE:
            words = answer.decode(errors="replace") or f"it ended with status {ended.status}"
            raise _Refused(f"a first trial in the sandbox failed: {words}", final=False)

    def _launch(self, payload: bytes, limits: Limits, entry: str) -> Socketed:
        self._started += 1
        number = self._started
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs, open(os.memfd_create("payload"), "wb") as file:
            file.write(payload)
            file.flush()
            try:
                self._tell({"launch": number, "limits": asdict(limits), "entry": entry}, theirs.fileno(), file.fileno())
            except ZygoteDied:
                ours.close()
                raise
        self._limits[number] = limits
        return Socketed(number, ours)

    def _tell(self, message: dict[str, Any], *descriptors: int) -> None:
        try:
            socket.send_fds(self._control, [json.dumps(message).encode()], descriptors)
        except ConnectionError:
            raise ZygoteDied(self._last_words()) from None

    def _next_message(self) -> dict[str, Any]:
        """Wait for one message: only at the start."""
        readable, _, _ = select.select([self._control], [], [], _START_SECONDS)
        if not readable:
            raise ZygoteDied(f"no answer within {_START_SECONDS} seconds")
        with contextlib.suppress(ConnectionError):
            if message := self._control.recv(1 << 16):
                answer: dict[str, Any] = json.loads(message)
                return answer
        raise ZygoteDied(self._last_words())

    def _exit(self, message: dict[str, Any]) -> Exit:
        limits = self._limits.pop(message["exit"])
        status, cpu = message["status"], message["cpu"]
        spent: Spent = ""
        if message["late"]:
            spent = limits.late(cpu)
        # The kernel's limit counts ticks, its statistics count more finely: on a busy machine they stay well below.
        elif status == -signal.SIGKILL and cpu >= 0.5 * limits.cpu:
            spent = "cpu"
        return Exit(message["exit"], status, cpu, spent, message["failure"], message["starved"])

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it ended without a word"


def _folder(prefix: str) -> str:
    """A folder of the zygote's own."""
    return tempfile.mkdtemp(prefix=prefix)


def _command(control: int) -> list[str]:
    """How a zygote is started.

    Not with -I, which ignores PYTHONHASHSEED too. The rest of what -I keeps out, _environment doesn't let in.
    """
    return [sys.executable, "-P", "-s", "-B", str(Path(__file__).with_name("zygote.py")), str(control)]


def _environment(cache: str) -> dict[str, str]:
    """The whole environment of the zygote and its children: nothing of this process's own."""
    return {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "HOME": cache,
        "IPYTHONDIR": cache,
        "JUPYTER_CONFIG_DIR": cache,
        "MPLBACKEND": "agg",
        "MPLCONFIGDIR": cache,
        "PYTHONHASHSEED": "0",
        # One thread, as only the thread that forks lives on in the child; two arenas, as each takes address space.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",
    }


def _own_secrets() -> list[Path]:
    """The project's folder if it is used in place, since solutions and grades lie beside the packages."""
    root = Path(__file__).resolve().parents[2]
    return [] if root.name in ("site-packages", "dist-packages") else [root]
