"""A matplotlib figure as SVG, in the manner of `svg.py`: words stay words, colours are attributes, nothing has an id.

matplotlib lays the figure out and calls a painter for each path and text. Its own SVG has style sheets that would leak
into the page, ids that clash with those of a neighbour, and letters drawn as shapes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import hypot
from typing import Any

from matplotlib.backend_bases import GraphicsContextBase, RendererBase
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.transforms import Affine2D, Transform

from faultlab.pictures.words import safe

PIXELS = 96
"""Pixels of a page in an inch."""

Point = tuple[float, float]


def chart_elements(fig: Figure) -> tuple[int, int, list[str]]:
    """A figure's width and height in pixels, and what is on it, from back to front, as SVG elements."""
    painter = _Painter(fig)
    dpi, fig.dpi = fig.dpi, PIXELS
    try:
        fig.draw(painter)
    finally:
        fig.dpi = dpi
    return round(painter.width), round(painter.height), painter.parts


class _Painter(RendererBase):
    """Takes matplotlib's paths and texts, and writes them down as elements."""

    def __init__(self, fig: Figure) -> None:
        super().__init__()
        inches = fig.get_size_inches()
        self.width, self.height = inches[0] * PIXELS, inches[1] * PIXELS
        self.parts: list[str] = []

    def get_canvas_width_height(self) -> tuple[float, float]:
        return self.width, self.height

    def points_to_pixels(self, points: Any) -> Any:
        return points * PIXELS / 72

    def flipy(self) -> bool:
        return True

    def draw_path(
        self,
        gc: GraphicsContextBase,
        path: Path,
        transform: Transform,
        rgbFace: Any = None,  # noqa: N803
    ) -> None:
        """A line or an area, cut at the edges of its diagram; its hatching as lines of their own."""
        box = gc.get_clip_rectangle()
        flipped = transform + Affine2D().scale(1, -1).translate(0, self.height)
        edges = None if box is None else (box.x0, self.height - box.y1, box.x1, self.height - box.y0)
        filled = rgbFace is not None and not (len(rgbFace) == 4 and rgbFace[3] == 0)
        outlined = gc.get_linewidth() > 0 and gc.get_rgb()[3] > 0
        if filled:
            area = _clipped(path.to_polygons(flipped, closed_only=True), edges)
            look = _fill(rgbFace, gc.get_alpha() if gc.get_forced_alpha() else None)
            self._put("".join(_drawn(one) + "Z" for one in area), look)
            if gc.get_hatch():
                lines = [line for one in area for line in _hatched(one, str(gc.get_hatch()))]
                self._put("".join(map(_drawn, lines)), f'stroke="{_hex(gc.get_hatch_color())}" stroke-width="1.4"')
        if outlined:
            self._put(_outline(path, flipped, edges), f'fill="none" {self._stroke(gc)}')

    def draw_markers(
        self,
        gc: Any,
        marker_path: Path,
        marker_trans: Any,
        path: Path,
        trans: Transform,
        rgbFace: Any = None,  # noqa: N803
    ) -> None:
        """The marks of a line, as one element."""
        places = trans.transform(path.vertices)
        self._stamp(gc, marker_path, marker_trans, places, rgbFace, gc.get_rgb(), gc.get_linewidth())

    def draw_path_collection(
        self, gc: Any, master_transform: Any, paths: Any, all_transforms: Any, offsets: Any, offset_trans: Any,
        facecolors: Any, edgecolors: Any, linewidths: Any, *args: Any, **options: Any,
    ) -> None:  # fmt: skip
        """Many marks of one look as one element; others one by one."""
        alike = [paths, facecolors, edgecolors, linewidths, all_transforms]
        if len(offsets) < 2 or any(len(one) > 1 for one in alike):
            rest = (facecolors, edgecolors, linewidths, *args)
            super().draw_path_collection(
                gc, master_transform, paths, all_transforms, offsets, offset_trans, *rest, **options
            )
            return
        scale = Affine2D(all_transforms[0]) + master_transform if len(all_transforms) else master_transform
        face = facecolors[0] if len(facecolors) else None
        edge, width = (edgecolors[0], linewidths[0]) if len(edgecolors) and len(linewidths) else ((0, 0, 0, 0), 0.0)
        self._stamp(gc, paths[0], scale, offset_trans.transform(offsets), face, edge, float(width))

    def _stamp(self, gc: Any, path: Path, scale: Any, places: Any, face: Any, edge: Any, width: float) -> None:
        box, clip = path.get_extents(scale), gc.get_clip_rectangle()
        seen = [(float(x), self.height - float(y)) for x, y in places if clip is None or clip.padded(1).contains(x, y)]
        stroke = self.points_to_pixels(width) if edge[3] > 0 else 0.0
        codes: Any = path.codes
        if face is not None and codes is not None and Path.CURVE4 in codes:  # a circle: a line of no length
            look = f'stroke="{_hex(face)}" stroke-width="{_n(box.width + stroke)}" stroke-linecap="round"'
            look += f' stroke-opacity="{face[3]:.2g}"' if len(face) == 4 and face[3] < 1 else ""
            self._put("".join(f"M{_n(x)} {_n(y)}h0" for x, y in seen), look)
            return
        polygons: list[Any] = path.to_polygons(scale, closed_only=False)
        parts: list[list[Point]] = [[(x, -y) for x, y in one] for one in polygons]
        mark = "".join(_moved(before, after) for before, after in pairwise([[(0.0, 0.0)], *parts]))
        end = "Z" if face is not None else ""
        look = _fill(face, None) if face is not None else 'fill="none"'
        look += f' stroke="{_hex(edge)}" stroke-width="{_n(stroke)}"' if stroke else ""
        look += f' stroke-opacity="{edge[3]:.2g}"' if stroke and edge[3] < 1 else ""
        self._put("".join(f"M{_n(x)} {_n(y)}{mark}{end}" for x, y in seen), look)

    def _put(self, path: str, look: str) -> None:
        if path:
            self.parts.append(f'<path d="{path}" {look}/>')

    def _stroke(self, gc: GraphicsContextBase) -> str:
        color, width = gc.get_rgb(), self.points_to_pixels(gc.get_linewidth())
        look = f'stroke="{_hex(color)}" stroke-width="{_n(width)}"'
        if color[3] < 1:
            look += f' stroke-opacity="{color[3]:.2g}"'
        dashes: Any = gc.get_dashes()[1]
        if dashes is not None and len(dashes):
            look += f' stroke-dasharray="{" ".join(_n(self.points_to_pixels(one)) for one in dashes)}"'
        return look + {"round": ' stroke-linecap="round"', "projecting": ' stroke-linecap="square"'}.get(
            str(gc.get_capstyle()), ""
        )

    def draw_text(
        self, gc: Any, x: float, y: float, s: str, prop: Any, angle: float, ismath: Any = False, mtext: Any = None
    ) -> None:
        """Words as words; formulas, such as 10² at a logarithmic axis, as shapes."""
        if ismath:
            super().draw_text(gc, x, y, s, prop, angle, ismath, mtext)
            return
        width, _, _ = self.get_text_width_height_descent(s, prop, False)
        anchor = mtext.get_horizontalalignment() if mtext is not None and "\n" not in mtext.get_text() else "left"
        if angle:
            anchor = "left"
        x += {"left": 0.0, "center": width / 2, "right": width}[anchor]
        look = f'font-size="{_n(self.points_to_pixels(prop.get_size_in_points()))}" fill="{_hex(gc.get_rgb())}"'
        look += {"left": "", "center": ' text-anchor="middle"', "right": ' text-anchor="end"'}[anchor]
        look += ' font-weight="bold"' if prop.get_weight() in ("bold", "heavy", "semibold", 700) else ""
        look += ' font-style="italic"' if prop.get_style() == "italic" else ""
        look += ' font-family="DejaVu Sans Mono, monospace"' if "monospace" in prop.get_family() else ""
        look += f' transform="rotate({_n(-angle)} {_n(x)} {_n(y)})"' if angle else ""
        self.parts.append(f'<text x="{_n(x)}" y="{_n(y)}" {look} xml:space="preserve">{safe(s, 300)}</text>')


