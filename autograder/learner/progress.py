"""How far a learner is: the points of each section in their own copy, together, and where to go on."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from rich.console import Console
from rich.table import Table
from rich.text import Text

from autograder.course import Course, Section
from autograder.errors import UsageError
from autograder.files import write_atomically
from autograder.learner.lab import learners_folder
from autograder.learner.lines import passes
from autograder.learner.local import check_file
from autograder.notebook.answer import Cell, Unreadable, is_answered, read_cells
from autograder.notebook.source import points_by_test
from autograder.pages.markup import render

_out = Console(highlight=False)


class Row(NamedTuple):
    """How far one section is."""

    section: Section
    notebook: Path
    score: float = 0
    most: float = 0
    said: str = "nothing graded"
    next: str = ""
    """What to do next in it; empty where nothing is open."""

    @property
    def points(self) -> str:
        """The points in words; empty where nothing is graded."""
        return f"{self.score:g} of {self.most:g}" if self.most else ""


def show_progress(course: Course, folder: Path | None, html: Path | None) -> int:
    """Print the learner's points in each section of their own copy, the totals and the next step; also as a page."""
    work = folder or learners_folder(course)
    with _out.status("checking"):
        rows = [_row(section, work) for section in course.sections]
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("notebook", overflow="fold")
    table.add_column("visible points", justify="right")
    table.add_column("how far")
    for row in rows:
        link = f"link {row.notebook.absolute().as_uri()}" if row.notebook.exists() else ""
        table.add_row(Text(row.notebook.relative_to(work).as_posix(), style=link), row.points, row.said)
    _out.print(Text(f"in {work}:"), soft_wrap=True)
    _out.print(table)
    _out.print(Text(f"{totals(rows)}\n{next_step(rows)}"))
    if html is not None:
        write_atomically(html, progress_page(rows, html.absolute().parent).encode())
        _out.print(f"page: {html}")
    return 0


def totals(rows: Sequence[Row]) -> str:
    """The exercises that pass, and the points of all together."""
    graded = [row for row in rows if row.most]
    passed, score = sum(not row.next for row in graded), sum(row.score for row in graded)
    return (
        f"{passed} of {len(graded)} exercises passed, {score:g} of {sum(row.most for row in graded):g} visible points"
    )


def next_step(rows: Sequence[Row]) -> str:
    """Where to go on: with what was begun, else with the first exercise that is open."""
    open_rows = [row for row in rows if row.next]
    first = next((row for row in open_rows if row.said != NOT_BEGUN), next(iter(open_rows), None))
    return f"next: {first.section.name}, {first.next}" if first else "next: nothing, every exercise passes"


def progress_page(rows: Sequence[Row], folder: Path) -> str:
    """The same as a page that will lie in `folder`, with a link to each notebook."""
    links = {row.notebook: _link(row.notebook, folder) for row in rows if row.notebook.exists()}
    return render(
        "progress.html", title="Progress", rows=rows, links=links, totals=totals(rows), next_step=next_step(rows)
    )


NOT_BEGUN = "not begun"


def _row(section: Section, work: Path) -> Row:
    path = work / section.name / f"{section.notebook}.ipynb"
    if section.exercise is None:
        return Row(section, path)
    most = sum(points_by_test(section.tests)[0].values())
    own, released = _cells(path), _cells(section.released / path.name)
    if not path.exists() or own == released:
        return Row(section, path, 0, most, NOT_BEGUN, "its exercise")
    try:
        found = check_file(path)
    except UsageError as error:
        return Row(section, path, 0, most, "can't be checked", str(error))
    most, score = found["max_score"] or most, found["score"]
    if passes(found):
        return Row(section, path, score, most, "passed")
    said = "under way" if score else "begun, no points yet"
    if not score and not is_answered(own, released, section.exercise):
        return Row(section, path, 0, most, NOT_BEGUN, "its exercise")
    return Row(section, path, score, most, said, _open(found))


def _cells(path: Path) -> list[Cell]:
    try:
        return read_cells(path.read_bytes())
    except (OSError, Unreadable):
        return []


def _open(found: Mapping[str, Any]) -> str:
    """What to correct first: an error of the answer's own, the first step that isn't complete, or a behaviour."""
    if said := found.get("slip") or found["line"]:
        return f"correct this: {str(said).partition(chr(10))[0]}"
    behaviours = found["behaviours"]
    steps = list(dict.fromkeys(one["step"] for one in behaviours if one["step"]))
    missing = {one["test"]: one for one in behaviours if not one["passed"]}
    order = [one["test"] for one in found["explanations"]] or list(missing)
    first = missing[order[0]]
    if first["step"]:
        return f"step {steps.index(first['step']) + 1} of {len(steps)} ({first['step']})"
    return f'the behaviour "{str(first["title"]).removesuffix(".")}"'


def _link(path: Path, folder: Path) -> str:
    """From a page in `folder` to a file: relative, where that is possible, so that both can be moved together."""
    try:
        return quote(Path(os.path.relpath(path.absolute(), folder)).as_posix())
    except ValueError:  # on another drive
        return path.absolute().as_uri()
