"""What only a kernel shows that gives us control groups; `test_cgroup.py` boots one and runs these tests in it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from autograder.sandbox import cgroup
from autograder.sandbox.host import Box, Socketed
from autograder.sandbox.limits import Budget, Limits
from autograder.sandbox.play import _died
from tests.autograder.sandbox.boxes import NOBODY, STAGE, Setting, attempt, eventually, heard, program, started

ALL = Path("/sys/fs/cgroup")
SETTINGS = [Setting("full", ()), Setting("full", ("exposed", "nobody"))]
WAITS = "tell('hello'); sock.recv(10)"
STARTS = f"""
import sys
sys.path.insert(0, {str(Path(__file__).resolve().parents[3])!r})
from tests.autograder.sandbox.boxes import EXECUTE, attempt
from autograder.sandbox.host import Box
with Box(tier="full", runner=EXECUTE) as box:
    print(box._group, attempt(box, "tell('hello')").told)
"""


@contextmanager
def running(box: Box, source: str, limits: Limits = Limits()) -> Iterator[Socketed]:  # noqa: B008  (frozen)
    """A child that has said hello."""
    child = box.launch(program(source), limits)
    with child.socket:
        assert heard(child) == "hello"
        yield child


@pytest.fixture(params=SETTINGS, ids=str)
def box(request) -> Iterator[Box]:
    with started(request.param) as box:
        yield box


def group_of(box: Box, number: int) -> Path:
    assert box._group is not None
    return box._group / str(number)


def processes(group: Path) -> list[str]:
    return (group / "cgroup.procs").read_text().split()


def test_each_submission_has_its_group(box):
    """With its limits, alone in it; gone when it has ended."""
    limits = Limits(memory=64 << 20, threads=7)
    with running(box, WAITS, limits) as one, running(box, WAITS, limits) as two:
        groups = [group_of(box, child.id) for child in (one, two)]
        for group in groups:
            assert len(processes(group)) == 1
            assert int((group / "memory.max").read_text()) == limits.memory + limits.disk + cgroup.MARGIN
            assert int((group / "pids.max").read_text()) == 7
        for child in (one, two):
            box.kill(child)
            assert not box.reap(child).starved
    assert not any(group.exists() for group in groups)


def test_memory_that_no_other_limit_sees(box):
    """The kernel ends who takes more than the group may have, and nobody else; the verdict says why."""
    takes = "tell('hello'); sock.recv(10); tell(len(b'x' * 60_000_000))"
    with running(box, takes) as hog, running(box, takes) as other:
        (group_of(box, hog.id) / "memory.max").write_text("20M")
        hog.send(b"go")
        end = box.reap(hog)
        other.send(b"go")
        assert heard(hog) is None and heard(other) == 60_000_000
    assert end.starved and _died(end, Budget()) == ("crashed", "it used up its memory")
    assert attempt(box, "tell('next')").told == "next"


def test_tasks(box):
    """A thread more than the group may have isn't started."""
    starts = """
    import threading
    tell("hello")
    sock.recv(10)
    stop = threading.Event()
    tell([outcome(threading.Thread(target=stop.wait).start) for _ in range(6)])
    os._exit(0)
    """
    with running(box, starts) as child:
        (group_of(box, child.id) / "pids.max").write_text("4")
        child.send(b"go")
        assert heard(child) == ["None"] * 3 + ["RuntimeError"] * 3


def test_nothing_is_left():
    """Of a sandbox, nor of one whose grader was killed."""
    with started(SETTINGS[0]) as box:
        ours = box._group
        assert ours is not None and ours.exists()
    assert not ours.exists()
    killed = subprocess.Popen([sys.executable, "-c", STARTS + "    import os; os.kill(os.getpid(), 9)"])
    killed.wait()
    (left,) = ALL.glob(f"box-{killed.pid}-*")
    assert eventually(lambda: not processes(left / "zygote"))
    with started(SETTINGS[0]):
        assert not left.exists()


@pytest.fixture
def scope() -> Iterator[Path]:
    """A part of the tree, as a manager of services hands it out."""
    made = ALL / "run-1.scope"
    made.mkdir()
    yield made
    for folder in [*made.glob("*/"), made]:
        folder.rmdir()


def in_scope(scope: Path, *stage: str) -> list[str]:
    """Start a sandbox in there, three at once: what they say."""
    enter = f'echo $$ > {scope}/cgroup.procs && exec "$@"'
    command = ["/bin/sh", "-c", enter, "sh", *stage, sys.executable, "-c", STARTS]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    return [said.communicate()[0].strip() for said in running]


def test_only_what_was_given(scope):
    """A grader leaves a tree alone that isn't marked as delegated."""
    assert in_scope(scope) == ["None hello"] * 3
    assert not list(scope.glob("*/"))


def test_what_was_given(scope):
    """Its processes move aside, once, however many sandboxes are started."""
    os.setxattr(scope, "user.delegate", b"1")
    said = in_scope(scope)
    assert all(line.startswith(f"{scope}/box-") and line.endswith(" hello") for line in said), said
    assert [folder.name for folder in scope.glob("*/")] == ["grader"]


def test_what_was_given_to_a_normal_user(scope):
    """It needs no rights outside of it."""
    os.setxattr(scope, "user.delegate", b"1")
    for name in (".", "cgroup.procs", "cgroup.subtree_control"):
        os.chown(scope / name, NOBODY, NOBODY)
    said = in_scope(scope, sys.executable, STAGE, "exposed", "nobody", "--")
    assert all(line.startswith(f"{scope}/box-") and line.endswith(" hello") for line in said), said
