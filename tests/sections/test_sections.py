"""Every section against its own right and wrong answers, visible and hidden tests alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder.authoring.examples import WrongAnswer, answers, cell_text, kinds, misfits, wrong_answers
from autograder.course import Section, file_for_check
from autograder.judging.judge import Judge
from autograder.judging.mistakes import MISTAKES_FILE, find_mistake, read_known
from faultlab.scenario import load
from tests.sections.conftest import SECTIONS, explained, failed, judge, stub


def ids(value: Section | Path) -> str:
    return value.stem if isinstance(value, Path) else value.name


def files(folder: str) -> list[tuple[Section, Path]]:
    return [(section, path) for section in SECTIONS for path in answers(section, folder)]


@pytest.mark.parametrize("section", SECTIONS, ids=ids)
def test_solution_is_full(section):
    """The worked solution shows every behaviour."""
    behaviours = judge(section)
    assert not failed(behaviours), explained(behaviours)


@pytest.mark.parametrize("section", SECTIONS, ids=ids)
def test_stub_is_nothing(section):
    """An untouched notebook earns no points at all, and is told what is missing."""
    behaviours = judge(section, stub(section))
    assert not [behaviour.test for behaviour in behaviours if behaviour.points]
    assert all(behaviour.message and behaviour.title for behaviour in behaviours if not behaviour.passed)


@pytest.mark.parametrize("section", SECTIONS, ids=ids)
def test_no_answer_is_nothing(section):
    """A cell that binds nothing earns nothing, and neither do runs that never came to be."""
    earned = [behaviour.test for behaviour in judge(section, "pass") if behaviour.points]
    held = Judge(section.tests, section.hidden)
    earned += [behaviour.test for behaviour in held.judge({}) if behaviour.points]
    held.close()
    assert earned == []


@pytest.mark.parametrize("section", SECTIONS, ids=ids)
def test_hidden_repeats_visible(section):
    """No behaviour is judged by a hidden test alone, and each has a title and a hint."""
    behaviours = judge(section)
    visible = {behaviour.test for behaviour in behaviours if not behaviour.hidden}
    assert {behaviour.test for behaviour in behaviours if behaviour.hidden} <= visible


@pytest.mark.parametrize("section", SECTIONS, ids=ids)
def test_every_change_fits(section):
    """No answer that is written as a change is about lines that the solution no longer has."""
    assert list(misfits(section)) == []


@pytest.mark.parametrize("section", SECTIONS, ids=ids)
def test_few_groups(section):
    """Each group of scenarios costs a fresh sandbox, for every submission: five at most."""
    assert len({one.group for one in load(section.scenarios).values()}) <= 5


@pytest.mark.parametrize(("section", "path"), files("right"), ids=ids)
def test_right_is_full(section, path, record_property):
    """Another right answer gets full marks."""
    behaviours = judge(section, cell_text(section, path))
    record_property("answer", (section.name, "right", path.stem, failed(behaviours)))
    lost = [behaviour for behaviour in behaviours if behaviour.points < behaviour.max_points]
    assert not lost, explained(lost)


@pytest.mark.parametrize(("section", "path"), files("wrong"), ids=ids)
def test_wrong_is_told(section, path, record_property):
    """A typical mistake loses the behaviours that it names, and points, unless these are worth nothing; the student
    hears its first line, or a sibling's, or nothing: how often which, `build --check` counts."""
    wrong = WrongAnswer(section, path)
    headline, expected = wrong.headline, wrong.fails
    assert headline and expected, "two lines: # headline, # fails: ids"
    behaviours = judge(section, wrong.text)
    record_property("answer", (section.name, "mistake", path.stem, failed(behaviours)))
    found = find_mistake(behaviours, read_known(file_for_check(section.released, MISTAKES_FILE)))
    kind = dict(zip(answers(section, "wrong"), kinds(wrong_answers(section)), strict=True))[path]
    assert found is None or found.kind == kind, f"the student hears: {found.headline}"
    unknown = expected - {behaviour.test for behaviour in behaviours}
    assert not unknown, f"no behaviour is called {', '.join(sorted(unknown))}"
    assert expected <= set(failed(behaviours)), explained(behaviours)
    worth = sum(behaviour.max_points for behaviour in behaviours if behaviour.test in expected)
    lost = sum(behaviour.max_points - behaviour.points for behaviour in behaviours)
    assert lost > 0 if worth else lost == 0
