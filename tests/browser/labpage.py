"""A notebook in JupyterLab, handled as a person does it: by what is written on buttons, menus and cells."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import SECONDS, Server

NUMBERED = re.compile(r"^\[\d+\]:$")
WAIT = SECONDS * 1000

NAMELESS = """elements => elements
    .filter(one => !(one.closest('[aria-hidden=true]') || one.parentElement.closest('svg')))
    .filter(one => one.tagName.toLowerCase() == 'img'
        ? !one.getAttribute('alt')
        : !(one.getAttribute('role') == 'img' && one.getAttribute('aria-label')))
    .map(one => one.outerHTML.slice(0, 200))"""


class NotebookPage:
    """An open notebook."""

    def __init__(self, page: Page, server: Server, path: str) -> None:
        self.page = page
        self.connected = False
        # a workspace of its own: JupyterLab opens again what was open in the last one
        page.goto(server.at(f"lab/workspaces/{uuid.uuid4().hex}/tree/{path}"))
        number = len(nbformat.read(server.folder / path, as_version=4).cells)
        expect(self.cells).to_have_count(number, timeout=WAIT)  # JupyterLab adds them little by little
        self.idle()

    @property
    def cells(self) -> Locator:
        """All cells."""
        return self.page.locator(".jp-Notebook:visible .jp-Cell")

    @property
    def code(self) -> Locator:
        """The code cells."""
        return self.page.locator(".jp-Notebook:visible .jp-CodeCell")

    @property
    def outputs(self) -> Locator:
        """What the cells have put out."""
        return self.page.locator(".jp-Notebook:visible .jp-CodeCell .jp-OutputArea-output")

    @property
    def sliders(self) -> Locator:
        """The widgets' sliders: only outputs have any. (A player's own, which moves through time, isn't among them.)"""
        return self.page.locator(".widget-slider").get_by_role("slider")

    def graded(self, text: str) -> Locator:
        """The first code cell with this text in it."""
        return self.code.filter(has=self.page.locator(".cm-content", has_text=text)).first

    def idle(self) -> None:
        """Wait for the kernel: the status bar names it once it is connected to, then says what it does."""
        self.page.get_by_role("button", name="Python 3 (ipykernel) | Idle", exact=True).wait_for()

    def menu(self, name: str, item: str) -> None:
        """Choose from the menu bar."""
        self.page.get_by_role("menuitem", name=name, exact=True).click()
        self.page.get_by_role("menuitem", name=item).first.click()

    def run_all(self) -> None:
        """Run All, and wait for the last cell that shows a number: it stays without when one before it raises."""
        self.menu("Run", "Run All Cells")
        self.ran(self.code.filter(has=self.page.locator(".jp-InputArea-prompt")).last)

    def run(self, cell: Locator) -> None:
        """Run one cell and wait for its end."""
        before = prompt(cell).inner_text()
        cell.locator(".jp-InputPrompt").click()
        self.menu("Run", "Run Selected Cell and Do not Advance")
        expect(prompt(cell)).not_to_have_text(before, timeout=WAIT)
        self.ran(cell)

    def ran(self, cell: Locator) -> None:
        """Wait until the cell has its number and the kernel has nothing more to do."""
        expect(prompt(cell)).to_have_text(NUMBERED, timeout=WAIT)
        self.idle()

    def shift_enter(self, cell: Locator) -> None:
        """Run the cell that has the focus by the keyboard; the focus is at `cell` already."""
        expect(cell).to_have_class(re.compile("jp-mod-active"), timeout=WAIT)
        self.page.keyboard.press("Shift+Enter")
        if "jp-CodeCell" in (cell.get_attribute("class") or ""):
            while not self.connected and not self.begins(cell):
                self.page.keyboard.press("ArrowUp")
                expect(cell).to_have_class(re.compile("jp-mod-active"), timeout=WAIT)
                self.page.keyboard.press("Shift+Enter")
            self.connected = True
            if prompt(cell).count():  # a folded cell shows no number
                self.ran(cell)
            self.idle()

    def begins(self, cell: Locator) -> bool:
        """Whether the first cell, the one that sets up, has said something: a press while the kernel is still being
        connected to moves on without running."""
        for _ in range(50):
            if cell.locator(".jp-OutputArea-output").count():
                return True
            self.page.wait_for_timeout(100)
        return False

    def write(self, cell: Locator, text: str) -> None:
        """Replace the cell's text by the keyboard's way."""
        cell.locator(".cm-content").click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(text)

    def errors(self) -> list[str]:
        """Tracebacks, and what was written to stderr."""
        kinds = ("application/vnd.jupyter.error", "application/vnd.jupyter.stderr")
        wanted = ", ".join(f'.jp-OutputArea-output[data-mime-type="{kind}"]' for kind in kinds)
        return self.page.locator(wanted).all_inner_texts()

    def nameless(self) -> list[str]:
        """Pictures without a word for those who don't see them."""
        shown = [f"{place} {kind}" for place in (".jp-OutputArea", ".jp-RenderedMarkdown") for kind in ("svg", "img")]
        found: list[str] = self.page.locator(", ".join(shown)).evaluate_all(NAMELESS)
        return found


def prompt(cell: Locator) -> Locator:
    """`[3]:` beside the cell's text."""
    return cell.locator(".jp-InputArea-prompt")


def write_notebook(path: Path, *sources: str) -> None:
    """A notebook of code cells."""
    notebook: Any = nbformat.v4.new_notebook(metadata=METADATA)
    notebook.cells = [nbformat.v4.new_code_cell(source, id=f"cell-{n}") for n, source in enumerate(sources)]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


METADATA: Mapping[str, Any] = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
}
