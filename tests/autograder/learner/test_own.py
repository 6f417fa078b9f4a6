"""A learner's own answers in another notebook: taken when they pass, else a line that says why not."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from autograder.course import Course
from autograder.learner.own import own_answer

SECTION = "90_sample"


@pytest.fixture
def last(tmp_path: Path, pristine: Course) -> Path:
    """The folder of a last notebook, beside the learner's copy of the sample."""
    shutil.copytree(pristine.notebooks / SECTION, tmp_path / SECTION)
    (tmp_path / "99_last").mkdir()
    return tmp_path / "99_last"


def test_a_passing_answer_is_taken(last: Path, pristine: Course) -> None:
    """Its names are those of the learner's notebook."""
    shutil.copy(pristine.source / SECTION / "sample.ipynb", last.parent / SECTION)
    own = own_answer("sample", last)
    assert own.names is not None
    assert own.names["add"](2, 3) == 5
    assert own.line == "sample: yours"


def test_a_notebooks_loop_is_in_nobodys_way(last: Path, pristine: Course) -> None:
    """A cell asks from within a running loop, which goes on afterwards."""
    shutil.copy(pristine.source / SECTION / "sample.ipynb", last.parent / SECTION)

    async def cell() -> str:
        line = own_answer("sample", last).line
        await asyncio.sleep(0)
        return line

    assert asyncio.run(cell()) == "sample: yours"


def test_an_unfinished_one_is_not(last: Path) -> None:
    """The line says how far it is."""
    own = own_answer("sample", last)
    assert own.names is None
    assert "0 of 2.5 visible points so far" in own.line


def test_a_missing_notebook_is_no_mistake(last: Path) -> None:
    """After a skipped section the worked answer stands in."""
    own = own_answer("elsewhere", last)
    assert own.names is None
    assert own.line == "elsewhere: no notebook of yours here, so the worked answer"
