"""Timelines as lanes: one lane for each task or client, what it did from left to right, the world's faults behind.

`scene.py` turns events into spans, points and bands; `lanes` places them on a sheet and chooses which
words are shown: a word takes free room in its row, or is left out. `compare` puts two runs below each other on the same
    axis. `svg.py` paints the sheet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from faultlab.pictures.axis import Axis
from faultlab.pictures.names import lane_words, squeeze
from faultlab.pictures.scene import Band, Point, Scene, Span, lands, scene
from faultlab.pictures.sheet import (
    CROSS,
    INK,
    PALE,
    STYLES,
    Bar,
    Dots,
    Line,
    Row,
    Shape,
    Sheet,
    Text,
    clean,
    fit,
    measure,
    stack,
    swatches,
    with_words,
)
from faultlab.pictures.words import describe
from faultlab.timeline import Timeline

WIDTH = 720
LIMIT = 12


def lanes(
    timeline: Timeline,
    *,
    title: str = "",
    alt: str | None = None,
    width: int = WIDTH,
    height: int | None = None,
    since: float = 0.0,
    until: float | None = None,
    order: Sequence[str] = (),
    lines: Sequence[str] = (),
    limit: int = LIMIT,
    gutter: float | None = None,
    legend: bool = True,
) -> Sheet:
    """A timeline as lanes, one for each task or client.

    title: words above it.
    alt: what is to be seen; without it the events are described.
    width: pixels.
    height: pixels: lanes get thinner, words go, then lanes are counted in words. Without it the picture grows with
        its lanes.
    since, until: the axis's ends, in seconds.
    order: names of lanes that come first.
    lines: names of marks that are drawn as lines through all lanes.
    limit: the most lanes; the rest is counted in words.
    gutter: pixels at the left for the lanes' names.
    legend: whether the styles are explained beneath.

    Returns a Sheet, for `show`.

    >>> sheet = lanes(simulate(asyncio.sleep(2)).timeline, title="A nap", until=3)
    >>> sheet.title, sheet.alt
    ('A nap', 'sleep over 2 s: 1 sleep, 2 s in all.')
    """
    what = scene(timeline, order=order, lines=lines)
    names = lane_words(timeline.lanes)
    gutter = gutter or gutter_for([names.get(name, name) for name in what.lanes[:limit]])
    axis = Axis(until if until is not None else what.until or 1.0, gutter, width - 16, since)
    top = 24 if title else 6
    words, strip_height = strip(what.bands, axis, top)
    key, key_height = swatches(_legend(what), width) if legend else ([], 0)
    room = None if height is None else height - top - strip_height - 36 - key_height - 2
    plan = _plan(what, room, limit)
    start = top + strip_height
    drawn, bottom = _draw_lanes(axis, plan, start, names)
    if room is not None:
        bottom = max(bottom, start + room)
    grid, scale = axis.drawn(start, bottom)
    behind = [band_shape(band, axis, start, bottom) for band in visible(what.bands, axis)]
    total = round(bottom + 36 + key_height + 2) if height is None else height
    shapes: list[Shape] = [*behind, *grid, *drawn, *scale, *words]
    shapes += Sheet(0, 0, tuple(key)).moved(bottom + 36)
    if title:
        shapes.append(Text(8, 16, fit(title, width - 16, 13, True), 13, bold=True))
    said = describe(timeline) if alt is None else alt
    sources = ((title or "Timeline", timeline),)
    return Sheet(width, total, tuple(shapes), clean(title) or "Timeline", said, sources, axis.plot(start, bottom))


def compare(
    own: Timeline,
    intended: Timeline,
    *,
    titles: tuple[str, str] = ("your run", "intended run"),
    alt: str | None = None,
    width: int = WIDTH,
    limit: int = 8,
) -> Sheet:
    """Two timelines below each other on the same axis: your run and the intended run.

    titles: words above each. alt: what is to be seen; without it both are described. width: pixels. limit: the most
    lanes of each.

    Returns a Sheet, for `show`.

    >>> nap, rest = (simulate(asyncio.sleep(length)).timeline for length in (2, 3))
    >>> compare(nap, rest).alt
    'Your run: sleep over 2 s: 1 sleep, 2 s in all. Intended run: sleep over 3 s: 1 sleep, 3 s in all.'
    """
    both = (own, intended)
    until = max(timeline.duration for timeline in both) or 1.0
    scenes = [scene(timeline) for timeline in both]
    names = [(what, lane_words(timeline.lanes)) for what, timeline in zip(scenes, both, strict=True)]
    gutter = gutter_for([words.get(name, name) for what, words in names for name in what.lanes[:limit]])
    sheets = [
        lanes(timeline, title=title, width=width, until=until, limit=limit, gutter=gutter, legend=False)
        for timeline, title in zip(both, titles, strict=True)
    ]
    key, key_height = swatches(_legend(*scenes), width)
    sheets.append(Sheet(width, key_height, tuple(key)))
    said = " ".join(f"{clean(title).capitalize()}: {sheet.alt}" for title, sheet in zip(titles, sheets, strict=False))
    return with_words(stack(sheets, gap=8), title=" and ".join(map(clean, titles)), alt=said if alt is None else alt)


def gutter_for(names: Iterable[str]) -> float:
    """The width for these lanes' names in pixels, within limits."""
    return min(150.0, max([56.0, *(measure(clean(name)) + 20 for name in names)]))


