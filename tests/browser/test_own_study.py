"""Studying on one's own: a check in the terminal that follows what is saved, and a page of one's progress."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue

import pytest
from playwright.sync_api import expect

from autograder.authoring.worked import solution_notebook
from autograder.course import Course, Section
from autograder.grading.demo import write_submission
from autograder.notebook.answer import read_cells
from tests.browser.conftest import SECONDS, Visit, command, served


@pytest.fixture
def place(tmp_path: Path, own_course) -> tuple[Course, Section]:
    """A learner's copy beside the course."""
    course = own_course(tmp_path / "course")
    shutil.copytree(course.notebooks, course.root / "work")
    return course, next(section for section in course.sections if section.exercise)


def answer(course: Course, section: Section) -> None:
    """The learner writes the worked solution and saves."""
    text = next(cell.source for cell in read_cells(solution_notebook(section)) if cell.grade_id == section.exercise)
    write_submission(section, course.root / "work" / section.name, text)


@pytest.fixture
def watching(place: tuple[Course, Section]) -> Iterator[Queue[str]]:
    """The lines of `autograder check ... --watch`, as they come."""
    course, section = place
    argv = [command(), "check", f"work/{section.name}/{section.notebook}.ipynb", "--watch"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "COLUMNS": "200"}
    process = subprocess.Popen(argv, cwd=course.root, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    stream, lines = process.stdout, Queue[str]()

    def listen() -> None:
        for line in stream:
            lines.put(line.rstrip())

    reader = threading.Thread(target=listen)
    reader.start()
    yield lines
    process.kill()
    process.wait()
    reader.join()
    stream.close()


def heard(lines: Queue[str], wanted: str) -> str:
    """Wait for a line with these words."""
    while wanted not in (line := lines.get(timeout=SECONDS)):
        pass
    return line


def test_watch_follows_what_is_saved(place: tuple[Course, Section], watching: Queue[str]) -> None:
    """The stub earns nothing; the answer, once it is saved, everything."""
    course, section = place
    assert ": 0 of " in heard(watching, "visible points")
    heard(watching, "watching")
    answer(course, section)
    words = heard(watching, "visible points").split()
    assert words[1] == words[3] != "0"


def test_the_first_time_and_afterwards(place: tuple[Course, Section], tmp_path: Path, visit) -> None:
    """A new learner's JupyterLab shows the first notebook; the next time it shows what was open."""
    course, _ = place
    first, other = course.sections[0], course.sections[2]
    tabs = ".lm-DockPanel-tabBar .lm-TabBar-tab"
    with served([command(), "lab", "work"], course, tmp_path) as server:
        page = visit().page
        page.goto(server.at(""))
        expect(page.locator(tabs)).to_have_text([f"{first.notebook}.ipynb"], timeout=SECONDS * 1000)
        page.goto(server.at(f"lab/tree/{other.name}/{other.notebook}.ipynb"))
        expect(page.locator(tabs).filter(has_text=other.notebook)).to_be_visible(timeout=SECONDS * 1000)
        kept = course.root / "work" / ".jupyter" / "workspaces"
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and not any(other.name in path.read_text() for path in kept.glob("*")):
            page.wait_for_timeout(100)
        page.close()
    with served([command(), "lab", "work"], course, tmp_path) as server:
        page = visit().page
        page.goto(server.at(""))
        expect(page.locator(tabs).filter(has_text=other.notebook)).to_be_visible(timeout=SECONDS * 1000)


def test_progress_page(place: tuple[Course, Section], autograder, visit: Callable[[], Visit]) -> None:
    """It says which exercises pass, section by section."""
    course, section = place
    answer(course, section)
    done = autograder(course, "progress", "--html", "progress.html")
    assert done.returncode == 0, done.stderr
    one = visit()
    one.page.goto((course.root / "progress.html").as_uri())
    expect(one.page.get_by_role("heading", level=1)).to_have_text("Progress")
    expect(one.page.get_by_role("row").filter(has_text=section.name)).to_contain_text("passed")
    assert one.page.title() == "Progress" and one.page.locator("html").get_attribute("lang") == "en"
