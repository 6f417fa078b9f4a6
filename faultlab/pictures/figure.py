"""Pictures for notebooks: `show`, and a house style for plain charts.

What a notebook's author needs::

    from faultlab import axes, show
    from faultlab.lanes import compare, lanes
    from faultlab.raster import Interval, in_flight, marked, occupancy, raster, slots
    from faultlab.explore import explore

    show(run.timeline)                                  # lanes, described by its own events, their table beneath
    show(run.timeline, alt="...", title="...", until=3, order=["alice", "bob"], limit=20)
    show(run.timeline, fold="What happens")             # hidden until opened: after a question
    show(compare(mine, intended))                       # "your run" above, "intended run" below, one axis
    show(raster(run.timeline, bin=0.1, until=4))        # a bar or a dot a call, arrivals counted below
    show(raster(run.timeline, state="state", states={"closed": "ok", "open": "failed"}))       # ribbon of states above
    show(slots(occupancy(run.timeline, "pool", tenant=lambda call: call.lane.split("-")[0]),   # who holds which slot
               steps={"queue": marked(run.timeline, "queue"), "in flight": in_flight(run.timeline)}))

    fig, ax = axes("Time waited", "attempt", "seconds")  # house style; it isn't pyplot's, so nothing shows by itself
    ax.plot(attempts, waits, label="no cap")
    ax.axvspan(30, 40, color=COLORS["fault"], zorder=0)  # colours keep their meaning; lines to compare have others
    label_lines(ax)                                      # each label at its line's right end, instead of a legend
    show(fig, alt="What is to be seen, in a sentence.")  # a chart can't describe itself: alt is required

    explore(run_herd, alt="...", clients=(1, 100), jitter=["none", "full"])   # sliders around a pure function
    play(run, alt="...", title="...", view="flow", who="clients")             # a run that unfolds; see `play.py`

and in the code that runs, `with waiting("a permit"):` around an await draws the wait as a thin bar.

`show` displays HTML (an <svg> with aria-label, dark on a dark page) and returns nothing. matplotlib is imported where
it is used: a picture of a timeline doesn't need it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from faultlab.pictures.facts import table_html
from faultlab.pictures.lanes import lanes
from faultlab.pictures.sheet import GRID, INK, PALE, STYLES, Sheet, with_words
from faultlab.pictures.svg import framed, svg
from faultlab.pictures.words import fill, safe
from faultlab.timeline import Timeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 144
COLORS = {
    "answered": STYLES["ok"].fill,
    "failed": STYLES["failed"].fill,
    "attempt": STYLES["attempt"].fill,
    "waiting": STYLES["sleep"].fill,
    "fault": STYLES["world"].fill,
    "ink": INK,
    "pale": PALE,
}
"""What colours mean, in a chart as in every other picture: `ax.plot(..., color=COLORS["answered"])`."""

PALETTE = ("#7B4FA3", "#8C5A2B", "#9E2A4F", "#B8559A", "#8A8A00", "#34407F", INK)
"""Colours without a meaning, for lines to compare."""


def show(
    picture: Timeline | Sheet | Figure | str, alt: str = "", *, table: bool = True, fold: str = "", **layout: Any
) -> None:
    """Display a timeline, a sheet, an SVG string or a matplotlib figure, with words for readers who can't see it.

    picture: a timeline is laid out as lanes.
    alt: what is to be seen; a timeline and a sheet describe themselves without it, a chart can't.
    table: whether the events of a timeline or a sheet stand beneath, as a folded table.
    fold: a line behind which the picture stays hidden until it is opened: after a question, so that running all cells
        spoils nothing.
    layout: what `faultlab.lanes.lanes` takes, for a timeline: `title`, `until` (seconds), `order`, ...

    Returns nothing; without a notebook it prints the words. Raises ValueError for a chart without `alt`, and for a
    string that is no SVG.

    >>> show(simulate(asyncio.sleep(2)).timeline, title="A nap")
    sleep over 2 s: 1 sleep, 2 s in all.
    """
    markup, words = rendered(picture, alt, table=table, **layout)
    if fold:
        markup, words = (
            fill('<details><summary>{}</summary><div class="faultlab-fit">{}</div></details>', fold, markup),
            fold,
        )
    display_html(fill('<div class="faultlab-fit" style="overflow-x:auto">{}</div>', markup), words)


def rendered(
    picture: Timeline | Sheet | Figure | str, alt: str = "", *, table: bool = True, **layout: Any
) -> tuple[Markup, str]:
    """The HTML that `show` displays, and the words that stand for it in plain text."""
    if isinstance(picture, Timeline):
        picture = lanes(picture, **layout)
    if isinstance(picture, Sheet):
        sheet = with_words(picture, alt=alt) if alt else picture
        return Markup(svg(sheet)) + (tables(sheet) if table else ""), sheet.alt
    if isinstance(picture, str):
        relabelled, words = _relabelled(picture, alt)
        return Markup(relabelled), words
    if not alt.strip():
        raise ValueError('a chart can\'t describe itself: show(figure, alt="what is to be seen, in a sentence")')
    return Markup(chart_svg(picture, alt)), alt


def tables(sheet: Sheet, *, limit: int = 300) -> Markup:
    """The events behind a sheet as folded tables, one for each timeline."""
    single = len(sheet.sources) == 1
    return Markup().join(
        Markup(
            table_html(timeline, limit=limit, summary="The events as a table" if single else f"The events of {name}")
        )
        for name, timeline in sheet.sources
    )


def display_html(markup: Markup, words: str) -> None:
    """Rich output where there is a notebook, the words alone where there is none."""
    try:
        from IPython.core.getipython import get_ipython
        from IPython.display import display
    except ImportError:
        print(words)
        return
    if get_ipython() is None:
        print(words)
        return
    display({"text/html": str(markup), "text/plain": words}, raw=True)  # type: ignore[no-untyped-call]


def axes(title: str = "", x: str = "", y: str = "", *, width: float = 7.2, height: float = 3.2) -> tuple[Figure, Axes]:
    """A figure and its axes in the house style: lines differ in colour and in dashes.

    title, x, y: the words at the top, and those of the two axes with their units.
    width, height: inches.

    Returns the figure, for `show`, and its axes, to plot on. It isn't pyplot's, so nothing shows by itself.

    >>> fig, ax = axes("Time waited", "attempt", "seconds")
    >>> _ = ax.plot([1, 2, 3], [0.1, 0.2, 0.4], label="doubling")
    >>> show(fig, alt="The pause doubles with each attempt.")
    The pause doubles with each attempt.
    """
    from cycler import cycler
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    fig = Figure(figsize=(width, height), dpi=DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(fig)
    ax = fig.add_subplot()
    dashes = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (8, 3)))
    ax.set_prop_cycle(cycler(color=PALETTE) + cycler(linestyle=dashes))
    ax.set_title(title, loc="left", fontsize=12, fontweight="bold")
    ax.set_xlabel(x, fontsize=10)
    ax.set_ylabel(y, fontsize=10)
    ax.tick_params(labelsize=9)
    ax.grid(True, color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    return fig, ax


def label_lines(ax: Axes) -> None:
    """Write each line's label beside its right end, instead of a legend; labels keep their order and never touch.

    ax: its lines and the ends of its axes are drawn already.

    >>> fig, ax = axes("Pauses", "attempt", "seconds")
    >>> _ = ax.plot([1, 2, 3], [1, 2, 4], label="doubling"), ax.plot([1, 2, 3], [1, 1, 1], label="always the same")
    >>> label_lines(ax)
    >>> show(fig, alt="One pause doubles, one stays at a second.")
    One pause doubles, one stays at a second.
    """
    ax.figure.draw_without_rendering()  # type: ignore[union-attr]
    lines = [line for line in ax.get_lines() if not str(line.get_label()).startswith("_")]
    bottom, top = ax.bbox.y0, ax.bbox.y1
    last = max(ax.get_xlim())
    ends = []
    for line in lines:
        points: Any = line.get_xydata()
        end: Any = ax.transData.transform(max((point for point in points if point[0] <= last), key=lambda one: one[0]))
        ends.append((min(max(float(end[1]), bottom), top), line))
    ends.sort(key=lambda end: -end[0])
    room = 13 * ax.figure.dpi / 72
    places = _apart([end for end, _ in ends], room)
    for place, (_, line) in zip(places, ends, strict=True):
        y = (place - bottom) / (top - bottom)
        key: dict[str, Any] = {
            "color": line.get_color(),
            "linestyle": line.get_linestyle(),
            "linewidth": 2,
            "clip_on": False,
        }
        ax.plot([1.015, 1.05], [y, y], transform=ax.transAxes, label="_key", **key)
        ax.text(1.06, y, str(line.get_label()), transform=ax.transAxes, va="center", fontsize=9, color=INK)


def _apart(places: list[float], room: float) -> list[float]:
    """Falling places, moved as little as it takes to lie so far from each other."""
    moved = list(places)
    for _ in range(50):
        for index in range(len(moved) - 1):
            missing = room - (moved[index] - moved[index + 1])
            if missing > 1e-6:
                moved[index] += missing / 2
                moved[index + 1] -= missing / 2
    return moved


# --- display ---------------------------------------------------------------------------------------------------------


def _relabelled(markup: str, alt: str) -> tuple[str, str]:
    if not markup.lstrip().startswith("<svg"):
        raise ValueError(
            "show takes a timeline, a sheet, an SVG string or a matplotlib figure: this string is no <svg>"
        )
    found = re.search(r'aria-label="([^"]*)"', markup)
    if found is None:
        if not alt.strip():
            raise ValueError('this SVG has no aria-label: show(svg, alt="what is to be seen, in a sentence")')
        return markup.replace("<svg", f'<svg role="img" aria-label="{safe(alt, 2000)}"', 1), alt
    if not alt:
        return markup, found[1]
    return markup[: found.start(1)] + safe(alt, 2000) + markup[found.end(1) :], alt


def chart_svg(fig: Figure, alt: str) -> str:
    """A matplotlib figure as an SVG element, with its words for who can't see it."""
    from faultlab.pictures.chart import chart_elements

    return framed(*chart_elements(fig), chart_title(fig), alt)


def chart_title(fig: Figure) -> str:
    """The words above a chart."""
    return next((ax.get_title(loc="left") or ax.get_title() for ax in fig.axes), "")
