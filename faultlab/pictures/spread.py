"""Pictures of many numbers, which lanes can't show: their distribution, and whether they stay below ceilings.

A section's test passes its message and the picture to its `assert` in one call:

    assert low < 0.1, spread(f"most of them from {low:.0%}", shares, of="pauses, as a share of their ceiling")

The picture is made where the timelines are judged. Its size doesn't grow with the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

from faultlab.pictures.axis import nice
from faultlab.pictures.sheet import GRID, INK, PALE, Bar, Dots, Line, Shape, Sheet, Text, measure, number, swatches

WIDTH, LEFT, TOP, HEIGHT = 720, 64, 24, 150
BINS = 20
DOTS = 600
"""The most numbers that are drawn as dots, evenly sampled."""


class Seen(str):
    """What was seen instead of what was expected, with a picture of it."""

    __slots__ = ("sheet",)
    sheet: Sheet

    def __new__(cls, words: str, sheet: Sheet) -> Seen:
        """The words, and the picture that stands under them."""
        seen = super().__new__(cls, words)
        seen.sheet = sheet
        return seen


def spread(message: str, values: Sequence[float], *, of: str, until: float = 1.0) -> Seen:
    """A message with a picture of numbers that should be spread evenly from 0 to `until`.

    of: the axis's words, which say what the numbers are.
    """
    last = until * max(1.0, min(3.0, nice(max(values, default=until) / until - 1e-6)))
    bins = round(BINS * last / until)
    counts = [0] * bins
    for value in values:
        counts[min(max(int(value / last * bins), 0), bins - 1)] += 1
    even = len(values) / BINS
    up = _Up(max([even * 1.5, *counts]))
    width = (WIDTH - 16 - LEFT) / bins
    shapes = up.drawn()
    for place, count in enumerate(counts):
        x = LEFT + place * width
        meant = even if place < BINS else 0.0
        shapes.append(Bar(x, up(meant), width, up(0) - up(meant), "meant_sleep", f"intended: about {meant:.0f}"))
        style = "attempt" if place < BINS else "failed"
        if count:
            shapes.append(Bar(x + width * 0.2, up(count), width * 0.6, up(0) - up(count), style, f"{count:,}"))
    ticks = [(LEFT + (WIDTH - 16 - LEFT) * part / 4, number(last * part / 4)) for part in range(5)]
    beyond = [("failed", f"yours, above {number(until)}")] if bins > BINS else []
    key = [("attempt", "yours"), *beyond, ("meant_sleep", "intended: evenly")]
    title = f"{len(values):,} {of}"
    most = max(range(bins), key=lambda place: counts[place])
    at = f"most of them, {counts[most]:,}, from {number(last * most / bins)} to {number(last * (most + 1) / bins)}"
    alt = f"{title}: {at}; intended is about {even:.0f} in each twentieth from 0 to {number(until)}."
    return Seen(message, _sheet(title, shapes, ticks, of, key, alt))


def under(message: str, values: Sequence[Sequence[float]], ceilings: Sequence[float], *, of: str, each: str) -> Seen:
    """A message with a picture of numbers in groups, each with its ceiling.

    values: the numbers of the first group, of the second, and so on. ceilings: as many. of: the axis's words, with the
        unit. each: the name of a group.
    """
    up = _Up(max([*ceilings, *(value for group in values for value in group)], default=1.0))
    width = (WIDTH - 16 - LEFT) / max(len(ceilings), 1)
    shapes, caps = up.drawn(), list[Shape]()
    good: list[tuple[float, float]] = []
    bad: list[tuple[float, float]] = []
    most = DOTS // max(len(ceilings), 1)
    for place, (group, ceiling) in enumerate(zip(values, ceilings, strict=False)):
        x, y = LEFT + place * width, up(ceiling)
        shapes.append(Bar(x + 2, y, width - 4, up(0) - y, "meant_sleep", f"ceiling {number(ceiling)}"))
        caps.append(Line(((x + 2, y), (x + width - 2, y)), INK, 2.0))
        for n, value in enumerate(shown := group[:: max(1, len(group) // most)]):
            dots = bad if value > ceiling * (1 + 1e-6) else good
            dots.append((x + width * (0.15 + 0.7 * (n + 0.5) / len(shown)), up(value)))
    shapes += [*caps, Dots(tuple(good), 2, "attempt"), Dots(tuple(bad), 3, "failed")]
    ticks = [(LEFT + (place + 0.5) * width, str(place + 1)) for place in range(len(ceilings))]
    key = [("attempt", "yours"), *[("failed", "yours, too high (crosses)")][: len(bad)], ("meant_sleep", "intended")]
    pairs = zip(values, ceilings, strict=False)
    highest = [f"{number(max(group, default=0))} where {number(top)} is the most" for group, top in pairs]
    alt = f"{of} {each} 1 to {len(ceilings)}, the highest of each: {'; '.join(highest[:12])}."
    return Seen(message, _sheet(f"{of} {each}", shapes, ticks, each, key, alt))


class _Up:
    """Maps numbers from 0 upwards to pixels."""

    def __init__(self, most: float) -> None:
        self.step = nice(most / 4)
        self.most = self.step * max(1, -int(-most / self.step // 1))

    def __call__(self, value: float) -> float:
        return TOP + HEIGHT * (1 - min(max(value, 0.0), self.most) / self.most)

    def drawn(self) -> list[Shape]:
        """The grid and its numbers."""
        shapes: list[Shape] = []
        for place in range(round(self.most / self.step) + 1):
            y = self(place * self.step)
            shapes.append(Line(((LEFT, y), (WIDTH - 16, y)), GRID))
            shapes.append(Text(LEFT - 6, y + 4, number(place * self.step), 10, "end", color=PALE))
        return shapes


def _sheet(
    title: str,
    shapes: list[Shape],
    ticks: Sequence[tuple[float, str]],
    of: str,
    key: Sequence[tuple[str, str]],
    alt: str,
) -> Sheet:
    bottom = TOP + HEIGHT
    scale: list[Shape] = [Line(((LEFT, bottom), (WIDTH - 16, bottom)), PALE)]
    right = 0.0
    for x, word in ticks:
        if x - measure(word, 10) / 2 > right:
            scale.append(Text(x, bottom + 15, word, 10, "middle", color=PALE))
            right = x + measure(word, 10) / 2 + 8
    scale.append(Text((LEFT + WIDTH - 16) / 2, bottom + 29, of, 10, "middle", color=PALE))
    legend, height = swatches(key, WIDTH)
    scale += Sheet(0, 0, tuple(legend)).moved(bottom + 36)
    words = Text(8, 14, title, 12, bold=True)
    return Sheet(WIDTH, bottom + 38 + height, (*shapes, *scale, words), title, alt)
