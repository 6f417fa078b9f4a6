"""Points: what each behaviour is worth is what its contract says, and the course is worth what its contracts are."""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path

import pytest

from autograder.course import Section
from tests.sections.conftest import SECTIONS, judge

CONTRACTS = Path(__file__).with_name("contracts")


def contract(section: Section) -> dict[str, float]:
    return tomllib.loads((CONTRACTS / f"{section.exercise}.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name)
def test_points_are_those_of_the_contract(section: Section) -> None:
    """Each behaviour, its visible and its hidden part together; none is missing and none was invented."""
    worth: Counter[str] = Counter()
    for behaviour in judge(section):
        worth[behaviour.test] += behaviour.max_points  # type: ignore[assignment]
    assert dict(worth) == contract(section)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name)
def test_about_half_is_visible(section: Section) -> None:
    """A student sees what is asked before handing in: 35 to 75 % of the points."""
    behaviours = judge(section)
    visible = sum(behaviour.max_points for behaviour in behaviours if not behaviour.hidden)
    assert 0.35 <= visible / sum(behaviour.max_points for behaviour in behaviours) <= 0.75


def test_no_contract_is_left_over() -> None:
    """Each belongs to an exercise of the course."""
    assert {path.stem for path in CONTRACTS.glob("*.toml")} == {section.exercise for section in SECTIONS}
