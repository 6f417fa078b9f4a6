"""The grammar of figures, as checks of one figure: each says in a line what breaks it.

A sheet or a chart has a title, axes with units, colours by meaning, no words on words, and labels inside.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import combinations, pairwise
from typing import Any

from faultlab.pictures.figure import COLORS, PALETTE
from faultlab.pictures.names import lane_words
from faultlab.pictures.sheet import STYLES, Bar, Dots, Line, Sheet, Text

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""

UNITS = frozenset(("hours", "minutes", "seconds", "milliseconds", "microseconds"))
NUMBER = re.compile(r"^[−-]?[\d,.]+$")

MEANINGS = {
    "ok": re.compile(
        r"answer|served|fresh|succe|ready|closed|passed|done|in time|in the right|\bok\b|plugged in|healthy"
    ),
    "failed": re.compile(r"fail|error|refused|late|turned|too high|broken|open|not ready|cut off|denied|limited"),
    "attempt": re.compile(r"attempt|asked|call|flight|request|tries|yours|half|demand|sent|probe"),
    "sleep": re.compile(r"wait|sleep|pause|queue|asleep|backlog|limit|default"),
    "world": re.compile(r"fault|outage|down|dead|slow|hang|away|\bout\b|fail"),
}
"""What may be called by a colour that has a meaning."""


def breaches(picture: Any) -> list[str]:
    """What breaks the grammar in a figure, a line each."""
    return list(_of_sheet(picture) if isinstance(picture, Sheet) else _of_chart(picture))


# --- sheets ----------------------------------------------------------------------------------------------------------


def _of_sheet(sheet: Sheet) -> Iterator[str]:
    texts = [text for text in sheet.texts if text.text]
    if not any(text.bold for text in texts) or sheet.title in ("", "Timeline"):
        yield "no title"
    if any(NUMBER.match(text.text) and text.anchor == "middle" for text in texts) and not _has_unit(texts):
        yield "an axis without a unit"
    boxes = [(text.text, text.box) for text in texts]
    yield from _on_each_other(boxes)
    yield from _outside(boxes, (0, 0, sheet.width, sheet.height))
    yield from _lane_order(sheet)
    yield from _meanings(sheet)


def _has_unit(texts: Iterable[Text]) -> bool:
    middles = [text.text for text in texts if text.anchor == "middle" and not text.halo]
    return any(words in UNITS or re.search("[a-z]", words) for words in middles)


def _lane_order(sheet: Sheet) -> Iterator[str]:
    """Lanes stand in the order of their first event; of those that begin together any may come first."""
    if len(sheet.sources) != 1 or any(isinstance(shape, Dots) and shape.style != "cut" for shape in sheet.shapes):
        return
    timeline = sheet.sources[0][1]
    words = lane_words(timeline.lanes)
    firsts = {words[event.lane]: event.at for event in reversed(timeline) if event.lane}
    found = [text.text for text in sheet.texts if text.x == 8 and text.text in firsts]
    for one, other in pairwise(dict.fromkeys(found)):
        if firsts[one] > firsts[other]:
            yield f"lane {one!r} stands above {other!r}, which begins earlier"


def _meanings(sheet: Sheet) -> Iterator[str]:
    """The legend's words fit the colours that they explain."""
    shapes = sheet.shapes
    for swatch, word in pairwise(shapes):
        if not isinstance(word, Text) or not isinstance(swatch, (Bar, Dots)) or swatch.style not in MEANINGS:
            continue
        near = swatch.x + 24 if isinstance(swatch, Bar) else swatch.points[0][0] + 15
        if abs(word.x - near) < 0.5 and not MEANINGS[swatch.style].search(word.text.lower()):
            yield f"the colour of {STYLES[swatch.style].word or swatch.style!r} stands for {word.text!r}"
    for shape in shapes:
        if isinstance(shape, (Line, Text)) and shape.color.upper() not in KNOWN:
            yield f"the colour {shape.color} has no meaning"


NEUTRAL = {"#222222", "#595959", "#E3E3E3", "#A3006D", "#6B6B6B", "#FFFFFF", "#000000"}
KNOWN = (
    {one for style in STYLES.values() for one in (style.fill, style.stroke)} | {*COLORS.values(), *PALETTE} | NEUTRAL
)


# --- charts ----------------------------------------------------------------------------------------------------------


def _of_chart(fig: Any) -> Iterator[str]:
    fig.canvas.draw()
    renderer = fig.canvas.get_renderer()
    for ax in fig.axes:
        if not (ax.get_title("left") or ax.get_title() or ax.get_title("right") or fig.get_suptitle()):
            yield "no title"
        if ax.axison:
            yield from _axis_words(ax)
        yield from _legend(ax, renderer)
        yield from _colours(ax)
        yield from _unknown(ax)
    boxes = [(words, _box(text, renderer)) for words, text in _chart_texts(fig)]
    yield from _on_each_other(boxes)
    width, height = fig.bbox.width, fig.bbox.height
    yield from _outside(boxes, (-1, -1, width + 1, height + 1))


