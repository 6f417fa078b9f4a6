"""A student's way: open, Run All, move a slider, stop, answer, see what is missing, come back."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from autograder.authoring.examples import wrong_answers
from autograder.authoring.worked import solution_notebook
from autograder.course import CHECKS, Course, Section
from autograder.grading.demo import write_submission
from autograder.learner.local import check_file
from autograder.notebook.answer import read_cells
from tests.browser.conftest import Server, Visit, command, served
from tests.browser.labpage import WAIT, NotebookPage, prompt, write_notebook
from tests.sections.conftest import COURSE, SECTIONS

SET_UP = "from faultlab.notebook import start\nstart()"
SLIDER = """
from faultlab import World, error, simulate
from faultlab.explore import explore

def run(failures=1):
    world = World(seed=1)
    service = world.service("payments", [error("ConnectionError")] * failures, latency=0.05)

    async def main():
        for _ in range(failures + 1):
            try:
                return await service()
            except ConnectionError:
                pass

    return simulate(main(), world=world)

explore(run, alt="Calls until one works.", failures=(0, 8), labels={"failures": "consecutive failures"})
"""

QUIZ = """
from faultlab.warmup import predict

predict("When do three naps of 2 s end?", ["after 2 s", "after 6 s"], lambda: "after 6 s", why="One after the other.")
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, own_course: Callable[[Path], Course]) -> Iterator[Server]:
    """`autograder lab`, as it is typed."""
    scratch = tmp_path_factory.mktemp("lab")
    with served([command(), "lab", "work"], own_course(scratch / "course"), scratch) as server:
        yield server


@pytest.fixture
def fresh(server: Server, request: pytest.FixtureRequest) -> Callable[[Section], str]:
    """A section as released, in a folder of this test's own; returns the notebook's path for the browser."""

    def copy(section: Section) -> str:
        place = Path(re.sub(r"\W", "_", request.node.name), section.name)
        shutil.copytree(server.folder / section.name, server.folder / place)
        return f"{place.as_posix()}/{section.notebook}.ipynb"

    return copy


@pytest.fixture
def open_notebook(server: Server, visit: Callable[[], Visit]) -> Callable[[str], NotebookPage]:
    """Opens a notebook in a page of its own."""
    return lambda path: NotebookPage(visit().page, server, path)


@pytest.fixture
def with_slider(server: Server, request: pytest.FixtureRequest) -> str:
    """A small notebook with a slider."""
    write_notebook(server.folder / request.node.name / "slider.ipynb", SET_UP, SLIDER)
    return f"{request.node.name}/slider.ipynb"


@cache
def worked(section: Section) -> str:
    """The solution's cell."""
    return next(cell.source for cell in read_cells(solution_notebook(section)) if cell.grade_id == section.exercise)


def handed_in(section: Section, text: str, folder: Path) -> dict[str, Any]:
    """What `autograder check` says of this answer. (Playwright's loop runs in this process: no other can.)"""
    shutil.copytree(section.released / CHECKS, folder / CHECKS)
    return check_file(write_submission(section, folder, text))


@pytest.mark.parametrize("section", COURSE.sections, ids=lambda section: section.name)
def test_run_all(section: Section, fresh, open_notebook) -> None:
    """Each released notebook reaches its last cell, nothing raises, pictures have words, its first slider works."""
    page = open_notebook(fresh(section))
    page.run_all()
    assert page.errors() == []
    assert page.nameless() == []
    number = page.sliders.count()
    assert not number or any(move(page, page.sliders.nth(one)) for one in range(number)), "no slider moves its picture"


OUTPUT = "xpath=ancestor::div[contains(concat(' ', @class, ' '), ' jp-OutputArea ')][last()]"


