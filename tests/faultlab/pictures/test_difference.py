"""What is said of the first difference between two runs: when, where, what, in plain words."""

from __future__ import annotations

import re
from typing import Any

import pytest

from faultlab.pictures.difference import Difference, first_difference
from faultlab.pictures.overlay import HERE, SAME, overlay
from faultlab.pictures.sheet import Line, Sheet
from faultlab.pictures.svg import compare_svg
from faultlab.timeline import Timeline
from tests.faultlab.conftest import Pen


def pens() -> tuple[Pen, Pen]:
    """Two runs that begin alike: a call that fails."""
    return Pen().call("caller 2", 0.0, 0.5, "OSError"), Pen().call("caller 2", 0.0, 0.5, "OSError")


def between(own: Pen, intended: Pen) -> Difference:
    found = first_difference(own.timeline, intended.timeline)
    assert found is not None
    return found


def raised(error: str, **more: Any) -> dict[str, Any]:
    """How a call of an answer ended, as a driver describes it."""
    told = {"names": [], "builtins": ["Exception"], "call": None, "args": [], "message": "", "notes": []}
    return {"how": "raised", "error": error, **told, **more}


def test_in_a_sentence():
    """When, in which lane, what one's own run does, what was intended."""
    own, intended = pens()
    own.call("caller 2", 1.3, 0.5)
    intended.mark("caller 2", 1.3, "caller 2", raised("BulkheadFull"))
    assert between(own, intended).words == (
        "First difference, at 1.3 s, caller 2: yours: calls op again; intended: raises BulkheadFull."
    )


def test_the_first_in_time():
    """Of several lanes that differ the one that does first."""
    own, intended = pens()
    own.mark("b", 1.0, "b").mark("a", 2.0, "a")
    intended.mark("b", 1.5, "b").mark("a", 1.8, "a")
    assert (between(own, intended).at, between(own, intended).lane) == (1.0, "b")


def test_a_pause_that_differs():
    """It is named, and not the later call."""
    own, intended = pens()
    own.sleep("caller 2", 0.5, 0.2).call("caller 2", 0.7, 0.1)
    intended.sleep("caller 2", 0.5, 13.0).call("caller 2", 13.5, 0.1)
    found = between(own, intended)
    assert (found.at, found.own, found.intended) == (0.5, "waits 0.2 s", "waits 13 s")


def test_what_the_other_waits_for():
    """Where only one of the runs takes a step, the other is waiting, or does nothing more."""
    own, intended = Pen().call("a", 0, 2), Pen().call("a", 0, 1, "cancel")
    assert between(own, intended).own == "waits for op, until 2 s"
    assert between(own, intended).intended == "cancels its call of op"
    own, intended = pens()
    intended.call("caller 2", 1, 1)
    assert between(own, intended).own == "does nothing more"


def test_only_what_differs_of_a_value():
    """Of two dicts the items that aren't the same; without tokens, but for those by which alone values differ."""
    own, intended = pens()
    own.mark("a", 1, "a", {"how": "returned", "value": {"value": "op-4f7b59e018", "age": 0.0, "stale": True}})
    intended.mark("a", 1, "a", {"how": "returned", "value": {"value": "op-4f7b59e018", "age": 9.947, "stale": True}})
    assert (between(own, intended).own, between(own, intended).intended) == ("returns age 0", "returns age 9.947")
    own, intended = Pen().mark("a", 1, "got", "op-aaaaaaaaaa"), Pen().mark("a", 1, "got", "op-bbbbbbbbbb")
    assert (between(own, intended).own, between(own, intended).intended) == ("got op (2nd)", "got op (1st)")
    own, intended = Pen().mark("a", 1, "got", 1), Pen().mark("a", 1, "got", "1")
    assert (between(own, intended).own, between(own, intended).intended) == ("got 1 (int)", "got 1 (a text)")


def test_whose_error():
    """Of two exceptions of one class it is said what tells them apart; the call's own number in the run never does."""
    own, intended = pens()
    own.call("other", 0.1, 0.1).mark("caller 2", 1, "caller 2", raised("OSError"))
    intended.call("other", 0.1, 0.1).mark("caller 2", 1, "caller 2", raised("OSError", call=1))
    found = between(own, intended)
    assert found.own == "raises OSError (one of its own)"
    assert found.intended == "raises OSError (that of call 1 of op)"


