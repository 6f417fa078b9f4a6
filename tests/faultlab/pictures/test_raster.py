"""What a picture of many clients promises: every call is seen and counted, short states too, slots are told apart."""

from __future__ import annotations

from itertools import pairwise

import pytest

from faultlab.pictures.raster import raster
from faultlab.pictures.series import Interval, in_flight, marked, occupancy
from faultlab.pictures.sheet import Dots


def test_raster_counts(pen):
    """Every arrival is counted once, in the bin that it begins; a scale's end may be given."""
    for turn in range(4):
        pen.call("alice", turn * 0.1, 0.01).call("bob", turn * 0.1, 0.01, "ValueError")
    sheet = raster(pen.timeline, bin=0.1)
    tips = [bar.tip for bar in sheet.bars if "from" in bar.tip]
    assert tips == ["2 calls from 0 s", "2 calls from 0.1 s", "2 calls from 0.2 s", "2 calls from 0.3 s"]

    compared = raster(pen.timeline, bin=0.1, most=8, steps={"queue": [(0, 1)]}, tops={"queue": 5})
    assert max(bar.height for bar in sheet.bars if "from" in bar.tip) == 46
    assert max(bar.height for bar in compared.bars if "from" in bar.tip) == 46 / 4
    assert {"8", "5"} <= {text.text for text in compared.texts}


def test_raster_draws_calls_as_spans_where_there_is_room(pen):
    """A few clients have bars, from a call's start to its end; many have dots, which don't touch."""
    for number in range(3):
        pen.call(f"client {number}", number, 30, "ValueError" if number else "")
    few = raster(pen.timeline, bin=0)
    assert [bar.tip for bar in few.bars if bar.tip.endswith("to 30 s")] == ["call 2 to op: ok, 0 s to 30 s"]
    assert "failed (hatched)" in {text.text for text in few.texts}
    for number in range(100):
        pen.call(f"client {number}", 40, 1)
    many = raster(pen.timeline, bin=0)
    dots = next(shape for shape in many.shapes if isinstance(shape, Dots) and len(shape.points) > 50)
    heights = sorted(y for x, y in dots.points if x == dots.points[-1][0])
    assert min(below - above for above, below in pairwise(heights)) > 2 * dots.radius


def test_short_states_are_seen(pen):
    """A state that takes no room on the axis is a few pixels wide, over the one that follows."""
    pen.mark("breaker", 0, "state", "open").mark("breaker", 50, "state", "half_open")
    pen.mark("breaker", 50.01, "state", "closed").call("alice", 99, 1)
    bars = [bar for bar in raster(pen.timeline, state="state").bars if " from " in bar.tip and "call" not in bar.tip]
    assert [bar.tip for bar in bars][-1] == "half-open from 50 s" and bars[-1].width == 3


def test_ribbon_words(pen):
    """A state is a word in its ribbon, and in the description."""
    pen.mark("breaker", 0, "state", "closed").mark("breaker", 1, "state", "open").call("alice", 4, 0.1)
    sheet = raster(pen.timeline, state="state")
    assert {"closed", "open"} <= {text.text for text in sheet.texts}
    assert "breaker: closed at 0 s, open at 1 s." in sheet.alt


def test_unknown_style(pen):
    """A state's style that doesn't exist is refused with the ones that do."""
    pen.mark("breaker", 0, "state", "open").call("alice", 4, 0.1)
    with pytest.raises(ValueError, match=r"no style 'red': take one of ok, failed"):
        raster(pen.timeline, state="state", states={"open": "red"})


def test_occupancy(pen):
    """Each call takes the lowest free slot; the line in steps says how many are held."""
    pen.call("a-1", 0, 2).call("b-1", 1, 2).call("a-2", 2, 1).call("a-3", 2.5, None)
    held = occupancy(pen.timeline, tenant=lambda call: call.lane[0])
    assert held == [
        Interval("slot 1", "a", 0.0, 2.0),
        Interval("slot 2", "b", 1.0, 3.0),
        Interval("slot 1", "a", 2.0, 3.0),
        Interval("slot 3", "a", 2.5, 3.0),
    ]
    assert in_flight(pen.timeline) == [(0.0, 1.0), (1.0, 2.0), (2.0, 2.0), (2.5, 3.0), (3.0, 1.0)]


def test_marked(pen):
    """Numbers that the code shows are a line in steps."""
    assert marked(pen.mark("pool", 0, "queue", 2).mark("pool", 1, "queue", 5).timeline, "queue") == [(0, 2), (1, 5)]
