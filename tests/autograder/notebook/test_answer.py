"""A submission's file -> the cells that count, or a line that says why there are none."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from autograder.notebook.answer import CELLS, Answer, Unreadable, find_answer, read_cells


def code(source: Any, grade_id: str = "", **marks: bool) -> dict:
    mark = {"nbgrader": {"grade_id": grade_id, **marks}} if grade_id else {}
    return {"cell_type": "code", "source": source, "metadata": mark, "outputs": []}


SCORE = code('check("retry")', "retry_score", grade=True)
STUB = code("...", "retry", solution=True)
LECTURE = code("x = 1")


def file(*cells: dict, **more: Any) -> bytes:
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(cells), **more}).encode()


def found(*cells: dict) -> Answer:
    return find_answer(read_cells(file(*cells)), read_cells(file(LECTURE, STUB, SCORE)), "retry")


GOOD = file(LECTURE, STUB, SCORE)
BROKEN = {
    "empty": (b"", "empty"),
    "zeros": (b"\0" * 500, "empty"),
    "syntax": (GOOD[:-5], "no notebook"),
    "NUL": (b"{\0" + GOOD, "UTF-8"),
    "UTF-16": (GOOD.decode().encode("utf-16")[:301], "UTF-8"),
    "merge conflict": (b"<<<<<<< mine\n" + GOOD + b"\n=======\n>>>>>>> theirs", "merge conflict"),
    "LFS pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "LFS pointer"),
    "100,000 deep": (b'{"cells": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "no notebook"),
    "a list": (b"[]", "no notebook"),
    "cells of another kind": (b'{"cells": 7, "nbformat": 4}', "no notebook"),
    "nbformat 3": (b'{"nbformat": 3, "worksheets": [{"cells": []}]}', "old notebook format"),
    "nbformat 5": (file(nbformat=5), "format 5"),
    "too many cells": (file(*[code("")] * (CELLS + 1)), "cells"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files(case):
    """Each is told in one short line."""
    data, said = BROKEN[case]
    with pytest.raises(Unreadable, match=said) as raised:
        read_cells(data)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 300


def test_real_notebooks():
    """Lines or one text, NaN in an output, cells of other kinds, numbers counted over all of them."""
    cells = read_cells(
        file({"cell_type": "markdown", "source": "# Hi", "metadata": {}}, code(["x = 1\n", "y = 2"]), SCORE)
    )
    assert [(cell.number, cell.source, cell.kind) for cell in cells] == [
        (1, "x = 1\ny = 2", "plain"),
        (2, 'check("retry")', "grade"),
    ]
    assert read_cells(GOOD.replace(b'"outputs": []', b'"outputs": [{"data": NaN}]')) == read_cells(GOOD)


def test_what_is_the_student_s_own():
    """Cells that differ from every released one; checks are never run."""
    solved = code("def retry(): pass", "retry", solution=True)
    seen = found(LECTURE, code("y = 2"), solved, SCORE)
    assert [(cell.source, cell.own) for cell in seen.cells] == [
        ("x = 1", False),
        ("y = 2", True),
        ("def retry(): pass", True),
    ]
    assert seen.notes == () and seen.own == "y = 2\0def retry(): pass"


@pytest.mark.parametrize(
    ("cells", "note"),
    [
        ([STUB], "deleted"),
        ([STUB, SCORE, SCORE], "2 times: counted once"),
        ([STUB, code("7.5", "retry_score", grade=True)], "edited"),
        ([STUB, STUB, SCORE], "twice: all of them are run"),
        ([SCORE], "gone: what your other cells define counts"),
    ],
    ids=["deleted", "doubled", "edited", "two answers", "no answer"],
)
def test_notes(cells, note):
    """What was put right is said."""
    assert [note in text for text in found(*cells).notes] == [True]


def test_a_check_that_says_it_is_none():
    """A cell with a check's name isn't run, whatever else it claims."""
    assert found(STUB, code("import os", "retry_score", solution=True)).cells[-1].source == "..."


def cells_of(*cells: Any) -> list[tuple[str, str]]:
    """The text and the kind of each cell that can matter, of cells that needn't be any."""
    return [(cell.source, cell.kind) for cell in read_cells(file(*cells))]


