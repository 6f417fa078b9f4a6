"""Read a submission's file and find the cells that count.

The file is a stranger's. It is read into typed structures of bounded size, and only sources and grade ids of its cells
are used. A malformed cell is read as far as possible, and doesn't affect the others.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import msgspec

from autograder.notebook.cells import CodeCell, names

CELLS = 2_000
"""More cells than any notebook of a course has."""

CellType = Literal["code", "markdown", "raw"]
MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"
"""The byte order mark that some editors write first; Python treats it as an invalid character."""

Kind = Literal["solution", "grade", "plain", "markdown", "raw", "odd"]


class Unreadable(Exception):
    """The file holds no notebook; the text tells its author why."""


class _Mark(msgspec.Struct):
    grade_id: str = ""
    solution: bool = False
    grade: bool = False


class _Metadata(msgspec.Struct):
    nbgrader: _Mark | None = None


class _Cell(msgspec.Struct):
    cell_type: CellType
    source: str | list[str] = ""
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)


class _Notebook(msgspec.Struct):
    cells: list[_Cell]
    nbformat: int


@dataclass(frozen=True)
class Cell:
    """One cell that can matter: code, text with a grade id, or a malformed one."""

    number: int
    source: str
    grade_id: str
    kind: Kind
    """solution, grade or plain: code. markdown or raw: text. odd: unreadable."""
    note: str = ""
    """Why it is malformed, if it is."""

    @property
    def code(self) -> bool:
        """Whether it can be run."""
        return self.kind in ("solution", "grade", "plain")


@dataclass(frozen=True)
class Answer:
    """The cells of a submission that can matter, in order, and notes about repairs."""

    cells: list[CodeCell]
    notes: tuple[str, ...]
    lost: str = ""
    """Why no answer's cell can be run, if so."""

    @property
    def own(self) -> str:
        """The student's own text, which tells submissions apart."""
        return "\0".join(cell.source for cell in self.cells if cell.own)


_decoder = msgspec.json.Decoder(_Notebook)


def read_cells(data: bytes) -> list[Cell]:
    """The cells of a notebook file that can matter. Raises Unreadable."""
    try:
        notebook = _decoder.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        return _lenient(data, str(error))
    _refuse(notebook.nbformat, len(notebook.cells))
    found = [_cell(number, cell) for number, cell in enumerate(notebook.cells)]
    return [cell for cell in found if cell.code or cell.grade_id]


def is_answered(cells: Iterable[Cell], released: Iterable[Cell], exercise: str | None) -> bool:
    """Whether something was written into the exercise's cell since it was released; spaces and line breaks don't
    count."""
    own, stub = (
        "".join("".join(one.source for one in of if one.grade_id == exercise).split()) for of in (cells, released)
    )
    return own not in ("", stub)


def _refuse(nbformat: int, cells: int) -> None:
    if nbformat != 4:
        raise Unreadable(f"saved in notebook format {nbformat}: open it in JupyterLab, save it, submit again")
    if cells > CELLS:
        raise Unreadable(f"{cells:,} cells are more than a notebook of this course has")


def _cell(number: int, cell: _Cell) -> Cell:
    source = cell.source if isinstance(cell.source, str) else "".join(cell.source)
    mark = cell.metadata.nbgrader or _Mark()
    return Cell(number, source, mark.grade_id, _kind(mark, cell.cell_type))


def _kind(mark: _Mark, kind: CellType) -> Kind:
    if kind != "code":
        return kind
    return "solution" if mark.solution else "grade" if mark.grade else "plain"


# -- files that aren't quite notebooks


def _lenient(data: bytes, reason: str) -> list[Cell]:
    """Parse a file as a notebook. Real ones may hold NaN in outputs, which JSON lacks, and malformed cells."""
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        raise Unreadable(f"no notebook in the file: {_no_json(data, reason)[:200]}") from None
    if not isinstance(body, dict) or not isinstance(body.get("cells"), list):
        said = "it holds no list of cells"
        if isinstance(body, dict) and "worksheets" in body:
            said = "it is saved in an old notebook format: open it in JupyterLab, save it, submit again"
        raise Unreadable(f"no notebook in the file: {said}")
    try:
        _refuse(int(body.get("nbformat", "")), len(body["cells"]))
    except (TypeError, ValueError, OverflowError):
        raise Unreadable("no notebook in the file: it doesn't say which notebook format it has") from None
    found = [_odd_cell(number, cell) for number, cell in enumerate(body["cells"])]
    return [cell for cell in found if cell.code or cell.grade_id or cell.note]


def _no_json(data: bytes, reason: str) -> str:
    if not data.strip(b"\0 \n\r\t"):
        return "it is empty"
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in data[:200]:
        return "it isn't UTF-8 text"
    if b"<<<<<<<" in data and b">>>>>>>" in data:
        return "it holds the marks of an unresolved merge conflict"
    if data.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer, not the file itself"
    if b'"worksheets"' in data:
        return "it is saved in an old notebook format: open it in JupyterLab, save it, submit again"
    return reason


