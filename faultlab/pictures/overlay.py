"""Draw two runs in one picture: yours, and in grey below it the intended one, with the first difference marked.

Each lane has two tracks on one time axis. If there isn't room for all, lanes that differ are drawn first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

from faultlab.pictures.axis import Axis
from faultlab.pictures.difference import Difference, differences, instant
from faultlab.pictures.lanes import (
    SIZES,
    WIDTH,
    Words,
    band_shape,
    draw_lane,
    gutter_for,
    lane_name,
    legend_of,
    place_words,
    rows_of,
    span_bar,
    strip,
    visible,
)
from faultlab.pictures.names import lane_words, natural
from faultlab.pictures.scene import Point, Scene, Span, lands, scene
from faultlab.pictures.sheet import PALE, Bar, Line, Shape, Sheet, Text, measure, swatches
from faultlab.pictures.words import describe
from faultlab.timeline import Timeline

HERE = "#A3006D"
"""The colour of the first difference: dark enough for words, and not the colour of an outcome."""

MEANT = "#6B6B6B"
"""The words of the intended run."""

SAME = "In this run yours does the same as the intended one, as far as a picture can show it."
"""Said if there is no difference."""

LIMIT = 8
_TRACK, _WORDS = 7, 13
"""Heights in pixels of the intended run's rows and words."""


@dataclass(frozen=True)
class _Two:
    """Both runs as scenes, with the picture's names of lanes."""

    own: Scene
    intended: Scene
    difference: Difference | None
    since: dict[str, float]
    """The lanes that differ, each with the instant of its first difference."""
    lanes: tuple[str, ...]
    """Those that are drawn."""
    hidden: int


def overlay(own: Timeline, intended: Timeline, *, alt: str | None = None, width: int = WIDTH) -> Sheet:
    """A run drawn over the intended one, with the first difference marked and described.

    alt: what is to be seen; without it the difference and the own run are described. width: pixels.

    Returns a Sheet, for `show` and `svg`.
    """
    return compared(own, intended, alt=alt, width=width)[1]


def compared(
    own: Timeline, intended: Timeline, *, alt: str | None = None, width: int = WIDTH
) -> tuple[Difference | None, Sheet]:
    """The first difference between a run and the intended one, and the picture of both as `overlay` draws it."""
    two = _two(own, intended)
    since, until, cut = _ends(two)
    two = _until(two, until) if cut else two
    axis = Axis(until, gutter_for(two.lanes), width - 16, since)
    words, strip_height = strip(list(two.own.bands), axis, 6)
    flag, flag_height = _flag(two.difference, axis, 6 + strip_height)
    top = 6 + strip_height + flag_height
    drawn, bottom = _draw_lanes(two, axis, top)
    plot = axis.plot(top, bottom)  # without what is said of the rest: a player never veils it
    rest = [f"and {two.hidden:,} more"] if two.hidden else []
    rest += [f"what comes after {instant(until)} isn't drawn"] if cut else []
    if rest:
        drawn.append(Text(8, bottom + 12, "; ".join(rest), color=PALE, halo=True))
        bottom += 16
    key, key_height = swatches([*legend_of(_styles(two)), ("meant", "intended run")], width)
    grid, scale = axis.drawn(top, bottom)
    behind = [band_shape(band, axis, top, bottom) for band in visible(two.own.bands, axis)]
    here = [shape for shape in drawn if isinstance(shape, Bar) and shape.style == "here"]
    drawn = [shape for shape in drawn if shape not in here]
    line = _line(two.difference, axis, top, plot.bottom)
    shapes: list[Shape] = [*here, *behind, *grid, *line, *drawn, *scale, *words, *flag]
    shapes += Sheet(0, 0, tuple(key)).moved(bottom + 36)
    said = f"Your run over the intended run. {two.difference.words if two.difference else SAME} {describe(own)}"
    sources = (("your run", own), ("intended run", intended))
    height = round(bottom + 36 + key_height + 2)
    alt = said if alt is None else alt
    return two.difference, Sheet(width, height, tuple(shapes), "Your run over the intended run", alt, sources, plot)


