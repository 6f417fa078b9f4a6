"""An instructor's way: grade a class, look at it in formgrader, open feedback and report; one hand-in is hostile."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import expect

from autograder.course import Course, Section
from autograder.grading.demo import write_submission
from faultlab.pictures.player import script_html
from tests.browser.conftest import Server, Visit, served
from tests.browser.labpage import WAIT

MATHJAX = "https://cdnjs.cloudflare.com/ajax/libs/mathjax/"
"""Written into formgrader's own template by nbgrader; formgrader works without it."""
HOSTILE = [
    "<script>alert('script'); document.title = 'owned'</script>",
    "<img src=x onerror=\"alert('image')\"> <img src='http://outside.example/pixel.png'>",
    "[a link](javascript:alert('link)) and <a href=\"javascript:alert('anchor')\">another</a>",
    '<iframe srcdoc="<script>parent.alert(1)</script>"></iframe><iframe src="http://outside.example/"></iframe>',
    "![picture](http://outside.example/markdown.png) <svg onload=\"alert('svg')\"></svg>",
    "<style>@import url('http://outside.example/style.css');</style><link rel=stylesheet href='//outside.example'>",
]
HOSTILE_TEXT = "<img src=http://outside.example/error.png onerror=alert(1)><script>alert(2)</script>"


@dataclass(frozen=True)
class Class:
    """A class that was graded."""

    course: Course
    section: Section
    said: str
    """What `autograder grade` printed."""


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory, own_course, autograder) -> Class:
    """Three students: a right answer, an untouched notebook, and one who attacks whoever opens it."""
    course = own_course(tmp_path_factory.mktemp("class") / "course")
    section = next(section for section in course.sections if section.exercise)
    right = min((section.folder / "right").glob("*.py")).read_text(encoding="utf-8")
    for student, answer in (("ada", right), ("blaise", None), ("mallory", f"raise ValueError({HOSTILE_TEXT!r})")):
        write_submission(section, course.submitted / student / section.name, answer)
    _poison(course.submitted / "mallory" / section.name / f"{section.notebook}.ipynb")
    done = autograder(course, "grade")
    assert done.returncode == 0, done.stderr
    return Class(course, section, done.stdout)


def _poison(path) -> None:
    body = json.loads(path.read_bytes())
    body["cells"] = [
        {"cell_type": "markdown", "id": f"hostile-{number}", "metadata": {}, "source": text}
        for number, text in enumerate(HOSTILE)
    ] + body["cells"]
    for cell in body["cells"]:
        if cell["cell_type"] == "code":
            data = {"text/html": HOSTILE[0] + HOSTILE_TEXT, "application/javascript": "alert('output')"}
            cell["outputs"] = [{"output_type": "display_data", "metadata": {}, "data": data}]
    path.write_text(json.dumps(body))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, graded: Class) -> Iterator[Server]:
    """JupyterLab in the course's folder, as an instructor starts it: nbgrader's extensions are on."""
    argv = [sys.executable, "-m", "jupyterlab"]
    with served(argv, graded.course, tmp_path_factory.mktemp("instructor")) as server:
        yield server


@pytest.fixture
def instructor(server: Server, visit: Callable[[], Visit]) -> Visit:
    """Logged in where an instructor begins: JupyterLab, whose menu offers formgrader."""
    one = visit()
    one.expected = MATHJAX
    one.page.goto(server.at("lab"))
    one.page.get_by_role("menuitem", name="Nbgrader", exact=True).click()
    expect(one.page.get_by_role("menuitem", name="Formgrader")).to_be_visible(timeout=WAIT)
    return one


def unharmed(one: Visit) -> None:
    """Nothing of the submission ran, and nothing beyond this machine was asked for."""
    assert one.dialogs == []
    assert one.outside == []
    assert one.page.title() != "owned"


def test_formgrader_lists_the_class(graded: Class, server: Server, instructor: Visit) -> None:
    """Its table has the three students, and the scores that grading printed."""
    one = instructor
    one.page.goto(server.at(f"formgrader/manage_submissions/{graded.section.name}"))
    for student in ("ada", "blaise", "mallory"):
        expect(one.page.get_by_role("row").filter(has_text=student)).to_contain_text("graded", timeout=WAIT)
        assert student in graded.said
    one.page.goto(server.at("formgrader/manage_assignments"))
    expect(one.page.get_by_role("row").filter(has_text=graded.section.name)).to_contain_text("3", timeout=WAIT)
    unharmed(one)


def test_formgrader_opens_what_was_written(graded: Class, server: Server, instructor: Visit) -> None:
    """Each student's graded copy opens with its table of behaviours; a hostile one does nothing."""
    one = instructor
    address = f"formgrader/gradebook/{graded.section.name}/{graded.section.notebook}"
    one.page.goto(server.at(address))
    links = one.page.get_by_role("link", name="Submission #")
    expect(links).to_have_count(3, timeout=WAIT)
    pages = [link.get_attribute("href") for link in links.all()]
    hostile = 0
    for page in pages:
        one.page.goto(server.at((page or "").removeprefix("/")))
        expect(one.page.get_by_text("visible points").first).to_be_visible(timeout=WAIT)
        one.page.wait_for_load_state("networkidle")
        assert one.page.locator("iframe, [onerror], [onload], [src*=outside], a[href^='javascript:alert']").count() == 0
        hostile += "outside.example" in one.page.inner_text("body")
        unharmed(one)
    assert hostile == 1  # what it wrote is there to be read


def test_feedback_and_report(graded: Class, visit: Callable[[], Visit]) -> None:
    """The report leads to each student's page, and so do the feedback files; all with a title and a language."""
    one = visit()
    report = graded.course.build / "report" / "index.html"
    one.page.goto(report.as_uri())
    expect(one.page.get_by_role("heading", level=1)).to_have_text("Graded")
    for student in ("ada", "blaise", "mallory"):
        one.page.get_by_role("link", name=student).click()
        expect(one.page.get_by_role("heading", level=1)).to_contain_text(student)
        expect(one.page.get_by_role("table").first).to_be_visible()
        unharmed(one)
        one.page.goto(
            (graded.course.feedback / student / graded.section.name).as_uri() + f"/{graded.section.notebook}.html"
        )
        assert student in one.page.title() and one.page.locator("html").get_attribute("lang") == "en"
        assert one.page.locator("iframe, [onerror], [src*=outside]").count() == 0
        scripts = one.page.locator("script").all_text_contents()  # the player's own, where there is a run to play
        assert all(str(script_html()).partition(">")[2].removesuffix("</script>") == script for script in scripts)
        unharmed(one)
        one.page.goto(report.as_uri())
