"""An answer that behaves like a typical mistake hears that mistake's headline."""

from __future__ import annotations

from pathlib import Path

from autograder.judging import mistakes
from autograder.judging.mistakes import Mistake, headlines, losses
from autograder.judging.result import Behaviour


def seen(test: str, message: str = "", *, hidden: bool = False) -> Behaviour:
    return Behaviour(test, test, not message, 0.0 if message else 1.0, 1.0, message, hidden=hidden)


LATE = Mistake("Sleeps too long", losses([seen("pause", "slept 0.4 s after the last of 3 attempts")]))
NEVER = Mistake("Never tries again", losses([seen("calls", "op was called 1 time"), seen("pause", "no pause")]))
KNOWN = [LATE, NEVER]


def test_numbers_and_names_drawn_by_the_world_do_not_matter() -> None:
    """Other seeds, other numbers: the same mistake."""
    assert headlines([seen("pause", "slept 1.25 s after the last of 7 attempts")], KNOWN) == ["Sleeps too long"]
    one, other = (losses([seen("value", f"returned 'op-{token}'")]) for token in ("0123456789", "abcdef0123"))
    assert one == other


def test_the_same_numbers_tell_two_mistakes_apart() -> None:
    """Where the same values were drawn, what fits exactly is meant."""
    early = Mistake("Sleeps too early", losses([seen("pause", "slept 9 s after the last of 3 attempts")]))
    assert headlines([seen("pause", "slept 9 s after the last of 3 attempts")], [LATE, early]) == ["Sleeps too early"]


def test_other_words_are_another_mistake() -> None:
    """And what passes is none."""
    assert headlines([seen("pause", "never slept")], KNOWN) == []
    assert headlines([seen("pause")], KNOWN) == []


def test_the_mistake_that_explains_most_comes_first() -> None:
    """Two at once are both named."""
    both = [seen("calls", "op was called 1 time"), seen("pause", "no pause"), seen("cap", "above the cap")]
    capped = Mistake("Knows no cap", losses([seen("cap", "above the cap")]))
    assert headlines(both, [capped, *KNOWN]) == ["Never tries again", "Knows no cap"]


def test_hidden_tests_say_nothing_here() -> None:
    """What is known was judged by the visible ones."""
    assert losses([seen("pause", "slept 1 s", hidden=True)]) == frozenset()


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """With what it was made from."""
    path = tmp_path / mistakes.MISTAKES_FILE
    path.write_bytes(mistakes.mistakes_json("abc", KNOWN))
    assert mistakes.read_known(path) == KNOWN
    assert mistakes.made_from(path) == "abc"


def test_a_section_without_the_file_names_no_mistake(tmp_path: Path) -> None:
    """Nothing is lost but the headline."""
    assert mistakes.read_known(tmp_path / mistakes.MISTAKES_FILE) == []
    assert mistakes.made_from(tmp_path / mistakes.MISTAKES_FILE) == ""


def test_a_mistake_is_told_by_each_play_and_by_what_all_plays_lose() -> None:
    """Once each, numbers aside, the first play's words first; an answer that loses only the common part is told too."""
    plays = [
        losses([seen("pause", f"slept {number} s"), seen("calls", words)])
        for number, words in ((1, "op was called"), (2, "op was not called"), (3, "op was called"))
    ]
    signs = mistakes.find_signs(plays)
    assert signs == [plays[0], plays[1], losses([seen("pause", "slept 1 s")])]
    known = [Mistake("Sleeps", sign) for sign in signs]
    for calls in ("op was called", "op was not called", "nobody called op"):
        assert headlines([seen("pause", "slept 9 s"), seen("calls", calls)], known) == ["Sleeps"]


def test_plays_that_lose_the_same_tell_a_mistake_once() -> None:
    """And where nothing is shared, or nothing lost, nothing is made up."""
    one, other = losses([seen("pause", "slept 1 s")]), losses([seen("pause", "slept 2 s")])
    assert mistakes.find_signs([one, other]) == [one]
    assert mistakes.find_signs([frozenset(), one]) == [one]
    assert mistakes.find_signs([frozenset(), frozenset()]) == []
