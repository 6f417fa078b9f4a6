"""The picture at a notebook's top, before anything was run: the last one that the cell marked `cover="true"` shows.

The build runs that cell and the cells above it that it needs, on the virtual clock. It puts the picture below the
title, as an `<img>` with alt text, because JupyterLab shows no attachment of this kind and no bare SVG.
"""

from __future__ import annotations

import copy
import re
from base64 import b64encode
from collections.abc import Sequence
from typing import TYPE_CHECKING

from autograder.course import Section
from autograder.notebook.cells import CodeCell
from autograder.notebook.execution import run_notebook
from autograder.notebook.source import BuildError, author_notebook, with_toolkits

if TYPE_CHECKING:
    from nbformat import NotebookNode

MARK = "cover"
"""In the header of the cell that draws it."""


def with_cover(section: Section, notebook: NotebookNode) -> NotebookNode:
    """The notebook with its cover below the title; as it is where no cell is marked. Raises BuildError."""
    from nbformat.v4 import new_markdown_cell

    if markup := _cover(section):
        cell = new_markdown_cell(_image(section, markup))
        cell.id = MARK
        notebook.cells.insert(1, cell)
    return notebook


def _cover(section: Section) -> str:
    """The SVG that the marked cell shows; "" where none is marked."""
    code = [cell for cell in author_notebook(section).cells if cell.cell_type == "code"]
    marked = [number for number, cell in enumerate(code) if MARK in cell.metadata]
    if not marked:
        return ""
    if len(marked) > 1:
        raise BuildError(f'{len(marked)} cells are marked {MARK}="true"; keep one')
    cells = list(with_toolkits(section, copy.deepcopy(code[: marked[0] + 1])))
    found = [one for data in _displayed(cells) for one in re.findall(r"<svg\b.*?</svg>", data, re.DOTALL)]
    if not found:
        raise BuildError(f'the cell marked {MARK}="true" shows no timeline and no sheet; mark one that does')
    return str(found[-1])


def _displayed(cells: Sequence[NotebookNode]) -> list[str]:
    """The markup that the last of these cells, and those that it needs, display. Raises BuildError."""
    from autograder.notebook.shell import displayed

    last = len(cells) - 1
    with displayed() as shown:
        _, errors = run_notebook([CodeCell(cell.source, number == last, number) for number, cell in enumerate(cells)])
    if errors:
        raise BuildError(f'the cell marked {MARK}="true" can\'t be run: {errors[0][1]}: {errors[0][2]}')
    return shown


def _image(section: Section, markup: str) -> str:
    head = markup.partition(">")[0]
    said = {name: re.search(rf' {name}="([^"]*)"', head) for name in ("aria-label", "width")}
    words, width = (found[1] if found else "" for found in said.values())
    if not words.strip() or not width:
        raise BuildError(
            f"{section.source.name}: the cover's picture has no words or no width; show a timeline or a sheet"
        )
    data = b64encode(markup.encode()).decode("ascii")
    return f'<img alt="{words}" width="{width}" src="data:image/svg+xml;base64,{data}">'
