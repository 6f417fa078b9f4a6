"""Make the graded copy of a submission, which people can open safely: it runs nothing and fetches nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import nbformat
from nbformat import NotebookNode

from autograder.judging.result import Result
from autograder.pages.feedback import part_html

CopyCell = dict[str, Any]
MAX_CELLS = 1000
"""How many cells a graded copy keeps; marked cells are always kept."""
# control characters, except tab and newline, which a terminal or a browser would interpret
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_WEB_LINK = re.compile(r"(?<!!)\[[^\[\]<>&\\`$!]*\]\(https?://[\w./%?=:@+,;~#&-]*\)")
# whatever could begin HTML, a link, an image, an entity or a formula
_ACTIVE = re.compile(r"<(?![\s=\d])|[\[\]&\\$]|:\s*//|www\.", re.IGNORECASE)


def sanitise(notebook: Mapping[str, Any] | None, source: NotebookNode) -> NotebookNode:
    """A submission as people may open it, for `source` as `release.graded_notebook` gives it.

    Kept: text and code. Taken from the source: metadata, the graded cells, missing cells (a solution cell comes back
    empty). Dropped: outputs, attachments, duplicate cells. Markdown that isn't the course's own becomes inert.
    """
    return as_node(sanitised(notebook, known_cells(source)))


def with_result(notebook: NotebookNode, result: Result) -> NotebookNode:
    """The notebook with each part's score and feedback as the output of its graded cell."""
    add_outputs(notebook, result)
    return notebook


def load_copy(data: bytes) -> dict[str, Any] | None:
    """The notebook in these bytes as plain data; None if there is none."""
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict) or not isinstance(body.get("cells", body.get("worksheets")), list):
        return None
    return body


@dataclass(frozen=True, slots=True)
class _Known:
    """The course's own cells of a notebook: the marked ones by name, the others by kind and text."""

    marked: dict[str, CopyCell]
    others: dict[tuple[str, str], CopyCell]
    head: dict[str, Any]


def known_cells(source: NotebookNode) -> _Known:
    """The course's own cells of a notebook, read once for a whole class."""
    body = json.loads(nbformat.writes(source, version=4))
    for cell in body["cells"]:
        cell["source"] = "".join(cell["source"])
    marked = {name: cell for cell in body["cells"] if (name := _grade_id(cell))}
    others = {(cell["cell_type"], cell["source"]): cell for cell in body["cells"] if not _grade_id(cell)}
    return _Known(marked, others, {key: value for key, value in body.items() if key != "cells"})


def sanitised(notebook: Mapping[str, Any] | None, known: _Known) -> dict[str, Any]:
    """Like `sanitise`, on plain data."""
    found = [_kept(cell, known) for cell in _last_of_each(_read_cells(notebook))]
    cells = [cell for number, cell in enumerate(found) if number < MAX_CELLS or _grade_id(cell)]
    for name, cell in known.marked.items():
        if all(_grade_id(other) != name for other in cells):
            cells.insert(_place(name, list(known.marked), cells), _restored(cell))
    ids = [_grade_id(cell) or f"cell-{number}" for number, cell in enumerate(cells)]
    return {**known.head, "cells": [cell | {"id": name} for cell, name in zip(cells, ids, strict=True)]}


def add_outputs(notebook: dict[str, Any], result: Result) -> None:
    """Give each graded cell the score and the feedback of its part as its output."""
    for cell in notebook["cells"]:
        if marks_of(cell).get("grade"):
            cell["outputs"] = [as_node(_output(cell, result))]


def _output(cell: CopyCell, result: Result) -> dict[str, Any]:
    hidden = marks_of(cell)["grade_id"].endswith("_hidden")
    score = sum(behaviour.points for behaviour in result.part(hidden=hidden))
    score = min(max(score, 0.0), float(marks_of(cell)["points"]))
    data = {"text/plain": f"{score:g}", "text/html": part_html(result, hidden=hidden)}
    return {"output_type": "execute_result", "data": data, "metadata": {}, "execution_count": None}


