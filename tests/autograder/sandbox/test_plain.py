"""Without a sandbox: a plain process for each run, with limits against accidents, on any system."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from autograder.grading.demo import write_submission
from autograder.grading.grade import Grader
from autograder.judging.result import Result
from autograder.notebook.cells import CodeCell
from autograder.sandbox import plain
from autograder.sandbox.child import Silent
from autograder.sandbox.limits import Limits
from autograder.sandbox.plain import Plain
from autograder.sandbox.wire import Given, pack
from tests.autograder.conftest import SECTION
from tests.autograder.sandbox.boxes import descendants, eventually

RIGHT = "def add(a, b):\n    return a + b\n"
MACOS = """
import os, resource, select, signal, socket, sys, sysconfig, types
os.environ.setdefault("_PYTHON_SYSCONFIGDATA_NAME", sysconfig._get_sysconfigdata_name())
sys.platform = "darwin"
sys.modules["_scproxy"] = types.SimpleNamespace(_get_proxy_settings=dict, _get_proxies=dict)
for module, names in {
    os: "memfd_create pidfd_open sched_getaffinity sched_setaffinity setresuid setresgid O_PATH unshare setns",
    resource: "RLIMIT_SIGPENDING RLIMIT_MSGQUEUE RLIMIT_NICE prlimit",
    select: "epoll",
    signal: "pidfd_send_signal SIGRTMIN",
    socket: "SOCK_CLOEXEC SOCK_NONBLOCK",
}.items():
    for name in names.split():
        vars(module).pop(name, None)
"""
"""A sitecustomize that takes from Python what it hasn't got on macOS."""


@pytest.fixture
def grader(course, monkeypatch, tmp_path) -> Iterator[Grader]:
    """One without a sandbox; afterwards no process and no folder of it is left."""
    (tmp_path / "there").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "there"))
    before = set(descendants(os.getpid()))
    grader = Grader(course)
    grader._box = Plain()
    yield grader
    grader.close()
    assert eventually(lambda: set(descendants(os.getpid())) <= before), "a process is left"
    assert not list((tmp_path / "there").iterdir())


def graded(grader: Grader, code: str) -> Result:
    section = grader.course.section(SECTION)
    return grader.grade(write_submission(section, grader.course.root / "answer", code).read_bytes(), section)


HARMLESS = {
    "much output": "import os\nprint('x' * 10**6)\nos.write(1, b'y' * 10**6)\n",
    "a file": "open('mine', 'w').write('x')\n",
    "a process": "import subprocess\nsubprocess.Popen(['sleep', '600'])\n",
    "standard input": "try:\n    input()\nexcept EOFError:\n    pass\n",
}


@pytest.mark.parametrize("before", HARMLESS.values(), ids=HARMLESS)
def test_full_marks(grader, before):
    """What it does beside its answer harms neither the answer nor the machine."""
    result = graded(grader, before + RIGHT)
    assert (result.score, result.verdict, result.sandbox) == (3, "graded", "none")


def test_an_endless_loop(grader):
    """It is stopped by its time, and the next one is judged."""
    result = graded(grader, "def add(a, b):\n    while True:\n        pass\n")
    assert (result.score, result.verdict) == (0, "timeout")
    assert graded(grader, RIGHT).score == 3


def test_an_endless_loop_that_no_alarm_ends(grader):
    """Processor time is a limit of the system's, where it has one."""
    loop = "import signal\nsignal.signal(signal.SIGVTALRM, signal.SIG_IGN)\n"
    result = graded(grader, f"{loop}while True:\n    pass\n")
    assert (result.score, result.verdict) == (0, "timeout") and "(10 s of CPU time)" in result.line


def test_memory(grader):
    """Too much is an error of the code's own."""
    result = graded(grader, "def add(a, b):\n    return len(bytearray(1 << 34))\n")
    assert (result.score, result.verdict) == (0, "graded")


