"""What goes wrong around a grading, and never costs a grade: kills, full disks, locks, damage, signals, odd clocks.

Afterwards always: every file is whole, nothing counts as finished that the gradebook hasn't got, no process is left,
and the same command, run again, comes to the scores that an undisturbed run has.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import random
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from multiprocessing import resource_tracker
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from autograder import processes
from autograder.cli import main
from autograder.course import Course
from autograder.grading.demo import write_submission
from autograder.grading.grade import Grader
from autograder.grading.pool import Job, Setting, grade_class
from autograder.notebook.handin import open_submission
from autograder.sandbox.host import Box
from benchmarks.regrade import load
from tests.autograder.sandbox.boxes import NOBODY, STAGE, descendants, eventually

pytestmark = [
    pytest.mark.xdist_group("unlucky"),
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's"),
]

SECTION = "90_sample"
RIGHT, HALF = "def add(a, b):\n    return a + b\n", "def add(a, b):\n    return 0\n"
ENDLESS = "def add(a, b):\n    while True:\n        pass\n"
SCORES = {RIGHT: 3.0, HALF: 1.0}
KILLED = 200
"""Submissions in the class whose grading is killed at random."""
COMMAND = [str(Path(sys.executable).with_name("autograder")), "grade", "--jobs", "2", "--json", "rows.json"]


def hand_in(course: Course, count: int) -> dict[str, float]:
    """A class of right and half right answers, no two alike, and the points of each."""
    section, expected = course.section(SECTION), {}
    for number in range(count):
        answer = HALF if number % 3 == 1 else RIGHT
        write_submission(section, course.submitted / f"s{number:03}" / SECTION, f"# {number}\n{answer}")
        expected[f"s{number:03}"] = SCORES[answer]
    return expected


def typed(course: Course, *arguments: str) -> SimpleNamespace:
    """`autograder grade` in this process: exit code and errors."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(course.root)
        done = CliRunner().invoke(main, ["grade", "--jobs", "1", "--json", "rows.json", *arguments])
    assert isinstance(done.exception, SystemExit | None), done.exc_info
    return SimpleNamespace(code=done.exit_code, err=done.stderr)


