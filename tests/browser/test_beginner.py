"""A beginner's way through three exercises: slips and misconceptions, one after the other, and what `check` says."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from autograder.course import Course
from autograder.notebook.source import solution
from tests.browser.conftest import Server, Visit, command, served
from tests.browser.labpage import WAIT, NotebookPage
from tests.sections.conftest import COURSE

STEPS = {
    "02_retry": [
        ("if max_attempts < 1:", "if max_attempts < 1", ["SyntaxError: expected ':'", "failed when it was last run"]),
        ("rng.uniform(", "rng.unifrom(", ["no attribute 'unifrom', line", "Correct this first", "behaviours wait"]),
        ("return await op()", "print(await op())", ["its result comes back", "What the code printed"]),
        ("return await op()", "return op()", ["Returns op() without awaiting it"]),
        ("await asyncio.sleep(pause)", "breakpoint()", ["breakpoint() stops nothing here"]),
    ],
    "05_bulkhead": [
        ("self._permits.locked()", "self._permits.locked", ["points"]),
        ("async def run(self, op)", "async def run(self)", ["TypeError: Bulkhead.run() takes 1 positional argument"]),
        ("self.waiting += 1", "self.waitng += 1", ["no attribute 'waitng', line"]),
        ("self._permits.release()", "pass", ["First difference"]),
    ],
    "08_logging": [
        (
            "json.dumps(line, default=str)",
            "json.dumps(line, default=str",
            ["SyntaxError", "failed when it was last run"],
        ),
        ('f"{exc}"', 'f"{ex}"', ["NameError: name 'ex' is not defined, line"]),
    ],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, own_course: Callable[[Path], Course]) -> Iterator[Server]:
    """`autograder lab`, as it is typed."""
    scratch = tmp_path_factory.mktemp("lab")
    with served([command(), "lab", "work"], own_course(scratch / "course"), scratch) as server:
        yield server


@pytest.mark.parametrize("name", STEPS)
def test_mistakes_one_after_the_other(name: str, server: Server, visit: Callable[[], Visit], tmp_path: Path) -> None:
    """Each is told in plain words beside the check; the right answer has every point."""
    section = COURSE.section(name)
    place = Path("beginner", name)
    shutil.copytree(server.folder / name, server.folder / place)
    book = NotebookPage(visit().page, server, f"{place.as_posix()}/{section.notebook}.ipynb")
    book.run_all()
    right = solution(section)
    answer = book.code.filter(has_text="your code here").first
    check = book.graded(f'check("{section.exercise}")')
    text = right.splitlines()[0]
    for number, (old, new, told) in enumerate(STEPS[name]):
        assert old in right
        book.write(answer, right.replace(old, new))
        answer = book.graded(text)
        book.run(answer)
        book.run(check)
        for words in told:
            expect(check).to_contain_text(words, timeout=WAIT)
        check.screenshot(path=tmp_path / f"{number}.png")
    book.write(answer, right)
    book.run(answer)
    book.run(check)
    expect(check).to_contain_text("every behaviour was seen", timeout=WAIT)