def move(page: NotebookPage, slider) -> bool:
    """An arrow is pressed: what is said follows. Whether the picture does: some parameters rightly change nothing."""
    area = slider.locator(OUTPUT)
    said, drawn = area.get_by_role("status").first, area.locator("svg[role=img]").first
    before, picture = said.text_content() or "", drawn.inner_html()
    at_its_end = slider.get_attribute("aria-valuenow") == slider.get_attribute("aria-valuemax")
    slider.focus()
    page.page.keyboard.press("ArrowLeft" if at_its_end else "ArrowRight")
    expect(said).not_to_have_text(before, timeout=WAIT)
    return bool(drawn.inner_html() != picture)


def test_students_interface(server: Server, fresh, visit: Callable[[], Visit]) -> None:
    """nbgrader's part for students is on, the instructor's panels are off, nothing pops up."""
    one = visit()
    page = NotebookPage(one.page, server, fresh(SECTIONS[0]))
    expect(one.page.get_by_role("button", name="Validate")).to_be_visible()
    one.page.get_by_role("menuitem", name="Nbgrader", exact=True).click()
    offered = " ".join(one.page.get_by_role("menuitem").all_inner_texts())
    assert not re.search("formgrader|course list|create assignment", offered, re.IGNORECASE)
    assert one.page.locator(".nbgrader-CreateAssignmentWidget, .nbgrader-mainarea-widget").count() == 0
    one.page.keyboard.press("Escape")
    page.run_all()
    assert one.page.locator(".jp-Dialog, .Toastify__toast").count() == 0
    assert one.dialogs == []


def test_slider(with_slider: str, open_notebook) -> None:
    """The picture follows a slider that is moved by the keyboard, and its box keeps its height."""
    page = open_notebook(with_slider)
    page.run_all()
    slider = page.sliders
    area = page.code.last.locator(".jp-OutputArea").first
    height = area.bounding_box()["height"]
    for _ in range(3):
        assert move(page, slider)
    assert area.bounding_box()["height"] == height
    assert page.errors() == []


def test_picture_survives_the_kernel(with_slider: str, open_notebook) -> None:
    """Saved, the kernel gone, reloaded: where the slider was, there is still a figure with its words."""
    page = open_notebook(with_slider)
    page.run_all()
    still = page.code.last.locator("svg[role=img]").last
    assert not still.is_visible()  # the living one hides it
    page.menu("File", re.compile("^Save Notebook(?! As)"))
    page.menu("Kernel", "Shut Down Kernel")
    page.page.get_by_text("No Kernel").first.wait_for()
    page.page.reload()
    expect(page.code.last.locator("svg[role=img]:visible")).to_have_count(1, timeout=WAIT)
    one_line_instead(page)
    assert page.nameless() == []


def one_line_instead(page: NotebookPage) -> None:
    """Where the sliders were there is a line that says how to bring them back, and nothing of a dead widget."""
    expect(page.page.get_by_text("Run this cell to move the sliders.")).to_be_visible(timeout=WAIT)
    assert page.page.get_by_text(re.compile("Error displaying widget|Loading widget")).filter(visible=True).count() == 0
    assert page.sliders.filter(visible=True).count() == 0


def test_sliders_go_with_their_kernel(with_slider: str, open_notebook) -> None:
    """A slider has its name; after a restart none is left that moves nothing; the cell run again brings it back."""
    page = open_notebook(with_slider)
    page.run_all()
    named = page.page.get_by_role("slider", name="consecutive failures")
    expect(named).to_be_visible(timeout=WAIT)
    expect(page.page.get_by_role("group", name="Calls until one works.").first).to_be_visible(timeout=WAIT)
    page.menu("Kernel", re.compile("^Restart Kernel…"))
    page.page.locator(".jp-Dialog button.jp-mod-accept").click()
    one_line_instead(page)
    page.run_all()
    expect(named).to_be_visible(timeout=WAIT)
    assert not page.page.get_by_text("Run this cell to move the sliders.").is_visible()


