"""Warm-ups: what is right is computed, an author's slip is an error, and the question stays without a kernel."""

from __future__ import annotations

import re
from typing import Any

import pytest

from faultlab.pictures import alive, warmup
from faultlab.pictures.warmup import arrange, estimate, mended, predict

LINES = ["total = 0", "total = total + 2", "total = total * 5"]


def works(code: str) -> str:
    names: dict[str, Any] = {}
    exec(code, names)
    return "" if names["total"] == 10 else f"total is {names['total']}"


def tried(code: str) -> str:
    try:
        return works(code)
    except NameError:
        return "a name is missing"


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What a notebook would display: widgets, and (markup, words)."""
    found: list[Any] = []
    monkeypatch.setattr("IPython.display.display", found.append)
    for module in (warmup, alive):
        monkeypatch.setattr(module, "display_html", lambda markup, words: found.append((markup, words)))
    return found


def ask(shown: list[Any], said: Any) -> str:
    """Answer the last question; what is said then."""
    _, box, told = shown[0].children
    box.value = said
    return str(told.value)


class TestPredict:
    def test_a_right_and_a_wrong_choice_are_told(self, shown: list[Any]) -> None:
        """With what happens and why."""
        predict("How many?", [3, 4, 5], lambda: 2 + 2, why="Two and two.")
        assert "Yes: 4." in ask(shown, "4")
        assert "You said 3; it is 4." in ask(shown, "3")
        assert "Two and two." in ask(shown, "4")

    def test_a_choice_that_lacks_the_right_one_is_an_error(self, shown: list[Any]) -> None:
        """The build fails on it."""
        with pytest.raises(ValueError, match="none of 3, 5"):
            predict("How many?", [3, 5], lambda: 4)

    def test_the_answer_is_folded_where_no_kernel_answers(self, shown: list[Any]) -> None:
        """The question stays, what happens is behind a line; words have no markup in them."""
        predict("Is `a < b`?", {"it is <b>": True, "it isn't": False}, lambda: True)
        markup, words = shown[1]
        assert words == "Is `a < b`?"
        assert "<code>a &lt; b</code>" in markup
        assert markup.index("<details>") < markup.index("It is it is &lt;b&gt;.")

    def test_the_prediction_is_drawn(self, shown: list[Any]) -> None:
        """The picture gets what was chosen."""
        drawn: list[Any] = []

        def picture(chosen: Any) -> str:
            drawn.append(chosen)
            return '<svg role="img" aria-label="words"></svg>'

        predict("How many?", [3, 4], lambda: 4, picture=picture)
        assert "<svg" in ask(shown, "3")
        assert drawn[-1] == 3


class TestEstimate:
    def test_close_is_right(self, shown: list[Any]) -> None:
        """Within the tolerance; far away isn't, and what is no number is told so."""
        estimate("How long?", lambda: 12.7, unit="s", tolerance=0.1)
        assert "Yes: 12.7 s." in ask(shown, "12")
        assert "You said 20; it is 12.7 s." in ask(shown, "20")
        assert "no number" in ask(shown, "long")


class TestArrange:
    def test_an_order_that_works_is_right(self, shown: list[Any]) -> None:
        """The letters are put together and tried."""
        arrange("Make 10.", LINES, tried)
        listed = shown[0].children[0].value
        letters = {}
        for row in listed.replace("<pre>", "\n").replace("</pre>", "\n").splitlines():
            for line in LINES:
                if row.endswith(line):
                    letters[line] = row[0]
        right = "".join(letters[line] for line in LINES)
        assert "Yes, that works." in ask(shown, right)
        assert "Not yet: " in ask(shown, right[::-1])
        assert "once" in ask(shown, "A")

    def test_the_example_is_no_answer(self, shown: list[Any]) -> None:
        """The letters that show how to type an answer don't work when they are typed."""
        arrange("Make 10.", LINES, tried)
        example = re.search("such as ([A-Z]+)", ask(shown, "A"))
        assert example and "Not yet: " in ask(shown, example[1])

    def test_a_given_order_that_fails_is_an_error(self, shown: list[Any]) -> None:
        """So are lines that work in any order."""
        with pytest.raises(ValueError, match="isn't right"):
            arrange("Make 10.", LINES[::-1], tried)
        with pytest.raises(ValueError, match="any order"):
            arrange("Make 10.", ["a = 1", "b = 2"], lambda code: "")


class TestMended:
    def test_says_what_is_still_wrong(self, shown: list[Any]) -> None:
        """And never raises."""

        def broken() -> str:
            raise KeyError("seven")

        assert not mended(lambda: "4 calls, not 3", hint="Count from one.")
        assert shown[0][1] == "✗ Not yet: 4 calls, not 3"
        assert "Count from one." in shown[0][0]
        assert not mended(broken)
        assert "KeyError" in shown[1][1]
        assert mended(lambda: "")
