"""What a world draws changes no verdict: right answers and typical mistakes under other seeds than the notebook's."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder.authoring.examples import WrongAnswer, cell_text
from autograder.authoring.worked import run_answer
from autograder.course import Section
from autograder.judging.bench import Bench, play_tests
from autograder.judging.result import Behaviour
from tests.sections.conftest import SECTIONS, explained, failed, notebook
from tests.sections.test_sections import files, ids

FEW, MANY = range(1, 3), range(3, 33)
"""Numbers of seeds; 0 is the notebook's own."""


def judge_under(section: Section, path: Path | None, number: int) -> list[Behaviour]:
    """Visible and hidden behaviours of an answer (None: the solution) under the seeds of this number."""
    bench = Bench.at(str(section.exercise), section.folder)
    judge = bench.judge(hidden=True)
    names = run_answer(section, notebook(section), None if path is None else cell_text(section, path))
    return judge.judge(play_tests(bench, judge.tests, names, number))


def lost(section: Section, path: Path | None, number: int) -> list[Behaviour]:
    return [one for one in judge_under(section, path, number) if one.points < one.max_points]


@pytest.mark.parametrize("section", SECTIONS, ids=ids)
def test_solution_is_full_whatever_is_drawn(section: Section) -> None:
    """The worked solution shows every behaviour under other seeds too."""
    for number in FEW:
        assert not lost(section, None, number), f"seed {number}: {explained(lost(section, None, number))}"


@pytest.mark.parametrize(("section", "path"), files("right"), ids=ids)
def test_right_is_full_whatever_is_drawn(section: Section, path: Path) -> None:
    """Another right answer gets full marks under other seeds too."""
    for number in FEW:
        assert not lost(section, path, number), f"seed {number}: {explained(lost(section, path, number))}"


@pytest.mark.heavy
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("section", "path"), files("right"), ids=ids)
def test_right_is_full_under_many_seeds(section: Section, path: Path) -> None:
    """Thirty seeds, every right answer: no scenario has a tie, nothing is compared at its boundary."""
    for number in MANY:
        assert not lost(section, path, number), f"seed {number}: {explained(lost(section, path, number))}"


@pytest.mark.heavy
@pytest.mark.parametrize(("section", "path"), files("wrong"), ids=ids)
def test_wrong_is_caught_whatever_is_drawn(section: Section, path: Path) -> None:
    """A typical mistake loses the behaviours that it names under other seeds too."""
    expected = WrongAnswer(section, path).fails
    for number in FEW:
        behaviours = judge_under(section, path, number)
        assert expected <= set(failed(behaviours)), f"seed {number}: {explained(behaviours)}"
