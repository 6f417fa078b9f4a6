"""The class in a terminal of any width."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from autograder.grading import progress
from autograder.judging.result import Behaviour, Result
from autograder.pages.roll import Brief


@pytest.mark.parametrize("width", [60, 80, 200])
def test_points_are_always_there(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """A long message is cut, never ids, points and verdict."""
    out = io.StringIO()
    monkeypatch.setattr(progress, "out", Console(file=out, width=width))
    failed = Behaviour("a", "Something is done", False, 1, 2, message="x" * 300)
    result = Result("ada_lovelace", "02_retry", "retry", "graded", "full", 0.0, (failed,))
    progress.show_table([Brief.of(result)])
    head, row = out.getvalue().splitlines()
    assert head.split() == ["student", "section", "points", "verdict"]
    assert row.split()[:6] == ["ada_lovelace", "02_retry", "1", "/", "2", "graded"]
    assert len(row) <= width and row.rstrip().endswith("…")