def in_gradebook(course: Course) -> dict[str, float]:
    """Each student's score, as any reader of the file finds it, whole."""
    query = """
        SELECT student_id, total(auto_score) FROM submitted_assignment AS one
        JOIN submitted_notebook AS book ON book.assignment_id = one.id JOIN grade ON grade.notebook_id = book.id
        GROUP BY one.id
    """
    with closing(sqlite3.connect(course.gradebook)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        rows = connection.execute(query).fetchall()
    assert len(dict(rows)) == len(rows), "somebody is there twice"
    return dict(rows)


def whole(course: Course) -> None:
    """No file is half written, and what counts as finished is in the gradebook."""
    scores = in_gradebook(course)
    for path in course.build.glob(f"graded/{SECTION}/*.json"):
        if not path.name.startswith("."):
            assert json.loads(path.read_bytes())["result"]["score"] == scores[path.stem]
    for path in course.autograded.rglob("sample.ipynb"):
        assert json.loads(path.read_bytes())["cells"]
    for path in course.feedback.rglob("sample.html"):
        assert path.read_text().rstrip().endswith("</html>")
    if (course.root / "rows.json").exists():
        assert [json.loads(line) for line in (course.root / "rows.json").read_text().splitlines()]


def finished(course: Course, expected: dict[str, float]) -> None:
    """Everybody is graded once, as if nothing had happened, and nothing lies about."""
    whole(course)
    rows = [json.loads(line) for line in (course.root / "rows.json").read_text().splitlines()]
    assert len(rows) == len(expected)
    assert {row["student"]: row["score"] for row in rows} == in_gradebook(course) == expected
    assert {row["verdict"] for row in rows} == {"graded"}
    for student in expected:
        assert (course.autograded / student / SECTION / "sample.ipynb").is_file()
        assert (course.feedback / student / SECTION / "sample.html").is_file()
        assert (course.build / "graded" / SECTION / f"{student}.json").is_file()
    assert not list(course.root.rglob(".*.new")), "a staged file is left"


def complaints(err: str) -> str:
    """What is said besides how far the grading is."""
    return "".join(line for line in err.splitlines(keepends=True) if not re.match("graded [0-9,]+ of", line))


def one_line(said: str) -> bool:
    said = complaints(said)
    return said.startswith("autograder: ") and said.count("\n") == 1


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Tests in the background ignore Ctrl-C, and the processes that they start inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def six(course: Course) -> dict[str, float]:
    """A class of six handed in to `course`, and the points of each."""
    return hand_in(course, 6)


@contextmanager
def no_orphan() -> Iterator[None]:
    """Whatever is started in here is gone afterwards, or soon after."""
    me = os.getpid()
    prctl = ctypes.CDLL(None).prctl
    prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    before = set(descendants(me))
    try:
        yield
        assert eventually(lambda: not alive(set(descendants(me)) - before), 60), "a process outlived the grader"
    finally:
        prctl(36, 0, 0, 0, 0)


def alive(pids: set[int]) -> list[int]:
    """Those that still run; the ended ones that are ours now are reaped."""
    for pid in pids:
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    return [pid for pid in pids if state(pid) not in ("", "Z", "X")]


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except OSError:
        return ""


def started(course: Course, *arguments: str) -> subprocess.Popen[str]:
    command = [*COMMAND, *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=course.root, text=True, start_new_session=True, stdout=pipe, stderr=pipe)


def workers(grader: int) -> list[int]:
    def command(pid: int) -> bytes:
        with suppress(OSError):
            return Path(f"/proc/{pid}/cmdline").read_bytes()
        return b""

    return [pid for pid in descendants(grader) if b"spawn_main" in command(pid)]


class TestKilled:
    """A death costs a second try, not a grade."""

    def killing(self, monkeypatch: pytest.MonkeyPatch, victim: str, times: int) -> None:
        launch = Box.launch

        def launched(box: Box, *arguments: Any) -> Any:
            nonlocal times
            zygote = box._process.pid
            before = {zygote, *descendants(zygote)}
            child = launch(box, *arguments)
            if times:
                times -= 1
                assert eventually(lambda: not before.issuperset(descendants(zygote)))  # it waits for us
                for pid in set(descendants(zygote)) - before if victim == "child" else before:
                    os.kill(pid, signal.SIGKILL)
            return child

        monkeypatch.setattr(Box, "launch", launched)

    @pytest.mark.parametrize("victim", ["child", "zygote"])
    @pytest.mark.parametrize("times", [1, 2])
    def test_in_the_sandbox(self, course, six, monkeypatch, victim, times):
        """Once: nobody sees it. Twice: the submission's line says so, and the result is none to keep."""
        self.killing(monkeypatch, victim, times)
        grader = Grader(course)
        try:
            section = course.section(SECTION)
            found = [grader.grade(open_submission(one).data, section) for one in course.submissions(student="s000")]
            after = [grader.grade(open_submission(one).data, section) for one in course.submissions(student="s001")]
        finally:
            grader.close()
        (result,) = found
        if times < 2:
            assert (result.verdict, result.score, result.unsettled) == ("graded", six["s000"], False)
        else:
            assert (result.verdict, result.unsettled) == ("crashed", True) and result.line
        assert [(one.verdict, one.score) for one in after] == [("graded", six["s001"])]

    @pytest.mark.parametrize("moment", ["tier", "launch"])
    def test_a_zygote_that_starts(self, monkeypatch, moment):
        """A death while it starts, or of its first child, doesn't mean a weaker tier."""
        with Box() as box:
            best = box.tier
        tell, deaths = Box._tell, [moment]

        def told(box: Box, message: dict[str, Any], *descriptors: int) -> None:
            if deaths and deaths[0] in message:
                deaths.pop()
                os.kill(box._process.pid, signal.SIGKILL)
                box._process.wait()
            tell(box, message, *descriptors)

        monkeypatch.setattr(Box, "_tell", told)
        with Box() as box:
            assert box.tier == best and not deaths

    @pytest.mark.parametrize("times", [1, 2])
    def test_a_grading_process(self, course, six, monkeypatch, times):
        """Once: graded by its successor. Twice: for a person to look at, and no result to keep."""
        take, hear, left = processes._Worker.take, processes._Worker.hear, times

        def kill(worker: Any) -> None:
            nonlocal left
            at_it = worker.started and worker.job is not None and worker.job[0].submission.student == "s003"
            if left and at_it:
                left -= 1
                worker.process.kill()

        def taken(worker: Any, job: Any) -> None:
            take(worker, job)
            kill(worker)

        def heard(worker: Any) -> Any:
            what, said = hear(worker)
            if what == "start":
                kill(worker)
            return what, said

        monkeypatch.setattr(processes._Worker, "take", taken)
        monkeypatch.setattr(processes._Worker, "hear", heard)
        resource_tracker.ensure_running()  # it stays with this process
        jobs = [Job(one, open_submission(one).data) for one in course.submissions()]
        with no_orphan():
            found = [result for _, result in grade_class(course, jobs, Setting(jobs=2))]
        results = {result.student: result for result in found}
        assert len(found) == len(results) == len(six) and left == 0
        odd = {student for student, result in results.items() if result.score != six[student]}
        assert odd == ({"s003"} if times == 2 else set())
        assert {student for student, result in results.items() if result.unsettled} == odd

    def test_an_unsettled_result_is_graded_again(self, course, six, monkeypatch):
        """The gradebook has it, for a person to look at; the next run puts it right, and no other is graded."""
        one = next(one for one in course.submissions() if one.student == "s000")
        assert typed(course).code == 0
        with monkeypatch.context() as patch:
            patch.setattr(Grader, "_graded", lambda *arguments: 1 / 0)
            assert typed(course, "--force", "--strict", "--student", one.student).code == 1
        assert in_gradebook(course) == six | {one.student: 0.0}
        graded, seen = Grader._graded, []

        def watched(grader: Grader, *given: Any) -> Any:
            seen.append(given[2])
            return graded(grader, *given)

        monkeypatch.setattr(Grader, "_graded", watched)
        assert typed(course).code == 0 and seen == [one.student]
        finished(course, six)

    @pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
    def test_the_command(self, course, six, how):
        """One line (kill -9 leaves none), the right exit code, nobody left; the next run does what is left to do."""
        for student in ("z0", "z1"):  # so that it can't be done before the signal comes
            write_submission(course.section(SECTION), course.submitted / student / SECTION, ENDLESS)
        with no_orphan():
            grader = started(course)
            assert eventually(lambda: len(workers(grader.pid)) == 2, 60)
            os.killpg(grader.pid, how) if how == signal.SIGINT else grader.send_signal(how)
            _, err = grader.communicate()
        assert grader.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}.get(how, -how)
        if how != signal.SIGKILL:
            assert one_line(err) and "run the same command again" in err
        whole(course)
        for student in ("z0", "z1"):
            shutil.rmtree(course.submitted / student)
        assert typed(course).code == 0
        finished(course, six)


