"""Add contents, and links to the notebooks before and after, to every notebook."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from autograder.course import Section

if TYPE_CHECKING:
    from nbformat import NotebookNode


def with_navigation(section: Section, cells: Sequence[NotebookNode]) -> list[NotebookNode]:
    """Add a cell with contents and links after the first cell, and the links again at the end."""
    from nbformat.v4 import new_markdown_cell

    links = _links(section)
    contents = [f"* [{title}](#{title.replace(' ', '-')})" for title in _headings(cells)]
    top = "\n\n".join(part for part in (links, "\n".join(contents)) if part)
    found = [*cells[:1], *([new_markdown_cell(top)] if top else []), *cells[1:]]
    return [*found, new_markdown_cell(links)] if links else found


def title_of(section: Section) -> str:
    """The notebook's first heading, or its name."""
    text = section.source.read_text(encoding="utf-8") if section.source.is_file() else ""
    found = re.search(r"^# # (.+)$", text, re.MULTILINE)
    return found[1].strip() if found else section.notebook


def _headings(cells: Sequence[NotebookNode]) -> list[str]:
    texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
    return [found.strip() for text in texts for found in re.findall(r"^## (.+)$", text, re.MULTILINE)]


def _links(section: Section) -> str:
    sections = section.course.sections
    here = [other.name for other in sections].index(section.name)
    before = sections[here - 1] if here else None
    after = sections[here + 1] if here + 1 < len(sections) else None
    parts = [f"← [{title_of(before)}]({_address(before)})"] if before else []
    parts += [f"[{title_of(after)}]({_address(after)}) →"] if after else []
    return " · ".join(parts)


def _address(section: Section) -> str:
    return f"../{section.name}/{section.notebook}.ipynb"
