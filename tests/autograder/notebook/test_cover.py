"""The picture at a notebook's top: there before anything was run, with its words, and never an answer's."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from autograder.authoring import build
from autograder.course import Course
from autograder.grading.demo import write_submission
from autograder.nbgrader.copy import known_cells, load_copy, sanitised
from autograder.nbgrader.release import graded_notebook
from autograder.notebook.cells import CodeCell
from autograder.notebook.execution import run_notebook
from autograder.notebook.shell import displayed
from tests.autograder.conftest import SECTION

NAP = """\
# %%
import asyncio
from faultlab import show, simulate

async def nap():
    await asyncio.sleep(SECONDS)

SECONDS = 3

# %%
raise RuntimeError("nobody needs this cell")

# %% cover="true"
show(simulate(nap()).timeline, title="A nap <of three seconds>", fold="What happens")

# %%
SECONDS = 1 / 0

"""
LECTURE = "# %%\ndef lecture_add"


@pytest.fixture
def covered(course: Course) -> Callable[[str], Course]:
    """Puts these cells before the lecture's."""

    def put(cells: str) -> Course:
        source = course.section(SECTION).source
        source.write_text(source.read_text().replace(LECTURE, f"{cells}{LECTURE}"))
        return course

    return put


def top(course: Course) -> str:
    body = json.loads((course.notebooks / SECTION / "sample.ipynb").read_text())
    assert body["cells"][0]["source"][0].startswith("# A sample")
    return "".join(body["cells"][1]["source"])


def test_the_cover_stands_below_the_title(covered: Callable[[str], Course]) -> None:
    """The picture that the marked cell draws, folded or not, with its words; the mark is gone, and the
    same sources give the same bytes."""
    course = covered(NAP)
    assert build.build(course, [SECTION]) == []
    found = re.fullmatch(r'<img alt="([^"]+)" width="\d+" src="data:image/svg\+xml;base64,([\w+/=]+)">', top(course))
    assert found is not None and "1 sleep, 3 s in all" in found[1]
    picture = base64.b64decode(found[2]).decode()
    assert picture.startswith("<svg ") and "A nap &lt;of three seconds&gt;" in picture and picture.endswith("</svg>")
    assert '"cover"' not in (course.notebooks / SECTION / "sample.ipynb").read_text().replace('"id": "cover"', "")
    assert build.build(course, [SECTION], check=True) == []


def test_without_a_mark_there_is_none(pristine: Course) -> None:
    """And nothing is said."""
    assert "<img" not in (pristine.notebooks / SECTION / "sample.ipynb").read_text()


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (NAP + NAP.replace("nap", "doze"), '2 cells are marked cover="true"; keep one'),
        ('# %% cover="true"\n1 + 1\n\n', 'the cell marked cover="true" shows no timeline and no sheet'),
        ('# %% cover="true"\n1 / 0\n\n', 'the cell marked cover="true" can\'t be run: ZeroDivisionError: '),
    ],
)
def test_what_is_wrong_is_named(covered: Callable[[str], Course], cells: str, said: str) -> None:
    """In the author's line."""
    assert any(problem.startswith(f"{SECTION}: {said}") for problem in build.build(covered(cells), [SECTION]))


def test_a_graded_copy_keeps_it(covered: Callable[[str], Course], tmp_path: Path) -> None:
    """It is the course's own cell. A picture that a student puts in its place is shown as it was typed."""
    course = covered(NAP)
    assert build.build(course, [SECTION]) == []
    section = course.section(SECTION)
    path = write_submission(section, tmp_path / "mine", None)
    known = known_cells(graded_notebook(section))
    for own, kept in ((top(course), True), (top(course).replace("PHN2", "PHN3"), False)):
        body = json.loads(path.read_text())
        body["cells"][1]["source"] = own
        copy = sanitised(load_copy(json.dumps(body).encode()), known)
        assert (copy["cells"][1]["source"] == own) is kept


def test_nothing_of_an_answer_is_kept() -> None:
    """What cells display goes nowhere but where the cover is drawn."""
    cell = CodeCell("from IPython.display import HTML\ndisplay(HTML('<b>x</b>'))\nx = 1", True)
    with displayed() as shown:
        run_notebook([cell])
    run_notebook([cell])
    assert shown == ["<b>x</b>"]
