"""What works in Jupyter works when graded: right answers in notebooks as people really have them.

Each case is graded, in one sandbox. Each that ends in a kernel is also run there, cell by cell, to compare what its
`check` says with the visible points of the grader.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError

from autograder.course import Course
from autograder.grading.grade import Grader
from autograder.judging.result import Result
from autograder.learner.lab import LABCONFIG
from tests.notebooks.cases import CASES, DOORS, EXERCISE, SECTION, made

COURSE = Course.find(Path(__file__))
SLOW = ("an endless loop", "a socket that nobody writes to", "four endless loops")
RUN_TWICE = [name for name, case in CASES.items() if case.kernel]


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    grader = Grader(COURSE)
    yield grader
    grader.close()


def graded(grader: Grader, name: str) -> Result:
    return grader.grade(made(CASES[name]), COURSE.section(SECTION), "ada")


def visible(result: Result) -> float:
    return sum(behaviour.points for behaviour in result.part(hidden=False))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.heavy if name.startswith(SLOW) else ()) for name in CASES]
)
def test_graded(grader, name):
    """Full marks, a plain verdict, and a note on what wasn't done, where there is such a thing."""
    case = CASES[name]
    result = graded(grader, name)
    assert (result.score == result.max_score) is case.full, result.line
    assert result.verdict == "graded"
    assert any(case.note in note for note in result.notes) if case.note else result.notes == ()


def test_enough_cases():
    """All of those that were seen at the doors, and many more of the same kinds."""
    assert len(DOORS) == 13 and len(RUN_TWICE) >= 33


@pytest.mark.heavy
@pytest.mark.timeout(120)
@pytest.mark.xdist_group("kernels")
@pytest.mark.parametrize("name", RUN_TWICE)
def test_never_below_the_kernel(grader, name, tmp_path, monkeypatch):
    """The visible points are at least what `check` says in a kernel; where they are more, a note says why."""
    monkeypatch.setenv("JUPYTER_PATH", str(LABCONFIG))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    result = graded(grader, name)
    said = said_in_a_kernel(made(CASES[name]), tmp_path)
    assert visible(result) >= said
    assert visible(result) == said or result.notes


def said_in_a_kernel(notebook: bytes, place: Path) -> float:
    """What the check says when every cell is run, also those after one that fails; 0 when it says nothing."""
    folder = Path(shutil.copytree(COURSE.section(SECTION).released, place / SECTION))
    body = nbformat.reads(notebook.decode(), as_version=4)
    client = NotebookClient(
        body, timeout=60, kernel_name="python3", allow_errors=True, resources={"metadata": {"path": str(folder)}}
    )
    with contextlib.suppress(DeadKernelError):  # what was said before it ended counts
        client.execute()
    said = [
        float(output.data["text/plain"])
        for cell in body.cells
        if cell.metadata.get("nbgrader", {}).get("grade_id") == f"{EXERCISE}_score"
        for output in cell.get("outputs", [])
        if output.output_type == "execute_result"
    ]
    return said[-1] if said else 0.0
