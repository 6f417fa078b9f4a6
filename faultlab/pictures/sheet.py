"""A picture as plain data: bars, dots, lines and words with their places in pixels, before painting.

`lanes.py` and `raster.py` lay a picture out, and `svg.py` paints it. The layout decides everything (colours by name,
hatching line by line, which words are drawn and where), so the same timeline gives the same picture on every machine.

Nothing is said by colour alone: failures are hatched, cancelled calls hollow, sleeps thin, states have words.
Widths of words are estimated from DejaVu Sans, the widest of the fonts that browsers will choose.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from faultlab.timeline import Timeline

INK, PALE, GRID = "#222222", "#595959", "#E3E3E3"


class Style(NamedTuple):
    """A style, and its word in the legend."""

    word: str
    fill: str
    stroke: str = ""
    hatch: str = ""
    """The direction of the hatching: / \\ - | or none. Its lines have the stroke's colour, or the paper's."""
    marker: str = "o"
    """The shape of a dot: o, x, ^, s."""


STYLES = {
    "ok": Style("answered", "#009E73"),
    "failed": Style("failed (hatched)", "#D55E00", hatch="/", marker="x"),
    "cancelled": Style("given up (hollow)", "#FFFFFF", stroke="#0072B2", marker="^"),
    "attempt": Style("in flight", "#0072B2", marker="s"),
    "sleep": Style("waiting (thin)", "#8A8A8A"),
    "cut": Style("cancelled here (cross)", INK, marker="x"),
    "blocked": Style("blocked: nobody runs", "#F1D9E7", stroke="#B8559A", hatch="\\"),
    "world": Style("the world's fault", "#F8E8C4", stroke="#B07A00"),
    "meant": Style("", "#8C8C8C"),
    "meant_failed": Style("", "#8C8C8C", hatch="/"),
    "meant_cancelled": Style("", "#FFFFFF", stroke="#8C8C8C"),
    "meant_sleep": Style("", "#8C8C8C"),
    "here": Style("", "#FBEAF4"),
    "paper": Style("", "#FFFFFF"),
    "tone0": Style("", "#7B4FA3"),
    "tone1": Style("", "#8A8A00", hatch="\\"),
    "tone2": Style("", "#9E2A4F", hatch="-"),
    "tone3": Style("", "#8C5A2B", hatch="|"),
    "tone4": Style("", "#34407F"),
    "tone5": Style("", "#3A3A3A", hatch="\\"),
}
"""Colours under the names of what they mean, which they keep in every picture. An intended run is grey, beneath one's
own; the tones, which mean nothing else, tell tenants and states apart."""

TONES = ("tone0", "tone1", "tone2", "tone3", "tone4", "tone5")


CROSS = 3.5
"""Half the size of the cross where a cancellation lands, in pixels."""


class Bar(NamedTuple):
    """A rectangle: something with a duration. `tip` is its tooltip."""

    x: float
    y: float
    width: float
    height: float
    style: str
    tip: str = ""


class Dots(NamedTuple):
    """Many instants of one style."""

    points: tuple[tuple[float, float], ...]
    radius: float
    style: str


class Line(NamedTuple):
    """A line through points."""

    points: tuple[tuple[float, float], ...]
    color: str = INK
    width: float = 1.0


class Text(NamedTuple):
    """Words whose baseline starts (or is centred, or ends) at x, y."""

    x: float
    y: float
    text: str
    size: int = 11
    anchor: str = "start"
    bold: bool = False
    color: str = INK
    halo: bool = False
    """Whether a white outline separates the words from what is behind them."""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of these words."""
        width = measure(self.text, self.size, self.bold)
        left = self.x - {"start": 0.0, "middle": width / 2, "end": width}[self.anchor]
        return left, self.y - 0.8 * self.size, left + width, self.y + 0.22 * self.size


Shape = Bar | Dots | Line | Text


class Plot(NamedTuple):
    """Where a sheet's time axis lies: its ends in pixels and in seconds, and the rows that it covers, in pixels."""

    left: float
    right: float
    top: float
    bottom: float
    since: float
    until: float


@dataclass(frozen=True)
class Sheet:
    """A laid-out picture: its size in pixels, its shapes from back to front, and its words for people who can't see
    it."""

    width: int
    height: int
    shapes: tuple[Shape, ...]
    title: str = ""
    alt: str = ""
    sources: tuple[tuple[str, Timeline], ...] = ()
    """The timelines behind it, each with its name, for the table of events beside the picture."""
    plot: Plot | None = None
    """Where its one time axis lies: a player puts its playhead there."""

    def moved(self, y: float) -> tuple[Shape, ...]:
        """The shapes, shifted down by y pixels."""
        return tuple(_moved(shape, y) for shape in self.shapes)

    @property
    def texts(self) -> list[Text]:
        """All words on the sheet."""
        return [shape for shape in self.shapes if isinstance(shape, Text)]

    @property
    def bars(self) -> list[Bar]:
        """All bars on the sheet."""
        return [shape for shape in self.shapes if isinstance(shape, Bar)]


