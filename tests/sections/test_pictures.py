"""The picture of every typical mistake over the intended run: readable, and its first difference said in words."""

from __future__ import annotations

import re

import pytest

from autograder.authoring.examples import wrong_answers
from autograder.authoring.worked import run_answer
from autograder.course import Section
from autograder.judging.bench import Bench, play_tests
from faultlab.pictures.difference import first_difference
from faultlab.pictures.overlay import overlay
from tests.sections.conftest import SECTIONS, notebook

INTERNAL = re.compile(r"-[0-9a-f]{8,}|\$object|#\d|(?:^| )_\w")
"""Tokens that the world draws, marks of objects, names of tasks that nobody named."""


@pytest.mark.parametrize("section", [SECTIONS[3], SECTIONS[6]], ids=lambda section: section.name)
def test_readable(section: Section) -> None:
    """No label holds anything internal, and what differs reads differently."""
    bench = Bench.at(str(section.exercise), section.folder)
    judge = bench.judge()
    intended = play_tests(bench, judge.tests, run_answer(section, notebook(section)))
    drawn = 0
    for wrong in wrong_answers(section):
        runs = play_tests(bench, judge.tests, run_answer(section, notebook(section), wrong.text))
        for behaviour in judge.judge(runs, intended):
            if behaviour.timeline is not None and behaviour.intended is not None:
                found = first_difference(behaviour.timeline, behaviour.intended)
                assert found is not None and found.own != found.intended, (wrong.path.name, behaviour.test)
                words = [found.words, *(text.text for text in overlay(behaviour.timeline, behaviour.intended).texts)]
                assert not [one for one in words if INTERNAL.search(one)], wrong.path.name
                drawn += 1
    assert drawn > 50