def test_ones_own_words_are_no_difference():
    """The text of an exception may be anybody's, as long as anything else differs."""
    own, intended = pens()
    own.mark("a", 1, "a", raised("Full", message="no room")).call("a", 2, 1)
    intended.mark("a", 1, "a", raised("Full", message="too many are here"))
    assert between(own, intended).own == "calls op"
    own, intended = Pen().mark("a", 1, "a", raised("Full", message="no")), Pen().mark("a", 1, "a", raised("Full"))
    assert between(own, intended).own == "raises Full with the text no"


def test_an_end_that_isnt_a_return():
    """A run that waits forever is said to."""
    own, intended = pens()
    own.put(2, "end", "", how="deadlock", message="task 'caller 2' waits")
    assert between(own, intended).own == "waits forever"


def test_the_same(pen, busy):
    """Where both do the same, nothing is marked, and a sentence says so."""
    assert first_difference(busy, Timeline.from_json(busy.to_json())) is None
    assert SAME in overlay(busy, busy).alt
    assert not marked(overlay(busy, busy))


def marked(sheet: Sheet) -> list[Line]:
    return [shape for shape in sheet.shapes if isinstance(shape, Line) and shape.color == HERE]


def test_one_picture(busy):
    """One lane for each client, with two tracks on one axis, and a line where the first difference is."""
    own, intended = pens()
    own.call("caller 2", 1.0, 1.0).call("only mine", 0.2, 1)
    intended.call("caller 2", 1.5, 1.0).call("only meant", 0.2, 1)
    sheet = overlay(own.timeline, intended.timeline)
    words = [text.text for text in sheet.texts]
    assert [words.count(lane) for lane in ("caller 2", "only mine", "only meant")] == [1, 1, 1]
    assert "first difference" in words and len(marked(sheet)) == 1
    first = [bar for bar in sheet.bars if bar.tip.endswith("0 s to 0.5 s")]
    assert len(first) == 2 and first[0].x == first[1].x and first[0].width == first[1].width
    assert {bar.style for bar in first} == {"failed", "meant_failed"}


def test_the_lane_that_differs_is_drawn(pen):
    """However many lanes there are before it."""
    intended = Pen()
    for number in range(1, 31):
        pen.call(f"client {number}", number, 1)
        intended.call(f"client {number}", number + (number == 29) * 0.3, 1)
    sheet = overlay(pen.timeline, intended.timeline)
    words = [text.text for text in sheet.texts]
    assert "client 29" in words and "and 22 more" in words


def test_what_comes_long_after_is_left_out(pen):
    """It would press together what is to be seen, and words say so."""
    intended = Pen().call("a", 0, 1).call("a", 300, 1)
    sheet = overlay(pen.call("a", 0, 0.5).call("a", 300, 1).timeline, intended.timeline)
    assert any("isn't drawn" in text.text for text in sheet.texts)
    assert next(bar for bar in sheet.bars if bar.tip == "intended: call 2 to op: ok, 0 s to 1 s").width > 300


@pytest.mark.parametrize(
    "value",
    [
        '{"a":' * 400 + "1" + "}" * 400,
        raised("X", exceptions=5, names=3, notes={"a": 1}, cause=[1], args={}),
        {"how": "returned"},
        {"$object": ["x"]},
        {"error": None, "builtins": 1},
        "<script>alert(1)</script>\u202e",
        {"$float": "nan"},
    ],
    ids=range(7),
)
def test_any_value_is_told(value):
    """A submission may show what it likes: it is told, escaped."""
    for other in (None, 1, raised("X"), "text", {"how": "returned", "value": {"$more": 3}}, ["x"]):
        own, intended = Pen().mark("a", 1, "a", value), Pen().mark("a", 1, "a", other)
        for one, two in ((own, intended), (intended, own)):
            found = between(one, two)
            assert found.own and found.intended and len(found.words) < 600
            assert not re.search(r"<script|\u202e", compare_svg(one.timeline, two.timeline))


def test_a_number_beside_an_outcome():
    """What a rejection says besides may be left open: it is no difference while there is another one."""
    own, intended = pens()
    for run, wait in ((own, 1.0), (intended, 0.0)):
        run.mark("a", 1.0, "retry_after 1", wait).mark("a", 1.0, "outcome 1", raised("CircuitOpenError"))
    assert between(own, intended).at == 1.0
    own.call("b", 2.0, 0.5)
    intended.mark("b", 2.0, "outcome 2", raised("CircuitOpenError"))
    found = between(own, intended)
    assert (found.at, found.lane, found.own) == (2.0, "b", "calls op")