def _two(own: Timeline, intended: Timeline) -> _Two:
    scenes = [_renamed(scene(timeline), lane_words(timeline.lanes)) for timeline in (own, intended)]
    firsts: dict[str, float] = {}
    for timeline, words in ((one, lane_words(one.lanes)) for one in (own, intended)):
        for event in timeline:
            firsts.setdefault(words.get(event.lane, ""), event.seconds)
    present = dict.fromkeys([*scenes[0].lanes, *scenes[1].lanes])
    lanes = sorted(present, key=lambda lane: (round(firsts[lane], 6), natural(lane)))
    difference, since = differences(own, intended)
    first = difference.lane if difference else ""
    wanted = sorted(lanes, key=lambda lane: (lane != first, since.get(lane, float("inf"))))[:LIMIT]
    shown = tuple(lane for lane in lanes if lane in wanted)
    return _Two(scenes[0], scenes[1], difference, since, shown, len(lanes) - len(shown))


def _renamed(what: Scene, words: dict[str, str]) -> Scene:
    """A scene with the picture's names of lanes, without timeouts of unnamed tasks."""
    unnamed = {lane for lane, word in words.items() if lane != word}
    spans = {
        # calls without duration at one instant look like one
        span if span.end > span.start else span[:5]: span._replace(
            lane=words.get(span.lane, span.lane), label=_what_was_called(span.label)
        )
        for span in what.spans
    }
    points = [point for point in what.points if point.label != "timeout" or point.lane not in unnamed]
    busy = {span.lane for span in what.spans} | {point.lane for point in points}
    return replace(
        what,
        lanes=tuple(words.get(lane, lane) for lane in what.lanes if lane in busy),
        spans=tuple(spans.values()),
        points=tuple(point._replace(lane=words.get(point.lane, point.lane)) for point in points),
    )


def _what_was_called(label: str) -> str:
    """A span's words without those that its colour says."""
    return "" if label == "ok" else label.removesuffix(": ok")


def _ends(two: _Two) -> tuple[float, float, bool]:
    """The axis's ends: the first drawn thing (or 0, if that is near) and the last; and whether
    something is left out, because events long after the first difference would squeeze everything else.
    """
    spans = [span for what in (two.own, two.intended) for span in what.spans if span.lane in two.lanes]
    points = [point for what in (two.own, two.intended) for point in what.points if point.lane in two.lanes]
    instants = {one for span in spans for one in (span.start, span.end)} | {point.at for point in points}
    instants |= {two.difference.at} if two.difference else set()
    instants |= {band.end for band in two.own.bands if band.style in ("end", "blocked")}
    found = sorted(instants) or [0.0]
    first, last = found[0], found[-1]
    if two.difference:
        for before, after in reversed(list(pairwise(found))):
            if after - before > (last - first) / 2 and before >= two.difference.at:
                last = before
    room = max((last - first) / 20, (first / 50 - (last - first)) / 2)  # ticks with many digits need room
    return (first - room if first > (last - first) / 3 else 0.0), last + room or 1.0, last < found[-1]


def _until(two: _Two, until: float) -> _Two:
    """A scene without the lanes in which nothing happens before an instant."""
    things = [(span.lane, span.start) for what in (two.own, two.intended) for span in what.spans]
    things += [(point.lane, point.at) for what in (two.own, two.intended) for point in what.points]
    busy = {lane for lane, at in things if at <= until}
    shown = tuple(lane for lane in two.lanes if lane in busy)
    return replace(two, lanes=shown, hidden=two.hidden + len(two.lanes) - len(shown))


def _flag(difference: Difference | None, axis: Axis, top: float) -> tuple[list[Shape], int]:
    """The words above the line that marks the first difference."""
    if difference is None:
        return [], 0
    words = "first difference"
    x = min(axis(difference.at), axis.right + 12 - measure(words, 11, True))
    return [Text(x, top + 11, words, 11, bold=True, color=HERE)], 16


def _line(difference: Difference | None, axis: Axis, top: float, bottom: float) -> list[Shape]:
    x = axis(difference.at) if difference else 0.0
    return [Line(((x, top), (x, bottom)), HERE, 1.5)] if difference else []


def _styles(two: _Two) -> list[str]:
    styles = [thing.style for things in (two.own.spans, two.own.bands) for thing in things]
    return styles + ["cut" for span in two.own.spans if lands(span, two.own.points)]


# --- lanes -----------------------------------------------------------------------------------------------------------


def _draw_lanes(two: _Two, axis: Axis, top: float) -> tuple[list[Shape], float]:
    shapes: list[Shape] = []
    y = top
    for lane in two.lanes:
        drawn, height = _lane(two, lane, axis, y)
        if two.difference and two.difference.lane == lane:
            shapes.append(Bar(2, y, axis.right + 10, height - 3, "here"))
        shapes += drawn
        y += height
    if not two.lanes:
        shapes.append(Text(8, y + 16, "nothing happened", color=PALE))
        y += 24
    return shapes, y