def stack(sheets: Sequence[Sheet], *, gap: int = 14, title: str = "", alt: str = "") -> Sheet:
    """Stack sheets on one sheet."""
    shapes: list[Shape] = []
    y = 0
    for sheet in sheets:
        shapes += sheet.moved(y)
        y += sheet.height + gap
    sources = tuple(source for sheet in sheets for source in sheet.sources)
    return Sheet(max(sheet.width for sheet in sheets), y - gap, tuple(shapes), title, alt, sources)


def with_words(sheet: Sheet, *, title: str | None = None, alt: str | None = None) -> Sheet:
    """The same sheet under another title or with another description."""
    return replace(sheet, title=sheet.title if title is None else title, alt=sheet.alt if alt is None else alt)


def hatching(bar: Bar) -> list[tuple[float, float, float, float]]:
    """The lines (x0, y0, x1, y1) of a bar's hatching, cut at its edges, so that painters need no pattern or clip."""
    direction = STYLES[bar.style].hatch
    x, y, width, height = bar[:4]
    if direction == "-":
        return [(x, y + step, x + width, y + step) for step in _steps(height, 4.0)]
    if direction == "|":
        return [(x + step, y, x + step, y + height) for step in _steps(width, 5.0)]
    if direction in ("/", "\\"):
        return [_slanted(bar, step) for step in _steps(width + height, 6.0)]
    return []


def swatches(styles: Iterable[tuple[str, str]], width: int, left: float = 8) -> tuple[list[Shape], int]:
    """A legend: a swatch and a word for each (style, word), wrapped at the width; the shapes and their height."""
    shapes: list[Shape] = []
    x, y = left, 0
    for style, word in styles:
        word = fit(word, width - left - 30)
        room = 24 + measure(word) + 14
        if x > left and x + room > width:
            x, y = left, y + 18
        thin = style == "sleep"
        if style == "cut":
            shapes.append(Dots(((x + 9, y + 8.5),), CROSS, style))
        else:
            shapes.append(Bar(x, y + (7 if thin else 3), 18, 3 if thin else 11, style))
        shapes.append(Text(x + 24, y + 13, word))
        x += room
    return shapes, y + 20 if shapes else 0


def dot_legend(styles: Iterable[tuple[str, str]], width: int, left: float = 8) -> tuple[list[Shape], int]:
    """A legend whose swatches are dots."""
    shapes, height = swatches(styles, width, left)
    return [
        Dots(((shape.x + 9, shape.y + shape.height / 2),), 4, shape.style) if isinstance(shape, Bar) else shape
        for shape in shapes
    ], height


class Row:
    """A row of words, each of which takes free room."""

    def __init__(self, left: float, right: float) -> None:
        self.left, self.right = left, right
        self._starts: list[float] = []
        self._ends: list[float] = []

    def place(self, x: float, width: float) -> float | None:
        """Take room for words at x, moved left if they would leave the row; return their start, or None."""
        x = max(self.left, min(x, self.right - width))
        if x + width > self.right + 0.01:
            return None
        at = bisect_left(self._starts, x)
        if (at and self._ends[at - 1] > x) or (at < len(self._starts) and self._starts[at] < x + width):
            return None
        self._starts.insert(at, x)
        self._ends.insert(at, x + width + 5)
        return x


# --- words -----------------------------------------------------------------------------------------------------------

FONT = "DejaVu Sans, Verdana, Geneva, sans-serif"

# Advance widths of DejaVu Sans in hundredths of an em, from the space to the tilde.
_WIDTHS = (
    *(32, 41, 46, 84, 64, 96, 78, 28, 40, 40, 50, 84, 32, 37, 32, 34),
    *(64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 34, 34, 84, 84, 84, 54),
    *(100, 69, 69, 70, 78, 64, 58, 78, 76, 30, 30, 66, 56, 87, 75, 79),
    *(61, 79, 70, 64, 62, 74, 69, 99, 69, 62, 69, 40, 34, 40, 84, 50),
    *(50, 62, 64, 55, 64, 62, 36, 64, 64, 28, 28, 58, 28, 98, 64, 62),
    *(64, 64, 42, 53, 40, 64, 60, 82, 60, 60, 53, 64, 34, 64, 84),
)
_SIGNS = {"…": 100, "·": 38, "×": 84, "µ": 74, "–": 50, "—": 100, "≥": 84, "≤": 84, "→": 84, "’": 32, "“": 52, "”": 52}
_ELLIPSIS = "…"
_LONGEST = 200

