"""What a laid-out picture promises: everything has its place, and no word stands on another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise

import pytest

from faultlab import World, simulate, waiting
from faultlab.pictures.axis import Axis, nice
from faultlab.pictures.lanes import compare, lanes
from faultlab.pictures.overlay import overlay
from faultlab.pictures.raster import raster, slots
from faultlab.pictures.scene import scene
from faultlab.pictures.series import in_flight, occupancy
from faultlab.pictures.sheet import (
    STYLES,
    Bar,
    Dots,
    Line,
    Sheet,
    Text,
    clean,
    fit,
    hatching,
    measure,
    seconds,
)
from faultlab.pictures.spread import spread, under
from faultlab.pictures.words import describe
from faultlab.timeline import NS, Event, Timeline


def overlaps(sheet: Sheet) -> list[tuple[Text, Text]]:
    """The pairs of words on a sheet that touch."""
    texts = [text for text in sheet.texts if text.text]
    return [
        (one, other)
        for index, one in enumerate(texts)
        for other in texts[index + 1 :]
        if one.box[0] < other.box[2] - 0.5
        and other.box[0] < one.box[2] - 0.5
        and one.box[1] < other.box[3] - 0.5
        and other.box[1] < one.box[3] - 0.5
    ]


def outside(sheet: Sheet) -> list[Text]:
    """The words that the sheet's edge cuts."""
    return [
        text
        for text in sheet.texts
        if text.box[0] < -0.5
        or text.box[1] < -0.5
        or text.box[2] > sheet.width + 0.5
        or text.box[3] > sheet.height + 0.5
    ]


def herd(pen, clients: int, calls: int = 6) -> Timeline:
    """Clients that come back together, each time after twice the wait."""
    for client in range(clients):
        at = 0.013 * (client % 7)
        for turn in range(calls):
            pen.call(f"client {client}", at, 0.02, "" if (client + turn) % 3 else "ConnectionError")
            pen.sleep(f"client {client}", at + 0.02, 0.1 * 2**turn)
            at += 0.02 + 0.1 * 2**turn
    return pen.timeline


def states(pen) -> Timeline:
    """A breaker that flaps while clients call."""
    pen.put(1.0, "world", "world", what="outage", service="op", on=True)
    for turn in range(40):
        pen.mark("breaker", turn * 0.1, "state", ("closed", "open", "half-open")[turn % 3])
        pen.mark("pool", turn * 0.1, "queue", turn % 5)
        pen.call(f"client {turn % 9}", turn * 0.1, 0.05, "cancel" if turn % 4 else "TimeoutError")
    pen.mark("breaker", 4.0, "state", "closed")
    pen.call("client 1", 9.0, None)
    pen.put(10.0, "end", "", how="limit")
    return pen.timeline


HOSTILE = "W" * 90 + "\u202e\x00<b>&\"'" + "a\u0301\u0302" * 40


def hostile(pen) -> Timeline:
    """Names that try to leave their place."""
    for index in range(6):
        pen.call(f"{HOSTILE}{index}", index * 0.01, 0.005, HOSTILE, service=HOSTILE)
        pen.mark(f"{HOSTILE}{index}", index * 0.02, HOSTILE, HOSTILE)
        pen.put(index * 0.01, "world", "world", what=HOSTILE, service=HOSTILE, on=index % 2 == 0)
    pen.put(0.5, "end", "", how=HOSTILE)
    return pen.timeline


PICTURES: dict[str, Callable[..., Sheet]] = {
    "busy": lambda pen, busy: lanes(busy, title="Everything"),
    "busy, low": lambda pen, busy: lanes(busy, height=150),
    "busy, narrow": lambda pen, busy: lanes(busy, width=360),
    "eight": lambda pen, busy: lanes(herd(pen, 8)),
    "hundred": lambda pen, busy: lanes(herd(pen, 100), height=260),
    "compare": lambda pen, busy: compare(busy, herd(pen, 3)),
    "overlay": lambda pen, busy: overlay(busy, herd(pen, 3)),
    "overlay of many": lambda pen, busy: overlay(herd(pen, 40), busy),
    "overlay of nothing": lambda pen, busy: overlay(Timeline(), busy),
    "hostile overlay": lambda pen, busy: overlay(hostile(pen), busy),
    "overlay of one late instant": lambda pen, busy: overlay(pen.mark("a", 3e7, "x").timeline, Timeline()),
    "spread": lambda pen, busy: spread("", [0.1, 0.4, 2.4] * 30, of="pauses").sheet,
    "spread of nothing": lambda pen, busy: spread("", [], of="pauses").sheet,
    "under": lambda pen, busy: under("", [[0.1, 0.3], [9.0]] * 9, [0.2, 4.0] * 9, of="pauses", each="attempt").sheet,
    "raster": lambda pen, busy: raster(herd(pen, 100), title="Herd"),
    "raster of few": lambda pen, busy: raster(herd(pen, 5)),
    "raster of too many": lambda pen, busy: raster(herd(pen, 300, 2), bin=0.05),
    "states": lambda pen, busy: raster(states(pen), state="state", steps={"length of the queue": [(0, 0), (3, 1e6)]}),
    "slots": lambda pen, busy: slots(occupancy(herd(pen, 40)), limit=9, steps={"in flight": in_flight(pen.timeline)}),
    "hostile": lambda pen, busy: lanes(hostile(pen), title=HOSTILE),
    "hostile raster": lambda pen, busy: raster(hostile(pen), title=HOSTILE, state=HOSTILE, steps={HOSTILE: [(0, 1)]}),
    "nothing": lambda pen, busy: lanes(Timeline()),
    "no dots": lambda pen, busy: raster(Timeline()),
    "no slots": lambda pen, busy: slots([]),
}


