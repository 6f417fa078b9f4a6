"""Who knows everything and does nothing: transcripts told again, in every exercise of the course."""

from __future__ import annotations

from functools import cache

import pytest

from autograder.course import Section
from tests.attacks.replay import SCRIPTS, Class
from tests.sections.conftest import SECTIONS

CEILINGS = {
    ("01_errors", "fabricates"): 0.5,
    ("01_errors", "fabricates at once"): 0.5,
    ("01_errors", "replays"): 1.0,
    ("02_retry", "replays"): 5.5,
    ("03_circuit_breaker", "replays"): 8.0,
    ("04_timeouts", "replays"): 2.5,
    ("08_logging", "fabricates"): 0.5,
    ("08_logging", "fabricates at once"): 0.5,
    ("09_service", "replays"): 0.5,
}
"""Hidden points that a transcript told again may earn, none where nothing stands here. A behaviour that rests on the
calls' instants alone is shown by whoever knows its hidden parameters and calls at those instants; one that rests on
what the world drew, or on which call's error came out, isn't. The lower the better: never raise one."""


@cache
def lesson(section: Section) -> Class:
    return Class(section)


@pytest.mark.heavy
@pytest.mark.xdist_group("replays")
@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name)
def test_a_transcript_told_again(section: Section, script: str, record_property) -> None:
    """It earns no hidden point that isn't declared."""
    hidden = [one for one in lesson(section).judged(SCRIPTS[script]) if one.hidden]
    earned = sum(one.points for one in hidden)
    more = max(0.0, earned - CEILINGS.get((section.name, script), 0.0))
    record_property("attack", (more, 0))
    assert not more, f"{earned} hidden points for {[one.test for one in hidden if one.points]}"


@pytest.mark.heavy
@pytest.mark.xdist_group("replays")
@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name)
def test_the_transcript_itself_is_right(section: Section) -> None:
    """Otherwise its replay would prove nothing: as it was played it gets full marks."""
    known = lesson(section)
    assert all(one.passed for one in known.judge.judge(known.transcripts))
