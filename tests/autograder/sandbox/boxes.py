"""Boxes started as anybody, and ways to try things in them."""

from __future__ import annotations

import json
import os
import select
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from autograder.sandbox import cgroup, host
from autograder.sandbox.child import Exit
from autograder.sandbox.host import Box, Socketed
from autograder.sandbox.limits import Limits

EXECUTE = "autograder.sandbox.probe:execute"
STAGE = str(Path(__file__).with_name("stage.py"))
NOBODY = 65534

PRELUDE = """
import ctypes, errno, json, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def outcome(function, *args, **named):
    try:
        return repr(function(*args, **named))
    except BaseException as error:
        return errno.errorcode.get(getattr(error, "errno", None), type(error).__name__)
def call(number, *args):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in args])
    return errno.errorcode[ctypes.get_errno()] if result < 0 else "done"
def tell(value):
    sock.send(json.dumps(value).encode())
"""


class Setting(NamedTuple):
    """A tier, and the user that starts the zygote."""

    tier: str
    roles: tuple[str, ...]

    def __str__(self) -> str:
        return "-".join((self.tier, *(role for role in self.roles if role != "exposed")))


def settings() -> list[Setting]:
    if os.getuid() != 0:
        return [Setting("full", ()), Setting("landlock", ())]
    return [
        Setting("full", ()),
        Setting("full", ("exposed", "nobody")),
        Setting("landlock", ("exposed",)),
        Setting("landlock", ("exposed", "nobody")),
    ]


@contextmanager
def staged(*roles: str) -> Iterator[None]:
    """Zygotes are started in these roles."""
    if not roles:
        yield
        return

    def folder(prefix: str) -> str:
        made = tempfile.mkdtemp(prefix=prefix)
        if "nobody" in roles:
            os.chown(made, NOBODY, NOBODY)
        return made

    def group(zygote: int) -> Path:
        made = make(zygote)
        if "nobody" in roles:
            for name in (".", "cgroup.procs", "cgroup.subtree_control"):
                os.chown(made / name, NOBODY, NOBODY)
        return made

    command, make = host._command, cgroup.make_group
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host, "_command", lambda control: [sys.executable, STAGE, *roles, "--", *command(control)])
        patch.setattr(host, "_folder", folder)
        patch.setattr(cgroup, "make_group", group)
        yield


@contextmanager
def started(setting: Setting, **more: Any) -> Iterator[Box]:
    with staged(*setting.roles):
        box = Box(**{"tier": setting.tier, "runner": EXECUTE, **more})
    with box:
        yield box


class Seen(NamedTuple):
    """What a child told, and how it ended."""

    told: Any
    exit: Exit


def ends(box: Box, *children: Socketed, seconds: float = 20) -> list[Exit]:
    """How these children end, in their order; the exits of others are forgotten."""
    ended: dict[int, Exit] = {}
    while not {child.id for child in children} <= set(ended):
        readable, _, _ = select.select([box], [], [], seconds)
        assert readable, "no child ended"
        ended |= {end.id: end for end in box.exits()}
    return [ended[child.id] for child in children]


def heard(child: Socketed, seconds: float = 20) -> Any:
    """The next message of a child; None when it has nothing more to say."""
    readable, _, _ = select.select([child.socket], [], [], seconds)
    assert readable, "the child said nothing"
    try:
        message = child.socket.recv(1 << 16)
    except ConnectionError:
        return None
    return json.loads(message) if message else None


def program(source: str, **facts: Any) -> bytes:
    """A program for the sandbox, with `facts` as its global names."""
    given = "".join(f"{name} = {value!r}\n" for name, value in facts.items())
    return (PRELUDE + given + textwrap.dedent(source)).encode()


def attempt(box: Box, source: str, limits: Limits | None = None, **facts: Any) -> Seen:
    """Run a program in the sandbox to its end."""
    child = box.launch(program(source, **facts), limits or Limits())
    with child.socket:
        (ended,) = ends(box, child)
        return Seen(heard(child), ended)


def eventually(condition: Callable[[], bool], seconds: float = 10) -> bool:
    """Whether it becomes true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def descendants(ancestor: int) -> list[int]:
    """The processes below one, oldest generation first."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(folder.name))
    found: list[int] = []
    generation = [ancestor]
    while generation := sorted(child for parent in generation for child in children.get(parent, [])):
        found += generation
    return found


def processes_of(box: Box) -> list[int]:
    """The box's own processes, the zygote after what started it, then its children. Numbers start anew now and then, so
    that none tells which process came last."""
    assert box._process is not None
    return [box._process.pid, *descendants(box._process.pid)]
