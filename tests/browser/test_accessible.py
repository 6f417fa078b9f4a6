"""Pages for everybody: axe finds nothing serious in exported notebooks, feedback, the report and one's progress.

Both themes are tried. Of an exported notebook only our text and outputs are looked at, shown without a kernel and
without fetched scripts. The frame, the links and the colours of code are nbconvert's.
"""

from __future__ import annotations

import json
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

from autograder.course import CONFIG, Course
from autograder.grading.demo import write_submission
from autograder.judging.result import Standing
from autograder.learner.lab import LABCONFIG
from autograder.pages.feedback import copy_page
from tests.browser.conftest import ROOT, Visit

NOTEBOOKS = [section.name for section in Course.find(ROOT).sections if section.source.is_file()]
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
OURS = {"include": [[".jp-RenderedHTMLCommon, .jp-OutputArea-output"]], "exclude": [[".highlight"]]}
"""Text and outputs, but for code in text: nbconvert colours it, comments in its dark theme 4.2 to 1."""
THEIRS = {"link-in-text-block": {"enabled": False}}
"""nbconvert's style sheet, and nothing of ours, takes the line from under links in text."""
NOTHING = "data:text/javascript,"
"""In place of the scripts that nbconvert's pages fetch for formulas and widgets."""


def serious(page: Page, context: dict[str, Any] | None = None, rules: dict[str, Any] | None = None) -> list[str]:
    """What axe finds that is serious or critical, with every fold open: the rule, what it is about, and where."""
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    found = Axe().run(page, context=context, options={"rules": rules or {}}).response["violations"]
    return [
        f"{one['id']}: {one['help']}: {node['html'][:200]} ({node.get('failureSummary', '')[:200]})"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, autograder) -> list[Path]:
    """A class's report with the pages that students get, one of them with comments; and a learner's progress.

    One section is enough: every other's pages come from the same templates.
    """
    root = tmp_path_factory.mktemp("accessible")
    section = next(section for section in Course.find(ROOT).sections if section.exercise)
    for path in (section.folder, section.released):
        shutil.copytree(path, root / path.relative_to(ROOT), ignore=shutil.ignore_patterns(".*", "__pycache__"))
    shutil.copy(ROOT / CONFIG, root)
    course = Course(root.resolve())
    assert autograder(course, "demo").returncode == 0
    shutil.copytree(course.notebooks, course.root / "work")
    progress = course.root / "progress.html"
    assert autograder(course, "progress", "--html", str(progress)).returncode == 0
    own = write_submission(course.section(section.name), course.root / "own", "answer = 42\n")
    standing = Standing(3, 15, 2, by_hand=1, comments=("A good beginning: see `docs`.\nGo on.",))
    commented = course.root / "commented.html"
    commented.write_text(copy_page("ada", section.name, json.loads(own.read_bytes()), standing), encoding="utf-8")
    report = course.root / "build/demo/report"
    return [report / "index.html", progress, commented, *sorted(report.glob("*/*.html"))]


@pytest.mark.parametrize("theme", THEMES)
def test_pages(pages: list[Path], visit: Callable[[], Visit], theme: Literal["light", "dark"]) -> None:
    """The report, students' pages, and the page of one's progress."""
    page = visit().page
    page.emulate_media(color_scheme=theme)
    found = []
    for path in pages:
        page.goto(path.as_uri())
        found += [f"{path.parent.name}/{path.name}: {line}" for line in serious(page)]
    assert found == []


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_exported_notebook(
    name: str, tmp_path: Path, visit: Callable[[], Visit], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notebook that was run and exported, in both of nbconvert's themes."""
    monkeypatch.setenv("JUPYTER_PATH", str(LABCONFIG))
    section = Course.find(ROOT).section(name)
    folder = Path(shutil.copytree(section.released, tmp_path / name))
    notebook = nbformat.read(folder / f"{section.notebook}.ipynb", as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=90, resources=resources, kernel_name="python3").execute()
    fetched = dict.fromkeys(("require_js_url", "widget_renderer_url", "mathjax_url", "mermaid_js_url"), NOTHING)
    found = []
    for theme in THEMES:
        body, _ = HTMLExporter(theme=theme, **fetched).from_notebook_node(notebook)
        path = tmp_path / f"{theme}.html"
        path.write_text(body, encoding="utf-8")
        page = visit().page
        page.goto(path.as_uri())
        found += [f"{theme}: {line}" for line in serious(page, OURS, THEIRS)]
    assert found == []
