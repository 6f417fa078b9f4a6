"""A sheet as SVG: one self-contained string, readable on light and dark pages, with words for people who can't see it.

It holds no script, id, reference or font of its own, so that several can stand on a page and a strict page may show
them. Its style sheet (see `theme.py`) only serves dark pages, and may be removed. Hatching is drawn line by line for
the same reason. Equal sheets give equal bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from faultlab.pictures.lanes import lanes
from faultlab.pictures.overlay import overlay
from faultlab.pictures.sheet import (
    FONT,
    STYLES,
    Bar,
    Dots,
    Line,
    Shape,
    Sheet,
    Style,
    Text,
    hatching,
    is_plain,
    measure,
)
from faultlab.pictures.theme import dark_style
from faultlab.pictures.words import safe
from faultlab.timeline import Timeline


def svg(picture: Timeline | Sheet, *, alt: str | None = None, **layout: Any) -> str:
    """The picture as an SVG element. A timeline is laid out as lanes first; `layout` is what `lanes` takes.

    `alt` says what is to be seen; without it the events themselves are described.
    """
    sheet = lanes(picture, **layout) if isinstance(picture, Timeline) else picture
    return framed(sheet.width, sheet.height, elements(sheet), sheet.title, alt or sheet.alt)


def elements(sheet: Sheet) -> list[str]:
    """What is on a sheet, from back to front, as SVG elements."""
    return [_PAINTERS[type(shape)](shape) for shape in sheet.shapes]


def framed(width: int, height: int, parts: Iterable[str], title: str, alt: str) -> str:
    """SVG elements on paper of a size in pixels, as one element with its words."""
    size = f'width="{width}" height="{height}"'
    body = f'<rect {size} fill="#FFFFFF"/>{"".join(parts)}'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="faultlab" {size} viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{safe(alt, 2000)}" font-family="{FONT}">'
        f"<title>{safe(title or 'Picture')}</title>{dark_style(body)}{body}</svg>"
    )


def compare_svg(own: Timeline, intended: Timeline, *, alt: str | None = None, **layout: Any) -> str:
    """A student's run over the intended one, as one SVG: see `overlay`."""
    return svg(overlay(own, intended, alt=alt, **layout))


def _bar(bar: Bar) -> str:
    style = STYLES[bar.style]
    look = f'fill="{style.fill}"' + (f' stroke="{style.stroke}" stroke-width="1.5"' if style.stroke else "")
    x, y, width, height = bar[:4]
    if style.stroke:
        x, y, width, height = x + 0.75, y + 0.75, max(width - 1.5, 1.0), height - 1.5
    place = f'x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}"'
    tip = f"<title>{safe(bar.tip)}</title>" if bar.tip else ""
    rect = f"<rect {place} {look}>{tip}</rect>" if tip else f"<rect {place} {look}/>"
    return rect + _hatch(bar, style)


def _hatch(bar: Bar, style: Style) -> str:
    if not style.hatch:
        return ""
    path = "".join([f"M{_n(x0)} {_n(y0)}L{_n(x1)} {_n(y1)}" for x0, y0, x1, y1 in hatching(bar)])
    return (
        f'<path d="{path}" stroke="{style.stroke or "#FFFFFF"}" stroke-width="1.4" pointer-events="none"/>'
        if path
        else ""
    )


def _dots(dots: Dots) -> str:
    style = STYLES[dots.style]
    color, r = style.stroke or style.fill, dots.radius
    draw = _MARKERS[style.marker]
    path = "".join([draw(x, y, r) for x, y in dots.points])
    if style.marker == "o":
        return f'<path d="{path}" stroke="{color}" stroke-width="{_n(2 * r)}" stroke-linecap="round"/>'
    fill = "none" if style.stroke or style.marker == "x" else color
    return f'<path d="{path}" stroke="{color}" stroke-width="{_n(max(1.0, r * 0.5))}" fill="{fill}"/>'


def _line(line: Line) -> str:
    path = "L".join([f"{_n(x)} {_n(y)}" for x, y in line.points])
    return f'<path d="M{path}" stroke="{line.color}" stroke-width="{_n(line.width)}" fill="none"/>'


def _text(text: Text) -> str:
    words = safe(text.text)
    if not words:
        return ""
    look = f'x="{_n(text.x)}" y="{_n(text.y)}" font-size="{text.size}" fill="{text.color}"'
    look += f' text-anchor="{text.anchor}"' if text.anchor != "start" else ""
    look += ' font-weight="bold"' if text.bold else ""
    look += ' stroke="#FFFFFF" stroke-width="3" paint-order="stroke"' if text.halo else ""
    if not is_plain(text.text):
        # Text in scripts of unknown width gets a fixed length, so that a browser's font can't overlap its neighbour.
        look += f' textLength="{_n(measure(text.text, text.size, text.bold))}" lengthAdjust="spacingAndGlyphs"'
    return f"<text {look}>{words}</text>"


def _circle(x: float, y: float, _r: float) -> str:
    return f"M{_n(x)} {_n(y)}h0"


def _cross(x: float, y: float, r: float) -> str:
    return f"M{_n(x - r)} {_n(y - r)}L{_n(x + r)} {_n(y + r)}M{_n(x - r)} {_n(y + r)}L{_n(x + r)} {_n(y - r)}"


def _triangle(x: float, y: float, r: float) -> str:
    return f"M{_n(x)} {_n(y - r)}L{_n(x + r)} {_n(y + r)}L{_n(x - r)} {_n(y + r)}Z"


def _square(x: float, y: float, r: float) -> str:
    return f"M{_n(x - r)} {_n(y - r)}L{_n(x + r)} {_n(y - r)}L{_n(x + r)} {_n(y + r)}L{_n(x - r)} {_n(y + r)}Z"


def _n(value: float) -> str:
    """A coordinate to a tenth of a pixel, as short as it can be written."""
    text = f"{value:.1f}"
    return text.removesuffix(".0")


_MARKERS: dict[str, Callable[[float, float, float], str]] = {
    "o": _circle,
    "x": _cross,
    "^": _triangle,
    "s": _square,
}
_PAINTERS: dict[type[Shape], Callable[[Any], str]] = {Bar: _bar, Dots: _dots, Line: _line, Text: _text}
