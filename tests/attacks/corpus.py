"""What an attack is, and the little course that the corpus is handed in to.

An attack is a submission with its expected outcome. Its text stands in the student's cell; before it stand facts that
no submission knows (where the canaries are, who the judge is) and a few helpers, so that it can aim.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograder.course import CONFIG, Course

SECTION = "90_fetch"
FULL = 6.0
"""What the course's exercise is worth."""

HONEST = """
async def fetch(op):
    while True:
        try:
            return await op()
        except ConnectionError:
            await asyncio.sleep(1)
"""

SCENARIOS = '''
from faultlab.scenario import scenario
from faultlab.world import error


@scenario
def one(world, failures):
    """One caller; the service fails so often and then answers."""
    world.service("op", [error()] * failures, latency=0.05)
    return {}


@one.driver
async def _(lab):
    await lab.settle(lab.start("caller", lab.answer("fetch"), lab.service("op", "caller")))


@scenario(group="many")
def several(world, callers):
    """Some callers side by side, each with a service of its own that fails once."""
    for number in range(callers):
        world.service(f"op {number}", [error()], latency=0.05)
    return {"callers": callers}


@several.driver
async def _(lab, callers):
    fetch = lab.answer("fetch")
    await lab.settle(*(lab.start(f"{n}", fetch, lab.service(f"op {n}", f"{n}")) for n in range(callers)))
'''

TESTS = '''
import pytest


def answered(run, who, calls):
    made = run.calls(lane=who)
    ended = run.marks(who)[-1].value
    assert len(made) == calls, f"{len(made)} calls"
    assert ended["how"] == "returned", "no answer came back"
    assert type(ended["value"]) is str and ended["value"] == made[-1].value, "another answer than the service's"


@pytest.mark.points(1)
@pytest.mark.scenario("one", failures=0)
def test_answer(run):
    """The service's answer comes back."""
    answered(run, "caller", 1)


@pytest.mark.points(1)
@pytest.mark.scenario("one", failures=2)
def test_pauses(run):
    """A second passes after each failure, and the answer comes back."""
    answered(run, "caller", 3)
    made = run.calls()
    pauses = [after.start - before.end for before, after in zip(made, made[1:])]
    assert all(0.9 < pause < 1.1 for pause in pauses), f"pauses of {pauses} s"
'''
HIDDEN = (
    TESTS.replace("failures=0", "failures=1")
    .replace('"caller", 1)', '"caller", 2)')
    .replace("failures=2", "failures=4")
    .replace('"caller", 3)', '"caller", 5)')
    + '''

@pytest.mark.points(2)
@pytest.mark.scenario("several", callers=3)
def test_side_by_side(run):
    """Callers don't get in each other's way."""
    for number in range(3):
        answered(run, str(number), 2)
'''
)
STUB = "async def fetch(op):\n    ..."


def code(source: str, name: str = "", **marks: bool) -> dict[str, Any]:
    """A code cell; with a name, one that nbgrader knows."""
    mark = {"nbgrader": {"grade_id": name, **marks}} if name else {}
    return {"cell_type": "code", "source": source, "metadata": mark, "outputs": [], "execution_count": None}


def released() -> dict[str, Any]:
    """The notebook as students get it."""
    cells = [
        {"cell_type": "markdown", "source": "# Fetch", "metadata": {}},
        code("import asyncio"),
        code(STUB, "fetch", solution=True),
        code('check("fetch")', "fetch_score", grade=True),
        code("# more", "fetch_hidden", grade=True),
    ]
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}


