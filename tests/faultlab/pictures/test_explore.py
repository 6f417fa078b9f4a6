"""What sliders promise: a picture that follows, of one size, and something that stays when the kernel is gone."""

from __future__ import annotations

import re
from typing import Any

import ipywidgets
import pytest

from faultlab.pictures.explore import explore
from faultlab.pictures.figure import axes
from faultlab.pictures.raster import raster
from faultlab.pictures.svg import svg


class Page:
    """What one call of `explore` put on the page."""

    def __init__(self) -> None:
        self.outputs: list[Any] = []

    @property
    def box(self) -> ipywidgets.VBox:
        return next(output for output in self.outputs if isinstance(output, ipywidgets.VBox))

    @property
    def still(self) -> str:
        return next(str(output["text/html"]) for output in self.outputs if isinstance(output, dict))

    @property
    def controls(self) -> list[Any]:
        return list(self.box.children[:-2])

    @property
    def screen(self) -> ipywidgets.HTML:
        return self.box.children[-2]

    @property
    def table(self) -> ipywidgets.HTML:
        return self.box.children[-1]


@pytest.fixture
def page(monkeypatch):
    """A page that only looks like a notebook's."""
    from IPython import display
    from IPython.core import getipython

    shown = Page()
    monkeypatch.setattr(getipython, "get_ipython", lambda: object())
    monkeypatch.setattr(display, "display", lambda output, raw=False: shown.outputs.append(output))
    return shown


@pytest.fixture
def herd(pen):
    """A pure simulation with two parameters."""

    def herd(clients: int = 3, wait: float = 0.5, kind: str = "none") -> Any:
        if clients == 13:
            raise ValueError("thirteen <clients>")
        fresh = type(pen)()
        for client in range(clients):
            fresh.call(f"client {client}", 0, wait, "ConnectionError" if kind == "none" else "")
        return fresh.timeline

    return herd


def test_start(page, herd):
    """Controls start at the parameters' defaults, with labels, and the picture is the start's."""
    explore(herd, alt="Clients call.", clients=(1, 20), wait=(0.1, 2.0, 0.1), labels={"wait": "wait, s"})
    clients, wait = page.controls
    assert (clients.value, clients.description, clients.min, clients.max, clients.readout) == (
        3,
        "clients",
        1,
        20,
        True,
    )
    assert (wait.value, wait.description, wait.readout_format) == (0.5, "wait, s", ".1f")
    assert "At clients 3, wait 0.5 s" in page.screen.value
    assert (
        'aria-label="Clients call. At clients 3, wait 0.5 s. client 0, client 1 and client 2 over' in page.screen.value
    )


def test_follows(page, herd):
    """Moving a slider runs the simulation again; the box keeps its size."""
    explore(herd, alt="Clients call.", clients=(1, 20))
    size = page.screen.layout.height, page.screen.layout.width
    page.controls[0].value = 5
    assert "client 4" in page.screen.value and "client 4" in page.table.value
    assert "At clients 5" in page.screen.value
    assert (page.screen.layout.height, page.screen.layout.width) == size


def test_something_remains(page, herd):
    """The start's picture is plain HTML too; only the living widget hides it, by a name that repeats."""
    explore(herd, alt="Clients call.", clients=(1, 20))
    assert "<svg" in page.still and "At the start: clients 3." in page.still and "<details>" in page.still
    name = page.still.partition('data-alive="')[2].partition('"')[0]
    assert page.box._dom_classes == (f"{name}-alive",)
    assert f"body:has(.{name}-alive:not(.jupyter-widgets-disconnected)) .{name}{{display:none}}" in page.still
    explore(herd, alt="Clients call.", clients=(1, 20))
    assert page.still.count(name) > 3


def test_the_axis_never_shrinks(page, herd):
    """It ends with the longest run so far, so that settings can be compared."""
    explore(herd, alt="Clients call.", wait=(0.5, 4.0, 0.5))
    page.controls[0].value = 4.0
    long = re.findall(r'text-anchor="middle">([^<]*)<', page.screen.value)
    page.controls[0].value = 1.0
    assert re.findall(r'text-anchor="middle">([^<]*)<', page.screen.value) == long


