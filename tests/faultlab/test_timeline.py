"""Timelines: plain data that comes back as it was, is refused when it isn't one, and has useful views."""

from __future__ import annotations

import json

import pytest

from faultlab import World, error, mark, simulate
from faultlab.timeline import Event, Timeline


@pytest.fixture
def lived():
    """A real run: a call that fails, one that is given up, one that is answered, sleeps, marks."""
    import asyncio

    world = World(seed=2)
    op = world.service("op", [error("KeyError", "k", after=1)], latency=0.5)
    log = world.service("log", latency=5)

    async def main():
        try:
            await op("é", 1)
        except KeyError:
            mark("failed", {"by": "op"})
        try:
            async with asyncio.timeout(1):
                await log()
        except TimeoutError:
            mark("late", None, lane="somebody")
        await asyncio.sleep(0.25)
        return await op(2)

    return simulate(main, world=world).timeline


class TestJson:
    def test_round_trip(self, lived, busy):
        """What is read back equals what was written, to the byte."""
        for timeline in (lived, busy, Timeline()):
            text = timeline.to_json()
            assert Timeline.from_json(text) == timeline
            assert Timeline.from_json(text.encode()).to_json() == text

    def test_equal_runs_give_equal_bytes(self):
        """Keys are sorted and letters ASCII: the order in which data was put together doesn't matter."""
        one = Timeline((Event(1, "mark", "é", {"a": 1, "b": 2}),), 3)
        other = Timeline((Event(1, "mark", "é", {"b": 2, "a": 1}),), 3)
        assert one.to_json() == other.to_json()
        assert one.to_json().isascii()
        assert json.loads(one.to_json()) == {"version": 1, "seed": 3, "events": [[1, "mark", "é", {"a": 1, "b": 2}]]}

    @pytest.mark.parametrize("text", ['{"version": 2, "seed": 0, "events": []}', "{}", "[]", "null", '"version"'])
    def test_another_version_is_refused(self, text):
        """The message tells the version and what to do."""
        with pytest.raises(ValueError, match=r"not a timeline of version 1.*record the run again"):
            Timeline.from_json(text)

    @pytest.mark.parametrize("text", ["", "[", "{'a': 1}", b"\xff\xfe\x00", b'{"version": "\xff"}', "[" * 100_000])
    def test_text_that_isnt_json_is_refused(self, text):
        """Half a file, another encoding, a nest without bottom."""
        with pytest.raises(ValueError, match=r"this is no timeline.*record the run again"):
            Timeline.from_json(text)

    @pytest.mark.parametrize(
        "body",
        [
            '"seed": 0',
            '"events": []',
            '"seed": null, "events": []',
            '"seed": 0, "events": 5',
            '"seed": 0, "events": [5]',
            '"seed": 0, "events": [[1, "end", ""]]',
            '"seed": 0, "events": [["1", "end", "", {}]]',
            '"seed": 0, "events": [[1.5, "end", "", {}]]',
            '"seed": 0, "events": [[true, "end", "", {}]]',
            '"seed": 0, "events": [[1e999, "end", "", {}]]',
            '"seed": 0, "events": [[1, 2, "", {}]]',
            '"seed": 0, "events": [[1, "end", null, {}]]',
            '"seed": 0, "events": [[1, "end", "", []]]',
            '"seed": 0, "events": [[1, "end", "", ["ab"]]]',
        ],
    )
    def test_a_damaged_timeline_is_refused(self, body):
        """Every part has its shape, or it is a ValueError that says so."""
        with pytest.raises(ValueError, match=r"damaged.*record the run again"):
            Timeline.from_json('{"version": 1, ' + body + "}")


class TestViews:
    def test_instants_are_in_order(self, lived):
        """Whole nanoseconds that never go back."""
        instants = [event.at for event in lived]
        assert instants == sorted(instants)
        assert all(type(instant) is int for instant in instants)

    def test_calls(self, lived):
        """Each call with its outcome, by service and by lane."""
        assert [
            (call.service, call.args, call.start, call.end, call.outcome, call.error) for call in lived.calls()
        ] == [
            ("op", ("é", 1), 0.0, 1.5, "error", "KeyError"),
            ("log", (), 1.5, 2.5, "cancelled", None),
            ("op", (2,), 2.75, 3.25, "ok", None),
        ]
        assert lived.calls()[0].value == ["k"]
        assert [call.id for call in lived.calls("op")] == [0, 2]
        assert lived.calls(lane="nobody") == []

    def test_a_call_without_an_answer_is_pending(self, pen):
        """As the run ended first."""
        (call,) = pen.call("a", 1, None).timeline.calls()
        assert (call.outcome, call.end) == ("pending", None)

    def test_pauses(self, lived, pen):
        """Each timer, what it was for and how it ended."""
        assert [(pause.what, pause.start, pause.until, pause.end, pause.how) for pause in lived.pauses()] == [
            ("timeout", 1.5, 2.5, 2.5, "fired"),
            ("sleep", 2.5, 2.75, 2.75, "fired"),
        ]
        assert len(lived.pauses("sleep")) == 1 and lived.pauses(lane="nobody") == []
        pen.put(0, "sleep", "a", timer=1, until=5, what="sleep")
        assert [(pause.end, pause.how) for pause in pen.timeline.pauses()] == [(None, "pending")]

    def test_marks(self, lived):
        """By name and by lane."""
        assert [(seen.at, seen.name, seen.value) for seen in lived.marks()] == [
            (1.5, "failed", {"by": "op"}),
            (2.5, "late", None),
        ]
        assert [seen.name for seen in lived.marks(lane="somebody")] == ["late"]
        assert [seen.lane for seen in lived.marks("failed")] == ["main"]

    def test_the_whole(self, lived):
        """Length, duration, lanes, ending, and events by kind."""
        assert (lived.duration, lived.lanes, lived.seed) == (3.25, ["main", "somebody"], 2)
        assert lived.ending is lived[-1] is lived.of("end")[0]
        assert lived.of("ok", "error") == [event for event in lived if event.kind in ("ok", "error")]
        assert list(lived[:2]) == list(lived)[:2]
        assert repr(lived) == f"<Timeline of {len(lived)} events, 3.25 s, seed 2>"
        assert (Timeline().duration, Timeline().ending, Timeline().lanes) == (0.0, None, [])
