"""Draw many clients at once: a dot for each call, states as a ribbon of words, slots with their holders, step lines.

Each picture is a stack of panels over one time axis. Like `lanes.py` this places things on a sheet, and paints nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from faultlab.pictures.axis import Axis, nice
from faultlab.pictures.clients import Clients, Panel
from faultlab.pictures.lanes import (
    WIDTH,
    band_shape,
    gutter_for,
    lane_name,
    legend_of,
    strip,
    visible,
)
from faultlab.pictures.names import state_word
from faultlab.pictures.scene import bands_of
from faultlab.pictures.series import Interval, Series
from faultlab.pictures.sheet import (
    GRID,
    PALE,
    STYLES,
    TONES,
    Bar,
    Line,
    Row,
    Shape,
    Sheet,
    Text,
    clean,
    dot_legend,
    fit,
    measure,
    number,
    plural,
    seconds,
    swatches,
    wrapped,
)
from faultlab.pictures.words import describe
from faultlab.timeline import Call, Mark, Timeline

GUTTER = 120.0
SEEN = 3.0
"""The least width of a state, in pixels."""


def raster(
    timeline: Timeline,
    *,
    title: str = "",
    alt: str | None = None,
    width: int = WIDTH,
    height: int | None = None,
    since: float = 0.0,
    until: float | None = None,
    service: str | None = None,
    who: str = "clients",
    bin: float | None = None,
    state: str | None = None,
    states: Mapping[str, str] | None = None,
    steps: Mapping[str, Series] | None = None,
    most: float | None = None,
    tops: Mapping[str, float] | None = None,
    limit: int = 200,
) -> Sheet:
    """Clients from top to bottom, colour and shape by outcome, arrivals below.

    A call is a bar from its start to its end where clients have room for bars, otherwise a dot at its start.

    title: words above it.
    alt: what is to be seen; without it the events are described.
    width: pixels. height: the clients' share of it, pixels; unless given, so much that the dots don't melt.
    since, until: the axis's ends, in seconds.
    service: show the calls of this one only.
    who: what the callers are, in the plural.
    bin: the width of a count of arrivals, in seconds; 0 leaves the counts out.
    state: the name of the mark whose values become ribbons above.
    states: a style for a state ("ok", "failed", "tone2").
    steps: lines below, by name: (instant in seconds, value) pairs.
    most, tops: where the scale of the arrivals ends, and that of each line, by its name; for pictures to compare.
    limit: the most clients that are drawn; the rest is counted.

    Returns a Sheet, for `show`. Raises ValueError for a style that doesn't exist.

    >>> world = World()
    >>> op = world.service("op", latency=0.1)
    >>> async def herd():
    ...     await asyncio.gather(*(op.for_lane(f"client {number}")() for number in range(50)))
    >>> sheet = raster(simulate(herd, world=world).timeline, bin=0.1)
    >>> sheet.alt
    '50 lanes over 100 ms: 50 calls to op, 50 answered.'
    """
    calls = timeline.calls(service)
    end = until if until is not None else timeline.duration or 1.0
    axis = Axis(end, GUTTER, width - 16, since)
    shown = [state_word(mark.value) for mark in timeline.marks(state)] if state else []
    tones = tones_of(shown, {state_word(name): style for name, style in (states or {}).items()})
    panels = [_ribbon(lane, marks, tones, timeline.duration) for lane, marks in _by_lane(timeline, state)]
    clients = Clients(calls, height, limit, who, timeline.duration)
    panels.append(clients.draw)
    if bin != 0:
        panels.append(_histogram(calls, axis, bin, most))
    panels += [_steps(name, series, (tops or {}).get(name)) for name, series in (steps or {}).items()]
    said = describe(timeline) + _state_words(timeline, state) if alt is None else alt
    return _page(axis, panels, tones, timeline, title, said, clients)


def slots(
    intervals: Iterable[Interval],
    *,
    title: str = "",
    alt: str | None = None,
    width: int = WIDTH,
    since: float = 0.0,
    until: float | None = None,
    order: Sequence[str] = (),
    tenants: Mapping[str, str] | None = None,
    steps: Mapping[str, Series] | None = None,
    tops: Mapping[str, float] | None = None,
    limit: int = 24,
    timeline: Timeline | None = None,
) -> Sheet:
    """Slots as lanes, filled by the tenants that hold them.

    intervals: the tenant of each slot over time, as `occupancy` returns it.
    title: words above it.
    alt: what is to be seen; without it each tenant's share is told.
    width: pixels. since, until: the axis's ends, in seconds.
    order: the names of slots that come first, including those that were never held.
    tenants: a style for a tenant ("tone0" to "tone5").
    steps: lines below, by name: (instant in seconds, value) pairs.
    tops: where the scale of each line ends, by its name; for pictures to compare.
    limit: the most slots; the rest is counted in words.
    timeline: the world's outages in it lie behind.

    Returns a Sheet, for `show`. Raises ValueError for a style that doesn't exist.

    >>> slots([Interval("slot 1", "red", 0, 3), Interval("slot 2", "blue", 1, 2)]).alt
    '2 slots over 3 s; of the time held: red 75%, blue 25%.'
    """
    held = sorted(intervals, key=lambda one: (one.start, one.slot))
    end = until if until is not None else max([one.end for one in held], default=1.0)
    names = list(dict.fromkeys([*order, *sorted(dict.fromkeys(one.slot for one in held), key=_natural)]))
    axis = Axis(end, max(GUTTER if steps else 0, gutter_for(names[:limit])), width - 16, since)
    tones = tones_of([one.tenant for one in held], tenants)
    panels = [_slots(held, names, tones, limit)]
    panels += [_steps(name, series, (tops or {}).get(name)) for name, series in (steps or {}).items()]
    said = _slot_words(held, names, end) if alt is None else alt
    return _page(axis, panels, tones, timeline, title, said)


def tones_of(names: Iterable[str], given: Mapping[str, str] | None = None) -> dict[str, str]:
    """A style for each name: the given one, or the next tone. Raises ValueError for a style that doesn't exist."""
    given = given or {}
    for style in given.values():
        if style not in STYLES:
            raise ValueError(f"no style {style!r}: take one of {', '.join(STYLES)}")
    tones: dict[str, str] = {}
    for name in names:
        if name not in tones:
            tones[name] = given.get(name) or TONES[len(tones) % len(TONES)]
    return tones


