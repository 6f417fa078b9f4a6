"""Runs a section's notebook with its solution in this process, and collects what breaks the grammar of its figures.

python -m tests.notebooks.walk 02_retry 05_bulkhead     # prints a line for each; all sections without arguments
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from autograder.course import Course, Section
from autograder.notebook.source import source_notebook
from faultlab.pictures import explore, figure
from faultlab.pictures.sheet import Sheet
from tests.notebooks.grammar import breaches

COURSE = Course.find(Path(__file__))


class Found(NamedTuple):
    """A figure of a notebook, and what is wrong with it."""

    cell: int
    name: str
    """Its title, or the first words of its cell."""
    breaches: list[str]


@contextlib.contextmanager
def caught(found: list[Any]) -> Iterator[None]:
    """Every sheet and chart that is drawn inside goes into a list."""
    paint, chart = figure.svg, figure.chart_svg

    def painted(picture: Any, **options: Any) -> str:
        found.append(picture)
        return paint(picture, **options)

    def imaged(fig: Any, alt: str) -> Any:
        found.append(fig)
        return chart(fig, alt)

    figure.svg = explore.svg = painted  # type: ignore[assignment]
    figure.chart_svg = imaged
    try:
        yield
    finally:
        figure.svg = explore.svg = paint
        figure.chart_svg = chart


def figures(section: Section) -> list[tuple[int, str, Any]]:
    """The figures of a notebook: the cell's number, its source, and the sheet or chart."""
    from IPython.core.interactiveshell import InteractiveShell

    os.chdir(section.source.parent)
    shell = InteractiveShell.instance()
    kept: list[tuple[int, str, Any]] = []
    for number, cell in enumerate(source_notebook(section).cells):
        if cell.cell_type != "code":
            continue
        drawn: list[Any] = []
        with caught(drawn), contextlib.redirect_stdout(io.StringIO()) as printed:
            ran = shell.run_cell(cell.source)
        if ran.error_in_exec or ran.error_before_exec:
            print(f"{section.name} [{number}] raised: {printed.getvalue()[-600:]}", file=sys.stderr)
        kept += [(number, cell.source, one) for one in drawn if one is not None]
    return kept


def walk(section: Section) -> list[Found]:
    """What breaks the grammar, figure by figure."""
    found = []
    for number, source, picture in figures(section):
        wrong = list(dict.fromkeys(breaches(picture)))
        if wrong:
            found.append(Found(number, _name(picture) or source.strip().splitlines()[0][:60], wrong))
    return found


def _name(picture: Any) -> str:
    if isinstance(picture, Sheet):
        return "" if picture.title == "Timeline" else picture.title
    return str(picture.axes[0].get_title("left")) if picture.axes else ""


if __name__ == "__main__":
    chosen = sys.argv[1:]
    for section in COURSE.sections:
        if section.name in chosen:
            for one in walk(section):
                for words in one.breaches:
                    print(f"{section.name} [{one.cell}] {one.name!r}: {words}")
