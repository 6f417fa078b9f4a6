"""A run that unfolds: `play`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from faultlab.pictures.figure import display_html
from faultlab.pictures.flow import Cast, flow
from faultlab.pictures.lanes import LIMIT, lanes
from faultlab.pictures.moments import moments
from faultlab.pictures.player import SECONDS, Played, player_html, script_html, still_html
from faultlab.pictures.raster import raster
from faultlab.pictures.scene import scene
from faultlab.pictures.sheet import Sheet, with_words
from faultlab.timeline import Call, Timeline

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
    servers: who serves a call (lambda call: "pool"); its service unless given.
    slots: how many places a server has, drawn as boxes: a number for each server, or one by its name.
    waits: the name of the mark with which a lane joins the queue; it leaves with its next call or mark. "timeout": a
        lane waits while its timeout runs, and gets its turn when the timeout is cancelled.
    gate: a circuit breaker between callers and servers: the name of the mark that tells its state, or of its lane.
    switch: a balancer: the name of its mark or lane; it points to the server that its state names.
    states: what a state lets pass: "through", "some" or "shut". The words closed, half_open, open, and those that
        begin with "not" are known.
    refused: names of marks, each of which is a request that was turned away at the gate.

    Returns nothing; without a notebook it prints `alt`. Raises ValueError for another view or way, and for a picture
    without one time axis.

    >>> play(simulate(asyncio.sleep(2)), alt="A nap of two seconds.")
    A nap of two seconds.
    """
    if view not in ("lanes", "flow"):
        raise ValueError(f'view={view!r}: it is "lanes" or "flow"')
    refused = (refused,) if isinstance(refused, str) else tuple(refused)
    cast = Cast(callers, servers, slots, gate, switch, states, refused, waits, who)

    def played(result: Any, label: str = "") -> Played | Sheet:
        timeline = timeline_of(result)
        picture = still(timeline) if callable(still) else still
        if picture is None:
            picture = picture_of(timeline, title=title, until=until, order=order, state=gate, who=who)
        picture = with_words(picture, alt=f"{alt} {label}".strip())
        if picture.plot is None or len(timeline) > MOST:
            return picture
        end = picture.plot.until
        acts = flow(timeline, cast, end) if view == "flow" else None
        return Played(picture, moments(timeline, until=end), acts, label)

    if not sliders:
        display_html(_markup([played(run)], title, seconds) + script_html(), alt)
        return
    raise NotImplementedError("sliders")


def timeline_of(result: Any) -> Timeline:
    """The timeline of a run, or the timeline itself. Raises TypeError for anything else."""
    timeline = getattr(result, "timeline", result)
    if not isinstance(timeline, Timeline):
        raise TypeError(f"play shows a run or a timeline, and was given {type(result).__name__}")
    return timeline


def picture_of(
    timeline: Timeline, *, title: str, until: float | None, order: Sequence[str], state: str, who: str
) -> Sheet:
    """The still picture of a run: lanes, or a raster of its calls where there are more lanes than have room."""
    if len(scene(timeline).lanes) <= LIMIT or not timeline.calls():
        return lanes(timeline, title=title, until=until, order=order)
    known = state if state and timeline.marks(state) else None
    return raster(timeline, title=title, until=until, state=known, who=who)


def _markup(runs: Sequence[Played | Sheet], title: str, seconds: float, key: str = "") -> Markup:
    """The players' markup; without a run that can be played, the still pictures."""
    found = [run for run in runs if isinstance(run, Played)]
    if len(found) == len(runs):
        return player_html(found, title=title, seconds=seconds, key=key)
    return Markup().join(still_html(run.still if isinstance(run, Played) else run) for run in runs)
