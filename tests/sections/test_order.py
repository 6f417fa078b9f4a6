"""Scenarios don't lean on each other: for right answers it makes no difference which was played before."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from autograder.authoring import answered
from autograder.check import seed_of
from autograder.course import Section
from autograder.judge import Judge
from faultlab.scenario import Played, load, play
from faultlab.timeline import Timeline
from tests.sections.conftest import SECTIONS, notebook

GROUPS = 5
"""A section's scenarios share so many processes at most: each costs a fresh sandbox, for every submission."""
RIGHT = [(section, path) for section in SECTIONS for path in (None, *sorted((section.folder / "right").glob("*.py")))]


def marked(section: Section, path: Path | None) -> Any:
    name = f"{section.name}-{path.stem if path else 'solution'}"
    return pytest.param(section, path, id=name, marks=[pytest.mark.heavy] if path else [])


@pytest.mark.parametrize(("section", "path"), [marked(*one) for one in RIGHT])
def test_alone_in_order_and_reversed(section: Section, path: Path | None) -> None:
    """Full marks, and the same advice, each time: in one process with all the others or in one of its own."""
    scenarios, text = load(section.scenarios), path.read_text(encoding="utf-8") if path else None
    judge = Judge(section.tests, section.hidden)
    wanted = judge.scenarios

    def played(some: Iterable[Played]) -> dict[Played, Timeline]:
        namespace = answered(section, notebook(section), text)
        return {one: play(scenarios[one.name], one.options, namespace, seed=seed_of(one)) for one in some}

    alone = {one: timeline for only in wanted for one, timeline in played([only]).items()}
    orders = [played(wanted), played(reversed(wanted)), alone]
    results = [[(one.test, one.passed, one.points == one.max_points) for one in judge.judge(each)] for each in orders]
    assert all(full for _, _, full in results[0])
    assert results == [results[0]] * 3
    judge.close()


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name)
def test_few_groups(section: Section) -> None:
    """In each a fresh process."""
    assert len({one.group for one in load(section.scenarios).values()}) <= GROUPS
