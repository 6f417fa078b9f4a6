"""A submission's file -> the cells that count.

The file is a stranger's: it is read into typed structures of bounded size, and nothing but sources and grade ids of
its cells is ever looked at.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from autograder.cells import names

CELLS = 2_000
"""More cells than any notebook of a course has."""


class Unreadable(Exception):
    """There is no notebook in the file; the text says why, for its author."""


class _Mark(msgspec.Struct):
    grade_id: str = ""
    solution: bool = False
    grade: bool = False


class _Metadata(msgspec.Struct):
    nbgrader: _Mark | None = None


class _Cell(msgspec.Struct):
    cell_type: str
    source: str | list[str] = ""
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)


class _Notebook(msgspec.Struct):
    cells: list[_Cell]
    nbformat: int


@dataclass(frozen=True)
class Cell:
    """One code cell."""

    number: int
    source: str
    grade_id: str
    kind: str
    """solution, grade or plain."""


@dataclass(frozen=True)
class Answer:
    """The cells of a submission that can matter, in order, and what was put right."""

    cells: list[dict[str, Any]]
    notes: tuple[str, ...]

    @property
    def own(self) -> str:
        """The student's own text, to tell one submission from another."""
        return "\0".join(cell["source"] for cell in self.cells if cell["own"])


_decoder = msgspec.json.Decoder(_Notebook)


def read(data: bytes) -> list[Cell]:
    """The code cells of a notebook file. Raises Unreadable."""
    try:
        notebook = _decoder.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        notebook = _lenient(data, str(error))
    if notebook.nbformat != 4:
        raise Unreadable(f"saved in notebook format {notebook.nbformat}: open it in JupyterLab, save it, submit again")
    if len(notebook.cells) > CELLS:
        raise Unreadable(f"{len(notebook.cells):,} cells are more than a notebook of this course has")
    return [_cell(number, cell) for number, cell in enumerate(notebook.cells) if cell.cell_type == "code"]


def _lenient(data: bytes, reason: str) -> _Notebook:
    """Real notebooks may hold NaN in their outputs, which JSON hasn't got."""
    try:
        body = json.loads(data)
        return msgspec.convert(body, _Notebook, strict=False)
    except (ValueError, RecursionError):
        pass
    except msgspec.MsgspecError as error:
        reason = str(error)
    if not data.strip(b"\0 \n\r\t"):
        reason = "it is empty"
    elif data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in data[:200]:
        reason = "it isn't UTF-8 text"
    elif b"<<<<<<<" in data and b">>>>>>>" in data:
        reason = "it holds the marks of an unresolved merge conflict"
    elif data.startswith(b"version https://git-lfs"):
        reason = "it is a Git LFS pointer, not the file itself"
    elif b'"worksheets"' in data:
        reason = "it is saved in an old notebook format: open it in JupyterLab, save it, submit again"
    raise Unreadable(f"no notebook in the file: {reason[:200]}")


def _cell(number: int, cell: _Cell) -> Cell:
    source = cell.source if isinstance(cell.source, str) else "".join(cell.source)
    mark = cell.metadata.nbgrader
    kind = "plain" if mark is None else "solution" if mark.solution else "grade" if mark.grade else "plain"
    return Cell(number, source, mark.grade_id if mark else "", kind)


_names_of_ours = lru_cache(maxsize=2048)(names)
"""The released cells are the same in each submission of a class."""


def answer(submitted: list[Cell], released: list[Cell], exercise: str) -> Answer:
    """The cells of a submission that count, next to what was released."""
    known = {cell.source.strip(): cell for cell in released}
    checks = {cell.grade_id: cell for cell in released if cell.kind == "grade"}
    notes = _restored(submitted, checks)
    seen: set[str] = set()
    cells: list[dict[str, Any]] = []
    for cell in submitted:
        if cell.kind == "grade" or cell.grade_id in checks:
            continue
        if cell.grade_id == exercise:
            if exercise in seen:
                notes.append(f"the cell {exercise!r} is there twice: the first one counts")
                continue
            seen.add(exercise)
        ours = cell.source.strip() in known
        one: dict[str, Any] = {"source": cell.source, "own": not ours, "number": cell.number}
        if ours:
            found = _names_of_ours(cell.source)
            one["defines"], one["uses"] = found.defines, found.uses
        cells.append(one)
    if exercise not in seen:
        notes.append(f"the answer's cell {exercise!r} is gone: it counts as empty")
    return Answer(cells, tuple(notes))


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