def test_a_signal_waits_for_a_start():
    """Whichever thread takes it: a grading process is started whole, and then the signal is heard."""
    stop = threading.Event()
    reached: list[bool] = []

    def start() -> None:
        with processes.held():
            os.kill(os.getpid(), signal.SIGINT)
            reached.append(True)

    other = threading.Thread(target=stop.wait)
    other.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            start()
    finally:
        stop.set()
        other.join()
    assert reached


class TestNoRoom:
    """A full disk is one line that says so, and nothing is half written."""

    @pytest.mark.parametrize("share", [0.0, 0.5, 0.8, 0.99])
    def test_at_any_write(self, course, six, monkeypatch, share):
        """Of a copy, a page, a result, the results file, the report: the old file stays until the new is safe."""
        sync, count = os.fsync, 0

        def counted(descriptor: int) -> None:
            nonlocal count
            count += 1
            sync(descriptor)

        assert typed(course).code == 0
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", counted)
            assert typed(course, "--force").code == 0
        room = int(share * count)
        old = {path: path.read_bytes() for path in course.root.rglob("*.*") if path.is_file()}

        def full(descriptor: int) -> None:
            nonlocal room
            room -= 1
            if room < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            sync(descriptor)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            done = typed(course, "--force", "--seed", "5")
        assert done.code in (1, 2) and one_line(done.err), done.err
        assert "no room is left" in done.err and "None" not in done.err
        whole(course)
        assert all(path.exists() for path in old) and not list(course.root.rglob(".*.new"))
        assert typed(course, "--seed", "5").code == 0
        finished(course, six)


