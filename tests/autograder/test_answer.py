"""A submission's file -> the cells that count, or a line that says why there are none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from autograder.answer import CELLS, Answer, Unreadable, answer, read


def code(source: Any, grade_id: str = "", **marks: bool) -> dict:
    mark = {"nbgrader": {"grade_id": grade_id, **marks}} if grade_id else {}
    return {"cell_type": "code", "source": source, "metadata": mark, "outputs": []}


SCORE = code('check("retry")', "retry_score", grade=True)
STUB = code("...", "retry", solution=True)
LECTURE = code("x = 1")


def file(*cells: dict, **more: Any) -> bytes:
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(cells), **more}).encode()


def found(*cells: dict) -> Answer:
    return answer(read(file(*cells)), read(file(LECTURE, STUB, SCORE)), "retry")


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
        read(data)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 300


def test_real_notebooks():
    """Lines or one text, NaN in an output, cells of other kinds, numbers counted over all of them."""
    cells = read(file({"cell_type": "markdown", "source": "# Hi", "metadata": {}}, code(["x = 1\n", "y = 2"]), SCORE))
    assert [(cell.number, cell.source, cell.kind) for cell in cells] == [
        (1, "x = 1\ny = 2", "plain"),
        (2, 'check("retry")', "grade"),
    ]
    assert read(GOOD.replace(b'"outputs": []', b'"outputs": [{"data": NaN}]')) == read(GOOD)


def test_what_is_the_student_s_own():
    """Cells that differ from every released one; checks are never run."""
    solved = code("def retry(): pass", "retry", solution=True)
    seen = found(LECTURE, code("y = 2"), solved, SCORE)
    assert [(cell["source"], cell["own"]) for cell in seen.cells] == [
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
    assert found(STUB, code("import os", "retry_score", solution=True)).cells[-1]["source"] == "..."
