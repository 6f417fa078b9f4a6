"""One budget a submission: what all its processes, both plays and all that is kept of them may take together."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from autograder.cli import main
from autograder.course import Submission
from autograder.grading import classroom, grade
from autograder.grading.grade import Grader
from autograder.grading.ledger import Ledger
from autograder.grading.pool import Job, Setting, grade_class
from autograder.judging.result import Result
from autograder.sandbox.child import ZygoteDied
from autograder.sandbox.limits import Budget, Limits, TooMuch
from tests.attacks.corpus import FULL, HELPERS, HONEST, SECTION, answered, make_course

Graded = Callable[..., Result]
DIES = """
async def fetch(op):
    libc.usleep(700_000)
    os._exit(3)
"""
WAITS = """
async def fetch(op):
    threading.Lock().acquire()
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()
"""
BURNS = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGVTALRM])
async def fetch(op):
    while True: pass
"""
SLEEPS = """
async def fetch(op):
    while True:
        await asyncio.sleep(1)
"""
CALLS = """
async def fetch(op):
    while True:
        try:
            await op()
        except Exception:
            pass
"""
SHOWS = """
from faultlab.service import mark
async def fetch(op):
    for n in range(2000):
        mark('x', ['y' * 2000] * 15)
"""
UNREAD = """
child = Child()
child.cells()
for _ in range(20_000):
    child.part(0, [["mark", 0, "c", "m", [["a"] * 500] * 20]])
"""
PINGS = """
child = Child()
child.cells()
while True:
    child.batch(0, [], 1)
"""


@pytest.fixture(scope="module")
def grader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grader]:
    folder: Path = tmp_path_factory.mktemp("course")
    folder.chmod(0o777)
    found = Grader(make_course(folder))
    yield found
    found.close()


@pytest.fixture
def graded(grader: Grader, monkeypatch: pytest.MonkeyPatch) -> Graded:
    """Grade an answer within a budget that differs in these from the usual one."""

    def one(cell: str, **budget: Any) -> Result:
        limit = budget.pop("wall", None)
        monkeypatch.setattr(grade, "Budget", lambda usual: Budget(limit or usual, **budget))
        data = json.dumps(answered(HELPERS + cell)).encode()
        return grader.grade(data, grader.course.section(SECTION), "mallory")

    return one


def row(result: Result) -> dict[str, Any]:
    return {**result.row(), "seconds": 0, "line": result.line}


def test_a_right_answer_needs_little(graded: Graded) -> None:
    """A hundredth of the messages and the memory is enough, and nobody has to look at it."""
    result = graded(HONEST, messages=500, weight=2 << 20)
    assert (result.score, result.verdict, result.needs) == (FULL, "graded", "")


def test_dying_buys_no_time(graded: Graded) -> None:
    """Another process starts with what the others have left: all together meet the limit, and a person is asked."""
    began = time.monotonic()
    result = graded(DIES, wall=2.0)
    assert result.needs.startswith("it met the wall-clock limit of 2 s: the machine may have been busy")
    assert result.score == 0 and result.verdict in ("crashed", "timeout")
    assert time.monotonic() - began < 60  # many times 2 s, for a busy machine


def test_the_limit_is_told_on_the_command_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`grade --limit 7` gives each submission seven seconds; 120 unless told otherwise."""
    seen: list[float] = []

    def grade_course(course: Any, folder: Any, json_file: Any, options: classroom.Options) -> int:
        seen.append(options.limit)
        return 0

    monkeypatch.setattr(classroom, "grade_course", grade_course)
    course = make_course(tmp_path)
    monkeypatch.chdir(course.root)
    for arguments in (["--limit", "7"], []):
        assert CliRunner().invoke(main, ["grade", *arguments], catch_exceptions=False).exit_code == 0
    assert seen == [7, 120]


def test_a_class_is_graded_within_its_limit(grader: Grader) -> None:
    """What the command was told reaches each submission."""
    data = json.dumps(answered(HELPERS + DIES)).encode()
    job = Job(Submission("mallory", grader.course.section(SECTION), grader.course.root), data)
    ((_, result),) = grade_class(grader.course, [job], Setting(jobs=1, limit=2.0))
    assert result.needs.startswith("it met the wall-clock limit of 2 s")


def test_the_wall_clock_is_settled(graded: Graded, grader: Grader) -> None:
    """Two hundred that wait aren't waited for again in each run: a person decides that (--force)."""
    result = graded(DIES, wall=1.0)
    assert result.needs and not result.unsettled
    ledger = Ledger(grader.course)
    ledger.enter(result, {})
    assert json.loads(ledger._path("mallory", SECTION).read_text())["result"]["needs"] == result.needs


def test_waiting_is_limited_in_all(graded: Graded) -> None:
    """Also a process that waits doesn't buy more waiting by starting again; a person is asked."""
    result = graded(WAITS, idle=0.5, each=Limits(idle=0.5))
    assert (result.score, result.verdict) == (0, "timeout")
    assert "waits for something that never comes" in result.needs


