"""Pages for everybody: axe finds nothing serious in exported notebooks, feedback, the report and one's progress.

Both themes are tried. Of an exported notebook only what is ours is looked at: text and outputs, not nbconvert's frame.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from playwright.sync_api import Page

from autograder.course import Course
from autograder.learner.lab import LABCONFIG
from tests.browser.conftest import ROOT, Visit

NOTEBOOKS = [section.name for section in Course.find(ROOT).sections if section.source.is_file()]
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
OURS = ".jp-RenderedHTMLCommon, .jp-OutputArea-output"


def serious(page: Page, context: dict[str, Any] | None = None) -> list[str]:
    """What axe finds that is serious or critical: the rule, what it is about, and where."""
    found = Axe().run(page, context=context).response["violations"]
    return [
        f"{one['id']}: {one['help']}: {node['html'][:200]} ({node.get('failureSummary', '')[:200]})"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, own_course, autograder) -> list[Path]:
    """A class's report with the pages that students get, and a learner's progress."""
    course = own_course(tmp_path_factory.mktemp("accessible") / "course")
    assert autograder(course, "demo").returncode == 0
    shutil.copytree(course.notebooks, course.root / "work")
    progress = course.root / "progress.html"
    assert autograder(course, "progress", "--html", str(progress)).returncode == 0
    report = course.root / "build/demo/report"
    feedback = sorted(report.glob("*/*.html"))
    return [report / "index.html", progress, *feedback[:: max(1, len(feedback) // 30)]]


@pytest.mark.parametrize("theme", THEMES)
def test_pages(pages: list[Path], visit: Callable[[], Visit], theme: Literal["light", "dark"]) -> None:
    """The report, students' pages with every fold open, and the page of one's progress."""
    page = visit().page
    page.emulate_media(color_scheme=theme)
    found = []
    for path in pages:
        page.goto(path.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        found += [f"{path.parent.name}/{path.name}: {line}" for line in serious(page)]
    assert found == []


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_exported_notebook(
    name: str, tmp_path: Path, visit: Callable[[], Visit], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notebook that was run and exported, with every fold open, in both of nbconvert's themes."""
    monkeypatch.setenv("JUPYTER_PATH", str(LABCONFIG))
    section = Course.find(ROOT).section(name)
    folder = Path(shutil.copytree(section.released, tmp_path / name))
    notebook = nbformat.read(folder / f"{section.notebook}.ipynb", as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=90, resources=resources, kernel_name="python3").execute()
    found = []
    for theme in THEMES:
        body, _ = HTMLExporter(theme=theme).from_notebook_node(notebook)
        path = tmp_path / f"{theme}.html"
        path.write_text(body, encoding="utf-8")
        page = visit().page
        page.goto(path.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        found += [f"{theme}: {line}" for line in serious(page, {"include": [[OURS]]})]
    assert found == []