def lane_name(name: str, y: float, gutter: float) -> Text:
    """A lane's name at the left of the lane."""
    return Text(8, y, squeeze(name, gutter - 14))


def legend_of(styles: Iterable[str]) -> list[tuple[str, str]]:
    """The legend's entries for these styles, in the house's order."""
    present = set(styles)
    return [(name, style.word) for name, style in STYLES.items() if name in present and style.word]


def visible(bands: Iterable[Band], axis: Axis) -> list[Band]:
    """The bands that the axis shows."""
    return [band for band in bands if band.end >= axis.since and band.start <= axis.until]


def band_shape(band: Band, axis: Axis, top: float, bottom: float) -> Shape:
    """A band behind the lanes; the run's end is a line."""
    x = axis(band.start)
    if band.style == "end":
        return Line(((x, top), (x, bottom)), INK, 2.0)
    return Bar(x, top, max(axis(band.end) - x, 2.0), bottom - top, band.style, clean(band.label))


def strip(bands: Sequence[Band], axis: Axis, top: float) -> tuple[list[Shape], int]:
    """The bands' words above the lanes, in up to three rows."""
    rows = [Row(axis.left, axis.right + 12) for _ in range(3)]
    shapes: list[Shape] = []
    used = 0
    for band in sorted(_joined(visible(bands, axis)), key=lambda band: (band.style != "end", band.start)):
        text = fit(band.label, 260, 10)
        for index, row in enumerate(rows):
            x = row.place(axis(band.start), measure(text, 10))
            if x is not None:
                shapes.append(Text(x, top + 14 * index + 10, text, 10))
                used = max(used, index + 1)
                break
    return shapes, 14 * used + (2 if used else 0)


def _joined(bands: Iterable[Band]) -> list[Band]:
    """The bands, those without length that lie at one instant as one with all their words."""
    found: dict[tuple[float, float, int], Band] = {}
    for number, band in enumerate(bands):
        key = (band.start, band.end, -1 if band.start == band.end and band.style == "end" else number)
        before = found.get(key)
        found[key] = band._replace(label=f"{before.label}, {band.label}") if before else band
    return list(found.values())


def _legend(*scenes: Scene) -> list[tuple[str, str]]:
    styles = [thing.style for what in scenes for things in (what.spans, what.bands) for thing in things]
    return legend_of([*styles, *("cut" for what in scenes for span in what.spans if lands(span, what.points))])


# --- from things to places -------------------------------------------------------------------------------------------


class Size(NamedTuple):
    """The heights of a lane's parts, in pixels."""

    label: int
    bar: int
    gap: int

    def height(self, rows: int) -> int:
        return self.label + self.bar * rows + self.gap


SIZES = (Size(14, 14, 8), Size(0, 12, 6), Size(0, 9, 4))


@dataclass(frozen=True)
class _Plan:
    """Which lanes are drawn, how high, and which row of its lane each span takes."""

    size: Size
    lanes: tuple[str, ...]
    hidden: int
    rows: dict[str, list[list[Span]]]
    points: dict[str, list[Point]]


def _plan(what: Scene, room: float | None, limit: int) -> _Plan:
    rows = rows_of(what)
    points: dict[str, list[Point]] = {name: [] for name in what.lanes}
    for point in what.points:
        points.setdefault(point.lane, []).append(point)
    size, count = SIZES[0], limit
    if room is not None:
        size, count = _that_fit([len(rows[name]) for name in what.lanes], room, limit)
    shown = what.lanes if len(what.lanes) <= count else what.lanes[: max(1, count)]
    return _Plan(size, shown, len(what.lanes) - len(shown), rows, points)


def _that_fit(rows: Sequence[int], room: float, limit: int) -> tuple[Size, int]:
    """The largest size at which all lanes fit; otherwise the smallest size, and how many lanes fit."""
    count = min(len(rows), limit)
    rest = 16 if count < len(rows) else 0
    for size in SIZES:
        if sum(size.height(one) for one in rows[:count]) + rest <= room:
            return size, count
    left, count = room - 16, 0
    while count < len(rows) and left >= SIZES[-1].height(rows[count]):
        left -= SIZES[-1].height(rows[count])
        count += 1
    return SIZES[-1], min(count, limit)