# --- colours and numbers ---------------------------------------------------------------------------------------------


def _fill(color: Any, alpha: float | None) -> str:
    opacity = alpha if alpha is not None else color[3] if len(color) == 4 else 1.0
    return f'fill="{_hex(color)}"' + (f' fill-opacity="{opacity:.2g}"' if opacity < 1 else "")


def _hex(color: Any) -> str:
    return to_hex(color[:3] if not isinstance(color, str) else color).upper()


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _drawn(points: Sequence[Sequence[float]]) -> str:
    words = [f"{_n(x)} {_n(y)}" for x, y in points]
    return "M" + "L".join(word for at, word in enumerate(words) if at == 0 or word != words[at - 1])


def _moved(before: Sequence[Point], after: Sequence[Point]) -> str:
    """The relative way from the end of one part of a mark to the next one, and along it."""
    steps = [f"{_n(x1 - x0)} {_n(y1 - y0)}" for (x0, y0), (x1, y1) in pairwise([before[-1], *after])]
    return "m" + "l".join(steps)


# --- geometry --------------------------------------------------------------------------------------------------------

Edges = tuple[float, float, float, float] | None
"""Left, top, right, bottom of the diagram that a path may not leave."""


def _outline(path: Path, transform: Transform, edges: Edges) -> str:
    """A line in parts, cut at the edges; a straight run of points without those that add nothing to see."""
    clip = edges if edges is None else (edges[0] - 1, edges[1] - 1, edges[2] + 1, edges[3] + 1)
    parts: list[list[Point]] = []
    for vertices, code in path.iter_segments(transform, clip=clip, simplify=True, curves=False):
        if code == Path.MOVETO or not parts:
            parts.append([])
        if code == Path.CLOSEPOLY:
            parts[-1].append(parts[-1][0])
        else:
            parts[-1].append((float(vertices[-2]), float(vertices[-1])))
    return "".join(_drawn(part) for part in parts if len(part) > 1)