# --- a page of panels ------------------------------------------------------------------------------------------------


def _page(
    axis: Axis,
    panels: Sequence[Panel],
    tones: Mapping[str, str],
    timeline: Timeline | None,
    title: str,
    alt: str,
    clients: Clients | None = None,
) -> Sheet:
    width = round(axis.right) + 16
    top = 24 if title else 6
    bands = list(bands_of(timeline)) if timeline else []
    words, strip_height = strip(bands, axis, top)
    start = y = float(top + strip_height)
    drawn: list[Shape] = []
    for panel in panels:
        shapes, taken = panel(axis, y)
        drawn += shapes
        y += taken
    grid, scale = axis.drawn(start, y)
    plot = axis.plot(start, y)
    behind = [band_shape(band, axis, start, y) for band in visible(bands, axis)]
    shapes = [*behind, *grid, *drawn, *scale, *words]
    y += 36
    colors = [(style, name) for name, style in tones.items()] + legend_of(band.style for band in bands)
    dots, bars = (clients.dot_words, clients.bar_words) if clients else ([], [])
    for key, taken in (dot_legend(dots, width), swatches(_by_style([*bars, *colors]), width)):
        shapes += Sheet(0, 0, tuple(key)).moved(y)
        y += taken
    if title:
        shapes.append(Text(8, 16, fit(title, width - 16, 13, True), 13, bold=True))
    sources = ((title or "Timeline", timeline),) if timeline else ()
    return Sheet(width, round(y + 2), tuple(shapes), clean(title) or "Timeline", alt, sources, plot)