class TestGradebook:
    """Whatever happened to it: one line, or it is put right; never a grade that is believed to be there."""

    @pytest.fixture(autouse=True)
    def graded(self, course: Course, six: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
        assert typed(course).code == 0
        connect = sqlite3.connect
        monkeypatch.setattr(sqlite3, "connect", lambda *given, **more: connect(*given, **{**more, "timeout": 0.05}))

    @pytest.mark.parametrize("lock", ["IMMEDIATE", "EXCLUSIVE"])
    def test_locked(self, course, six, lock):
        """The results are in the file, the gradebook stays as it is, exit code 1; a later run writes them."""
        with closing(sqlite3.connect(course.gradebook)) as other:
            other.execute(f"BEGIN {lock}")
            done = typed(course, "--force", "--seed", "5")
        assert done.code == 1 and one_line(done.err) and "in use by another program" in done.err
        whole(course)
        assert typed(course, "--seed", "5").code == 0
        finished(course, six)

    def test_corrupt(self, course, six):
        """Even where everything was graded before: exit code 1, and it isn't touched."""
        damaged = bytearray(course.gradebook.read_bytes())
        damaged[4096 : len(damaged)] = random.Random(7).randbytes(len(damaged) - 4096)
        course.gradebook.write_bytes(damaged)
        done = typed(course)
        assert done.code == 1 and one_line(done.err) and "restore a backup" in done.err
        assert course.gradebook.read_bytes() == damaged

    def test_an_older_one(self, course, six):
        """What was graded since the backup was made is written again."""
        backup = course.gradebook.read_bytes()
        eight = hand_in(course, 8) | {"s001": 3.0}
        write_submission(course.section(SECTION), course.submitted / "s001" / SECTION, RIGHT)
        assert typed(course).code == 0
        course.gradebook.write_bytes(backup)
        assert in_gradebook(course) == six
        assert typed(course).code == 0
        finished(course, eight)

    @pytest.mark.heavy
    def test_an_empty_one(self, course, six):
        """A file of no bytes is no gradebook."""
        course.gradebook.write_bytes(b"")
        assert typed(course).code == 0
        finished(course, six)

    def test_a_graded_copy_is_gone(self, course, six):
        """It is made again."""
        (course.autograded / "s002" / SECTION / "sample.ipynb").unlink()
        assert typed(course).code == 0
        finished(course, six)


def test_leftovers_of_the_killed(course, six):
    """What a killed grader had staged is removed by the run that does its work."""
    assert typed(course).code == 0
    places = [
        course.autograded / "s001" / SECTION / ".sample.ipynb.4711.new",
        course.feedback / "s001" / SECTION / ".sample.html.4711.new",
        course.build / "graded" / SECTION / ".s001.json.4711.new",
        course.build / "report" / SECTION / ".s001.html.4711.new",
        course.root / ".rows.json.4711.new",
    ]
    (course.build / "graded" / SECTION / "s001.json").unlink()
    for place in places:
        place.write_text("half")
    assert typed(course).code == 0
    finished(course, six)


def test_the_clock_goes_backward(course, six, monkeypatch):
    """An hour with each look at it, and every file is from the future: the same results."""
    for path in course.root.rglob("*"):
        os.utime(path, (4e9, 4e9), follow_symlinks=False)
    now = 2e9

    def backward() -> float:
        nonlocal now
        now -= 3600
        return now

    monkeypatch.setattr(time, "time", backward)
    assert typed(course).code == 0
    finished(course, six)
    assert typed(course, "--force").code == 0
    finished(course, six)


@pytest.mark.parametrize(
    ("number", "hits", "code"),
    [(signal.SIGINT, "it", 130), (signal.SIGTERM, "it", 143), (signal.SIGKILL, "it", -9), (signal.SIGKILL, "one", 2)],
)
def test_a_check_of_the_build_is_ended(number, hits, code):
    """It, or one of its processes: none of these works on, and one line says what to do."""
    command, pipe = [COMMAND[0], "build", "--check"], subprocess.PIPE
    checking = subprocess.Popen(command, cwd=Path(__file__).parent, text=True, stdout=pipe, stderr=pipe)
    assert eventually(lambda: len(descendants(checking.pid)) > 2, 100)
    workers = descendants(checking.pid)
    os.kill(checking.pid if hits == "it" else workers[-1], number)
    _, said = checking.communicate()
    assert checking.returncode == code and (one_line(said) or code == -9), said
    assert eventually(lambda: not any(Path("/proc", str(worker)).exists() for worker in workers), 100)


def at_work(grader: subprocess.Popen[str]) -> bool:
    return bool(workers(grader.pid)) or grader.poll() is not None


@pytest.mark.heavy
@pytest.mark.timeout(1800)
class TestTheWholeCommand:
    """The same as processes, at moments that a seed chooses."""

    def lines(self, said: str) -> None:
        assert "Traceback" not in said and said.count("\n") <= 1, said

    def test_a_class_of_200(self, course, record_property):
        """Grader, grading processes, zygotes and children die at random until the class is graded: nothing is lost."""
        expected, chance = hand_in(course, KILLED), random.Random(KILLED)
        kills = 0
        with no_orphan():
            for _ in range(60):
                grader = started(course)
                while grader.poll() is None:
                    time.sleep(chance.uniform(0.1, 1.5))
                    victims = [] if chance.random() < 0.3 else descendants(grader.pid)
                    with suppress(ProcessLookupError):
                        if grader.poll() is None:
                            os.kill(chance.choice(victims or [grader.pid]), signal.SIGKILL)
                            kills += 1
                grader.communicate()
                whole(course)
                if grader.returncode == 0:
                    break
        assert kills > 0
        assert typed(course).code == 0  # whatever was left
        finished(course, expected)
        record_property("submissions in the random-kill run", len(expected))
        record_property("processes killed", kills)

    @pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
    def test_signals_at_any_moment(self, course, how):
        """One line and its code, or it was done before."""
        expected, chance = hand_in(course, 30), random.Random(how)
        with no_orphan():
            for _ in range(6):
                grader = started(course, "--force")
                assert eventually(partial(at_work, grader), 60)
                time.sleep(chance.uniform(0, 3))
                if grader.poll() is None:
                    os.killpg(grader.pid, how) if how == signal.SIGINT else grader.send_signal(how)
                _, err = grader.communicate()
                done = (0, -how)  # by the signal itself: Python was on its way out
                assert grader.returncode in (*done, 130 if how == signal.SIGINT else 143), err
                assert complaints(err) == "" if grader.returncode in done else one_line(err), err
                whole(course)
        assert typed(course).code == 0
        finished(course, expected)

    def test_two_graders(self, course):
        """One grades, the others say that it does; together they have graded everybody once."""
        expected = hand_in(course, 12)
        with no_orphan():
            graders = [started(course, "--force", "--json", f"rows{n}.json") for n in range(3)]
            said = [grader.communicate()[1] for grader in graders]
        codes = [grader.returncode for grader in graders]
        assert 0 in codes and set(codes) <= {0, 2}
        for code, err in zip(codes, said, strict=True):
            assert complaints(err) == "" if code == 0 else one_line(err) and "graded already" in err
        assert typed(course).code == 0
        finished(course, expected)

    @pytest.mark.parametrize("room", [40, 150, 400, 700])
    def test_a_small_disk(self, course, room):
        """So many KiB are left, gradebook included: one line, and with more room the run is completed."""
        expected = hand_in(course, 12)
        with small_disk(course, room) as (smaller, more):
            before = in_gradebook(smaller)
            grader = started(smaller, "--force")
            _, err = grader.communicate()
            assert grader.returncode in (0, 1, 2), err
            assert complaints(err) == "" if grader.returncode == 0 else one_line(err), err
            assert before.items() <= in_gradebook(smaller).items()
            whole(smaller)
            more()
            assert typed(smaller).code == 0
            finished(smaller, expected)

    def test_a_read_only_course(self, course):
        """As a normal user: one line that names the place; once it may be written to, the run is completed."""
        expected = hand_in(course, 3)
        with readable_by_all(course) as place:
            done = as_a_user(place, COMMAND[:-2])
            assert done.returncode == 2 and one_line(done.stderr) and "Permission denied" in done.stderr
            for folder in (place.build, place.autograded, place.feedback):
                give(folder)
            done = as_a_user(place, COMMAND[:-2])  # all but the gradebook, the results file and the secret
            assert done.returncode in (1, 2) and one_line(done.stderr), done.stderr
            assert not in_gradebook(place)
            give(place.root)
            done = as_a_user(place, COMMAND)
            assert done.returncode == 0, done.stderr
            finished(place, expected)

    def test_a_busy_machine(self, course):
        """At load 20 the scores are the same."""
        expected = hand_in(course, 12)
        with load(20):
            grader = started(course)
            _, err = grader.communicate()
        assert grader.returncode == 0 and complaints(err) == "", err
        finished(course, expected)


@contextmanager
def small_disk(course: Course, room: int) -> Iterator[tuple[Course, Callable[[], object]]]:
    """The course on a disk of its own with so many KiB left, and what makes it large; a user's is a limit on files."""
    if os.getuid() != 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room << 10, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        try:
            yield course, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        return
    disk = course.root.parent / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", disk], check=True)
    try:
        moved = Course(Path(shutil.copytree(course.root, disk / "course")))
        used = sum(path.stat().st_blocks for path in disk.rglob("*")) // 2
        subprocess.run(["mount", "-o", f"remount,size={used + room}k", disk], check=True)
        yield moved, lambda: subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True) and None
    finally:
        subprocess.run(["umount", disk], check=True)


@contextmanager
def readable_by_all(course: Course) -> Iterator[Course]:
    """The course where everybody may read it, and nobody but root write."""
    for name in ("autograded", "feedback"):
        (course.root / name).mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(shutil.copytree(course.root, Path(folder) / "course"))
        os.chmod(folder, 0o755)
        for path in [root, *root.rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        try:
            yield Course(root)
        finally:
            for path in [root, *root.rglob("*")]:
                path.chmod(0o755 if path.is_dir() else 0o644)


def give(folder: Path) -> None:
    """Let the user write there."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
        if os.getuid() == 0:
            os.chown(path, NOBODY, NOBODY)


def as_a_user(course: Course, command: list[str]) -> subprocess.CompletedProcess[str]:
    roles = [sys.executable, STAGE, "exposed", "nobody", "--"] if os.getuid() == 0 else []
    return subprocess.run([*roles, *command], cwd=course.root, capture_output=True, text=True)
