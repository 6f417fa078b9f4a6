"""The clients of a raster: each has its own row, with its calls as bars, or as dots if rows are low."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from faultlab.pictures.axis import Axis
from faultlab.pictures.lanes import lane_name, legend_of, span_bar
from faultlab.pictures.scene import OUTCOME_STYLES, call_span
from faultlab.pictures.sheet import PALE, Dots, Shape, Text, fit
from faultlab.timeline import Call

Panel = Callable[[Axis, float], tuple[list[Shape], float]]
"""Draws itself at a height and says how much of it it took."""

PITCH, BAR = 3.4, 9.0
"""Pixels between clients at which dots are still dots, and at which there is room for bars."""

_DOT_WORDS = {
    "ok": "answered",
    "failed": "failed (cross)",
    "cancelled": "given up (triangle)",
    "attempt": "no answer (square)",
}


class Clients:
    """The panel of the clients.

    height: pixels; unless given, so much that dots don't melt into lines. limit: the most clients. who: what they are,
    in the plural. end: the run's, in seconds.
    """

    def __init__(self, calls: Sequence[Call], height: int | None, limit: int, who: str, end: float) -> None:
        self._calls, self._who, self._end = calls, who, end
        self._names = list(dict.fromkeys(call.lane for call in calls))
        self._shown = {name: index for index, name in enumerate(self._names[:limit])}
        self._height = height or min(max(200.0, len(self._shown) * PITCH), 400.0)
        self._pitch = self._height / max(len(self._shown), 1)
        self._bars = self._pitch >= BAR and not _overlap(calls)
        self._styles = {OUTCOME_STYLES[call.outcome] for call in calls}

    @property
    def dot_words(self) -> list[tuple[str, str]]:
        """The legend of the dots: styles and words."""
        return [] if self._bars else [(style, word) for style, word in _DOT_WORDS.items() if style in self._styles]

    @property
    def bar_words(self) -> list[tuple[str, str]]:
        """The legend of the bars: styles and words."""
        return legend_of(self._styles) if self._bars else []

    def draw(self, axis: Axis, y: float) -> tuple[list[Shape], float]:
        """The shapes at a height, and how much of it they take."""
        middles = {name: y + 6 + (index + 0.5) * self._pitch for name, index in self._shown.items()}
        seen = [call for call in self._calls if call.lane in self._shown and _on(axis, call)]
        shapes = self._spans(seen, middles, axis) if self._bars else self._dots(seen, middles, axis)
        return [*shapes, *self._words(axis, y + 6)], self._height + 12

    def _spans(self, calls: Sequence[Call], middles: Mapping[str, float], axis: Axis) -> list[Shape]:
        """Each call from its start to its end."""
        height = min(12.0, self._pitch - 4)
        spans = (call_span(call, self._end, several=False) for call in calls)
        return [span_bar(span, axis, middles[span.lane] - height / 2, height) for span in spans]

    def _dots(self, calls: Sequence[Call], middles: Mapping[str, float], axis: Axis) -> list[Shape]:
        """Each call as a dot at its start."""
        points: dict[str, list[tuple[float, float]]] = {}
        for call in calls:
            if axis.covers(call.start):
                points.setdefault(OUTCOME_STYLES[call.outcome], []).append((axis(call.start), middles[call.lane]))
        radius = min(3.5, max(1.2, self._pitch * 0.38))
        return [Dots(tuple(points[style]), radius, style) for style in sorted(points, reverse=True)]

    def _words(self, axis: Axis, y: float) -> list[Shape]:
        names, shown = self._names, len(self._shown)
        if not names:
            return [Text(axis.left + 8, y + 16, "no calls", color=PALE)]
        if self._pitch >= 14:
            return [lane_name(name, y + (at + 0.5) * self._pitch + 4, axis.left) for name, at in self._shown.items()]
        height = shown * self._pitch
        shapes: list[Shape] = [Text(8, y + height / 2, fit(f"{len(names):,} {self._who}", axis.left - 40))]
        if len(names) > shown:
            hidden = fit(f"{len(names) - shown:,} not drawn", axis.left - 14, 10)
            shapes.append(Text(8, y + height / 2 + 15, hidden, 10))
        if shown > 1:
            shapes.append(Text(axis.left - 6, y + 8, "1", 10, "end", color=PALE))
            shapes.append(Text(axis.left - 6, y + height, f"{shown:,}", 10, "end", color=PALE))
        return shapes


def _overlap(calls: Sequence[Call]) -> bool:
    """Whether a client has two calls under way at once."""
    ends: dict[str, float] = {}
    for call in calls:
        if call.start < ends.get(call.lane, call.start):
            return True
        ends[call.lane] = call.end if call.end is not None else float("inf")
    return False


def _on(axis: Axis, call: Call) -> bool:
    return call.start <= axis.until and (call.end is None or call.end >= axis.since)
