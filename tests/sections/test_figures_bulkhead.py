"""The numbers that the bulkhead's notebook tells, from the notebook's own cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from autograder.notebook.answer import read_cells
from autograder.notebook.cells import CodeCell
from autograder.notebook.execution import run_notebook
from tests.sections.conftest import SECTIONS, notebook

SECTION = next(section for section in SECTIONS if section.name == "05_bulkhead")
WANTED = ["shop", "waiting_at", "small_shop", "hundred_requests"]


@pytest.fixture(scope="module")
def names() -> Mapping[str, Any]:
    cells = enumerate(read_cells(notebook(SECTION)))
    found, errors = run_notebook([CodeCell(cell.source, False, number) for number, cell in cells], WANTED)
    assert not errors
    return found


@pytest.mark.parametrize(("split", "low", "high"), [(False, 0.08, 0.10), (True, 1.0, 1.0)])
def test_share_of_the_fast_tenant(names, split, low, high):
    """A shared pool of 20 serves 9 % of the pages, two pools of 10 all of them."""
    pages, _ = names["shop"](30, split=split).value
    assert low <= pages <= high


def test_queue_without_end(names):
    """20 permits of 2 s and 100 requests a second: 2,700 wait after 30 s, the last one for 270 s (2 % tolerance)."""
    assert names["waiting_at"](29.995) == pytest.approx(2700, rel=0.02)
    longest = max(names["starts"][name] - at for name, at in names["arrivals"].items())
    assert longest == pytest.approx(270, rel=0.02)


def test_no_limit_at_all(names):
    """Bulkheads made inside the function that uses them limit nobody."""
    assert names["hundred_requests"]() == 100


def test_only_the_wall_saves_the_pages(names):
    """In the small shop two permits of their own serve all pages, and no queue or patience does without them."""
    small_shop = names["small_shop"]
    assert all("pages served 100%" in small_shop(own, queue=0).title for own in range(2, 8))
    titles = [small_shop(0, queue, wait / 10).title for queue in range(0, 61, 5) for wait in range(1, 31)]
    shares = [int(title.split("%")[0].removeprefix("pages served ")) for title in titles]
    assert max(shares) < 85