@pytest.mark.parametrize("name", PICTURES)
def test_words_apart(name, pen, busy):
    """No word touches another, none is cut by the edge."""
    sheet = PICTURES[name](pen, busy)
    assert overlaps(sheet) == []
    assert outside(sheet) == []


def test_failed_is_hatched(busy):
    """What failed is told by its style, whose hatching is lines; a sleep is thin; what was given up is hollow."""
    bars = [bar for bar in lanes(busy, legend=False).bars if bar.tip]
    assert [len(hatching(bar)) > 0 for bar in bars if bar.style == "failed"] == [True, True]
    assert all(bar.height <= 3 for bar in bars if bar.style == "sleep")
    assert STYLES["cancelled"].fill == "#FFFFFF"


def test_hatching_stays_inside():
    """No line of a hatching leaves its bar."""
    for style in ("failed", "blocked", "tone2", "tone3"):
        for width, height in ((3, 12), (200, 12), (12, 90), (1, 1)):
            for x0, y0, x1, y1 in hatching(Bar(10, 20, width, height, style)):
                assert min(x0, x1) >= 10 and max(x0, x1) <= 10 + width
                assert min(y0, y1) >= 20 and max(y0, y1) <= 20 + height


def test_scene(busy):
    """Each call is a span of its outcome, sleeps too, armed timeouts aren't; bands are everybody's."""
    what = scene(busy)
    assert what.lanes == ("alice", "carol", "bob")
    assert [span.style for span in what.spans if span.lane == "bob"] == ["cancelled", "ok"]
    assert [span.label for span in what.spans if span.lane == "carol"] == ["no answer", "2 s"]
    assert ("bob", 1.2, "timeout") in what.points
    assert [(band.style, band.label) for band in what.bands] == [
        ("world", "outage of db"),
        ("blocked", "blocked 0.4 s"),
        ("end", "ended: deadlock"),
    ]


def test_order(busy):
    """Lanes named in `order` come first; a name that isn't there is no lane."""
    assert scene(busy, order=["bob", "nobody"]).lanes == ("bob", "alice", "carol")


def test_side_by_side_in_one_lane(pen):
    """Calls that overlap in one lane stand in rows under each other."""
    pen.call("alice", 0, 1).call("alice", 0.5, 1).call("alice", 1, 1)
    bars = [bar for bar in lanes(pen.timeline, legend=False).bars if bar.tip]
    assert bars[0].y != bars[2].y and len({bar.y for bar in bars}) == 2


def test_cap_in_words(pen):
    """Lanes beyond the limit are counted in words."""
    words = [text.text for text in lanes(herd(pen, 304, 1), limit=12).texts]
    assert "and 292 more" in words
    assert sum(word.startswith("client") for word in words) == 12


def test_fixed_height(pen, busy):
    """A picture with a height has it, however many lanes."""
    assert {lanes(timeline, height=240).height for timeline in (busy, herd(pen, 60), Timeline())} == {240}


def test_same_axis(pen, busy):
    """Both runs share axis and gutter: the same instant is the same pixel."""
    pen.call("alice", 0.6, 0.2)
    sheet = compare(busy, pen.timeline)
    starts = {bar.x for bar in sheet.bars if bar.tip.startswith("call") and ": " in bar.tip and "0.6 s" in bar.tip}
    assert len(starts) == 1
    words = [text.text for text in sheet.texts]
    assert words.count("your run") == words.count("intended run") == 1