def test_processor_time_is_limited_in_all(graded: Graded, grader: Grader, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes that used up theirs leave nothing for a third; it repeats, so nobody has to look at it."""
    started = []
    launch = type(grader.box).launch

    def counted(box: Any, payload: bytes, limits: Limits) -> Any:
        started.append(limits.cpu)
        return launch(box, payload, limits)

    monkeypatch.setattr(type(grader.box), "launch", counted)
    result = graded(BURNS, cpu=2, each=Limits(cpu=1))
    assert started == [1, 1]
    assert (result.score, result.verdict, result.needs) == (0, "timeout", "")
    assert result.line == "the code ran too long and was stopped: it used up its time (1 s of CPU time)"


def test_what_is_used_up() -> None:
    """Each part of a budget says so when nothing is left of it; processor time that killed counts in full."""
    assert Budget().used_up() is None
    for name, how, words in (
        ("cpu", "timeout", "0 s of CPU time in all"),
        ("idle", "timeout", "0 s of waiting in all"),
        ("wall", "timeout", "0 s in all"),
        ("messages", "limit", "more than 0 instants at which something happens"),
        ("weight", "limit", "more than 0 MB"),
    ):
        nothing: Any = {name: 0}
        budget = Budget(**nothing)
        used_up = budget.used_up()
        assert used_up is not None and used_up[0] == how and words in used_up[1]
        assert bool(budget.needs) == (name in ("idle", "wall"))
    budget = Budget()
    for _ in range(2):
        assert budget.used_up() is None
        budget.charge(budget.limits(), "cpu", 5.1, 6.0)  # so little may a busy machine's statistics say
    assert budget.used_up() == ("timeout", "it used up its time (20 s of CPU time in all)")


def test_a_process_gets_what_is_left() -> None:
    """No more than one may have, and no more than the submission has; waiting for the processor isn't waiting."""
    budget = Budget(wall=50, cpu=12, idle=25)
    first = budget.limits()
    assert (first.cpu, first.idle) == (10, 20) and 0 < first.total <= 50
    budget.charge(first, "", 3.5, 300.0)
    assert budget.idle == 25
    budget.charge(first, "", 0.0, 11.0)
    left = budget.limits()
    assert (left.cpu, left.idle) == (9, 14)


def test_messages_and_memory_are_counted_over_all(graded: Graded) -> None:
    """However many runs they come from; the runs that are left end with the same words."""
    for cell, budget, words in (
        (CALLS, {"messages": 6_000}, "more than 6,000 instants at which something happens, all runs together"),
        (SHOWS, {"weight": 40 << 20}, "what it shows takes more than 40 MB, all runs together"),
    ):
        result = graded(cell, **budget)
        assert result.verdict == "graded" and not result.needs
        assert words in result.behaviours[-1].message


TOO_MUCH = {
    "sleeps": (SLEEPS, "more than 18,000 things happened"),
    "calls": (CALLS, "more than 4,500 instants"),
    "shows": (SHOWS, ""),
    "fills the grader": (UNREAD, "what it shows takes more than 40 MB"),
    "pings": (PINGS, "more than 5,000 instants"),
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_too_much_is_no_forgery(graded: Graded, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Doing too much costs the run, in words that accuse nobody, and the same when the grader is ten times as slow."""
    cell, words = TOO_MUCH[name]
    alone = graded(cell)
    assert alone.verdict == "graded" and alone.score == 0 and not alone.needs
    assert words in alone.behaviours[0].message
    quick = time.thread_time
    monkeypatch.setattr(time, "thread_time", lambda: 10 * quick())
    assert row(graded(cell)) == row(alone)


FORGED = {
    "a guess": "child = Child()\nchild.token = 'guess'\nchild.cells()",
    "another shape": "child = Child()\nchild.raw(b'[1]')",
    "nothing": "child = Child()\nchild.raw(b'')",
    "a call that can't be": "child = Child()\nchild.cells()\nchild.batch(0, [service_call(0, 7)])",
    "hindsight": "child = Child()\nchild.cells()\nchild.batch(0, [mark(1, 'x'), mark(0, 'x')])",
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forgery_is_put_before_a_person(graded: Graded, name: str) -> None:
    """Only what no honest process says; told plainly, and nobody is judged by it alone."""
    result = graded(FORGED[name])
    assert (result.verdict, result.score) == ("tampered", 0)
    assert result.needs.startswith("its process sent what the course's own code never sends")
    assert not any(word in f"{result.line} {result.needs}" for word in ("rules", "cheat", "broke"))


def test_the_budget_outlives_the_sandbox(grader: Grader, monkeypatch: pytest.MonkeyPatch) -> None:
    """A submission that ends the whole sandbox is tried again within the same budget."""
    seen: list[Budget] = []

    def died(self: Grader, kit: Any, found: Any, budget: Budget) -> Any:
        seen.append(budget)
        raise ZygoteDied("it died")

    monkeypatch.setattr(Grader, "_play", died)
    data = json.dumps(answered(HONEST)).encode()
    result = grader.grade(data, grader.course.section(SECTION), "mallory")
    assert result.verdict == "crashed" and len(seen) == 2 and seen[0] is seen[1]


def test_keep() -> None:
    """The last message that fits is taken, one more isn't."""
    budget = Budget(messages=2, weight=100)
    budget.keep(50)
    budget.keep(50)
    with pytest.raises(TooMuch, match="more than 2 instants"):
        budget.keep(0)
    with pytest.raises(TooMuch, match="more than 0 MB"):
        Budget(weight=10).keep(11)