# Characters that a picture must not contain: they end XML, change the writing direction, or draw outside their place.
_BANNED = (
    [(0, 31), (127, 159), (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x180B, 0x180F), (0x200B, 0x200F)]
    + [(0x2028, 0x202E), (0x2060, 0x206F), (0xD800, 0xDFFF), (0xFDD0, 0xFDEF), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF)]
    + [(0xFFF0, 0xFFFB), (0xFFFE, 0xFFFF), (0x300, 0x36F), (0x483, 0x489), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF)]
    + [(0x20D0, 0x20FF), (0xFE20, 0xFE2F), (0xE0000, 0xE0FFF)]
    + [(plane * 0x10000 + 0xFFFE, plane * 0x10000 + 0xFFFF) for plane in range(1, 17)]
)
_DROP: dict[int, int | None] = {code: None for first, last in _BANNED for code in range(first, last + 1)}
_DROP.update(dict.fromkeys((9, 10, 13, 8232, 8233), 32))


def clean(text: object, longest: int = _LONGEST) -> str:
    """Words that are safe to draw: no control, bidirectional or XML-illegal characters, single spaces, a bounded
    length."""
    words = str(text)
    return _clean(words[:longest]) + (_ELLIPSIS if len(words) > longest else "")


def measure(text: str, size: int = 11, bold: bool = False) -> float:
    """The width of cleaned words in pixels; too wide rather than too narrow."""
    return _ems(text) * size * (1.18 if bold else 1.02)


def is_plain(text: str) -> bool:
    """Whether we know the letters' widths in every browser's fonts: Latin, Greek, Cyrillic."""
    return text.isascii() or all(char < "\u0530" or char in _SIGNS for char in text)


def fit(text: object, width: float, size: int = 11, bold: bool = False) -> str:
    """The words, cleaned and cut with an ellipsis to fit the width."""
    words = clean(text)
    if measure(words, size, bold) <= width:
        return words
    while words and measure(words + _ELLIPSIS, size, bold) > width:
        words = words[:-1]
    return words.rstrip() + _ELLIPSIS if words else ""


def wrapped(text: str, width: float) -> list[str]:
    """The words on one line, or on two if that lets more of them fit."""
    words = clean(text).split()
    if measure(" ".join(words)) <= width or len(words) < 2:
        return [fit(text, width)]
    cuts = [(" ".join(words[:cut]), " ".join(words[cut:])) for cut in range(1, len(words))]
    return [fit(line, width) for line in min(cuts, key=lambda lines: max(map(measure, lines)))]


def number(value: float) -> str:
    """A number as a person writes it: at most three significant digits."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def seconds(value: float) -> str:
    """A duration with its unit."""
    for size, unit in ((3600.0, "h"), (120.0, "min"), (0.1, "s"), (0.001, "ms"), (0.000_001, "µs")):
        if value >= size * 0.9999:
            scale = {"h": 3600.0, "min": 60.0, "s": 1.0, "ms": 0.001, "µs": 0.000_001}[unit]
            return f"{number(value / scale)} {unit}"
    return "0 s" if value <= 0 else f"{value * 1e9:.0f} ns"


def plural(count: int, word: str) -> str:
    """The count and its word."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


@lru_cache(maxsize=4096)
def _clean(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text.strip()
    return " ".join(unicodedata.normalize("NFC", text).translate(_DROP).split())


@lru_cache(maxsize=4096)
def _ems(text: str) -> float:
    return sum(map(_em, text)) / 100


def _em(char: str) -> int:
    code = ord(char)
    if code >= 0x2E80:
        return 110 if code < 0x1F000 else 140
    # An accent adds no width: the letter below it counts.
    base = ord(unicodedata.normalize("NFD", char)[0])
    if 32 <= base < 127:
        return _WIDTHS[base - 32]
    return _SIGNS.get(char, 85 if code < 0x530 else 110)


# --- private ---------------------------------------------------------------------------------------------------------


def _moved(shape: Shape, y: float) -> Shape:
    if isinstance(shape, (Bar, Text)):
        return shape._replace(y=shape.y + y)
    return shape._replace(points=tuple((px, py + y) for px, py in shape.points))


def _steps(length: float, step: float) -> list[float]:
    return [step * index for index in range(1, int((length - 0.01) / step) + 1)]


def _slanted(bar: Bar, step: float) -> tuple[float, float, float, float]:
    """One line at 45 degrees that meets the bar `step` pixels along its edge."""
    x, y, width, height = bar[:4]
    low, high = max(0.0, step - height), min(step, width)
    from_low, from_high = step - low, step - high
    if STYLES[bar.style].hatch == "/":
        return x + low, y + from_low, x + high, y + from_high
    return x + low, y + height - from_low, x + high, y + height - from_high
