"""A picture, and pale behind it the one of the setting before, where both have the same axes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from markupsafe import Markup

from faultlab.pictures.figure import chart_title, rendered, tables
from faultlab.pictures.sheet import GRID, INK, PALE, STYLES, Sheet
from faultlab.pictures.svg import elements, framed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOR = re.compile(r"#[0-9A-F]{6}")
_GROUND = {INK, PALE, GRID, "#FFFFFF", "#000000"} | {
    color for style in ("world", "blocked", "here") for color in (STYLES[style].fill, STYLES[style].stroke)
}
"""Colours of what isn't of one setting: axes, grids, faults."""


class Drawn(NamedTuple):
    """A picture in parts: SVG elements from back to front."""

    width: int
    height: int
    parts: list[str]
    title: str
    alt: str
    events: Markup
    """The table beneath it."""
    axes: Any
    """What is equal where two pictures have the same axes."""


def drawn_sheet(sheet: Sheet) -> Drawn:
    """A sheet in parts."""
    axes = [text for text in sheet.texts if (text.color == PALE and not text.halo) or (text.x == 8 and not text.bold)]
    events = tables(sheet, limit=60)
    return Drawn(sheet.width, sheet.height, elements(sheet), sheet.title, sheet.alt, events, axes)


def drawn_chart(fig: Figure, alt: str) -> Drawn:
    """A matplotlib figure in parts."""
    from faultlab.pictures.chart import chart_elements

    ends = [(ax.get_xlim(), ax.get_ylim()) for ax in fig.axes]
    return Drawn(*chart_elements(fig), chart_title(fig), alt, Markup(), ends)


def drawn_string(markup: str, alt: str) -> Drawn:
    """An SVG string as one part, which has no ghost."""
    found = rendered(markup, alt)[0]
    head = found.partition(">")[0]
    sizes = [re.search(rf' {side}="(\d+)', head) for side in ("width", "height")]
    width, height = (int(size[1]) if size else usual for size, usual in zip(sizes, (720, 360), strict=True))
    return Drawn(width, height, [str(found)], "", alt, Markup(), None)


def with_ghost(now: Drawn, before: Drawn | None) -> tuple[Markup, bool]:
    """A picture as SVG, and whether the one before is behind it."""
    if now.axes is None:
        return Markup(now.parts[0]), False
    seen = before is not None and before[:2] == now[:2] and before.axes == now.axes
    parts = list(now.parts)
    if before is not None and seen:
        ghost = "".join(part for part in before.parts if not _is_ground(part))
        first = next((place for place, part in enumerate(parts) if not _is_ground(part)), len(parts))
        parts.insert(first, f'<g opacity="0.3">{ghost}</g>')
    return Markup(framed(now.width, now.height, parts, now.title, now.alt)), seen


def _is_ground(part: str) -> bool:
    return part.startswith("<text") or _GROUND.issuperset(_COLOR.findall(part))
