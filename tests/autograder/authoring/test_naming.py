"""How surely mistakes are named is counted and held to bounds."""

from __future__ import annotations

from collections import Counter

import pytest

from autograder.authoring import build
from autograder.authoring.naming import misnamed
from autograder.authoring.rules import RULES
from autograder.course import Course

SECTION = "90_sample"


def write_twin(course: Course, third_line: str = "") -> None:
    """The sample's only mistake once more, under another headline."""
    wrong = course.section(SECTION).folder / "wrong"
    twin = (wrong / "minus.py").read_text().replace("# Subtracts.", "# Takes away.")
    (wrong / "twin.py").write_text(twin.replace("# fails: small\n", f"# fails: small\n{third_line}"))


def checked(course: Course) -> tuple[list[str], list[str]]:
    """The problems of a course after a build, and what the check tells."""
    told: list[str] = []
    assert build.build(course, rules=RULES) == []
    return build.build(course, check=True, rules=RULES, tell=told.append), told


def test_mistakes_that_are_seen_alike_break_the_bounds(course: Course) -> None:
    """Neither can be named, and each gets the other's name when it is left out."""
    write_twin(course)
    problems, told = checked(course)
    counts = "of 2 mistakes named 0 rightly, 0 falsely, 2 not at all; each left out: 2 falsely"
    assert f"{SECTION}: {counts}" in told and f"all sections: {counts}" in told
    assert f"{SECTION}: seen alike: minus as twin, twin as minus" in told
    assert [problem.partition(",")[0] for problem in problems] == [
        "only 0.0 % of the known mistakes are named",
        "100.0 % of the mistakes are named falsely when they are left out",
    ]


def test_siblings_are_one_kind_and_told(course: Course) -> None:
    """Either name is right, with the other one left out too."""
    write_twin(course, "# sibling: minus\n")
    problems, told = checked(course)
    assert problems == []
    counts = "of 2 mistakes named 2 rightly, 0 falsely, 0 not at all; each left out: 0 falsely"
    assert f"{SECTION}: {counts}" in told and f"{SECTION}: siblings: twin = minus" in told


@pytest.mark.parametrize("sibling", ["plus", "twin"])
def test_a_sibling_is_another_file(course: Course, sibling: str) -> None:
    """Otherwise the author is told which it isn't."""
    write_twin(course, f"# sibling: {sibling}\n")
    found = build.build(course, [SECTION], rules=RULES)
    said = f"no other mistake is called {sibling}; correct its third line"
    assert f"solutions/{SECTION}/wrong/twin.py: {said}" in found


def test_false_names_break_a_bound_of_their_own() -> None:
    """Above two in a hundred."""
    assert misnamed(Counter(many=100, right=98, false=2), lambda _: None) == []
    (problem,) = misnamed(Counter(many=100, right=97, false=3), lambda _: None)
    assert problem.startswith("3.0 % of the known mistakes are named falsely, 2 % at most may be")
