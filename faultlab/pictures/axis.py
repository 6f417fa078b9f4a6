"""The time axis of a picture: map seconds to pixels, with ticks in round steps."""

from __future__ import annotations

from faultlab.pictures.sheet import GRID, PALE, Line, Plot, Shape, Text

_UNITS = ((3600.0, "h"), (60.0, "min"), (1.0, "s"), (0.001, "ms"), (0.000_001, "µs"))
_NICE = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


class Axis:
    """Maps seconds from `since` to `until` to pixels from `left` to `right`."""

    def __init__(self, until: float, left: float, right: float, since: float = 0.0) -> None:
        self.since, self.until, self.left, self.right = since, max(until, since + 1e-9), left, right
        self._scale = (right - left) / (self.until - since)

    def __call__(self, at: float) -> float:
        """The pixel of an instant, kept inside the axis."""
        return self.left + (min(max(at, self.since), self.until) - self.since) * self._scale

    def covers(self, at: float) -> bool:
        """Whether the instant is on the axis."""
        return self.since <= at <= self.until

    @property
    def unit(self) -> tuple[float, str]:
        """The unit in which ticks are written: its seconds and its name."""
        span = self.until - self.since
        return next((unit for unit in _UNITS if span >= unit[0] * (3 if unit[0] > 1 else 0.3)), _UNITS[-1])

    def ticks(self) -> list[tuple[float, str]]:
        """The ticks, as pixels and words, in round steps that leave room for the words."""
        size, _ = self.unit
        step = nice((self.until - self.since) / size * 58 / (self.right - self.left))
        first = -int(-self.since / size // step)
        count = int((self.until - self.since) / size / step + 1e-6) + 1
        values = [(first + index) * step for index in range(count + 1)]
        return [(self(value * size), f"{value:,.9g}") for value in values if value * size <= self.until * (1 + 1e-9)]

    def plot(self, top: float, bottom: float) -> Plot:
        """Where this axis lies on its sheet, over the rows from `top` to `bottom`."""
        return Plot(self.left, self.right, top, bottom, self.since, self.until)

    def drawn(self, top: float, bottom: float) -> tuple[list[Shape], list[Shape]]:
        """The grid, to be drawn behind everything, and the axis with its words, 34 pixels high, below `bottom`."""
        ticks = self.ticks()
        grid: list[Shape] = [Line(((x, top), (x, bottom)), GRID) for x, _ in ticks]
        axis: list[Shape] = [Line(((self.left, bottom), (self.right, bottom)), PALE)]
        axis += [Line(((x, bottom), (x, bottom + 4)), PALE) for x, _ in ticks]
        axis += [Text(x, bottom + 15, word, 10, "middle", color=PALE) for x, word in ticks]
        name = {"h": "hours", "min": "minutes", "s": "seconds", "ms": "milliseconds", "µs": "microseconds"}
        axis.append(Text((self.left + self.right) / 2, bottom + 29, name[self.unit[1]], 10, "middle", color=PALE))
        return grid, axis


def nice(value: float) -> float:
    """The smallest of 1, 2, 5, 10, ... (and their tenths) that is not below the value."""
    power = 1.0
    while value * power < 1 and power < 1e12:
        power *= 10
    scaled = value * power
    tens = 1.0
    while scaled > tens * _NICE[-1]:
        tens *= 1000
    return next(step for step in _NICE if step * tens >= scaled * 0.999999) * tens / power
