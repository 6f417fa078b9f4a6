"""Control groups (cgroup v2): the kernel counts all memory and tasks of a submission.

They stop what the limits of a process miss, such as buffers in the kernel. They need a part of the tree that was
delegated to us, as `systemd-run --user --scope -p Delegate=yes` and some containers do:

    <ours>/grader             who was in <ours>, since a group that has processes can't share out what it has
    <ours>/box-123-x1y2/zygote
    <ours>/box-123-x1y2/7     a submission; 123 is the grading process
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

assert sys.platform == "linux"

from autograder.sandbox.limits import MEBI, Limits

MARGIN = 128 * MEBI
"""Bytes on top of a submission's memory and disk: pages of the warm process that it writes to, and the kernel's own.
Large enough for an honest submission to meet its limit on address space first, and get a MemoryError as elsewhere."""

ADVICE = "`systemd-run --user --scope -p Delegate=yes autograder grade` has them."
_CONTROLLERS = ("memory", "pids")
_GRADER, _BOX, _ZYGOTE = "grader", "box-", "zygote"
_MARKS = ("user.delegate", "trusted.delegate")
_TRIES = 5


class NotGiven(Exception):
    """No part of the tree was delegated to us; the text says why."""


def given() -> Path:
    """The group that was given to this process. Raises NotGiven."""
    mounted, own = _mounted(), _own()
    if own.name == _GRADER:
        own = own.parent
    group = mounted / own.relative_to("/")
    if missing := set(_CONTROLLERS) - set(_words(group / "cgroup.controllers")):
        raise NotGiven(f"cgroup v2 has no {' and no '.join(sorted(missing))} controller here")
    for name in ("", "cgroup.procs", "cgroup.subtree_control"):
        if not os.access(group / name, os.W_OK):
            raise NotGiven(f"{group / name} can't be written")
    if own != Path("/") and not any(_attribute(group, mark) == b"1" for mark in _MARKS):
        raise NotGiven(f"{group} isn't delegated")
    return group


def make_group(zygote: int) -> Path:
    """A group for a sandbox, whose zygote (its process id) moves into it. Raises NotGiven."""
    ours = given()
    try:
        with _alone(ours):
            _share_out(ours)
            _sweep(ours)
            made = Path(tempfile.mkdtemp(prefix=f"{_BOX}{os.getpid()}-", dir=ours))
            try:
                _share_out(made)
                (made / _ZYGOTE).mkdir()
                (made / _ZYGOTE / "cgroup.procs").write_text(str(zygote), encoding="ascii")
            except OSError:
                remove(made)
                raise
    except OSError as error:
        raise NotGiven(f"{error.filename or 'a control group'}: {error.strerror}") from None
    return made


@contextlib.contextmanager
def _alone(ours: Path) -> Iterator[None]:
    """One at a time: moving the processes of <ours> aside could catch another sandbox's zygote on its way."""
    folder = os.open(ours, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def remove(group: Path) -> None:
    """Remove a sandbox's group and those in it, once their processes have ended."""
    for folder in [*group.glob("*/"), group]:
        with contextlib.suppress(
            OSError
        ):  # gone, or not empty yet: the next grader's sweep removes it after its processes have ended
            folder.rmdir()


class Group:
    """A sandbox's group for its zygote: a descriptor, because the file won't be visible there."""

    def __init__(self, folder: str) -> None:
        self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)

    def give_to(self, user: int) -> None:
        """Let this user make groups in it."""
        for name in (".", "cgroup.procs", "cgroup.subtree_control"):
            os.chown(name, user, user, dir_fd=self._folder)

    def add(self, number: int, limits: Limits) -> None:
        """A group for a submission."""
        os.mkdir(str(number), dir_fd=self._folder)
        self._write(f"{number}/memory.max", str(limits.memory + limits.disk + MARGIN))
        self._write(f"{number}/pids.max", str(limits.threads))
        with contextlib.suppress(FileNotFoundError):  # a kernel without swap
            self._write(f"{number}/memory.swap.max", "0")

    def enter(self, number: int) -> None:
        """Move this process into a submission's group."""
        self._write(f"{number}/cgroup.procs", "0")

    def end(self, number: int) -> bool:
        """Remove a submission's group; return whether the kernel killed a process in it for its memory."""
        with open(os.open(f"{number}/memory.events", os.O_RDONLY, dir_fd=self._folder), encoding="ascii") as file:
            events = dict(line.split() for line in file)
        with contextlib.suppress(OSError):  # a process that outlived the submission keeps it busy; `remove` comes later
            os.rmdir(str(number), dir_fd=self._folder)
        return int(events.get("oom_kill", 0)) > 0

    def _write(self, name: str, text: str) -> None:
        descriptor = os.open(name, os.O_WRONLY, dir_fd=self._folder)
        try:
            os.write(descriptor, text.encode())
        except OSError as error:
            raise OSError(error.errno, f"write {name} of a control group: {error.strerror}") from None
        finally:
            os.close(descriptor)


def _share_out(group: Path) -> None:
    """Let groups below have limits. Its processes move into a group below first, except in the root."""
    control = group / "cgroup.subtree_control"
    for left in reversed(range(_TRIES)):
        if (group / "cgroup.type").exists() and (running := _words(group / "cgroup.procs")):
            (group / _GRADER).mkdir(exist_ok=True)
            for process in running:
                with contextlib.suppress(ProcessLookupError):
                    (group / _GRADER / "cgroup.procs").write_text(process, encoding="ascii")
        try:
            control.write_text(" ".join(f"+{name}" for name in _CONTROLLERS), encoding="ascii")
        except OSError as error:
            if error.errno != errno.EBUSY or not left:  # busy: a process was forked there meanwhile
                raise OSError(error.errno, error.strerror, str(control)) from None
        else:
            return


def _sweep(ours: Path) -> None:
    """Remove the groups of graders that were killed."""
    for box in ours.glob(f"{_BOX}*"):
        if not Path("/proc", box.name.split("-")[1]).exists():
            remove(box)


def _mounted() -> Path:
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        before, _, after = line.partition(" - ")
        if after.startswith("cgroup2 "):
            return Path(before.split()[4])
    raise NotGiven("cgroup v2 isn't mounted")


def _own() -> Path:
    for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
        if line.startswith("0::"):
            return Path(line.removeprefix("0::"))
    raise NotGiven("this kernel has no cgroup v2")


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split()
    except OSError:
        return []


def _attribute(path: Path, name: str) -> bytes:
    try:
        return os.getxattr(path, name)
    except OSError:
        return b""
