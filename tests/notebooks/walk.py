"""Collects the figures of a notebook while it runs, and what breaks the grammar in them.

python -m tests.notebooks.walk 02_retry 05_bulkhead     # prints a line for each; of all sections without names
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from faultlab.pictures import ghost, svg
from faultlab.pictures.sheet import Sheet
from tests.notebooks.grammar import breaches

if TYPE_CHECKING:
    from autograder.course import Section

ROOT = Path(__file__).resolve().parents[2]
STARTUP = """
import sys
sys.path.append({root!r})
from tests.notebooks.walk import record
record({path!r})
sys.path.remove({root!r})
del sys, record
"""
"""What a kernel runs before a notebook's first cell, so that its figures are looked at."""


class Found(NamedTuple):
    """What is wrong with a figure: its cell, its title or its cell's first line, and the breaches."""

    cell: int
    name: str
    wrong: list[str]


def watch(seen: Callable[[Any], None]) -> Callable[[], None]:
    """Have each sheet and each chart seen that is painted from now on; what is returned ends that."""
    from faultlab.pictures import chart

    paint, draw = svg.elements, chart.chart_elements

    def painted(sheet: Sheet) -> list[str]:
        seen(sheet)
        return paint(sheet)

    def drawn(fig: Any) -> tuple[int, int, list[str]]:
        seen(fig)
        return draw(fig)

    def set_to(elements: Any, charts: Any) -> None:
        svg.elements = ghost.elements = elements  # type: ignore[attr-defined]
        chart.chart_elements = charts

    set_to(painted, drawn)
    return lambda: set_to(paint, draw)


def record(path: str) -> None:
    """In a kernel: write what is wrong to a file, a line for each figure, with the number of the cell's execution."""
    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()

    def seen(picture: Any) -> None:
        if wrong := list(dict.fromkeys(breaches(picture))):
            with open(path, "a") as file:
                print(json.dumps([shell.execution_count, name_of(picture), wrong]), file=file)

    watch(seen)


def walk(section: Section) -> Iterator[Found]:
    """Run a section's notebook with its solution in this process; what is wrong with its figures."""
    from IPython.core.interactiveshell import InteractiveShell

    from autograder.notebook.source import source_notebook

    os.chdir(section.source.parent)
    shell = InteractiveShell.instance()
    pictures: list[Any] = []
    end = watch(pictures.append)
    for number, cell in enumerate(source_notebook(section).cells):
        pictures.clear()
        if cell.cell_type == "code":
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                ran = shell.run_cell(cell.source)
            if ran.error_in_exec or ran.error_before_exec:
                print(f"{section.name} [{number}] raised: {printed.getvalue()[-600:]}", file=sys.stderr)
        for picture in list(pictures):
            if wrong := list(dict.fromkeys(breaches(picture))):
                yield Found(number, name_of(picture) or cell.source.strip().splitlines()[0][:60], wrong)
    end()


def name_of(picture: Any) -> str:
    """A figure's title."""
    if isinstance(picture, Sheet):
        return "" if picture.title == "Timeline" else picture.title
    return str(picture.axes[0].get_title("left")) if picture.axes else ""


def main(names: list[str]) -> None:
    """Print what is wrong with the figures of these sections, or of all."""
    from autograder.course import Course

    for section in Course.find(ROOT).sections:
        if section.name in names or not names:
            for found in dict.fromkeys((one.cell, one.name, *one.wrong) for one in walk(section)):
                for words in found[2:]:
                    print(f"{section.name} [{found[0]}] {found[1]!r}: {words}")


if __name__ == "__main__":
    main(sys.argv[1:])
