"""One picture of two runs: what was done, and in grey under it what was meant; the first difference is marked.

Each lane has two tracks on one time axis. Lanes that differ are drawn before others, where there isn't room for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from faultlab.pictures.axis import Axis
from faultlab.pictures.difference import Difference, first_difference, lanes_that_differ
from faultlab.pictures.lanes import (
    SIZES,
    WIDTH,
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
from faultlab.pictures.scene import Point, Scene, Span, scene
from faultlab.pictures.sheet import PALE, Bar, Line, Shape, Sheet, Text, measure, swatches
from faultlab.pictures.words import describe
from faultlab.timeline import Timeline

HERE = "#A3006D"
"""The first difference: dark enough to be read as words, and no colour of an outcome."""

MEANT = "#6B6B6B"
"""The words of the intended run."""

SAME = "Yours does the same as the intended run, as far as a picture shows it."
"""What is said in place of a difference."""

LIMIT = 8
_TRACK, _WORDS = 7, 13
"""Heights in pixels: of a row of the intended run, and of its words."""


@dataclass(frozen=True)
class _Two:
    """Both runs as things to draw, under the lanes' names in the picture."""

    own: Scene
    intended: Scene
    difference: Difference | None
    since: dict[str, float]
    """The lanes that differ, each with the instant from which on it does."""
    lanes: tuple[str, ...]
    """Those that are drawn."""
    hidden: int


def overlay(own: Timeline, intended: Timeline, *, alt: str | None = None, width: int = WIDTH) -> Sheet:
    """A run over the intended one, with the first difference marked and said in the description.

    alt: what is to be seen; without it the difference and the own run are described. width: pixels.

    Returns a Sheet, for `show` and `svg`.
    """
    two = _two(own, intended)
    since, until = _ends(two)
    axis = Axis(until, gutter_for(two.lanes), width - 16, since)
    words, strip_height = strip(list(two.own.bands), axis, 6)
    flag, flag_height = _flag(two.difference, axis, 6 + strip_height)
    top = 6 + strip_height + flag_height
    drawn, bottom = _draw_lanes(two, axis, top)
    key, key_height = swatches([*legend_of(_styles(two)), ("meant", "intended run")], width)
    grid, scale = axis.drawn(top, bottom)
    behind = [band_shape(band, axis, top, bottom) for band in visible(two.own.bands, axis)]
    shapes: list[Shape] = [*grid, *behind, *_line(two.difference, axis, top, bottom), *drawn, *scale, *words, *flag]
    shapes += Sheet(0, 0, tuple(key)).moved(bottom + 36)
    said = f"Your run over the intended run. {two.difference.words if two.difference else SAME} {describe(own)}"
    sources = (("your run", own), ("intended run", intended))
    height = round(bottom + 36 + key_height + 2)
    return Sheet(width, height, tuple(shapes), "Your run over the intended run", said if alt is None else alt, sources)


def _two(own: Timeline, intended: Timeline) -> _Two:
    scenes = [_renamed(scene(timeline), lane_words(timeline.lanes)) for timeline in (own, intended)]
    firsts: dict[str, float] = {}
    for timeline, words in ((one, lane_words(one.lanes)) for one in (own, intended)):
        for event in timeline:
            firsts.setdefault(words.get(event.lane, ""), event.seconds)
    present = dict.fromkeys([*scenes[0].lanes, *scenes[1].lanes])
    lanes = sorted(present, key=lambda lane: (round(firsts[lane], 6), natural(lane)))
    difference, since = first_difference(own, intended), lanes_that_differ(own, intended)
    first = difference.lane if difference else ""
    wanted = sorted(lanes, key=lambda lane: (lane != first, since.get(lane, float("inf"))))[:LIMIT]
    shown = tuple(lane for lane in lanes if lane in wanted)
    return _Two(scenes[0], scenes[1], difference, since, shown, len(lanes) - len(shown))


def _renamed(what: Scene, words: dict[str, str]) -> Scene:
    """The same things under their lanes' names in a picture."""
    return replace(
        what,
        lanes=tuple(words.get(lane, lane) for lane in what.lanes),
        spans=tuple(span._replace(lane=words.get(span.lane, span.lane)) for span in what.spans),
        points=tuple(point._replace(lane=words.get(point.lane, point.lane)) for point in what.points),
    )