def test_zoomed(busy):
    """With since and until only what lies between is drawn, cut at the edges."""
    sheet = lanes(busy, since=0.5, until=1.0, legend=False)
    edge = sheet.width - 16
    assert all(bar.x + bar.width <= edge + 3 for bar in sheet.bars)
    assert not any("call 7" in bar.tip for bar in sheet.bars)


def test_describe(busy):
    """The description says who, how often, how it went, what the world did, how it ended."""
    assert describe(busy) == (
        "alice, carol and bob over 2.9 s: 7 calls to op, 3 answered, 2 failed (ConnectionError), 1 given up, "
        "1 never answered; 4 sleeps, 3.1 s in all. Outage of db from 0.5 s to 1.6 s, a blocking sleep stopped "
        "everybody for 0.4 s. The run ended: deadlock."
    )
    assert describe(Timeline()) == "Nothing happened."


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a\x00\x1bb\u202ec\u2066\ufeff", "abc"),
        ("one\ntwo\t three", "one two three"),
        ("e\u0301\u0302\u0303\u0304", "\u00e9"),
        ("\ud800\ufffe\U0001ffff", ""),
        (None, "None"),
    ],
)
def test_clean(text, words):
    """Nothing that ends XML, turns the writing direction or draws outside its place stays in a word."""
    assert clean(text) == words


def test_fit():
    """Words that are too wide are cut with an ellipsis, and then they fit."""
    assert fit("short", 100) == "short"
    cut = fit("a very long name of a task", 80)
    assert cut.endswith("…") and measure(cut) <= 80
    assert fit("anything", 3) == ""


@pytest.mark.parametrize(
    "words", ["ConnectionError", "given up", "attempt 2", "0.25 s", "WWWWW", "iiiiilll", "a→b · é"]
)
def test_measured_wide_enough(words):
    """Words take no more room in the font than we think."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    for bold in (False, True):
        font = FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")
        assert TextPath((0, 0), words, size=11, prop=font).get_extents().width <= measure(words, 11, bold)


@pytest.mark.parametrize("span", [1e-6, 0.004, 0.05, 0.7, 1, 3.3, 59, 61, 528, 3600, 86400])
def test_ticks(span):
    """Ticks are round, in one unit, apart from each other, and not more than fit."""
    axis = Axis(span, 100, 700)
    ticks = axis.ticks()
    assert 2 <= len(ticks) <= 12
    assert ticks[0] == (100, "0")
    assert all(after - before >= 48 for (before, _), (after, _) in pairwise(ticks))


def test_numbers():
    """Durations are written with the unit a person would take."""
    assert [seconds(value) for value in (0, 0.05, 0.1, 0.7, 59, 528, 7200)] == [
        *("0 s", "50 ms", "0.1 s", "0.7 s", "59 s", "8.8 min", "2 h")
    ]
    assert [nice(value) for value in (0.03, 0.5, 3, 60, 1200)] == [0.05, 0.5, 5, 100, 2000]


def test_lanes_begin_in_their_order(pen):
    """The lane that begins first comes first; of those that begin at once caller 2 comes before caller 10."""
    for name, at in (("caller 10", 0.0), ("caller 2", 0.0), ("caller 1", 0.5)):
        pen.call(name, at, 1)
    assert scene(pen.timeline).lanes == ("caller 2", "caller 10", "caller 1")


def test_tasks_that_nobody_named(pen):
    """They are called tasks and not by internal names; a name that says something stays."""
    for name in ("_ask", "_ask#2", "fetch", "fetch#2", "watch"):
        pen.call(name, 0, 1)
    words = [text.text for text in lanes(pen.timeline).texts]
    assert [word for word in words if word in {"task 1", "task 2", "task 3", "task 4", "watch"}] == [
        *("task 1", "task 2", "task 3", "task 4", "watch")
    ]
    assert not [word for word in words if "#" in word or word.startswith("_")]


def test_labels_are_readable(pen):
    """No token that tells the world's answers apart, no marker of an object, the middle of long values left out."""
    pen.mark("a", 0, "a", {"how": "returned", "value": "op 1-6872e44254"})
    pen.mark("b", 0, "got", {"$object": "timedelta"})
    pen.mark("c", 0, "got", "beginning " + "x" * 200 + " end")
    labels = [point.label for point in scene(pen.timeline).points]
    assert labels[:2] == ["returned op 1", "got a timedelta"]
    assert labels[2].startswith("got beginning") and labels[2].endswith("end") and "…" in labels[2]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"how": "raised", "error": "TimeoutError", "call": 3}, "first: raised TimeoutError"),
        ({"how": "returned", "value": 7}, "first: returned 7"),
        ({"how": "cancelled"}, "first: cancelled"),
        ({"how": "returned", "value": None}, "first: returned"),
        (4, "first 4"),
    ],
    ids=str,
)
def test_an_outcome_is_said_in_words(pen, value, said):
    """Not as the data that tests read."""
    pen.call("main", 0, 1).mark("main", 2, "first", value)
    assert said in [point.label for point in scene(pen.timeline).points]