def _clipped(polygons: Sequence[Any], edges: Edges) -> list[list[Point]]:
    """Polygons cut at the edges, one edge after the other."""
    found = []
    for polygon in polygons:
        points = [(float(x), float(y)) for x, y in polygon]
        for place, limit, keep_above in _cuts(edges):
            points = list(_cut(points, place, limit, keep_above))
        if len(points) > 2:
            found.append(points)
    return found


def _cuts(edges: Edges) -> list[tuple[int, float, bool]]:
    if edges is None:
        return []
    left, top, right, bottom = edges
    return [(0, left, True), (0, right, False), (1, top, True), (1, bottom, False)]


def _cut(points: list[Point], place: int, limit: float, keep_above: bool) -> Iterator[Point]:
    """What of a polygon lies on one side of a line (Sutherland and Hodgman)."""
    for before, after in zip(points[-1:] + points[:-1], points, strict=True):
        inside, was_inside = (
            (point[place] >= limit) == keep_above or point[place] == limit for point in (after, before)
        )
        if inside != was_inside:
            share = (limit - before[place]) / (after[place] - before[place])
            yield tuple(one + share * (other - one) for one, other in zip(before, after, strict=True))  # type: ignore[misc]
        if inside:
            yield after


def _hatched(points: list[Point], hatch: str) -> Iterator[list[Point]]:
    """Lines across a polygon, in each of the directions that matplotlib's words for hatching name."""
    directions = {"/": (1.0, 1.0), "\\": (1.0, -1.0), "-": (0.0, 1.0), "|": (1.0, 0.0)}
    wanted = dict.fromkeys(hatch.replace("x", "/\\").replace("+", "-|").replace(".", "-|"))
    for a, b in (directions[one] for one in wanted if one in directions):
        length = hypot(a, b)
        yield from _across(points, a / length, b / length, 4.3 if length > 1 else 5.0)


def _across(points: list[Point], a: float, b: float, step: float) -> Iterator[list[Point]]:
    """The parts of the lines ax + by = step, 2 step, ... that lie in the polygon."""
    heights = [a * x + b * y for x, y in points]
    for number in range(int(min(heights) // step) + 1, int(max(heights) // step) + 1):
        level, hits = number * step, []
        for index, (x, y) in enumerate(points):
            low, high = heights[index - 1], heights[index]
            if (low < level) != (high < level):
                share = (level - low) / (high - low)
                (x0, y0) = points[index - 1]
                hits.append((x0 + share * (x - x0), y0 + share * (y - y0)))
        hits.sort(key=lambda hit: hit[0] * b - hit[1] * a)
        yield from ([one, other] for one, other in zip(hits[::2], hits[1::2], strict=False))
