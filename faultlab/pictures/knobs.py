"""Sliders written as data: what `explore` and `play` make ipywidgets of."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from faultlab.pictures.sheet import clean, number
from faultlab.pictures.words import fill

LONGEST_UNIT = 3
"""So many letters after a label's comma are a unit."""


class Knobs:
    """The widgets of a function's sliders, by name, and what they are set to.

    run: a function whose parameters the sliders are named after; a slider starts at its parameter's default.
    labels: names for people. sliders: as `explore` takes them.

    Raises ValueError for what is no slider, or no parameter of `run`.
    """

    def __init__(self, run: Callable[..., Any], labels: Mapping[str, str] | None, sliders: Mapping[str, Any]) -> None:
        starts = _starts(run, sliders)
        self._names = {name: (labels or {}).get(name, name.replace("_", " ")) for name in sliders}
        self._controls = {name: _control(self._names[name], kind, starts[name], name) for name, kind in sliders.items()}

    @property
    def widgets(self) -> list[Any]:
        """The widgets, in the order of the sliders."""
        return list(self._controls.values())

    @property
    def values(self) -> dict[str, Any]:
        """What each slider is set to."""
        return {name: control.value for name, control in self._controls.items()}

    @property
    def words(self) -> str:
        """The setting in words."""
        return ", ".join(self.parts)

    @property
    def parts(self) -> list[str]:
        """The words of each slider: what it is set to."""
        return [_said(clean(self._names[name]), _words(value)) for name, value in self.values.items()]

    def observe(self, moved: Callable[[object], None]) -> None:
        """Call `moved` whenever a slider has been moved."""
        for control in self._controls.values():
            control.observe(moved, names="value")


def failed(error: Exception) -> Markup:
    """What is shown in place of a picture when the run at a setting raised."""
    return fill('<p role="alert">{}: {}</p>', type(error).__name__, error, longest=400)


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


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value) if isinstance(value, float) else clean(value)


def _said(label: str, value: str) -> str:
    """A label and its value: `base delay, s` and 2 are "base delay 2 s"."""
    name, _, unit = label.rpartition(", ")
    return f"{name} {value} {unit}" if name and len(unit) <= LONGEST_UNIT else f"{label} {value}"


def _name(run: Callable[..., Any]) -> str:
    return getattr(run, "__name__", "the run")