def test_line_through_all_lanes(pen):
    """A mark named in `lines` is a line through every lane with its word above, and no longer a point of its own."""
    pen.call("client 1", 0.0, 2.0, "")
    pen.call("client 2", 0.5, 2.0, "")
    pen.mark("process", 1.0, "SIGTERM", None)
    plain, drawn = scene(pen.timeline), scene(pen.timeline, lines=["SIGTERM"])
    assert [point.label for point in plain.points] == ["SIGTERM"] and not plain.bands
    assert not drawn.points and [(band.start, band.label) for band in drawn.bands] == [(1.0, "SIGTERM")]
    sheet = lanes(pen.timeline, lines=["SIGTERM"], legend=False)
    strong = [shape.points for shape in sheet.shapes if isinstance(shape, Line) and shape.width == 2.0]
    lowest = max(shape.y + shape.height for shape in sheet.shapes if isinstance(shape, Bar) and shape.style == "ok")
    assert len(strong) == 1 and strong[0][1][1] > lowest
    assert "SIGTERM" in [text.text for text in sheet.texts]
    assert not overlaps(sheet) and not outside(sheet)


def test_who_shows_nothing_has_no_lane(pen):
    """A task that only set a timer would be an empty row; one that `order` names keeps its place."""
    pen.sleep("_ask", 0.0, 0.1, what="timeout", how="cancelled")
    pen.mark("client", 0.1, "asks")
    assert scene(pen.timeline).lanes == ("client",)
    assert scene(pen.timeline, order=["_ask"]).lanes == ("_ask", "client")


def test_who_has_no_name_has_no_lane():
    """A nameless task's calls, sleeps and marks are on the timeline, and not in the picture."""
    events = [
        Event(0, "sleep", "", {"timer": 1, "until": NS, "what": "sleep"}),
        Event(0, "call", "", {"call": 0, "service": "op", "args": []}),
        Event(0, "mark", "", {"name": "here", "value": None}),
        Event(0, "call", "bob", {"call": 1, "service": "op", "args": []}),
        Event(NS, "wake", "", {"timer": 1, "how": "fired"}),
    ]
    timeline = Timeline(tuple(events))
    assert scene(timeline).lanes == ("bob",)
    assert "sleep" not in describe(timeline)
    assert compare(timeline, timeline).height > 0


def line_for_a_permit(gives_up: str = "") -> Timeline:
    """Three tasks want one permit for a second each; one of them may be cancelled at 0.5 s."""
    world = World()
    desk = world.service("desk", latency=1.0)
    tasks: dict[str, asyncio.Task[None]] = {}

    async def person(name, permit):
        if name == gives_up:
            asyncio.get_running_loop().call_later(0.5, tasks[name].cancel)
        with waiting("a permit"):
            await permit.acquire()
        await desk()
        permit.release()

    async def office():
        permit = asyncio.Semaphore(1)
        tasks.update({name: asyncio.create_task(person(name, permit), name=name) for name in ("ann", "ben", "cleo")})
        await asyncio.wait(tasks.values())

    return simulate(office, world=world).timeline


def test_a_wait_is_a_thin_bar_up_to_its_end():
    """The first one doesn't wait, and no bar says that it did."""
    sheet = lanes(line_for_a_permit())
    waits = [bar for bar in sheet.bars if bar.tip.startswith("waits for a permit")]
    assert [bar.tip for bar in waits] == ["waits for a permit, 0 s to 1 s", "waits for a permit, 0 s to 2 s"]
    assert {bar.style for bar in waits} == {"sleep"} and max(bar.height for bar in waits) <= 3


def test_a_cancelled_wait_has_a_cross_where_the_cancellation_lands():
    sheet = lanes(line_for_a_permit(gives_up="ben"))
    (wait,) = [bar for bar in sheet.bars if bar.tip == "waits for a permit, 0 s to 0.5 s"]
    cross = next(shape for shape in sheet.shapes if isinstance(shape, Dots))
    assert cross.style == "cut" and cross.points[0] == pytest.approx((wait.x + wait.width, wait.y + wait.height / 2))
    assert "cancelled here (cross)" in [text.text for text in sheet.texts]
