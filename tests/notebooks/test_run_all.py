"""Run All, in a fresh kernel: every notebook as it is released, and every one with its solution and its figures."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from autograder.authoring.make import make
from autograder.course import CONFIG, Course, Section
from autograder.judging.judge import Judge
from autograder.learner.lab import LABCONFIG
from tests.notebooks.walk import ROOT, STARTUP

pytestmark = pytest.mark.heavy

COURSE = Course.find(Path(__file__))
SECTIONS = [section for section in COURSE.sections if section.source.is_file()]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Course:
    """A course of no sections, to copy one into; kernels are the learner's."""
    monkeypatch.setenv("JUPYTER_PATH", str(LABCONFIG))
    shutil.copy(COURSE.root / CONFIG, tmp_path)
    return Course(tmp_path.resolve())


@pytest.fixture
def breaches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """What breaks the grammar in the figures of the notebooks that kernels run meanwhile, a line for each figure."""
    found, startup = tmp_path / "breaches", tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "watch.py").write_text(STARTUP.format(root=str(ROOT), path=str(found)))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    return lambda: found.read_text().splitlines() if found.exists() else []


def run_all(folder: Path, name: str) -> list[nbformat.NotebookNode]:
    """The code cells of a notebook, run one after the other until one raises."""
    notebook = nbformat.read(folder / f"{name}.ipynb", as_version=4)
    client = NotebookClient(notebook, timeout=90, resources={"metadata": {"path": str(folder)}}, kernel_name="python3")
    client.execute()
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def complaints(cells: list[nbformat.NotebookNode]) -> list[str]:
    """Whatever a person would stumble over: errors, and lines on stderr."""
    outputs = [output for cell in cells for output in cell.outputs]
    raised = [output.ename for output in outputs if output.output_type == "error"]
    return raised + [output.text for output in outputs if output.get("name") == "stderr"]


def scores(cells: list[nbformat.NotebookNode]) -> dict[str, float]:
    """What each check cell shows as plain text, by its grade_id."""
    return {
        cell.metadata.nbgrader.grade_id: float(output.data["text/plain"])
        for cell in cells
        for output in cell.outputs
        if cell.metadata.get("nbgrader", {}).get("grade") and output.output_type == "execute_result"
    }


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name)
def test_released(section: Section, place: Course) -> None:
    """It reaches its last cell, nothing is raised, nothing is on stderr, and the check says 0."""
    folder = Path(shutil.copytree(section.released, place.notebooks / section.name))
    cells = run_all(folder, section.notebook)
    assert complaints(cells) == []
    assert all(cell.execution_count for cell in cells if cell.source.strip())
    wanted = {f"{section.exercise}_score": 0.0} if section.exercise else {}
    assert scores(cells) == wanted


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name)
def test_solved(section: Section, place: Course, breaches: Callable[[], list[str]]) -> None:
    """The worked solution runs through too, both checks show all their points, and all figures keep to the grammar."""
    # A toolkit is filled with other sections' solutions.
    for kept in (COURSE.solutions, section.released):
        shutil.copytree(kept, place.root / kept.relative_to(COURSE.root))
    own = place.section(section.name)
    for name, data in make(own).source.items():
        path = own.built / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    cells = run_all(own.built, section.notebook)
    assert complaints(cells) == []
    assert all(cell.execution_count for cell in cells if cell.source.strip())
    assert scores(cells) == _worth(own)
    assert breaches() == [], "python -m tests.notebooks.walk names the cells"


def _worth(section: Section) -> dict[str, float]:
    if section.exercise is None:
        return {}
    tests = Judge(section.tests, section.hidden).tests
    parts = {f"{section.exercise}_score": False, f"{section.exercise}_hidden": True}
    return {cell: sum(test.points for test in tests if test.hidden is hidden) for cell, hidden in parts.items()}
