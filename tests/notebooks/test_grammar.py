"""The grammar of figures finds what breaks it, and nothing else. `test_run_all.py` looks at the notebooks' own."""

from __future__ import annotations

import pytest

from faultlab.pictures.figure import COLORS, axes, label_lines
from faultlab.pictures.lanes import lanes
from faultlab.pictures.sheet import Bar, Sheet, Text, stack
from faultlab.timeline import NS, Event, Timeline
from tests.notebooks.grammar import breaches

TITLE = Text(8, 16, "What happens?", 13, bold=True)


def calls(*starts: tuple[str, float]) -> Timeline:
    """A call of half a second in each lane."""
    events: list[Event] = []
    for number, (lane, at) in enumerate(starts):
        common = {"call": number, "service": "op"}
        events.append(Event(round(at * NS), "call", lane, {**common, "args": []}))
        events.append(Event(round((at + 0.5) * NS), "ok", lane, {**common, "value": None}))
    return Timeline(tuple(sorted(events, key=lambda event: event.at)))


def test_a_good_sheet():
    assert breaches(lanes(calls(("ann", 0), ("ben", 1)), title="Who waits?")) == []


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (lanes(calls(("ann", 0))), "no title"),
        (lanes(calls(("ann", 1), ("ben", 0)), title="Who?", order=["ann"]), "'ann' stands above 'ben'"),
        (
            Sheet(200, 90, (TITLE, Text(9, 18, "on it")), "What happens?"),
            "'What happens?' and 'on it' stand on each other",
        ),
        (Sheet(100, 90, (TITLE,), "What happens?"), "'What happens?' reaches outside"),
        (Sheet(200, 90, (TITLE, Text(50, 80, "1.5", 10, "middle")), "What happens?"), "an axis without a unit"),
        (
            Sheet(200, 90, (TITLE, Bar(8, 50, 18, 11, "failed"), Text(32, 60, "answered")), "What happens?"),
            "the colour of 'failed (hatched)' stands for 'answered'",
        ),
        (Sheet(200, 90, (TITLE, Text(8, 60, "blue", color="#0000FF")), "What happens?"), "#0000FF has no meaning"),
    ],
)
def test_sheets(picture, said):
    """Each kind of breach is told."""
    assert [one for one in breaches(picture) if said in one]


def test_two_sheets_in_one():
    assert (
        breaches(stack([lanes(calls(("ann", 0)), title="One"), lanes(calls(("ann", 0)), title="Two")], title="x")) == []
    )


def chart(**changes):
    """A good chart, some of its parts replaced."""
    fig, ax = axes(changes.get("title", "Calls"), changes.get("x", "seconds"), changes.get("y", "calls a second"))
    ax.plot([0, 1], [0, 3], color=changes.get("color", COLORS["answered"]), label=changes.get("label", "answered"))
    ax.set(xlim=(0, 1), ylim=(0, 4))
    label_lines(ax)
    for words in changes.get("words", ()):
        ax.text(0.5, 2, words)
    fig.text(0.95, 0.5, changes.get("beside", ""))
    return fig


def test_a_good_chart():
    assert breaches(chart()) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"title": ""}, "no title"),
        ({"x": ""}, "the horizontal axis says no unit"),
        ({"y": ""}, "the vertical axis says no unit"),
        ({"words": ["here", "there"]}, "'here' and 'there' stand on each other"),
        ({"beside": "far away"}, "'far away' reaches outside"),
        ({"color": "#FF00FF"}, "#FF00FF has no meaning"),
    ],
)
def test_charts(changes, said):
    """Each kind of breach is told."""
    assert [one for one in breaches(chart(**changes)) if said in one]


def test_a_legend_with_a_wrong_colour():
    """What has the colour of failures must be called a failure."""
    fig, ax = axes("Calls", "seconds", "calls")
    ax.plot([0, 1], [0, 1], color=COLORS["failed"], label="answered")
    ax.legend()
    assert [one for one in breaches(fig) if "stands for 'answered'" in one]