@pytest.mark.parametrize(("how", "said"), [("os._exit(3)", "exit code 3"), ("os.abort()", "signal 6")])
def test_an_end(grader, how, said):
    """It is told how, and the next one is judged."""
    result = graded(grader, f"import os\n{how}\n")
    assert (result.score, result.verdict) == (0, "crashed") and said in result.line
    assert graded(grader, RIGHT).score == 3


def test_silence():
    """Nobody waits forever."""
    box = Plain()
    child = box.launch(b"[")  # no payload: it ends at once
    assert child.receive(20) is None
    box.kill(child)
    assert box.reap(child).status != 0
    waiting = plain.PlainChild(
        1, subprocess.Popen(["sleep", "60"], stdin=subprocess.PIPE, stdout=subprocess.PIPE), "", Limits()
    )
    with pytest.raises(Silent):
        waiting.receive(0.01)
    waiting.process.kill()
    waiting.process.wait()
    assert waiting.receive(20) is None
    waiting.close()


def test_a_flood_stays_where_it_comes_from():
    """What a child says without waiting for replies isn't piled up, and nobody goes on hearing it once it is reaped."""
    flood = "import sys\nwhile True: sys.stdout.buffer.write(b'\\5\\0\\0\\0hello')"
    process = subprocess.Popen([sys.executable, "-c", flood], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    before = set(threading.enumerate())
    child = plain.PlainChild(1, process, "", Limits())
    (listening,) = set(threading.enumerate()) - before
    assert child.receive(20) == b"hello"
    time.sleep(0.2)
    assert child._heard.qsize() <= 1
    process.kill()
    process.wait()
    child.close()
    child.leave()
    listening.join(20)
    assert not listening.is_alive()


def test_an_orphan():
    """A process that nobody ends, because nobody is there any more, ends by itself, also one that hears no alarm."""
    deaf = "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM, signal.SIGVTALRM])"
    source = f"import select, signal\n{deaf}\nselect.select([], [], [], 600)\n"
    given = Given([CodeCell(source, own=True)], [], "")
    box = Plain()
    assert box.reap(box.launch(pack(given), Limits(idle=0.2, total=5.0))).spent in ("idle", "total")


@pytest.mark.parametrize(
    ("stream", "heard"),
    [
        (struct.pack("=I", 3) + b"abc", b"abc"),
        (struct.pack("=I", 1 << 31) + b"abcdefgh", b"abcde"),
        (struct.pack("=I", 3) + b"ab", None),
        (b"\0\0", None),
        (b"", None),
    ],
)
def test_messages(stream, heard):
    """A whole one, the beginning of one that is too long, or none."""
    assert plain._hear(io.BytesIO(stream), 5) == heard


def test_on_a_python_as_on_macos(course, tmp_path):
    """The class is graded by two processes, with a line that says how; without the word it isn't."""
    (tmp_path / "macos").mkdir()
    (tmp_path / "macos" / "sitecustomize.py").write_text(MACOS)
    section = course.section(SECTION)
    for student in ("ada", "bob"):
        write_submission(section, course.submitted / student / SECTION, f"# {student}\n{RIGHT}")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "macos")}
    run = partial(subprocess.run, capture_output=True, text=True, cwd=course.root, env=environment)
    program = "from autograder.cli import main; main()"
    command = [sys.executable, "-c", program, "grade", "--jobs", "2", "--json", "rows"]
    refused = run(command)
    assert refused.returncode == 2 and "Docker Desktop" in refused.stderr and "Traceback" not in refused.stderr
    done = run([*command, "--allow-unsandboxed"])
    assert done.returncode == 0 and "WITHOUT a sandbox" in done.stderr, done.stderr
    rows = [json.loads(line) for line in Path(course.root, "rows").read_text().splitlines()]
    assert [(row["student"], row["score"], row["sandbox"]) for row in rows] == [("ada", 3, "none"), ("bob", 3, "none")]
