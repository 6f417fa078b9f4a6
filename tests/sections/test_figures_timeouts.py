"""The timeout notebook's numbers: those of the SRE book's example, and what its cells measure."""

from __future__ import annotations

from typing import Any

import pytest

from autograder.notebook.answer import read_cells
from autograder.notebook.cells import CodeCell
from autograder.notebook.execution import run_notebook
from tests.sections.conftest import SECTIONS, notebook

SECTION = next(section for section in SECTIONS if section.exercise == "timeouts")
WANTED = ["share_served", "threads_needed", "share_admitted", "KNEE", "waited", "patient_fetch", "hung_night"]
WANTED += ["timed_out", "stubborn", "ten_seconds", "hang", "cleanup_lanes", "VERSIONS", "ANSWERED", "false_timeouts"]


@pytest.fixture(scope="module")
def cells() -> dict[str, Any]:
    """The names that the notebook's cells define, the exercise's left out."""
    code = [cell for cell in read_cells(notebook(SECTION)) if cell.grade_id is None or "timeouts" not in cell.grade_id]
    numbered = [CodeCell(cell.source, False, number) for number, cell in enumerate(code)]
    names, errors = run_notebook(numbered, WANTED)
    assert not errors
    return names


def test_deadline_knee(cells: dict[str, Any]) -> None:
    """1,000 threads, 1,000 requests a second, 5 % stuck: 5,095 needed and 19.6 % served at 100 s, all up to 18.1 s."""
    assert cells["threads_needed"](100) == pytest.approx(5095)
    assert cells["share_served"](100) == pytest.approx(0.196, abs=0.001)
    assert cells["share_served"](20) == pytest.approx(0.911, abs=0.005)
    assert pytest.approx(18.1, abs=0.05) == cells["KNEE"]
    assert cells["share_served"](18) == 1 > cells["share_served"](18.3)


def test_simulation_agrees(cells: dict[str, Any]) -> None:
    """The simulated server turns away what the calculation says."""
    assert cells["share_admitted"](100) == pytest.approx(0.196, abs=0.03)
    assert cells["share_admitted"](5) > 0.99


def test_timeouts_that_take_longer(cells: dict[str, Any]) -> None:
    """timeout(1) is heard of at 4 s, an eaten one at 11.1 s, four attempts of 5 s at 20.7 s."""
    assert cells["hung_night"]().marks("TimeoutError")[0].at == pytest.approx(4)
    assert cells["timed_out"](cells["stubborn"])[0] == "an answer after 11.1 s"
    assert cells["waited"](cells["patient_fetch"]).duration == pytest.approx(20.7)


def test_cleanup_lanes(cells: dict[str, Any]) -> None:
    """The lecture's cleanup never runs; the others' does: to its end, for its grace, or without the caller."""
    assert not cells["ten_seconds"](cells["hang"]()).timeline.calls("cleanup")
    seen = []
    for version in cells["VERSIONS"]:
        run = cells["cleanup_lanes"](version, 4.0, True).timeline
        cleaned = [(call.outcome, round(call.end - call.start, 3)) for call in run.calls("cleanup")]
        seen.append((cleaned, run.marks("goes on")[0].at))
    assert seen == [([], 1), ([("cancelled", 1.5)], 2.5), ([("cancelled", 1)], 2), ([("ok", 4)], 2.5)]


def test_false_timeouts(cells: dict[str, Any]) -> None:
    """The 99.9th percentile as a timeout gives 0.1 % false timeouts."""
    answered = cells["ANSWERED"]
    assert cells["false_timeouts"](answered[int(0.999 * len(answered))]) == pytest.approx(0.001, abs=0.0002)