def rows_of(what: Scene) -> dict[str, list[list[Span]]]:
    """Each lane's spans in up to four rows, so that none covers another."""
    rows: dict[str, list[list[Span]]] = {name: [[]] for name in what.lanes}
    for span in sorted(what.spans, key=lambda span: (span.start, span.end)):
        own = rows[span.lane]
        free = next((row for row in own if not row or _follows(row[-1], span)), None)
        if free is None and len(own) < 4:
            own.append(free := [])
        (free if free is not None else min(own, key=lambda row: row[-1].end)).append(span)
    return rows


def _follows(before: Span, after: Span) -> bool:
    """Whether a span can stand in the same row: two calls without duration at one instant can't."""
    return after.start >= before.end and not (before.start == before.end == after.start == after.end)


def _draw_lanes(axis: Axis, plan: _Plan, top: float, names: Mapping[str, str]) -> tuple[list[Shape], float]:
    shapes: list[Shape] = []
    y = top
    for name in plan.lanes:
        rows = plan.rows[name]
        height = plan.size.height(len(rows))
        middle = y + plan.size.label + plan.size.bar * len(rows) / 2 + (2 if plan.size.label else plan.size.gap / 2)
        shapes.append(lane_name(names.get(name, name), middle + 4, axis.left))
        drawn, words = draw_lane(rows, plan.points[name], axis, plan.size, y)
        shapes += [*drawn, *place_words(words, axis, y + 11, {_RANK["ok"]: PALE})]
        y += height
    if plan.hidden:
        shapes.append(Text(8, y + 12, f"and {plan.hidden:,} more", color=PALE))
        y += 16
    if not plan.lanes:
        shapes.append(Text(8, y + 16, "nothing happened", color=PALE))
        y += 24
    return shapes, y


Words = list[tuple[int, float, str]]
"""Words with their rank (lowest first) and their pixel."""


def draw_lane(
    rows: list[list[Span]], points: list[Point], axis: Axis, size: Size, y: float
) -> tuple[list[Shape], Words]:
    """A lane's bars and instants, and the words that belong over them."""
    shapes: list[Shape] = []
    words: Words = []
    first = y + size.label + (2 if size.label else size.gap / 2)
    for index, row in enumerate(rows):
        for span in row:
            if span.end < axis.since or span.start > axis.until:
                continue
            bar = span_bar(span, axis, first + index * size.bar, size.bar - 2)
            shapes += [bar, *_cross(span, bar, points, axis)]
            if size.label and span.style == "sleep":
                shapes += _inside(span.label, bar)
            elif size.label:
                words.append((_RANK[span.style], bar.x, span.label))
    bottom = first + len(rows) * size.bar - 2
    for point in points:
        if axis.covers(point.at):
            x = axis(point.at)
            shapes.append(Line(((x, first - 3), (x, bottom + 2)), INK, 2.0))
            words.append((0, x, point.label))
    return shapes, words if size.label else []


def _cross(span: Span, bar: Bar, points: Sequence[Point], axis: Axis) -> list[Shape]:
    """The cross where a cancellation landed, unless a mark with its words stands there."""
    if not lands(span, points) or not axis.covers(span.end):
        return []
    return [Dots(((axis(span.end), bar.y + bar.height / 2),), CROSS, "cut")]


# The order in which words are placed if there isn't room for all: marks first, then failures.
_RANK = {"failed": 1, "cancelled": 2, "attempt": 3, "ok": 4}


def place_words(words: Words, axis: Axis, baseline: float, colors: Mapping[int, str]) -> list[Shape]:
    """Words on one line; words without room are left out. Some ranks have colours of their own."""
    row = Row(axis.left, axis.right + 12)
    shapes: list[Shape] = []
    for rank, x, label in sorted(words):
        text = squeeze(label, 170, 10)
        place = row.place(x, measure(text, 10)) if text else None
        if place is not None:
            shapes.append(Text(place, baseline, text, 10, color=colors.get(rank, INK), halo=True))
    return shapes


def _inside(label: str, bar: Bar) -> list[Shape]:
    """A sleep's duration, written into its line as in a technical drawing, if the line is long enough."""
    if measure(label, 10) + 12 > bar.width:
        return []
    room, middle = measure(label, 10) + 6, bar.x + bar.width / 2
    gap = Bar(middle - room / 2, bar.y, room, bar.height, "paper")
    return [gap, Text(middle, bar.y + 5, label, 10, "middle", color=PALE, halo=True)]


def span_bar(span: Span, axis: Axis, y: float, height: float) -> Bar:
    """A span as a bar of this height; a sleep as a thin one in its middle."""
    x = axis(span.start)
    width = max(axis(span.end) - x, 3.0)
    x = min(x, axis.right - 3.0) if width <= 3.0 else x
    if span.style == "sleep":
        y, height = y + height / 2 - min(3.0, height / 2) / 2, min(3.0, height / 2)
    return Bar(x, y, width, height, span.style, clean(span.tip))
