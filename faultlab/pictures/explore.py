"""Sliders around a run: move one, the simulation runs again, the picture follows the hand.

The picture is an SVG string in an `ipywidgets.HTML` of fixed size: nothing faster was found, and nothing jumps. A
widget without its kernel is an empty box, so the start's picture is displayed beside it as plain HTML; while the widget
lives it hides that one with one line of CSS, and when it is gone (reload, feedback page) the still picture is there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from markupsafe import Markup

from faultlab.pictures.figure import display_html, rendered, tables
from faultlab.pictures.knobs import Knobs, failed
from faultlab.pictures.lanes import lanes
from faultlab.pictures.sheet import Sheet, with_words
from faultlab.pictures.svg import svg
from faultlab.pictures.words import fill
from faultlab.timeline import Timeline

Picture = Timeline | Sheet | str


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

    run: a pure function of the sliders' values; returns a run, a timeline, a sheet or an SVG string.
    alt: what is to be seen.
    labels: names for people, units included ("base delay, s").
    height: the picture's, in pixels. until: its axis's end, in seconds.
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
    from IPython.display import display

    knobs = Knobs(run, labels, sliders)

    def draw() -> tuple[Markup, Markup, str]:
        said = knobs.words
        markup, events = _markup(run(**knobs.values), f"{alt} At {said}." if said else alt, height, until)
        return markup, events, said

    still, events, said = draw()
    name = f"faultlab-still-{hashlib.sha256(still.encode()).hexdigest()[:12]}"
    screen, table = _screen(still, height), ipywidgets.HTML()
    hide = fill("<style>.{}{{display:none}}</style>", name)

    def put(markup: Markup, events: Markup, said: str) -> None:
        status = fill('<p role="status" style="margin:2px 0">At {}</p>', said, longest=400)
        screen.value = str(fill('{}<div style="overflow-x:auto">{}{}</div>', hide, status, markup))
        table.value = str(events)

    def moved(_: object) -> None:
        try:
            put(*draw())
        except Exception as error:
            put(failed(error), Markup(), "this setting the run stopped")

    put(still, events, said)
    knobs.observe(moved)
    display(ipywidgets.VBox([*knobs.widgets, screen, table]))  # type: ignore[no-untyped-call]
    caption = fill("<p>At the start: {}. Run this cell to move the sliders.</p>", said, longest=400)
    kept = fill('<div class="{}" style="overflow-x:auto">{}{}{}</div>', name, caption, still, events)
    display_html(kept, alt)


def _screen(still: str, height: int | None) -> Any:
    """Where pictures of this one's size are shown: of fixed size, so that nothing jumps."""
    import ipywidgets

    wide, high = (_size(still, "width") or 720) + 24, (height or _size(still, "height") or 360) + 52
    return ipywidgets.HTML(layout={"width": f"{wide}px", "max_width": "100%", "height": f"{high}px"})


def _markup(result: Any, alt: str, height: int | None, until: float | None) -> tuple[Markup, Markup]:
    """A result as SVG, and its events as a table."""
    picture = getattr(result, "timeline", result)
    if isinstance(picture, Timeline):
        picture = lanes(picture, height=height, until=until)
    if isinstance(picture, Sheet):
        sheet = with_words(picture, alt=f"{alt} {picture.alt}")
        return Markup(svg(sheet)), tables(sheet, limit=60)
    if isinstance(picture, str):
        return rendered(picture, alt)[0], Markup()
    raise TypeError(f"explore draws a timeline, a sheet or an SVG string, and the run returned {type(result).__name__}")


def _size(markup: str, side: str) -> int:
    """The width or height that an SVG says of itself."""
    head = markup.partition(">")[0]
    digits = head.partition(f' {side}="')[2].partition('"')[0]
    return int(digits) if digits.isascii() and digits.isdigit() else 0
