"""An error of the answer's own, such as a misspelt name, is told before all else: what, in which line, and its text.

In the notebook, in the terminal and on the graded page alike, with no hint and no headline beside it.
"""

from __future__ import annotations

import html
import json
import re
import shutil
from pathlib import Path

import pytest

from autograder.authoring.worked import run_answer, solution_notebook
from autograder.course import Course
from autograder.grading.grade import Grader
from autograder.learner.checking import judge_answer
from autograder.learner.local import check_file
from autograder.notebook.source import solution
from autograder.pages.feedback import page, part_html

COURSE = Course.find(Path(__file__))

TYPOS = {
    "01_errors": ("db.fetch_one(", "db.fetch_on(", "AttributeError: 'Database' object has no attribute 'fetch_on'"),
    "02_retry": ("rng.uniform(", "rng.unifrom(", "AttributeError: 'Random' object has no attribute 'unifrom'"),
    "03_circuit_breaker": (
        'if self.state == "open"',
        'if self.stat == "open"',
        "AttributeError: 'CircuitBreaker' object has no attribute 'stat'",
    ),
    "04_timeouts": ("await work()", "await wrok()", "NameError: name 'wrok' is not defined"),
    "05_bulkhead": (
        "._permits.locked",
        "._permit.locked",
        "AttributeError: 'Bulkhead' object has no attribute '_permit'",
    ),
    "06_health": (
        "_recent.append(",
        "_recent.apend(",
        "AttributeError: 'collections.deque' object has no attribute 'apend'",
    ),
    "07_degradation": (
        "self.primary(key)",
        "self.primry(key)",
        "AttributeError: 'Fallback' object has no attribute 'primry'",
    ),
    "08_logging": ("json.dumps(", "json.dmps(", "AttributeError: module 'json' has no attribute 'dmps'"),
    "09_service": (
        "self.fetch(user_id)",
        "self.fetc(user_id)",
        "AttributeError: 'UserService' object has no attribute 'fetc'",
    ),
    "10_shutdown": ("_tasks.add(", "_tasks.ad(", "AttributeError: 'set' object has no attribute 'ad'"),
}
BEGINNERS = {
    "wrong indentation": (
        "        await asyncio.sleep(pause)",
        "       await asyncio.sleep(pause)",
        "IndentationError: ",
    ),
    "a colon that is missing": ("if max_attempts < 1:", "if max_attempts < 1", "SyntaxError: expected ':'"),
    "an open bracket": ("raise ValueError(f", "raise ValueError((f", "SyntaxError: '(' was never closed"),
    "a wrong import": (
        "async def retry(",
        "from asyncio import slep\n\n\nasync def retry(",
        "ImportError: cannot import name 'slep'",
    ),
    "None called": (
        "    start = clock()",
        "    clock = None\n    start = clock()",
        "TypeError: 'NoneType' object is not callable",
    ),
    "too few arguments": (
        "asyncio.sleep(pause)",
        "asyncio.sleep()",
        "TypeError: sleep() missing 1 required positional argument",
    ),
    "a shadowed name": (
        "    start = clock()",
        "    start = clock()\n    min = min(start, 1)",
        "UnboundLocalError: cannot access local variable",
    ),
    "a parameter that is missing": (
        "    cap: float = 2.0,\n",
        "",
        "TypeError: retry() got an unexpected keyword argument 'cap'",
    ),
    "a wrong type": (
        "if max_attempts < 1:",
        'if max_attempts < "1":',
        "TypeError: '<' not supported between instances",
    ),
    "an index that isn't there": (
        "    start = clock()",
        "    start = [clock()][1]",
        "IndexError: list index out of range",
    ),
}
IN_A_CELL = {"wrong indentation", "a colon that is missing", "an open bracket", "a wrong import"}
"""Those that the cell itself ends with."""
ELSEWHERE = {"None called", "a shadowed name", "a parameter that is missing"}
"""Python raises these at another line than the one to correct."""
CASES = {section: (section, *one) for section, one in TYPOS.items()} | {
    name: ("02_retry", *one) for name, one in BEGINNERS.items()
}


def slipped(name: str) -> tuple[str, str, list[str]]:
    """The case: its section, its text, and what is told of it, the number and the text of its line included."""
    section, old, new, told = CASES[name]
    text = solution(COURSE.section(section))
    assert text.count(old) == 1
    changed = text.replace(old, new).splitlines()
    line = next(n for n, pair in enumerate(zip(text.splitlines(), changed, strict=False)) if len(set(pair)) == 2)
    where = [] if name in ELSEWHERE else [f"line {line + 1} of your cell", changed[line].strip()]
    return section, "\n".join(changed), [told, *where]


def notebook(section: str, text: str) -> bytes:
    """The section's released notebook, with this text as its answer."""
    path = COURSE.section(section).released / f"{COURSE.section(section).notebook}.ipynb"
    book = json.loads(path.read_text(encoding="utf-8"))
    for cell in book["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("grade_id") == COURSE.section(section).exercise:
            cell["source"] = text
    return json.dumps(book).encode()


def words(markup: str) -> str:
    """A page's words."""
    return " ".join(html.unescape(re.sub(r"<style.*?</style>|<[^>]+>", " ", markup, flags=re.DOTALL)).split())


def check_told(said: str, told: list[str]) -> None:
    """Everything stands there, and which line it is."""
    assert all(" ".join(one.split()) in " ".join(said.split()) for one in told), said
    assert re.search(r", line \d+ of your cell", said), said


@pytest.mark.parametrize("name", [name for name in CASES if name not in IN_A_CELL])
def test_in_a_notebook(name):
    """As `check` shows it of what the cells left. A cell that fails is told by the kernel, see test_kernel.py."""
    section, text, told = slipped(name)
    folder = COURSE.section(section).released
    names = run_answer(COURSE.section(section), solution_notebook(COURSE.section(section)), text)
    result = judge_answer(str(COURSE.section(section).exercise), names, folder).result
    check_told(result.slip, told)
    assert result.mistakes == ()
    shown = words(part_html(result))
    check_told(shown, told)
    assert "Hint:" not in shown and "typical mistake" not in shown


# Each starts a process; all of them are among the heavy tests.
IN_TERMINAL = [
    pytest.param(name, marks=[] if name in ("02_retry", "07_degradation", "an open bracket") else pytest.mark.heavy)
    for name in CASES
]


@pytest.mark.parametrize("name", IN_TERMINAL)
def test_in_the_terminal(name, tmp_path):
    """As `autograder check` tells it."""
    section, text, told = slipped(name)
    folder = Path(shutil.copytree(COURSE.section(section).released, tmp_path / section))
    path = folder / f"{COURSE.section(section).notebook}.ipynb"
    path.write_bytes(notebook(section, text))
    found = check_file(path)
    check_told(found["slip"], told)
    assert found["mistakes"] == [] and not any(one["hint"] for one in found["behaviours"] if one["slip"])


@pytest.fixture(scope="module")
def grader():
    made = Grader(COURSE)
    yield made
    made.close()


@pytest.mark.parametrize("name", CASES)
def test_graded(name, grader):
    """As the graded page tells it."""
    section, text, told = slipped(name)
    result = grader.grade(notebook(section, text), COURSE.section(section), "ada")
    check_told(result.slip, told)
    shown = words(page(result))
    check_told(shown, told)
    assert "Hint:" not in shown and "typical mistake" not in shown
