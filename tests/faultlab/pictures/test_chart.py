"""Charts as SVG: words stay words, nothing leaves its diagram, nothing leaks into the page."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from faultlab.pictures.figure import COLORS, axes, chart_svg, label_lines

SVG = "{http://www.w3.org/2000/svg}"


def chart() -> str:
    """One of everything that the notebooks' charts are made of."""
    fig, ax = axes("Answered, by <now>", "seconds", "answers & more")
    ax.axvspan(1, 2, color=COLORS["fault"], zorder=0)
    ax.stackplot([0, 1, 4], [[1, 2, 1], [1, 1, 3]], colors=[COLORS["answered"], COLORS["failed"]])
    ax.collections[-1].set(hatch="//", edgecolor="white")
    ax.plot([0, 9], [0, 9], marker="o", label="grows")
    ax.scatter([0.5, 1.5, 2.5], [1, 2, 3], marker="x", color=COLORS["ink"], alpha=0.5)
    ax.annotate("here", (1, 1), (2, 4), arrowprops={"arrowstyle": "->"})
    ax.bar([3], [2], hatch="\\", edgecolor="white")
    ax.set(xlim=(0, 4), ylim=(0, 5))
    ax.legend(loc="upper left")
    return chart_svg(fig, 'It "grows"')


def test_a_chart_is_plain_svg():
    """It is well-formed, has no id, reference or script, and keeps its words as words."""
    root = ElementTree.fromstring(chart())
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert tags == {"svg", "title", "style", "rect", "path", "text"}
    keys = {key for element in root.iter() for key in element.attrib}
    assert not keys & {"id", "href", "style", "clip-path"}
    words = [element.text for element in root.iter(f"{SVG}text")]
    assert {"Answered, by <now>", "seconds", "answers & more", "grows", "here"} <= set(words)


def test_nothing_leaves_its_diagram():
    """Lines and areas that go on beyond the axes' ends are cut there."""
    found = re.findall(r'<path d="([^"]*)" (?:stroke|fill)="(?:#009E73|#D55E00|#7B4FA3)"', chart())
    xs = [float(x) for path in found for x in re.findall(r"[ML]([\d.-]+) ", path)]
    assert len(found) >= 3 and max(xs) < 692


def test_hatching_is_drawn_line_by_line():
    """White lines over an area that is hatched, inside it."""
    assert len(re.findall(r'<path d="(?:M[^"Z]*)" stroke="#FFFFFF" stroke-width="1.4"/>', chart())) >= 2


def test_same_chart_same_bytes():
    assert chart() == chart()


def test_many_marks_are_one_element():
    fig, ax = axes("Dots", "seconds", "calls")
    ax.scatter(range(2000), range(2000), s=3)
    assert len(chart_svg(fig, "x")) < 60_000


@pytest.mark.parametrize("ends", [(1, 1, 1), (1, 1.01, 1.02), (4, 0.1, 2)])
def test_labels_at_lines(ends):
    """Each line's label stands at its right end, none on another, in the lines' order."""
    _, ax = axes("Pauses", "attempt", "seconds")
    for end in ends:
        ax.plot([1, 2], [1, end], label=f"to {end}")
    label_lines(ax)
    places = [(text.get_position()[1] * ax.bbox.height, text.get_text()) for text in ax.texts]
    assert [words for _, words in sorted(places)] == [f"to {end}" for end in sorted(ends)]
    heights = sorted(height for height, _ in places)
    assert all(above - below > 10 for below, above in pairwise(heights))