def _ends(two: _Two) -> tuple[float, float]:
    """The axis's ends: from what is drawn first to what is drawn last, and from 0 where that takes little room."""
    scenes = two.own, two.intended
    spans = [span for what in scenes for span in what.spans if span.lane in two.lanes]
    points = [point for what in scenes for point in what.points if point.lane in two.lanes]
    starts = [*(span.start for span in spans), *(point.at for point in points)]
    ends = [*(span.end for span in spans), *(point.at for point in points)]
    if two.difference:
        starts, ends = [*starts, two.difference.at], [*ends, two.difference.at]
    ends += [band.end for band in two.own.bands if band.style in ("end", "blocked")]
    first, last = min(starts, default=0.0), max(ends, default=0.0)
    room = (last - first) / 20
    return (first - room if first > (last - first) / 3 else 0.0), last + room or 1.0


def _flag(difference: Difference | None, axis: Axis, top: float) -> tuple[list[Shape], int]:
    """The words over the line that marks the first difference."""
    if difference is None:
        return [], 0
    words = "first difference"
    x = min(axis(difference.at), axis.right + 12 - measure(words, 11, True))
    return [Text(x, top + 11, words, 11, bold=True, color=HERE)], 16


def _line(difference: Difference | None, axis: Axis, top: float, bottom: float) -> list[Shape]:
    x = axis(difference.at) if difference else 0.0
    return [Line(((x, top), (x, bottom)), HERE, 1.5)] if difference else []


def _styles(two: _Two) -> list[str]:
    return [thing.style for things in (two.own.spans, two.own.bands) for thing in things]


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
    if two.hidden:
        shapes.append(Text(8, y + 12, f"and {two.hidden:,} more", color=PALE))
        y += 16
    if not two.lanes:
        shapes.append(Text(8, y + 16, "nothing happened", color=PALE))
        y += 24
    return shapes, y


def _lane(two: _Two, lane: str, axis: Axis, y: float) -> tuple[list[Shape], float]:
    """A lane's two tracks, and how high they are."""
    rows, points = _things(two.own, lane)
    shapes, height = draw_lane(rows, points, axis, SIZES[0], y), SIZES[0].height(len(rows)) - SIZES[0].gap + 2
    meant, meant_height = _meant(two, lane, axis, y + height)
    name = lane_name(lane, y + (height + meant_height) / 2 + 7, axis.left)
    return [name, *shapes, *meant], height + meant_height + SIZES[0].gap


def _things(what: Scene, lane: str) -> tuple[list[list[Span]], list[Point]]:
    """A lane's spans in rows, and its points; an empty row where it does nothing."""
    return rows_of(what).get(lane) or [[]], [point for point in what.points if point.lane == lane]


def _meant(two: _Two, lane: str, axis: Axis, y: float) -> tuple[list[Shape], float]:
    """The intended run's track, in grey; from where it differs on with its words under it."""
    rows, points = _things(two.intended, lane)
    shapes: list[Shape] = []
    for index, row in enumerate(rows):
        for span in row:
            bar = span_bar(span, axis, y + index * _TRACK, _TRACK - 1)
            shapes.append(bar._replace(style=_GREY[span.style], tip=f"intended: {bar.tip}"))
    bottom = y + len(rows) * _TRACK - 1
    shapes += [Line(((axis(one.at), y - 1), (axis(one.at), bottom + 1)), MEANT, 2.0) for one in points]
    since = two.since.get(lane)
    if since is None:
        return shapes, bottom - y
    words = _words_of(points, [span for row in rows for span in row], axis, since)
    return [*shapes, *place_words(words, axis, bottom + 10, dict.fromkeys((0, 1), MEANT))], bottom - y + _WORDS


def _words_of(points: Sequence[Point], spans: Sequence[Span], axis: Axis, since: float) -> list[tuple[int, float, str]]:
    """What is said of the intended run from an instant on: what it shows first, then how its calls ended."""
    found = [(0, axis(point.at), point.label) for point in points if point.at >= since - 1e-6]
    calls = [span for span in spans if span.end >= since - 1e-6 and span.style != "sleep"]
    return found + [(1, axis(span.start), span.label) for span in calls]


_GREY = {
    "ok": "meant",
    "failed": "meant_failed",
    "cancelled": "meant_cancelled",
    "attempt": "meant",
    "sleep": "meant_sleep",
}
"""The styles of the intended run: one grey, in the forms of the own run's outcomes."""
