"""What one student reads: steps, folds, words; nothing of a submission is markup."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from autograder.judging.result import Behaviour, Result
from autograder.pages.feedback import page, part_html, with_script
from faultlab.pictures.player import has_player, script_html
from faultlab.timeline import Event, Timeline


def behaviour(test: str, passed: bool, step: str | None = None, message="", hint="") -> Behaviour:
    return Behaviour(test, f"Does {test}", passed, 1.0 * passed, 1.0, message, hint, step=step)


def result(*behaviours: Behaviour) -> Result:
    return Result("ada", "90_sample", "sample", "graded", "full", 0.0, behaviours)


class Folds(HTMLParser):
    """The folds of some markup: (how deep, open?, summary's text, text inside)."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.found: list[list] = []
        self.stack: list[list] = []
        self.in_summary = False
        self.feed(markup)

    def handle_starttag(self, tag, attrs):
        if tag == "details":
            self.stack.append([len(self.stack), "open" in dict(attrs), "", ""])
            self.found.append(self.stack[-1])
        self.in_summary |= tag == "summary"

    def handle_endtag(self, tag):
        if tag == "details":
            self.stack.pop()
        self.in_summary &= tag != "summary"

    def handle_data(self, data):
        for fold in self.stack[:-1]:
            fold[3] += data
        if self.stack:
            self.stack[-1][2 if self.in_summary else 3] += data


def steps(*behaviours: Behaviour) -> list[tuple[bool, str, str]]:
    folds = Folds(part_html(result(*behaviours))).found
    return [(opened, summary, inside) for depth, opened, summary, inside in folds if depth == 0]


class TestSteps:
    def test_first_red_step_is_open(self):
        """Passed steps and later ones are folded; each says its points and holds its own behaviours."""
        first, second, third = steps(
            behaviour("a", True, "Closed"),
            behaviour("b", True, "Open"),
            behaviour("c", False, "Open"),
            behaviour("d", False, "Half-open"),
        )
        assert [first[0], second[0], third[0]] == [False, True, False]
        assert [one[1] for one in (first, second, third)] == [
            "✓ Closed · 1 of 1 points",
            "✗ Open · 1 of 2 points",
            "✗ Half-open · 0 of 1 points",
        ]
        assert "Does a" in first[2] and "Does b" in second[2] and "Does c" in second[2] and "Does d" in third[2]
        assert "Does a" not in second[2] + third[2] and "Does d" not in first[2] + second[2]

    def test_all_passed_is_all_folded(self):
        """Nothing asks for attention."""
        assert [one[0] for one in steps(behaviour("a", True, "Closed"), behaviour("b", True, "Open"))] == [False, False]

    def test_behaviours_of_no_step(self):
        """They stand in a group of their own, and may be the first that is red."""
        found = steps(behaviour("a", True, "Closed"), behaviour("b", False), behaviour("c", False, "Open"))
        assert [one[0] for one in found] == [False, True, False]
        assert "The whole exercise" in found[1][1]

    def test_mixed_order_is_one_group_a_step(self):
        """A step that comes back isn't shown twice."""
        found = steps(behaviour("a", True, "X"), behaviour("b", True, "Y"), behaviour("c", True, "X"))
        assert [one[1] for one in found] == ["✓ X · 2 of 2 points", "✓ Y · 1 of 1 points"]

    def test_a_step_explained_elsewhere_is_no_passed_one(self):
        """Its cause is told at an earlier step; its mark still says that something is missing."""
        ones = [replace(behaviour(name, False, step), cause="one") for name, step in (("a", "X"), ("b", "Y"))]
        assert [one[1] for one in steps(*ones)] == ["✗ X · 0 of 1 points", "✗ Y · 0 of 1 points"]

    def test_without_steps_one_table(self):
        """The folds are those of what failed, the first one open."""
        markup = part_html(result(behaviour("a", True), behaviour("b", False), behaviour("c", False)))
        assert [(fold[1], fold[2]) for fold in Folds(markup).found] == [(True, "✗ Does b"), (False, "✗ Does c")]
        assert markup.count("<table") == 1

    def test_folds_look_like_folds(self):
        """Their triangles are there whatever style sheet the page has, such as formgrader's."""
        markup = part_html(result(behaviour("a", False, "Open")))
        assert markup.count("<summary") == markup.count('<summary style="display:list-item">') == 2


class TestWords:
    def test_code_in_hints(self):
        """Backticks are set as code."""
        markup = part_html(result(behaviour("a", False, message="`x` is 3", hint="use `min(a, b)`")))
        assert "<code>x</code> is 3" in markup and "<code>min(a, b)</code>" in markup

    def test_code_in_titles(self):
        """In the table and above the fold."""
        markup = part_html(result(replace(behaviour("a", False), title="`serve` returns")))
        assert markup.count("<code>serve</code> returns") == 2

    def test_no_picture_of_nothing(self):
        """A run in which nothing is to be seen, beside one like it, isn't drawn; beside another one it is."""
        ended = Timeline((Event(0, "end", "", {"how": "returned"}),))
        marked = Timeline((Event(0, "mark", "client", {"name": "asks", "value": None}), *ended))
        seen = [
            part_html(result(replace(behaviour("a", False), timeline=ended, intended=other)))
            for other in (None, ended, marked)
        ]
        assert ["<svg" in markup for markup in seen] == [False, False, True]

    @pytest.mark.parametrize("text", ["<img src=x onerror=alert(1)>", "`<script>alert(1)</script>`"])
    def test_a_submissions_words_stay_words(self, text):
        """Whatever it writes into a message, in backticks too."""
        said = behaviour("a", False, message=text, hint=text)
        slipped = replace(
            behaviour("b", False, message=f"NameError: {text}\n{text}"), slip=True, printed=f"{text}\n" * 3
        )
        for markup in (part_html(result(said)), part_html(result(slipped, said))):
            assert not re.search("<(img|script)", markup)

    def test_an_error_of_ones_own(self):
        """It stands above all, with how many wait for it; what else is missing has its fold, closed, without a hint."""
        slip = replace(
            behaviour("a", False, message="NameError: no x, line 3 of your cell\nx + 1"), cause="x", slip=True
        )
        other = behaviour("c", False, message="seen otherwise", hint="a hint")
        markup = part_html(replace(result(slip, replace(slip, test="b"), other), mistakes=("a headline",)))
        assert "line 3 of your cell:" in markup and "x + 1" in markup and "2 behaviours wait for it" in markup
        assert "seen otherwise" in markup and "a hint" not in markup and "a headline" not in markup
        assert "<details open" not in markup

    def test_one_cause_is_explained_once(self):
        """And before what has none, for it stands in the way."""
        ones = [replace(behaviour(name, False, message=f"endless {name}"), cause="endless") for name in "bc"]
        markup = part_html(result(behaviour("a", False, message="seen otherwise"), *ones))
        assert markup.index("endless b") < markup.index("seen otherwise") and "endless c" not in markup

    def test_words_are_no_formulas(self):
        """What shows the page may typeset formulas: not in here, where they would bring links along."""
        for markup in (
            part_html(result(behaviour("a", False, message=r"$\href{javascript:a()}{x}$"))),
            part_html(result()),
        ):
            (first, *_) = re.findall("<[^>]*>", markup)
            assert "tex2jax_ignore" in first and "mathjax_ignore" in first and markup.endswith("</div>")

    def test_advice_costs_nothing(self):
        """It isn't said to be 0 of 0."""
        advice = Behaviour("a", "Does a", False, 0.0, 0.0)
        markup = part_html(result(advice, behaviour("b", True)))
        assert "advice" in markup and "0 / 0" not in markup

    def test_page_is_whole(self):
        """Language, title and headings; no script may run, nothing is fetched."""
        markup = page(replace(result(behaviour("a", True)), student="<ada>"))
        assert '<html lang="en">' in markup and "<title>&lt;ada&gt; · " in markup
        assert markup.count("<h1>") == 1 and "<h2>" in markup and "default-src 'none'" in markup


def test_the_script_stands_in_a_notebook_and_nowhere_else():
    """A part alone is for nbgrader's copies; in a notebook the player's script follows it, once, as it is."""
    run = Timeline((Event(0, "mark", "a", {"name": "x", "value": 1}), Event(9, "end", "", {"how": "returned"})))
    failed = replace(behaviour("it", False, message="not seen"), timeline=run, intended=run)
    part = part_html(result(failed))
    assert "<script" not in part and has_player(part)
    assert with_script(part) == part + str(script_html())
    passed = part_html(result(behaviour("it", True)))
    assert with_script(passed) == passed, "where nothing is to be played"
