"""A run that unfolds: `play`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from faultlab.pictures.alive import show_alive
from faultlab.pictures.figure import display_html
from faultlab.pictures.flow import Cast, flow
from faultlab.pictures.knobs import Knobs, failed
from faultlab.pictures.lanes import LIMIT, WIDTH, lanes
from faultlab.pictures.moments import moments
from faultlab.pictures.player import SECONDS, Played, player_html, script_html, still_html
from faultlab.pictures.raster import raster
from faultlab.pictures.scene import scene
from faultlab.pictures.sheet import Sheet, with_words
from faultlab.pictures.words import fill
from faultlab.timeline import Call, Timeline

LOW = 140
"""The height of clients in the still picture beneath a flow, in pixels."""
NARROW = 480
"""The width of one of two pictures side by side, in pixels."""
MOST = 60_000
"""Events of a run that is played; of a longer one the still picture is shown."""


def play(
    run: Any,
    *,
    alt: str,
    title: str = "",
    view: str = "lanes",
    until: float | None = None,
    seconds: float = SECONDS,
    still: Sheet | Callable[[Timeline], Sheet] | None = None,
    order: Sequence[str] = (),
    who: str = "callers",
    callers: Callable[[str], str] | None = None,
    servers: Callable[[Call], str] | None = None,
    slots: int | Mapping[str, int] | None = None,
    waits: str = "",
    gate: str = "",
    switch: str = "",
    states: Mapping[str, str] | None = None,
    refused: str | Sequence[str] = (),
    labels: Mapping[str, str] | None = None,
    **sliders: Any,
) -> None:
    """Show a run that unfolds: play, pause, set the speed, move to any instant, step from event to event.

    It starts only when it is asked to, needs no kernel, and without scripts is the still picture with its table.

    run: a run or a timeline; with sliders a pure function of their values that returns one.
    alt: what is to be seen.
    title: words above it.
    view: "lanes", the still picture on which what hasn't happened yet is veiled; or "flow", callers at the left,
        services at the right, requests as dots between them, and the still picture beneath.
    until: where the time axis ends, in seconds. seconds: how long it plays.
    still: the picture with the playhead (of `lanes`, `raster`, `slots`), or a function of the timeline that returns
        it. Without it: lanes, or a raster where there are more lanes than have room.
    order: names of lanes that come first.
    labels, sliders: as `explore` takes them. The setting before stays beside the new one.

    In the flow:

    who: what the callers are, in the plural.
    callers: the caller that a lane belongs to (lambda lane: lane.split()[0]); each lane is one unless given. More than
        twelve are drawn as a block of dots.
    servers: the server of a call (lambda call: "pool"); its service unless given.
    slots: how many places a server has, drawn as boxes: a number for each server, or one by its name.
    waits: the name of the mark with which a lane joins the queue; it leaves with its next call or mark. "timeout": a
        lane waits while its timeout runs, and gets its turn when the timeout is cancelled. Without it: the waits that
        the code shows with `waiting`.
    gate: a circuit breaker between callers and servers: the name of the mark that tells its state, or of its lane.
    switch: a balancer: the name of its mark or lane; it points to the server that its state names.
    states: what a state lets pass: "through", "some" or "shut". The words closed, half_open, open, and those that
        begin with "not" are known.
    refused: names of marks, each of which is a request that was rejected at the gate.

    Returns nothing; without a notebook it prints `alt`. Raises ValueError for another view or way, and for a picture
    without one time axis.

    >>> play(simulate(asyncio.sleep(2)), alt="A nap of two seconds.")
    A nap of two seconds.
    """
    if view not in ("lanes", "flow"):
        raise ValueError(f'view={view!r}: it is "lanes" or "flow"')
    refused = (refused,) if isinstance(refused, str) else tuple(refused)
    cast = Cast(callers, servers, slots, gate, switch, states, refused, waits, who)
    show = _Show(cast if view == "flow" else None, alt, title, until, seconds, still, order, gate, who)
    if sliders:
        _with_knobs(show, run, Knobs(run, labels, sliders))
    else:
        display_html(show.markup({"": timeline_of(run)}) + script_html(), alt)


@dataclass(frozen=True)
class _Show:
    """How the runs of one `play` are shown."""

    cast: Cast | None
    alt: str
    title: str
    until: float | None
    seconds: float
    still: Sheet | Callable[[Timeline], Sheet] | None
    order: Sequence[str]
    state: str
    who: str

    def markup(self, runs: Mapping[str, Timeline], key: str = "") -> Markup:
        """The player of these runs by their labels, side by side; where one is too long to play, still pictures."""
        width = WIDTH if len(runs) == 1 else NARROW
        until = self.until or max(timeline.duration for timeline in runs.values()) or None
        sheets = {label: self._sheet(timeline, label, width, until) for label, timeline in runs.items()}
        if any(len(timeline) > MOST for timeline in runs.values()):
            return Markup().join(still_html(sheet) for sheet in sheets.values())
        played = [self._played(timeline, sheets[label], label) for label, timeline in runs.items()]
        return player_html(played, title=self.title, seconds=self.seconds, key=key)

    def _sheet(self, timeline: Timeline, label: str, width: int, until: float | None) -> Sheet:
        alt = f"{self.alt} At {label}." if label else self.alt
        if self.still is not None:
            return with_words(self.still(timeline) if callable(self.still) else self.still, alt=alt)
        if len(scene(timeline).lanes) <= LIMIT or not timeline.calls():
            return lanes(timeline, title=self.title, alt=alt, until=until, order=self.order, width=width)
        state = self.state if self.state and timeline.marks(self.state) else None
        tall = LOW if self.cast else None  # the flow shows the clients already
        return raster(
            timeline, title=self.title, alt=alt, until=until, width=width, height=tall, state=state, who=self.who
        )

    def _played(self, timeline: Timeline, sheet: Sheet, label: str) -> Played:
        until = sheet.plot.until if sheet.plot else timeline.duration
        acts = flow(timeline, self.cast, until) if self.cast else None
        return Played(sheet, moments(timeline, until=until), acts, label)


def _with_knobs(show: _Show, run: Callable[..., Any], knobs: Knobs) -> None:
    """The player with its sliders: moved, the run is played again from the same instant, beside the one before.

    The player stands in an `ipywidgets.HTML`, and finds its script in the output beside it. There stands also the run
    at the start, for a page without a kernel; while the widget lives, it hides that one.
    """
    import ipywidgets

    shown = {knobs.words: timeline_of(run(**knobs.values))}
    start = show.markup(shown)
    name = f"faultlab-played-{hashlib.sha256(start.encode()).hexdigest()[:12]}"
    screen = ipywidgets.HTML()

    def moved(_: object) -> None:
        now = knobs.words
        try:
            found = timeline_of(run(**knobs.values))
            before = {label: timeline for label, timeline in list(shown.items())[:1] if label != now}
            markup = show.markup({now: found, **before}, name)
        except Exception as error:
            screen.value = str(failed(error))
            return
        shown.clear()
        shown[now] = found
        screen.value = str(markup)

    screen.value = str(show.markup(shown, name))
    for widget in knobs.widgets:
        if widget.has_trait("continuous_update"):
            widget.continuous_update = False  # the setting before is the one that a slider was let go at
    knobs.observe(moved)
    caption = fill("<p>At the start: {}. Run this cell to move the sliders.</p>", knobs.words, longest=400)
    show_alive(ipywidgets.VBox([*knobs.widgets, screen]), caption + start + script_html(), show.alt, show.alt)


def timeline_of(result: Any) -> Timeline:
    """The timeline of a run, or the timeline itself. Raises TypeError for anything else."""
    timeline = getattr(result, "timeline", result)
    if not isinstance(timeline, Timeline):
        raise TypeError(f"play shows a run or a timeline, and was given {type(result).__name__}")
    return timeline