def make_course(root: Path) -> Course:
    """The little course, written out as far as grading needs it."""
    course = Course(root)
    files = {
        root / CONFIG: "",
        course.solutions / SECTION / "fetch.py": f'# %% exercise="fetch"\n{HONEST}',
        course.solutions / SECTION / "scenarios.py": SCENARIOS,
        course.solutions / SECTION / "test_fetch.py": TESTS,
        course.solutions / SECTION / "hidden" / "test_fetch.py": HIDDEN,
        course.notebooks / SECTION / "fetch.ipynb": json.dumps(released()),
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return course


def answered(cell: str) -> dict[str, Any]:
    """The released notebook with this text in the student's cell."""
    body = released()
    next(one for one in body["cells"] if one["metadata"].get("nbgrader", {}).get("solution"))["source"] = cell
    return body


@dataclass(frozen=True)
class Attack:
    """One hostile, broken or unlucky submission and what must become of it."""

    name: str
    cell: str = ""
    """The text of the student's cell."""
    file: Callable[[], bytes] | None = None
    """The notebook's bytes, where the file itself is the attack."""
    verdicts: tuple[str, ...] = ("graded",)
    points: float = 0.0
    """The most that it may earn."""
    least: float = 0.0
    """What must be left of an answer that is right besides."""
    says: str = ""
    """What its line and notes must say, as a pattern."""
    heavy: bool = False
    """Whether it takes much longer than an honest one."""
    idle: bool = False
    """Whether it just waits: then the judge's patience is made shorter for it."""

    def data(self, facts: dict[str, Any]) -> bytes:
        """The notebook's bytes, aimed at these facts."""
        if self.file is not None:
            return self.file()
        given = "".join(f"{name} = {value!r}\n" for name, value in facts.items())
        return json.dumps(answered(given + HELPERS + self.cell)).encode()


VERDICTS = {"graded", "timeout", "crashed", "tampered", "unreadable"}


def attacks(category: str) -> list[Attack]:
    """The attacks of texts/CATEGORY.txt: each has a line `### name | outcome` and the text of the student's cell.

    The outcome: the verdicts that it may get (graded unless said), `points=` the most and `least=` the least that it
    earns, `heavy`, `idle`, and the kind of text. `honest` is followed by the right answer, which must get full marks.
    `attempts` is too, and each of its paragraphs is a function's body that must not come to its end. `returns` calls
    honestly and then returns its last line, where x is what the service answered.
    """
    text = Path(__file__).with_name("texts").joinpath(f"{category}.txt").read_text(encoding="utf-8")
    found = [_attack(*one.partition("\n")[::2]) for one in text.split("### ")[1:]]
    assert len({attack.name for attack in found}) == len(found), category
    return found


def _attack(head: str, cell: str) -> Attack:
    name, _, words = head.rpartition(" | ")
    outcome = words.split()
    numbers = {key: float(value) for key, _, value in (word.partition("=") for word in outcome) if value}
    flags = set(outcome) - {word for word in outcome if "=" in word}
    unknown = flags - VERDICTS - {"heavy", "idle", "honest", "attempts", "returns"}
    assert name and not unknown, f"{head}: {unknown}"
    if "attempts" in flags:
        cell = "".join(_attempt(one) for one in cell.strip().split("\n\n")) + "confess()\n"
    if "returns" in flags:
        before, _, value = cell.strip().rpartition("\n")
        cell = (
            f"{before}\n{HONEST}\nhonest = fetch\nasync def fetch(op):\n    x = await honest(op)\n    return {value}\n"
        )
    if flags & {"honest", "attempts"}:
        cell, numbers = cell + HONEST, {"points": FULL, "least": FULL}
    verdicts = tuple(sorted(flags & VERDICTS)) or ("graded",)
    more: dict[str, Any] = {"heavy": "heavy" in flags, "idle": "idle" in flags, **numbers}
    return Attack(name, cell, verdicts=verdicts, **more)


def _attempt(program: str) -> str:
    return f"@attempt\ndef _():\n{textwrap.indent(program.strip(), '    ')}\n"


BREACH = "BREACH"
HELPERS = '''
import asyncio, ctypes, errno, gc, json, os, socket, sys, threading, time
breaches = []
def attempt(program):
    try:
        breaches.append(repr(program())[:200])
    except BaseException:
        pass
def confess():
    if breaches:
        raise SystemError("BREACH " + " ".join(breaches))
libc = ctypes.CDLL(None, use_errno=True)
def done(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result
def call(number, *args):
    return done(libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in args]))
class Child:
    """Speaks for itself: the socket and the token are found in the runner's frames."""
    def __init__(self):
        frame = sys._getframe()
        while "given" not in frame.f_locals or "sock" not in frame.f_locals:
            frame = frame.f_back
        self.given, self.sock = frame.f_locals["given"], frame.f_locals["sock"]
        self.token = self.given.token
    def raw(self, data):
        self.sock.send(data)
        reply = json.loads(self.sock.recv(1 << 20) or b'["over", ""]')
        self.token = reply[1]
        return reply
    def ask(self, kind, *rest):
        return self.raw(json.dumps([kind, *rest]).encode())
    def cells(self):
        return self.ask("cells", self.token, [])
    def batch(self, number, events=(), upcoming=None):
        return self.ask("batch", number, self.token, list(events), upcoming)
    def part(self, number, events):
        return self.ask("part", number, self.token, list(events))
    def over(self, number, events):
        return self.ask("done", number, self.token, list(events))
def mark(at, value, name="caller"):
    return ["mark", at, name, name, {"how": "returned", "value": value}]
def service_call(at, number=0, service="op", lane="caller"):
    return ["call", at, number, service, lane, []]
def ending(at):
    return ["end", at, "returned", "", ""]
''' + HONEST.replace("fetch", "right")