ODD: dict[str, tuple[Any, tuple[str, str], str]] = {
    "no text": (code(None), ("", "odd"), "cell 1 has no text and was skipped"),
    "a number": (code(7), ("", "odd"), "cell 1 has no text and was skipped"),
    "a dictionary": (code({"x": 1}), ("", "odd"), "cell 1 has no text and was skipped"),
    "lines that are none": (code(["x = 1\n", None, 2]), ("x = 1\n", "plain"), "cell 1 has lines that are no text"),
    "a marked cell without text": (code(None, "retry", solution=True), ("", "solution"), "it counts as empty"),
    "no metadata": (code("x = 1") | {"metadata": None}, ("x = 1", "plain"), "metadata that can't be read"),
    "a list as metadata": (code("x = 1") | {"metadata": []}, ("x = 1", "plain"), "metadata that can't be read"),
    "a list as a mark": (code("x = 1") | {"metadata": {"nbgrader": [1]}}, ("x = 1", "plain"), "metadata"),
    "no grade id": (code("x = 1") | {"metadata": {"nbgrader": {"grade_id": None}}}, ("x = 1", "plain"), "metadata"),
    "no kind": ({"source": "x = 1", "metadata": {}, "outputs": []}, ("x = 1", "plain"), "it was read as code"),
    "no kind, and nothing of code": ({"source": "# x", "metadata": {}}, ("", "odd"), "doesn't say what kind"),
    "another kind": ({"cell_type": "heading", "source": "x", "metadata": {}}, ("", "odd"), "doesn't say what kind"),
    "a list as a kind": ({"cell_type": [], "source": "x", "metadata": {}}, ("", "odd"), "doesn't say what kind"),
    "no cell": (None, ("", "odd"), "cell 1 is no cell and was skipped"),
    "a list of cells": ([LECTURE], ("", "odd"), "cell 1 is no cell and was skipped"),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_cells(case):
    """What can be read of one is read, the rest is said in plain words, and the others are as they were."""
    cell, seen, said = ODD[case]
    assert cells_of(cell, STUB, SCORE)[0] == seen
    assert cells_of(cell, STUB, SCORE)[-2:] == [("...", "solution"), ('check("retry")', "grade")]
    notes = [note for note in found(cell, STUB, SCORE).notes if note.startswith("cell 1 ")]
    assert len(notes) == 1 and said in notes[0]


@pytest.mark.parametrize(
    ("nbformat", "more"), [(4, {"nbformat_minor": "many"}), (4.0, {}), ("4", {}), (4, {"metadata": None})]
)
def test_odd_words_about_the_file(nbformat, more):
    """The format is what matters of them."""
    assert read_cells(file(STUB, SCORE, nbformat=nbformat, **more)) == read_cells(file(STUB, SCORE))


@pytest.mark.parametrize("nbformat", [None, [], "four", float("inf"), {}])
def test_no_format(nbformat):
    """A file that doesn't say its format is told so."""
    with pytest.raises(Unreadable, match="which notebook format"):
        read_cells(file(STUB, nbformat=nbformat))


def test_a_byte_order_mark():
    """Before the file, or in a cell, where it is left out and said."""
    assert read_cells(b"\xef\xbb\xbf" + GOOD) == read_cells(GOOD)
    seen = found(code("\ufeffx = 2"), STUB, SCORE)
    assert seen.cells[0].source == "x = 2" and "invisible mark" in seen.notes[0]


SOLVED = code("def retry(): pass", "retry", solution=True)


@pytest.mark.parametrize(
    ("kind", "said"), [("markdown", "a Markdown cell now: change it back"), ("raw", "a raw cell now: change it back")]
)
def test_an_answer_that_is_text(kind, said):
    """It is said, and kept for the behaviours; where another piece is code there is nothing to say."""
    text = {"cell_type": kind, "source": "def retry(): pass", "metadata": SOLVED["metadata"]}
    seen = found(text, SCORE)
    assert said in seen.lost and seen.notes == (seen.lost,)
    assert found(text, SOLVED, SCORE).lost == ""


def test_pieces_and_what_stands_below():
    """Every piece is one; what stands below the last of answer and check is late, once there is an answer."""

    def seen(*cells: dict) -> list[tuple[bool, bool]]:
        return [(bool(cell.answer), cell.late) for cell in found(*cells).cells]

    other = code("y = 1")
    assert seen(other, SOLVED, SOLVED, other, SCORE, other) == [
        (False, False), (True, False), (True, False), (False, False), (False, True),
    ]  # fmt: skip
    assert seen(SCORE, other, SOLVED, other) == [(False, False), (True, False), (False, True)]
    assert seen(STUB, SCORE, other) == [(True, False), (False, False)]
    assert "below its check" in found(SCORE, SOLVED).notes[0]


def test_reading_takes_as_long_as_the_file():
    """As many cells as there may be, all marked, are no attack."""
    began = time.process_time()
    found(*[SOLVED] * (CELLS // 2), *[SCORE] * (CELLS // 2))
    assert time.process_time() - began < 2