def _lane(two: _Two, lane: str, axis: Axis, y: float) -> tuple[list[Shape], float]:
    """A lane's two tracks, and their height."""
    rows, points = _things(two.own, lane)
    meant_rows, meant_points = _things(two.intended, lane)
    own_words, meant_words = _words(two, lane, (rows, points), (meant_rows, meant_points))
    shapes, _ = draw_lane(rows, points, axis, SIZES[0], y)
    shapes += place_words(_on(axis, own_words), axis, y + 11, {-1: HERE, 4: PALE})
    height = SIZES[0].height(len(rows)) - SIZES[0].gap + 2
    meant, meant_height = _meant(meant_rows, meant_points, axis, y + height)
    if meant_words:
        baseline = y + height + meant_height + 10
        shapes += place_words(_on(axis, meant_words), axis, baseline, {-1: HERE, 0: MEANT, 1: MEANT, 4: MEANT})
        meant_height += _WORDS
    name = lane_name(lane, y + (height + meant_height) / 2 + 7, axis.left)
    return [name, *meant, *shapes], height + meant_height + SIZES[0].gap


_Things = tuple[list[list[Span]], list[Point]]


def _things(what: Scene, lane: str) -> _Things:
    """A lane's spans in rows, and its points; one empty row if it does nothing."""
    return rows_of(what).get(lane) or [[]], [point for point in what.points if point.lane == lane]


def _meant(rows: list[list[Span]], points: list[Point], axis: Axis, y: float) -> tuple[list[Shape], float]:
    """The intended run's track, in grey, and its height."""
    shapes: list[Shape] = []
    for index, row in enumerate(rows):
        for span in row:
            if span.start <= axis.until:
                bar = span_bar(span, axis, y + index * _TRACK, _TRACK - 1)
                shapes.append(bar._replace(style=_GREY[span.style], tip=f"intended: {bar.tip}"))
    height = len(rows) * _TRACK - 1
    xs = [axis(point.at) for point in points if axis.covers(point.at)]
    return [*shapes, *(Line(((x, y - 1), (x, y + height + 1)), MEANT, 2.0) for x in xs)], height


_Words = list[tuple[int, float, str]]
"""As `Words`, with instants in place of pixels."""


def _words(two: _Two, lane: str, own: _Things, meant: _Things) -> tuple[_Words, _Words]:
    """The words above and below a lane: the first difference, each run's marks, the ends of its calls.

    Words of the intended run only where it differs.
    """
    mine, other = _said(*own), _said(*meant)
    differing = [one for one in other if one not in mine] if lane in two.since else []
    here = two.difference if two.difference and two.difference.lane == lane else None
    found = [_joined(mine, other, here), _joined(differing, mine, here)]
    if here:
        found[0].append((-1, here.at, here.own))
        found[1].append((-1, here.at, here.intended))
    return found[0], found[1]


def _on(axis: Axis, words: _Words) -> Words:
    """The words that the axis shows, at their pixels."""
    return [(rank, axis(at), text) for rank, at, text in words if axis.covers(at)]


def _said(rows: list[list[Span]], points: list[Point]) -> _Words:
    said = [(0, round(point.at, 6), point.label) for point in points]
    ranks = {"failed": 1, "cancelled": 1, "attempt": 1, "ok": 4}
    return said + [
        (ranks[span.style], round(span.start, 6), span.label)
        for row in rows
        for span in row
        if span.style in ranks and span.label
    ]


def _joined(words: _Words, other: _Words, here: Difference | None) -> _Words:
    """All marks at one instant as one text, first those that the other run lacks. The difference has its own words."""
    found: dict[float, list[str]] = {}
    for rank, at, text in sorted(words, key=lambda one: one in other):
        if rank == 0 and (here is None or abs(at - here.at) > 1e-5):
            found.setdefault(at, []).append(text)
    return [(0, at, "; ".join(texts)) for at, texts in found.items()] + [one for one in words if one[0]]


_GREY = {
    "ok": "meant",
    "failed": "meant_failed",
    "cancelled": "meant_cancelled",
    "attempt": "meant",
    "sleep": "meant_sleep",
}
"""The styles of the intended run: grey, with the same hatching and outline as the own run's outcomes."""
