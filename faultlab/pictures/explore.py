"""Sliders around a run: move one, the simulation runs again, the picture follows the hand.

The picture is an SVG string in an `ipywidgets.HTML` of fixed size: nothing faster was found, and nothing jumps. A
widget without its kernel is an empty box, so the start's picture is displayed beside it as plain HTML; while the widget
lives it hides that one with one line of CSS, and when it is gone (reload, feedback page) the still picture is there.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from faultlab.pictures.figure import display_html, rendered, tables
from faultlab.pictures.lanes import lanes
from faultlab.pictures.sheet import Sheet, clean, number, with_words
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

    starts = _starts(run, sliders)
    names = {name: (labels or {}).get(name, name.replace("_", " ")) for name in sliders}
    controls = {name: _control(names[name], kind, starts[name], name) for name, kind in sliders.items()}

    def draw() -> tuple[Markup, Markup, str]:
        values = {name: control.value for name, control in controls.items()}
        said = ", ".join(f"{clean(names[name])} {_words(value)}" for name, value in values.items())
        markup, events = _markup(run(**values), f"{alt} At {said}." if said else alt, height, until)
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
            put(_failed(error), Markup(), "this setting the run stopped")

    put(still, events, said)
    for control in controls.values():
        control.observe(moved, names="value")
    display(ipywidgets.VBox([*controls.values(), screen, table]))  # type: ignore[no-untyped-call]
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


def _starts(run: Callable[..., Any], sliders: Mapping[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(run).parameters
    anything = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())
    unknown = [name for name in sliders if name not in parameters and not anything]
    if unknown:
        raise ValueError(f"{_name(run)} takes no {unknown[0]!r}: name its parameters ({', '.join(parameters)})")
    starts = {}
    for name in sliders:
        known = parameters.get(name)
        starts[name] = known.default if known is not None and known.default is not inspect.Parameter.empty else None
    return starts


def _control(label: str, kind: Any, start: Any, name: str) -> Any:
    """The ipywidget for a slider written as data, with its label and its value in words."""
    import ipywidgets

    if isinstance(kind, ipywidgets.Widget):
        return kind
    common = {
        "description": clean(label),
        "style": {"description_width": "180px"},
        "layout": ipywidgets.Layout(width="560px", max_width="100%"),
    }
    if isinstance(kind, bool):
        return ipywidgets.Checkbox(value=kind if start is None else bool(start), **common)
    if isinstance(kind, Mapping):
        return _choice(list(kind.items()), start, common)
    if isinstance(kind, tuple) and len(kind) in (2, 3) and all(_is_number(one) for one in kind):
        return _slider(kind, start, common)
    if isinstance(kind, Sequence) and not isinstance(kind, str) and kind:
        return _choice([(_words(one), one) for one in kind], start, common)
    raise ValueError(f"{name}={kind!r} is no slider: give (low, high), (low, high, step), a list of choices or a bool")


def _slider(kind: tuple[float, ...], start: Any, common: Mapping[str, Any]) -> Any:
    import ipywidgets

    low, high = kind[0], kind[1]
    value = low if start is None else min(max(start, low), high)
    if all(isinstance(one, int) for one in (*kind, value)):
        return ipywidgets.IntSlider(min=low, max=high, step=kind[2] if len(kind) > 2 else 1, value=value, **common)
    step = kind[2] if len(kind) > 2 else (high - low) / 100
    places = next((digits for digits in range(5) if abs(step * 10**digits - round(step * 10**digits)) < 1e-6), 5)
    return ipywidgets.FloatSlider(min=low, max=high, step=step, value=value, readout_format=f".{places}f", **common)


def _choice(options: list[tuple[str, Any]], start: Any, common: Mapping[str, Any]) -> Any:
    import ipywidgets

    values = [value for _, value in options]
    return ipywidgets.Dropdown(options=options, value=start if start in values else values[0], **common)


def _failed(error: Exception) -> Markup:
    return fill('<p role="alert">{}: {}</p>', type(error).__name__, error, longest=400)


def _size(markup: str, side: str) -> int:
    """The width or height that an SVG says of itself."""
    head = markup.partition(">")[0]
    digits = head.partition(f' {side}="')[2].partition('"')[0]
    return int(digits) if digits.isascii() and digits.isdigit() else 0


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value) if isinstance(value, float) else clean(value)


def _name(run: Callable[..., Any]) -> str:
    return getattr(run, "__name__", "the run")
