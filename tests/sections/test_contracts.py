"""Points: what each behaviour is worth is what its contract says, and about half of it is visible."""

from __future__ import annotations

from collections import Counter

import pytest

from autograder.authoring.problems import contract
from autograder.course import Section
from tests.sections.conftest import SECTIONS, judge


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