def _odd_cell(number: int, cell: Any) -> Cell:
    """Read whatever stands in a cell's place, as far as possible."""
    if not isinstance(cell, dict):
        return Cell(number, "", "", "odd", f"cell {number + 1} is no cell and was skipped")
    mark, strange = _odd_mark(cell)
    said = [f"cell {number + 1} has metadata that can't be read: it counts as a cell of your own"] if strange else []
    kind: CellType | Any = cell.get("cell_type")
    if kind not in ("code", "markdown", "raw"):
        if not (mark.grade_id or "outputs" in cell or "execution_count" in cell):
            return Cell(number, "", "", "odd", f"cell {number + 1} doesn't say what kind of cell it is and was skipped")
        kind = "code"
        said.append(f"cell {number + 1} doesn't say what kind of cell it is: it was read as code")
    source = cell.get("source", "")
    lines = source if isinstance(source, list) else [source]
    kept = [line for line in lines if isinstance(line, str)]
    if lines and not kept:
        if not mark.grade_id:
            return Cell(number, "", "", "odd", f"cell {number + 1} has no text and was skipped")
        said.append(f"cell {number + 1} has no text: it counts as empty")
    elif len(kept) < len(lines):
        said.append(f"cell {number + 1} has lines that are no text: they were skipped")
    return Cell(number, "".join(kept), mark.grade_id, _kind(mark, kind), "; ".join(said))


def _odd_mark(cell: dict[str, Any]) -> tuple[_Mark, bool]:
    """nbgrader's metadata of a cell, and whether something else stands in its place."""
    metadata = cell.get("metadata", {})
    mark = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    if mark is None:
        return _Mark(), not isinstance(metadata, dict)
    if not isinstance(mark, dict):
        return _Mark(), True
    name = mark.get("grade_id")
    known = _Mark(name if isinstance(name, str) else "", mark.get("solution") is True, mark.get("grade") is True)
    return known, not isinstance(name, str)


# -- what counts

_names_of_ours = lru_cache(maxsize=2048)(names)
"""Cached, because the released cells are the same for each submission of a class."""


def find_answer(submitted: list[Cell], released: list[Cell], exercise: str) -> Answer:
    """The cells of a submission that count, compared with the released ones."""
    known = {cell.source.strip() for cell in released if cell.code}
    checks = {cell.grade_id: cell for cell in released if cell.kind == "grade"}
    code = [cell for cell in submitted if cell.code]
    judging = [cell.number for cell in code if cell.kind == "grade" or cell.grade_id in checks]
    counted = [cell for cell in code if cell.kind != "grade" and cell.grade_id not in checks]
    pieces = [cell for cell in counted if cell.grade_id == exercise]
    lost = "" if pieces else _lost(submitted, exercise)
    notes = [cell.note for cell in submitted if cell.note] + _restored(code, checks)
    if len(pieces) > 1:
        notes.append(f"the cell {exercise!r} is there {_times(len(pieces))}: all of them are run, from top to bottom")
    if pieces and judging and pieces[-1].number > judging[0]:
        notes.append("the answer stands below its check: it counts, though JupyterLab runs the check first")
    if not pieces:
        notes.append(lost or f"the answer's cell {exercise!r} is gone: what your other cells define counts")
    solved = any(cell.source.strip() not in known for cell in pieces)
    # Cells below answer and check don't affect them.
    last = max([*judging, *(cell.number for cell in pieces)]) if solved else CELLS
    notes += [
        f"cell {cell.number + 1} begins with an invisible mark, which is left out"
        for cell in counted
        if cell.source.startswith(MARK)
    ]
    cells = [_counted(cell, cell.source.strip() in known, cell.grade_id == exercise, last) for cell in counted]
    return Answer(cells, tuple(notes), lost)


def _counted(cell: Cell, ours: bool, answer: bool, last: int) -> CodeCell:
    found = _names_of_ours(cell.source) if ours else None
    text = cell.source.removeprefix(MARK)
    return CodeCell(text, not ours, cell.number, answer=answer, late=cell.number > last, names=found)


def only(found: Answer) -> Answer:
    """The answer without the student's other cells, except those that it uses."""
    cells = [msgspec.structs.replace(cell, own=cell.own and bool(cell.answer)) for cell in found.cells]
    return replace(found, cells=cells)


def _lost(submitted: list[Cell], exercise: str) -> str:
    """The message if the answer's cell is there but can't be run."""
    for cell in submitted:
        if cell.grade_id == exercise and not cell.code:
            kind = "raw" if cell.kind == "raw" else "Markdown"
            return f"your answer's cell is a {kind} cell now: change it back to Code"
    return ""


def _times(count: int) -> str:
    return "twice" if count == 2 else f"{count} times"


def _restored(submitted: list[Cell], checks: dict[str, Cell]) -> list[str]:
    notes = []
    for grade_id, check in checks.items():
        found = [cell for cell in submitted if cell.grade_id == grade_id]
        if not found:
            notes.append(f"the check cell {grade_id!r} was deleted: restored")
        elif len(found) > 1:
            notes.append(f"the check cell {grade_id!r} is there {len(found)} times: counted once")
        elif found[0].source.strip() != check.source.strip():
            notes.append(f"the check cell {grade_id!r} was edited: restored")
    return notes
