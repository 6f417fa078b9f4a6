"""An answer that behaves like a typical mistake hears that mistake's headline."""

from __future__ import annotations

from pathlib import Path

from autograder.judging import mistakes
from autograder.judging.mistakes import Mistake, describe_mistake, headlines, known_in, losses
from autograder.judging.result import Behaviour


def seen(test: str, message: str = "", *, hidden: bool = False) -> Behaviour:
    return Behaviour(test, test, not message, 0.0 if message else 1.0, 1.0, message, hidden=hidden)


def known(headline: str, *plays: list[Behaviour], kind: str = "") -> Mistake:
    return describe_mistake(headline, kind or headline, [losses(behaviours) for behaviours in plays])


LATE = known(
    "Sleeps too long", [seen("pause", "slept 0.4 s after 3 calls")], [seen("pause", "slept 0.7 s after 3 calls")]
)
NEVER = known("Never tries again", [seen("calls", "op was called 1 time"), seen("pause", "no pause")])
KNOWN = [LATE, NEVER]


def test_what_was_drawn_does_not_matter() -> None:
    """Other seeds, other numbers and names: the same mistake."""
    assert headlines([seen("pause", "slept 1,025.5 s after 3 calls")], KNOWN) == ["Sleeps too long"]
    named = known("Loses it", [seen("value", "returned 'op-0123456789'")])
    assert headlines([seen("value", "returned 'op-abcdef0123'")], [named]) == ["Loses it"]


def test_a_number_may_be_the_diagnosis() -> None:
    """What was the same under all seeds isn't drawn: another number is another mistake."""
    assert headlines([seen("pause", "slept 0.4 s after 4 calls")], KNOWN) == []
    plays = [[seen("age", f"age was {wrong}, not {age}")] for wrong, age in ((0, 3.5), (0, 7.25))]
    zero, own = known("Is always 0", *plays), known("Is always 1", [seen("age", "age was 1, not 3.5")])
    assert headlines([seen("age", "age was 0, not 12.0")], [own, zero]) == ["Is always 0"]


def test_a_coroutine_that_was_never_awaited_is_part_of_the_diagnosis() -> None:
    """Its name isn't: it is the answer's own."""
    plain, note = "cleanup never ran", "cleanup never ran\nPython says: coroutine '{}' was never awaited"
    both = [
        known("Never cleans up", [seen("cleanup", plain)]),
        known("Awaits not", [seen("cleanup", note.format("a"))]),
    ]
    assert headlines([seen("cleanup", note.format("b"))], both) == ["Awaits not"]
    assert headlines([seen("cleanup", plain)], both) == ["Never cleans up"]


def test_other_words_are_another_mistake() -> None:
    """And what passes is none."""
    assert headlines([seen("pause", "never slept")], KNOWN) == []
    assert headlines([seen("pause")], KNOWN) == []


def test_the_whole_set_counts() -> None:
    """A part of what a mistake loses isn't enough, nor may anything else be lost."""
    calls, pause, cap = seen("calls", "op was called 1 time"), seen("pause", "no pause"), seen("cap", "above the cap")
    assert headlines([calls, pause, seen("cap")], KNOWN) == ["Never tries again"]
    assert headlines([calls, seen("pause")], KNOWN) == []
    assert headlines([calls, pause, cap], KNOWN) == []


def test_where_some_behaviours_are_judged_those_count() -> None:
    """As `check(step=...)` does."""
    assert headlines([seen("calls", "op was called 1 time")], KNOWN) == ["Never tries again"]
    assert headlines([seen("cap", "above the cap")], KNOWN) == []


def test_what_looks_like_two_kinds_stays_unnamed() -> None:
    """Siblings are one kind: either name is right."""
    words = [seen("pause", "slept 9 s")]
    alike = [known("Sleeps too early", words), known("Sleeps too often", words)]
    assert headlines(words, alike) == []
    siblings = [one._replace(kind="sleeps") for one in alike]
    assert headlines(words, siblings) in [["Sleeps too early"], ["Sleeps too often"]]


def test_what_fits_best_is_said() -> None:
    """With a number of its own a mistake is told from one that may say any number."""
    plays = [[seen("age", f"age was {age}")] for age in (3, 8)]
    some, zero = known("Is anything", *plays), known("Is always 0", [seen("age", "age was 0")])
    for kind in ("", "siblings"):
        found = [one._replace(kind=kind or one.kind) for one in (some, zero)]
        assert headlines([seen("age", "age was 0")], found) == ["Is always 0"]
        assert headlines([seen("age", "age was 5")], found) == ["Is anything"]


def test_hidden_tests_say_nothing_here() -> None:
    """What is known was judged by the visible ones."""
    assert losses([seen("pause", "slept 1 s", hidden=True)]) == {}


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


def test_each_set_of_behaviours_that_a_play_lost_is_a_sign() -> None:
    """What is drawn may decide what is lost, too; a play that lost nothing says nothing."""
    pause, calls = seen("pause", "slept 1 s"), seen("calls", "op was called")
    found = known("Sleeps", [pause, calls], [pause, seen("calls")], [seen("pause"), seen("calls")])
    assert headlines([pause, calls], [found]) == headlines([pause, seen("calls")], [found]) == ["Sleeps"]
    assert headlines([seen("pause"), calls], [found]) == headlines([seen("pause"), seen("calls")], [found]) == []


def test_words_of_several_shapes_share_a_sign() -> None:
    """Lists are drawn longer and shorter; words that share next to nothing aren't made one."""
    rows = [[seen("rows", f"returned {rows}, not in the order of the calls")] for rows in ([4, 2], [7, 1, 3])]
    other = [seen("rows", "returned [1, 2, 3, 4], not in the order of the calls")]
    assert headlines(other, [known("As they come", *rows)]) == ["As they come"]
    unlike = [[seen("rows", words)] for words in ("slept 3 s", "op was never called at all")]
    assert headlines([seen("rows", "something else")], [known("Either", *unlike)]) == []
    assert headlines(unlike[1], [known("Either", *unlike)]) == ["Either"]


def test_a_file_of_an_earlier_version_names_nothing():
    """It stands beside notebooks that were handed out before, and costs nobody a check."""
    assert known_in('{"made_from": "", "mistakes": [["Adds one", [["small", "another sum"]]]]}') == []


def test_a_strangers_words_arent_tried_in_all_ways():
    """A message that nearly fits has many ways to be cut; looking for them all would take hours."""
    left_open = "a, ".join([mistakes.ANYTHING] * 8) + "b"
    known = [Mistake("h", "h", frozenset([frozenset(["t"])]), {"t": (left_open,)})]
    assert mistakes.name_losses({"t": "a, " * 330 + "c"}, known) is None
    assert mistakes.name_losses({"t": "a, " * 330 + "b"}, known) is not None