def test_the_setting_before_is_pale_behind(page, herd, monkeypatch):
    """It is the one from which the slider was moved, not those that it came by; its words are left out."""
    now = 0.0
    monkeypatch.setattr("faultlab.pictures.explore.time.monotonic", lambda: now)
    explore(herd, alt="Clients call.", until=5, wait=(0.5, 4.0, 0.5))
    assert "<g opacity" not in page.screen.value
    now = 10.0
    page.controls[0].value = 1.0
    now = 10.2
    page.controls[0].value = 2.0
    assert "At wait 2. Pale: wait 0.5" in page.screen.value
    ghost = page.screen.value.partition('<g opacity="0.3">')[2].partition("</g>")[0]
    assert ghost.count("ConnectionError, 0 s to 0.5 s") == 3 and "<text" not in ghost
    now = 20.0
    page.controls[0].value = 3.0
    assert "At wait 3. Pale: wait 2" in page.screen.value


def test_no_ghost_on_another_axis(page, herd, monkeypatch):
    """Where lanes or the axis are others, the setting before would lie."""
    now = 0.0
    monkeypatch.setattr("faultlab.pictures.explore.time.monotonic", lambda: now)
    explore(herd, alt="Clients call.", clients=(1, 20))
    now = 10.0
    page.controls[0].value = 5
    assert "<g opacity" not in page.screen.value and "Pale" not in page.screen.value


def test_a_chart(page):
    """A function may return a matplotlib figure; with fixed axes it has a ghost too."""

    def rise(slope: int = 1) -> Any:
        fig, ax = axes("Rise", "seconds", "calls")
        ax.plot([0, 1], [0, slope])
        ax.set(xlim=(0, 1), ylim=(0, 10))
        return fig

    explore(rise, alt="It rises.", slope=(1, 9))
    assert 'aria-label="It rises. At slope 1."' in page.screen.value
    page.controls[0].value = 5
    assert 'aria-label="It rises. At slope 5."' in page.screen.value


def test_kinds_of_sliders(page, herd):
    """Choices, words for values, boxes to tick and ready widgets are taken too."""

    def run(kind: str = "full", deadline: float = 1.0, queue: bool = False, size: int = 1) -> Any:
        return herd(size, kind=kind)

    ready = ipywidgets.IntSlider(value=2, min=1, max=3)
    explore(run, alt="x", kind=["none", "full"], deadline={"short": 0.5, "long": 1.0}, queue=True, size=ready)
    kind, deadline, queue, size = page.controls
    assert (kind.value, deadline.value, deadline.label, queue.value, size) == ("full", 1.0, "long", False, ready)
    assert "At kind full, deadline 1, queue no, size 2" in page.screen.value


def test_pictures(page, herd):
    """A sheet, an SVG string, or a run with a timeline will do."""

    class Run:
        def __init__(self, clients: int) -> None:
            self.timeline = herd(clients)

    for draw in (lambda clients: raster(herd(clients)), lambda clients: svg(herd(clients)), Run):
        page.outputs.clear()
        explore(draw, alt="Clients call.", clients=(2, 4))
        assert 'aria-label="Clients call. At clients 2.' in page.screen.value


def test_error_is_seen(page, herd):
    """A setting at which the run raises says so in the picture's place, and the next setting draws again."""
    explore(herd, alt="Clients call.", clients=(1, 20))
    page.controls[0].value = 13
    assert "ValueError: thirteen &lt;clients&gt;" in page.screen.value
    page.controls[0].value = 2
    assert "<svg" in page.screen.value


@pytest.mark.parametrize(
    ("sliders", "message"),
    [
        ({"client": (1, 3)}, r"herd takes no 'client': name its parameters \(clients, wait, kind\)"),
        ({"clients": "many"}, r"clients='many' is no slider"),
    ],
)
def test_refuses(page, herd, sliders, message):
    """A slider for no parameter, or written as something else, is refused with what to write."""
    with pytest.raises(ValueError, match=message):
        explore(herd, alt="x", **sliders)