def test_a_quiz_is_a_named_group(server: Server, open_notebook) -> None:
    """A question names the group of its answers, which are one stop for the keyboard; what happens is announced."""
    write_notebook(server.folder / "quiz" / "quiz.ipynb", SET_UP, QUIZ)
    page = open_notebook("quiz/quiz.ipynb")
    page.run_all()
    quiz = page.page.get_by_role("group", name="When do three naps of 2 s end?")
    answers = quiz.get_by_role("radio")
    expect(answers).to_have_count(2, timeout=WAIT)
    quiz.get_by_role("radio", name="after 2 s").focus()
    page.page.keyboard.press("ArrowDown")
    expect(quiz.get_by_role("radio", name="after 6 s")).to_be_focused(timeout=WAIT)
    expect(quiz.get_by_role("status")).to_contain_text("Yes: after 6 s. One after the other.", timeout=WAIT)


def test_stop(server: Server, open_notebook) -> None:
    """The Stop button ends a cell that waits for something, and the next cell runs."""
    write_notebook(server.folder / "stop" / "stop.ipynb", SET_UP, "import asyncio\nawait asyncio.sleep(1000)", "6 * 7")
    page = open_notebook("stop/stop.ipynb")
    first, waiting, after = page.code.all()
    page.run(first)
    expect(first).to_contain_text("clock is virtual", timeout=WAIT)
    waiting.locator(".jp-InputPrompt").click()
    page.menu("Run", "Run Selected Cell and Do not Advance")
    expect(prompt(waiting)).to_have_text("[*]:", timeout=WAIT)
    page.page.locator('.jp-Notebook-ExecutionIndicator[data-status="busy"]').wait_for()
    page.page.get_by_role("button", name=re.compile("Interrupt the kernel", re.IGNORECASE)).click()
    page.ran(waiting)  # a thousand seconds earlier than without
    assert "KeyboardInterrupt" in page.errors()[0] or "CancelledError" in page.errors()[0]
    page.run(after)
    expect(after).to_contain_text("42")


def test_right_answer(fresh, open_notebook, tmp_path: Path) -> None:
    """The solution, typed into the cell, earns all visible points."""
    section = SECTIONS[0]
    best = handed_in(section, worked(section), tmp_path / "right")["max_score"]
    assert best > 0
    page = open_notebook(fresh(section))
    page.write(page.code.filter(has_text="your code here").first, worked(section))
    page.run_all()
    check = page.graded(f'check("{section.exercise}")')
    expect(check).to_contain_text(f"{best:g} of {best:g} visible points", timeout=WAIT)
    assert page.errors() == []


def test_wrong_answer(fresh, open_notebook, tmp_path: Path) -> None:
    """A typical mistake is told in words, and on a picture of both runs."""
    section = SECTIONS[0]
    text = wrong_answers(section)[0].text
    found = handed_in(section, text, tmp_path / "wrong")
    missing = next(one for one in found["behaviours"] if not one["passed"])
    page = open_notebook(fresh(section))
    page.write(page.code.filter(has_text="your code here").first, text)
    page.run_all()
    check = page.graded(f'check("{section.exercise}")')
    expect(check).to_contain_text(f"{found['score']:g} of {found['max_score']:g} visible points", timeout=WAIT)
    expect(check.locator("details[open]")).to_contain_text(missing["message"].splitlines()[0])
    picture = check.locator("details[open] svg[role=img]").first
    expect(picture).to_be_visible()
    said = (picture.get_attribute("aria-label") or "").lower()
    assert "your run" in said and "intended run" in said
    assert page.errors() == [] and page.nameless() == []


def test_keyboard_alone(fresh, open_notebook) -> None:
    """Without a mouse: Shift+Enter walks from the first cell to the last, and the check shows its table."""
    section = SECTIONS[0]
    page = open_notebook(fresh(section))
    for cell in page.cells.all():
        page.shift_enter(cell)
    check = page.graded(f'check("{section.exercise}")')
    expect(check.get_by_role("table").first).to_be_visible(timeout=WAIT)
    assert page.errors() == []