def _read_cells(notebook: Mapping[str, Any] | None) -> list[CopyCell]:
    """Read the cells of a notebook of any shape: kind, text and grade_id, nothing else."""
    body = notebook or {}
    sheets = body.get("worksheets") if "cells" not in body else [body]  # nbformat 3 had sheets
    found = [sheet.get("cells") for sheet in sheets if isinstance(sheet, dict)] if isinstance(sheets, list) else []
    cells = chain.from_iterable(part for part in found if isinstance(part, list))
    return [_read_cell(cell) for cell in cells if isinstance(cell, dict)]


def _read_cell(cell: CopyCell) -> CopyCell:
    source = cell.get("source", cell.get("input", ""))
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    text = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", source) if isinstance(source, str) else ""
    kind = cell.get("cell_type") if cell.get("cell_type") in ("code", "markdown") else "raw"
    metadata = cell.get("metadata")
    marks = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    name = marks.get("grade_id") if isinstance(marks, dict) else None
    kept = {"nbgrader": {"grade_id": name}} if isinstance(name, str) else {}
    return {"cell_type": kind, "source": text, "metadata": kept}


def _last_of_each(cells: list[CopyCell]) -> Iterator[CopyCell]:
    """Of cells that share a grade_id the last one keeps it, as in nbgrader: the last with code, if there is one. The
    other pieces of a solution, which were run too, stay as plain cells."""
    last = {_grade_id(cell): cell for cell in sorted(cells, key=lambda cell: bool(cell["cell_type"] == "code"))}
    for cell in cells:
        name = _grade_id(cell)
        if name is None or last[name] is cell:
            yield cell
        elif not name.endswith(("_score", "_hidden")):
            yield cell | {"metadata": {}}


def _kept(cell: CopyCell, known: _Known) -> CopyCell:
    ours = known.marked.get(_grade_id(cell) or "")
    if ours is not None:
        return _fresh(ours, cell["source"] if marks_of(ours).get("solution") else ours["source"])
    ours = known.others.get((cell["cell_type"], cell["source"]))
    if ours is not None:
        return _fresh(ours, ours["source"])
    if cell["cell_type"] == "code":
        return _fresh({"cell_type": "code", "metadata": {}}, cell["source"])
    text = _inert(cell["source"], plain=cell["cell_type"] == "markdown")
    return _fresh({"cell_type": "markdown", "metadata": {}}, text)


def _restored(cell: CopyCell) -> CopyCell:
    return _fresh(cell, "" if marks_of(cell).get("solution") else cell["source"])


def _fresh(cell: CopyCell, source: str) -> CopyCell:
    outputs: CopyCell = {"outputs": [], "execution_count": None} if cell["cell_type"] == "code" else {}
    return {"cell_type": cell["cell_type"], "source": source, "metadata": cell["metadata"], **outputs}


def _place(name: str, order: list[str], cells: list[dict[str, Any]]) -> int:
    """The place of a missing cell: after the marked cell before it, otherwise before the one after it, otherwise at the
    end."""
    places = {_grade_id(cell): number for number, cell in enumerate(cells)}
    before = [places[other] + 1 for other in order[: order.index(name)] if other in places]
    after = [places[other] for other in order[order.index(name) :] if other in places]
    return before[-1] if before else after[0] if after else len(cells)


def _inert(text: str, *, plain: bool) -> str:
    """Make Markdown inert: plain prose and web links stay, anything else is shown as typed.

    Renderers differ in what counts as HTML, a link or a formula, and formgrader adds MathJax, which has its own links.
    A block of code is the same in all of them.
    """
    if plain and not _ACTIVE.search(_WEB_LINK.sub("", text)):
        return text
    longest = max((len(ticks) for ticks in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def marks_of(cell: CopyCell) -> dict[str, Any]:
    """nbgrader's metadata of a cell; empty for a plain one."""
    return cell["metadata"].get("nbgrader") or {}


def _grade_id(cell: CopyCell) -> str | None:
    return marks_of(cell).get("grade_id") or None


def as_node(value: dict[str, Any]) -> NotebookNode:
    """Plain data as nbformat's classes."""
    node: NotebookNode = nbformat.from_dict(value)
    return node