def _axis_words(ax: Any) -> Iterator[str]:
    for axis, name in ((ax.xaxis, "horizontal"), (ax.yaxis, "vertical")):
        ticks = [tick.get_text() for tick in axis.get_ticklabels() if tick.get_text()]
        numbers = [tick for tick in ticks if re.search(r"\d", tick)]
        if len(numbers) >= 2 and not axis.get_label().get_text().strip():
            yield f"the {name} axis says no unit"


def _legend(ax: Any, renderer: Any) -> Iterator[str]:
    legend = ax.get_legend()
    if legend is None:
        return
    box, frame = legend.get_window_extent(renderer), ax.figure.bbox
    if box.x0 < frame.x0 - 1 or box.x1 > frame.x1 + 1 or box.y0 < frame.y0 - 1 or box.y1 > frame.y1 + 1:
        yield "the legend reaches outside"


def _chart_texts(fig: Any) -> Iterator[tuple[str, Any]]:
    """All words that a chart shows; ticks beyond the ends of their axis aren't shown."""
    found = [*fig.texts]
    for ax in fig.axes:
        found += [ax.title, ax._left_title, ax._right_title, *ax.texts]
        found += [text for table in ax.tables for cell in table.get_celld().values() for text in [cell.get_text()]]
        if ax.axison:
            found += [text for axis in (ax.xaxis, ax.yaxis) for text in (axis.label, *_ticks(axis))]
        found += ax.get_legend().get_texts() if ax.get_legend() else []
    for text in found:
        words = text.get_text().strip()
        if words and text.get_visible():
            yield words, text


def _ticks(axis: Any) -> Iterator[Any]:
    low, high = sorted(axis.get_view_interval())
    room = (high - low) * 1e-6
    for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
        if low - room <= tick.get_loc() <= high + room:
            yield from (label for label in (tick.label1, tick.label2) if label.get_visible())


def _box(text: Any, renderer: Any) -> Box:
    box = text.get_window_extent(renderer)
    spare = 0.0 if text.get_rotation() else 0.02 * box.width  # a browser's letters are a little wider
    return box.x0, box.y0, box.x1 + spare, box.y1


def _colours(ax: Any) -> Iterator[str]:
    """The words of what has a colour with a meaning fit it, and no colour is unknown."""
    from matplotlib.colors import to_hex

    named = {STYLES[style].fill.upper(): style for style in MEANINGS}
    handles, labels = ax.get_legend_handles_labels()
    for handle, label in zip(handles, labels, strict=True):
        colour = to_hex(_colour(handle)).upper() if _colour(handle) is not None else ""
        style = named.get(colour)
        if style and not MEANINGS[style].search(label.lower()):
            yield f"the colour of {STYLES[style].word!r} stands for {label!r}"
        wanted = next((one for one in ("failed", "ok") if MEANINGS[one].search(label.lower())), None)
        if wanted and style and style not in (wanted, "attempt"):
            yield f"{label!r} has the colour of {STYLES[style].word!r}"


def _unknown(ax: Any) -> Iterator[str]:
    """Colours that aren't in the house's palette: a dark page couldn't know what to make of them."""
    from matplotlib.colors import to_rgba_array

    found = [line.get_color() for line in ax.lines] + [text.get_color() for text in ax.texts]
    found += [patch.get_facecolor() for patch in ax.patches]
    found += [colour for one in ax.collections for colour in (*one.get_facecolor(), *one.get_edgecolor())]
    for red, green, blue, alpha in to_rgba_array([one for one in found if not isinstance(one, str) or one != "none"]):
        colour = "#" + "".join(f"{round(one * 255):02X}" for one in (red, green, blue))
        if alpha and colour not in KNOWN and not red == green == blue:
            yield f"the colour {colour} has no meaning: take one of COLORS or PALETTE"


def _colour(handle: Any) -> Any:
    for name in ("get_color", "get_facecolor"):
        if hasattr(handle, name):
            found = getattr(handle, name)()
            return found[0] if name == "get_facecolor" and getattr(found, "ndim", 1) == 2 and len(found) else found
    patches = getattr(handle, "patches", None)
    return patches[0].get_facecolor() if patches else None


# --- both ------------------------------------------------------------------------------------------------------------


def _on_each_other(boxes: list[tuple[str, Box]]) -> Iterator[str]:
    for (one, a), (other, b) in combinations(boxes, 2):
        if min(a[2], b[2]) - max(a[0], b[0]) > 1 and min(a[3], b[3]) - max(a[1], b[1]) > 1:
            yield f"{one!r} and {other!r} stand on each other"


def _outside(boxes: list[tuple[str, Box]], frame: Box) -> Iterator[str]:
    for words, box in boxes:
        if box[0] < frame[0] or box[1] < frame[1] or box[2] > frame[2] or box[3] > frame[3]:
            yield f"{words!r} reaches outside"
