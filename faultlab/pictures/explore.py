"""Sliders around a run: move one, the simulation runs again, the picture follows the hand.

The picture is an SVG string in an `ipywidgets.HTML` of fixed size: nothing faster was found, and nothing jumps. Where
no kernel answers, the start's picture stands in its place (see `alive.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from markupsafe import Markup

from faultlab.pictures.alive import show_alive
from faultlab.pictures.ghost import Drawn, drawn_chart, drawn_sheet, drawn_string, with_ghost
from faultlab.pictures.knobs import Knobs, failed
from faultlab.pictures.lanes import lanes
from faultlab.pictures.sheet import Sheet, with_words
from faultlab.pictures.words import fill
from faultlab.timeline import Timeline

STILL = 1.0
"""Seconds after which a slider that is moved again is moved from a new setting."""


def explore(
    run: Callable[..., Any],
    *,
    alt: str,
    labels: Mapping[str, str] | None = None,
    height: int | None = None,
    until: float | None = None,
    **sliders: Any,
) -> None:
    """Show sliders around a run: move one, and it runs again.

    run: a pure function of the sliders' values; returns a run, a timeline, a sheet, a matplotlib figure or an SVG
        string. Sheets and figures have axes with fixed ends.
    alt: what is to be seen.
    labels: names for people, units included ("base delay, s").
    height: the picture's, in pixels. until: its axis's end, in seconds; unless given that of the longest run so far.
    sliders: each as what it may be: (low, high) or (low, high, step), a list of choices, a dict of words and values,
        True or False for a box to tick, or any ipywidget. It starts at the parameter's default, otherwise at the low
        end or the first choice.

    Returns nothing. Raises ValueError for what is no slider, or no parameter of `run`, TypeError for what is no
    picture, and whatever the first run raises.

    >>> def nap(length=2):
    ...     return simulate(asyncio.sleep(length))
    >>> explore(nap, alt="A nap.", labels={"length": "length, s"}, length=(1, 9))
    VBox(children=(IntSlider(value=2, description='length, s', ...
    A nap.
    """
    import ipywidgets

    knobs = Knobs(run, labels, sliders)
    view = _View(alt, height, until)
    start = knobs.words
    still, events, size = view.draw(run(**knobs.values), knobs.parts)
    wide, high = size[0] + 24, (height or size[1]) + 52  # of fixed size, so that nothing jumps
    screen = ipywidgets.HTML(layout={"width": f"{wide}px", "max_width": "100%", "height": f"{high}px"})
    table = ipywidgets.HTML()

    def put(markup: Markup, events: Markup, said: str) -> None:
        status = fill('<p role="status" style="margin:2px 0">At {}</p>', said, longest=400)
        screen.value = str(fill('<div class="faultlab-fit" style="overflow-x:auto">{}{}</div>', status, markup))
        table.value = str(events)

    def moved(_: object) -> None:
        try:
            markup, events, _size = view.draw(run(**knobs.values), knobs.parts)
            put(markup, events, view.said)
        except Exception as error:
            put(failed(error), Markup(), "this setting the run stopped")

    put(still, events, start)
    knobs.observe(moved)
    caption = fill("<p>At the start: {}. Run this cell to move the sliders.</p>", start, longest=400)
    kept = fill('{}<div class="faultlab-fit" style="overflow-x:auto">{}</div>{}', caption, still, events)
    show_alive(ipywidgets.VBox([*knobs.widgets, screen, table]), kept, alt, alt)


class _View:
    """The picture that follows the sliders.

    Its axis is that of the longest run so far. Pale behind it is the setting from which the sliders were moved, where
    both have the same axes.
    """

    def __init__(self, alt: str, height: int | None, until: float | None) -> None:
        self.said = ""
        self._alt, self._height, self._until = alt, height, until
        self._fixed = until is not None
        self._now: tuple[list[str], Drawn] | None = None
        self._before: tuple[list[str], Drawn] | None = None
        self._moved = 0.0

    def draw(self, result: Any, parts: list[str]) -> tuple[Markup, Markup, tuple[int, int]]:
        """The picture of a setting as SVG, its events as a table, and its size."""
        said = ", ".join(parts)
        now = self._drawn(result, f"{self._alt} At {said}." if said else self._alt)
        at = time.monotonic()
        if at - self._moved > STILL:
            self._before = self._now
        self._moved, self._now = at, (parts, now)
        markup, seen = with_ghost(now, self._before[1] if self._before else None)
        changed = [before for before in self._before[0] if before not in parts] if self._before and seen else []
        self.said = f"{said}. Pale: {', '.join(changed)}" if changed else said
        return markup, now.events, (now.width, now.height)

    def _drawn(self, result: Any, alt: str) -> Drawn:
        picture = getattr(result, "timeline", result)
        if isinstance(picture, Timeline):
            if not self._fixed:
                self._until = max(self._until or 0.0, picture.duration)
            picture = lanes(picture, height=self._height, until=self._until or None)
        if isinstance(picture, Sheet):
            return drawn_sheet(with_words(picture, alt=f"{alt} {picture.alt}"))
        if isinstance(picture, str):
            return drawn_string(picture, alt)
        if hasattr(picture, "get_size_inches"):
            return drawn_chart(picture, alt)
        kind = type(result).__name__
        raise TypeError(f"explore draws a timeline, a sheet, a chart or an SVG string, and the run returned {kind}")
