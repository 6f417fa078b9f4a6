"""A timeline's events in words, one by one: the table beneath a picture, for readers who can't see it.

What a picture doesn't show isn't told either: timers that nobody waits for, and timeouts that didn't fire.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from markupsafe import Markup

from faultlab.pictures.names import lane_words, readable, state_word, tidy
from faultlab.pictures.sheet import clean, plural, seconds
from faultlab.pictures.telling import end_words, mark_words
from faultlab.pictures.words import fill
from faultlab.timeline import NS, Event, Timeline, Wait, is_wait


class Fact(NamedTuple):
    """Something that happened: when, in seconds; to whom, as the picture calls the lane; what, in words."""

    at: float
    who: str
    words: str


def table_html(timeline: Timeline, *, limit: int = 300, summary: str = "The events as a table") -> str:
    """The facts as a folded HTML table; after `limit` rows it says in words how many are left out."""
    rows = facts(timeline)
    head = "<th scope='col' style='text-align:left'>{}</th>" * 3
    row = "<tr>" + "<td style='text-align:left;padding:1px 8px;white-space:pre-wrap'>{}</td>" * 3 + "</tr>"
    rest = fill("<p>and {}</p>", plural(len(rows) - limit, "more event")) if len(rows) > limit else ""
    return str(
        fill(
            "<details><summary>{} ({})</summary><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>{}</details>",
            summary,
            plural(len(rows), "event"),
            fill(head, "seconds", "who", "what happens"),
            Markup().join([fill(row, f"{at:.3f}", who, words) for at, who, words in rows[:limit]]),
            rest,
        )
    )


_STATES = {"open": "opens", "closed": "closes", "half_open": "becomes half-open"}
_NOTES = {"printed": "prints", "warning": "Python warns", "breakpoint": "stops at a breakpoint", "slip": "stumbles"}


def facts(timeline: Timeline) -> list[Fact]:
    """What happened, in order, in words."""
    return [fact for _, fact in told(timeline)]


def told(timeline: Timeline) -> list[tuple[Event, Fact]]:
    """The events that are told, each with its fact."""
    names = lane_words(timeline.lanes)
    timers = {event.data["timer"]: event for event in timeline.of("sleep")}
    waits = _Waits(timeline)
    found = []
    changed: set[str] = set()
    for event in timeline:
        words = _words(event, timers, waits)
        if event.kind == "mark" and event.data["name"] == "state":
            if words == _STATES["closed"] and event.lane not in changed:
                words = "is closed"  # what hasn't been open yet doesn't close
            changed.add(event.lane)
        if words:
            found.append((event, Fact(event.seconds, clean(names.get(event.lane, event.lane), 60), words)))
    return found


def _words(event: Event, timers: Mapping[int, Event], waits: _Waits) -> str:
    data = event.data
    match event.kind:
        case "call" | "ok" | "error" | "cancel":
            return _call_words(event)
        case "sleep":
            return f"waits {_lasts(event)}" if event.lane and data["what"] == "sleep" else ""
        case "wake":
            return _wake_words(event, timers.get(data["timer"]))
        case "blocked":
            return f"blocks everybody for {seconds(data['seconds'])} with time.sleep"
        case "world":
            fault = f"the {clean(data.get('what', 'fault'), 40)}"
            service = f" of {clean(data['service'], 40)}" if data.get("service") else ""
            return f"{fault}{service} {'begins' if data.get('on', True) else 'ends'}"
        case "note":
            return f"{_NOTES.get(str(data.get('what')), 'notes')}: {clean(data.get('text', ''), 120)}"
        case "mark":
            return _mark_words(event, waits)
        case "end":
            return "the run ends" if data.get("how") == "returned" else end_words(event)
    return f"{clean(event.kind, 40)}"


def _call_words(event: Event) -> str:
    data = event.data
    call = f"call {data['call'] + 1} to {clean(tidy(data['service']), 40)}"
    if event.kind == "call":
        given = ", ".join(readable(one) for one in data["args"])
        return f"{call} begins" + (f", with {given}" if given else "")
    if event.kind == "ok":
        said = readable(data["value"]) if data["value"] is not None else ""
        return f"{call} is answered" + (f": {said}" if said not in ("", tidy(data["service"])) else "")
    if event.kind == "error":
        said = ", ".join(readable(one) for one in data["args"])
        return f"{call} fails: {clean(data['error'], 40)}" + (f" ({said})" if said else "")
    return f"{call} is given up"


def _lasts(event: Event) -> str:
    return seconds(round((event.data["until"] - event.at) / NS, 9))


def _wake_words(event: Event, armed: Event | None) -> str:
    """What the end of a timer means: of a sleep only if it was cut short, of a timeout only if it fired."""
    if armed is None or not event.lane:
        return ""
    what, fired = armed.data["what"], event.data["how"] == "fired"
    if what == "timeout" and fired:
        return f"its timeout of {_lasts(armed)} is over"
    return "its wait is cancelled" if what == "sleep" and not fired else ""


def _mark_words(event: Event, waits: _Waits) -> str:
    name, value = event.data["name"], event.data["value"]
    if is_wait(name, value):
        return waits.words(event.lane, bool(value["on"]))
    if name == "state" and isinstance(value, str):
        return _STATES.get(value, f"becomes {state_word(value)}")
    return mark_words(event.lane, name, value)


class _Waits:
    """The waits of a timeline, told as their marks come by; those that take no time aren't."""

    def __init__(self, timeline: Timeline) -> None:
        self._coming = iter(timeline.waits())
        self._inside: dict[str, list[Wait]] = {}

    def words(self, lane: str, begins: bool) -> str:
        inside = self._inside.setdefault(lane, [])
        if begins:
            inside.append(next(self._coming))
        if not inside:
            return ""
        wait = inside[-1] if begins else inside.pop()
        if wait.start == wait.end:
            return ""
        what = f" for {clean(wait.what, 60)}" if wait.what else ""
        if begins:
            return f"waits{what}"
        end = {"over": "is over", "cancelled": "is cancelled"}.get(wait.how, f"ends: {clean(wait.how, 40)}")
        return f"its wait{what} {end}"
