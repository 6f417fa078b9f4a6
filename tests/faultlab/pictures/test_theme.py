"""Colours on light and on dark pages: words and what is drawn stand out from what they stand on."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import pytest

from faultlab.pictures.figure import COLORS, PALETTE
from faultlab.pictures.overlay import HERE, MEANT
from faultlab.pictures.sheet import INK, PALE, STYLES, TONES
from faultlab.pictures.svg import svg
from faultlab.pictures.theme import DARK, dark, dark_style

PAPER = "#FFFFFF"
GROUNDS = {PAPER, STYLES["world"].fill, STYLES["blocked"].fill, STYLES["here"].fill}
"""What words and bars stand on."""
WORDS = {INK, PALE, HERE, MEANT}
MARKS = {style.stroke or style.fill for name, style in STYLES.items() if name not in ("paper", "here")} | {*PALETTE}
TEMPLATES = Path(__file__).parents[3] / "autograder" / "pages" / "templates"


def luminance(color: str) -> float:
    """Of a colour as WCAG 2 defines it."""
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Of two colours, from 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("shown", [str, dark], ids=["light", "dark"])
def test_contrast(shown):
    """Words 4.5 to 1 on all that they stand on, what is drawn 3 to 1 on paper, in both themes."""
    for word in WORDS:
        for ground in GROUNDS if word != MEANT else {PAPER}:
            assert contrast(shown(word), shown(ground)) >= 4.5, (word, ground)
    for mark in MARKS:
        assert contrast(shown(mark), shown(PAPER)) >= 3, mark


def test_the_pages_contrast():
    """The templates' words on their paper, light and dark."""
    text = "".join(path.read_text() for path in TEMPLATES.glob("*.html"))
    for light, night in re.findall(r"(?<![-\w])color:light-dark\((#\w+),(#\w+)\)", text):
        assert contrast(whole(light), PAPER) >= 4.5 and contrast(whole(night), "#262626") >= 4.5, (light, night)


def whole(color: str) -> str:
    """A colour with six digits."""
    return color if len(color) == 7 else "#" + "".join(2 * digit for digit in color[1:])


def test_colours_keep_to_their_meaning():
    """No tone, and no line of a chart's cycle, has a colour that means something; each is its own."""
    meant = {STYLES[style].fill for style in ("ok", "failed", "attempt", "sleep", "world")}
    free = [STYLES[tone].fill for tone in TONES]
    assert not meant & {*free, *PALETTE} and len({*free}) == len(free) and len(meant) == 5
    assert {COLORS[name] for name in ("answered", "failed", "attempt", "waiting", "fault")} == meant
    assert STYLES["failed"].hatch and not STYLES["ok"].hatch
    assert all(distance(one, other) > 60 for one, other in combinations(sorted({*free} | meant), 2))


def distance(one: str, other: str) -> float:
    """How far apart two colours are, in steps of red, green and blue."""
    parts = [[int(color[place : place + 2], 16) for place in (1, 3, 5)] for color in (one, other)]
    return sum((a - b) ** 2 for a, b in zip(*parts, strict=True)) ** 0.5


def test_every_colour_of_the_house_has_a_dark_one():
    """Of one's own there is one too: the same hue, as light as it has to be."""
    assert {*WORDS, *MARKS, *GROUNDS} <= {*DARK}
    for color in ("#123456", "#EEDDD2", "#800000", "#00FF00"):
        assert re.fullmatch("#[0-9A-F]{6}", dark(color))
    assert contrast(dark("#123456"), dark(PAPER)) > 3 and contrast(dark("#EEDDD2"), dark(INK)) > 4.5


def test_a_picture_names_its_dark_colours(busy):
    """Each colour that it paints with, once; its own attributes are the light ones."""
    markup = svg(busy)
    rules = markup.partition("<style>")[2].partition("</style>")[0]
    painted = set(re.findall(r'(fill|stroke)="(#\w+)"', markup.partition("</style>")[2]))
    for what, color in painted:
        assert rules.count(f'[{what}="{color}"]{{{what}:light-dark({color},{dark(color)})}}') == 1
    assert "color-scheme:dark" in rules and len(rules) < 2500


def test_only_colours_get_into_the_rules():
    """Whatever a picture's words are, its style sheet is made of colours."""
    rules = dark_style('<text fill="#222222">fill="#FFFFFF}</style><script>"</text>')
    assert rules.count("</") == 1 and "script" not in rules
