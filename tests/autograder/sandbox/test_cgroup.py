"""Control groups: which are ours, and, on a kernel booted for it, what they hold a submission to."""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from autograder.sandbox import cgroup

ROOT = Path(__file__).resolve().parents[3]
MACHINE = """#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t cgroup2 groups /sys/fs/cgroup
mount -t tmpfs -o mode=1777 tmp /run
ip link set lo up
cd {root}
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/run TMPDIR=/run PYTHONDONTWRITEBYTECODE=1
{python} -m pytest tests/autograder/sandbox/grouped.py -n 0 -p no:cacheprovider -p no:cov > {folder}/said 2>&1
echo o > /proc/sysrq-trigger
sleep 60
"""


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_on_a_kernel_that_has_them(tmp_path):
    """`grouped.py` passes on a Linux that gives all of its tree to us (a user-mode one: it needs no rights here)."""
    linux = shutil.which("linux.uml")
    assert linux, "there is no linux.uml: install user-mode-linux (Debian's package)"
    first = tmp_path / "first"
    given = {"folder": tmp_path, "root": ROOT, "python": sys.executable}
    first.write_text(MACHINE.format_map({name: shlex.quote(str(value)) for name, value in given.items()}))
    first.chmod(0o755)
    options = f"rootfstype=hostfs rw init={first} mem=1G uml_dir={tmp_path}/ con=null con0=null quiet"
    nowhere = subprocess.DEVNULL
    subprocess.run([linux, *options.split()], stdin=nowhere, stdout=nowhere, stderr=nowhere, timeout=500)
    said = (tmp_path / "said").read_text()
    assert " passed" in said and not any(word in said for word in (" failed", " error", " skipped")), said


@pytest.fixture
def tree(tmp_path, monkeypatch) -> Path:
    """A group that looks as the kernel's do, with us in it."""
    group = tmp_path / "user.slice" / "run-1.scope"
    group.mkdir(parents=True)
    (group / "cgroup.controllers").write_text("cpu memory pids\n")
    for name in ("cgroup.procs", "cgroup.subtree_control"):
        (group / name).touch()
    monkeypatch.setattr(cgroup, "_mounted", lambda: tmp_path)
    monkeypatch.setattr(cgroup, "_own", lambda: Path("/user.slice/run-1.scope"))
    monkeypatch.setattr(cgroup, "_attribute", lambda path, name: b"1" if path == group else b"")
    return group


def why_not() -> str:
    with pytest.raises(cgroup.NotGiven) as why:
        cgroup.given()
    return str(why.value)


def test_a_delegated_group_is_ours(tree):
    """Marked by the machine's manager, with the controllers, and writable."""
    assert cgroup.given() == tree


def test_who_has_moved_aside_finds_it_again(tree, monkeypatch):
    """It is the group above `grader`, if that is delegated."""
    monkeypatch.setattr(cgroup, "_own", lambda: Path("/user.slice/run-1.scope/grader"))
    assert cgroup.given() == tree
    monkeypatch.setattr(cgroup, "_attribute", lambda path, name: b"")
    assert why_not() == f"{tree} isn't delegated"


def test_why_none_is_ours(tree, monkeypatch):
    """What is missing is named."""
    (tree / "cgroup.controllers").write_text("cpu pids\n")
    assert why_not() == "cgroup v2 has no memory controller here"
    (tree / "cgroup.controllers").write_text("memory pids\n")
    monkeypatch.setattr(cgroup, "_attribute", lambda path, name: b"")
    assert why_not() == f"{tree} isn't delegated"
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert why_not().endswith("can't be written")


def test_one_at_a_time(tree, monkeypatch):
    """Moving processes aside could catch another sandbox's zygote on its way."""

    def taken() -> bool:
        folder = os.open(tree, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            return False
        finally:
            os.close(folder)

    seen = []
    monkeypatch.setattr(cgroup, "_share_out", lambda group: seen.append(taken()))
    made = cgroup.make_group(4711)
    assert (made / "zygote" / "cgroup.procs").read_text() == "4711"
    assert seen == [True, True] and not taken()


def test_why_none_is_ours_on_this_machine():
    """Whatever it is, it's a group or a reason."""
    try:
        found = str(cgroup.given() / "cgroup.procs")
    except cgroup.NotGiven as why:
        found = str(why)
    assert Path(found).exists() or "cgroup" in found