def _by_style(entries: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """A legend in which each style stands once, with all its words."""
    words: dict[str, list[str]] = {}
    for style, word in entries:
        words.setdefault(style, []).append(word)
    return [(style, ", ".join(dict.fromkeys(several))) for style, several in words.items()]


def _histogram(calls: Sequence[Call], axis: Axis, bin: float | None, top: float | None) -> Panel:
    size = bin or _round_bin(axis)
    counts: dict[int, int] = {}
    for call in calls:
        if axis.covers(call.start):
            # Half a nanosecond of slack, because 0.3 / 0.1 is a little less than 3.
            index = int((call.start - axis.since + 5e-10) / size)
            counts[index] = counts.get(index, 0) + 1

    def draw(axis: Axis, y: float) -> tuple[list[Shape], float]:
        most = top or max(counts.values(), default=1)
        shapes = _frame(axis, y, 56, f"calls per {seconds(size)}", most)
        for index in sorted(counts):
            left, right = axis(axis.since + index * size), axis(axis.since + (index + 1) * size)
            tall = max(1.0, 46 * min(counts[index] / most, 1.0))
            tip = f"{plural(counts[index], 'call')} from {seconds(round(axis.since + index * size, 9))}"
            shapes.append(Bar(left, y + 56 - tall, max(right - left - 0.5, 1.0), tall, "attempt", tip))
        return shapes, 60

    return draw


def _round_bin(axis: Axis) -> float:
    size, _ = axis.unit
    return nice((axis.until - axis.since) / size / 80) * size


def _steps(name: str, series: Series, top: float | None = None) -> Panel:
    def draw(axis: Axis, y: float) -> tuple[list[Shape], float]:
        values = [value for at, value in series if at <= axis.until]
        most = top or max(values, default=0) or 1.0
        shapes = _frame(axis, y, 56, name, most)
        points: list[tuple[float, float]] = []
        for at, value in series:
            if at > axis.until:
                break
            level = y + 56 - 46 * min(max(value, 0.0) / most, 1.0)
            if points:
                points.append((axis(at), points[-1][1]))
            points.append((axis(at), level))
        if points:
            shapes.append(Line((*points, (axis.right, points[-1][1])), STYLES["attempt"].fill, 1.6))
        return shapes, 60

    return draw


def _frame(axis: Axis, y: float, height: int, name: str, most: float) -> list[Shape]:
    """A small diagram's name, its base, and the two ends of its scale."""
    top = number(most)
    shapes: list[Shape] = [
        Line(((axis.left, y + height), (axis.right, y + height)), PALE, 0.8),
        Line(((axis.left, y + 10), (axis.right, y + 10)), GRID),
        Text(axis.left - 6, y + 14, top, 10, "end", color=PALE),
        Text(axis.left - 6, y + height, "0", 10, "end", color=PALE),
    ]
    lines = wrapped(name, axis.left - 22 - measure(top, 10))
    first = y + height / 2 + 8 - 7 * (len(lines) - 1)
    return shapes + [Text(8, first + 14 * index, line) for index, line in enumerate(lines)]


def _ribbon(lane: str, marks: Sequence[Mark], tones: Mapping[str, str], end: float) -> Panel:
    def draw(axis: Axis, y: float) -> tuple[list[Shape], float]:
        bars: list[tuple[Bar, str]] = []
        for mark, stop in zip(marks, [*(mark.at for mark in marks[1:]), end], strict=True):
            if mark.at < stop and stop >= axis.since and mark.at <= axis.until:
                word, x = state_word(mark.value), axis(mark.at)
                tip = f"{word} from {seconds(mark.at)}"
                bars.append((Bar(x, y + 2, max(axis(stop) - x, SEEN), 18, tones[word], tip), word))
        bars.sort(key=lambda bar: bar[0].width <= SEEN)  # a short state lies over the long one that follows
        above = _above(sorted(bars), axis, y + 11)
        down = 14 if above else 0
        placed = Sheet(0, 0, tuple(shape for bar, word in bars for shape in (bar, *_word_in(bar, word)))).moved(down)
        return [lane_name(lane, y + 15 + down, axis.left), *above, *placed], 26 + down

    return draw


def _above(bars: Sequence[tuple[Bar, str]], axis: Axis, baseline: float) -> list[Shape]:
    """The words that don't fit into their bars, placed above them while there is room."""
    row = Row(axis.left, axis.right + 12)
    shapes: list[Shape] = []
    for bar, word in bars:
        if word and not _word_in(bar, word):
            x = row.place(bar.x, measure(word, 10))
            if x is not None:
                shapes.append(Text(x, baseline, word, 10, halo=True))
    return shapes


def _slots(held: Sequence[Interval], names: Sequence[str], tones: Mapping[str, str], limit: int) -> Panel:
    shown = names[:limit]

    def draw(axis: Axis, y: float) -> tuple[list[Shape], float]:
        places = {name: y + 22 * index for index, name in enumerate(shown)}
        shapes: list[Shape] = [lane_name(name, place + 15, axis.left) for name, place in places.items()]
        shapes += [Line(((axis.left, place + 21), (axis.right, place + 21)), GRID) for place in places.values()]
        for one in held:
            if one.slot not in places or one.end < axis.since or one.start > axis.until:
                continue
            x = axis(one.start)
            tip = f"{clean(one.tenant)}, {seconds(one.start)} to {seconds(one.end)}"
            # A white pixel between neighbours, so that two stays don't look like one.
            bar = Bar(x, places[one.slot] + 2, max(axis(one.end) - x - 1, 1.0), 18, tones[one.tenant], tip)
            shapes += [bar, *_word_in(bar, one.tenant)]
        if len(names) > len(shown):
            shapes.append(Text(8, y + 22 * len(shown) + 13, f"and {len(names) - len(shown):,} more", color=PALE))
        return shapes, 22 * len(shown) + (18 if len(names) > len(shown) else 4)

    return draw


def _word_in(bar: Bar, word: str) -> list[Shape]:
    """A word in a bar, if all of it fits."""
    word = clean(word)
    if not word or measure(word, 10) + 6 > bar.width:
        return []
    return [Text(bar.x + bar.width / 2, bar.y + 13, word, 10, "middle", halo=True)]


# --- words -----------------------------------------------------------------------------------------------------------


def _by_lane(timeline: Timeline, state: str | None) -> list[tuple[str, list[Mark]]]:
    lanes: dict[str, list[Mark]] = {}
    for mark in timeline.marks(state) if state else ():
        lanes.setdefault(mark.lane, []).append(mark)
    return list(lanes.items())


def _state_words(timeline: Timeline, state: str | None) -> str:
    said = []
    for lane, marks in _by_lane(timeline, state)[:3]:
        turns = [f"{state_word(mark.value)} at {seconds(mark.at)}" for mark in marks[:6]]
        turns += [f"and {plural(len(marks) - 6, 'more change')}"] if len(marks) > 6 else []
        said.append(f" {clean(lane, 40)}: {', '.join(turns)}.")
    return "".join(said)


def _slot_words(held: Sequence[Interval], names: Sequence[str], end: float) -> str:
    total = sum(one.end - one.start for one in held)
    shares: dict[str, float] = {}
    for one in held:
        shares[one.tenant] = shares.get(one.tenant, 0.0) + one.end - one.start
    said = [f"{clean(name, 40)} {share / total:.0%}" for name, share in list(shares.items())[:6] if total]
    return f"{plural(len(names), 'slot')} over {seconds(end)}; of the time held: {', '.join(said) or 'nothing'}."


def _natural(name: str) -> tuple[str, int]:
    """Slot 2 before slot 10."""
    head = name.rstrip("0123456789")
    return head, int(name[len(head) :] or 0)
