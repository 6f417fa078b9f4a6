"""A timeline's instants in words, in order: what a player says where its playhead stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from typing import NamedTuple

from faultlab.pictures.names import lane_words, readable, tidy
from faultlab.pictures.sheet import clean, plural, seconds
from faultlab.pictures.words import ending_of
from faultlab.timeline import NS, Event, Timeline

MOST = 600
"""So many instants are told one by one; of more, those that lie close together are told as one."""
TOLD = 3
"""So many things that happen at one instant are told, more are counted."""

_COUNTED = {
    "call": "call",
    "ok": "answered",
    "error": "failed",
    "cancel": "given up",
    "sleep": "begin to wait",
    "wake": "timeouts",
    "mark": "mark",
}


class Moment(NamedTuple):
    """An instant, in seconds, and what happens then, in words."""

    at: float
    words: str


def moments(timeline: Timeline, *, until: float | None = None, most: int = MOST) -> list[Moment]:
    """What happens at each instant of a timeline, in order.

    until: what comes after so many seconds is left out. most: the most instants; beyond it, neighbours are joined.
    """
    names = lane_words(timeline.lanes)
    last = timeline.duration if until is None else until
    alarms = {event.data.get("timer") for event in timeline.of("sleep") if event.data.get("what") == "timeout"}
    told = [event for event in timeline if event.seconds <= last and _is_told(event, alarms)]
    instants = {event.at for event in told}
    width = 0 if len(instants) <= most else max(1, round(last * NS / most))
    groups: dict[int, list[Event]] = {}
    for event in told:
        groups.setdefault(event.at // width if width else event.at, []).append(event)
    return [_moment(events, names, width / NS) for _, events in sorted(groups.items())]


def side_by_side(runs: Mapping[str, Timeline], *, until: float, most: int = MOST) -> list[Moment]:
    """The moments of several runs on one clock, each told under its run's name."""
    found: dict[float, list[str]] = {}
    for name, timeline in runs.items():
        for moment in moments(timeline, until=until, most=most // len(runs)):
            found.setdefault(moment.at, []).append(f"{name}, {moment.words}")
    return [Moment(at, " ".join(words)) for at, words in sorted(found.items())]


def _moment(events: Sequence[Event], names: Mapping[str, str], width: float) -> Moment:
    first = events[0].seconds
    when = seconds(first) if events[-1].at == events[0].at else f"{seconds(first)} to {seconds(events[-1].seconds)}"
    said = [_words(event, names) for event in events] if len(events) <= TOLD or not width else []
    if len(events) > TOLD:
        said = _counts(events, names)
    return Moment(first, f"{when}: {'; '.join(said)}.")


def _counts(events: Sequence[Event], names: Mapping[str, str]) -> list[str]:
    """Many things at once: what concerns everybody in full, the rest counted."""
    counts = Counter(event.kind for event in events if event.kind in _COUNTED)
    said = [plural(counts["call"], "call")] if counts["call"] else []
    said += [
        f"{counts[kind]:,} {word}" for kind, word in _COUNTED.items() if kind not in ("call", "mark") and counts[kind]
    ]
    marks = list(dict.fromkeys(_words(event, names) for event in events if event.kind == "mark"))
    said += marks[:TOLD] + ([f"and {plural(len(marks) - TOLD, 'more mark')}"] if len(marks) > TOLD else [])
    return said + [_words(event, names) for event in events if event.kind not in _COUNTED][:TOLD]


def _is_told(event: Event, alarms: Container[object]) -> bool:
    """Whether a person is told of it: of a timer that is armed only if it is a sleep, of its end only if a timeout."""
    if event.kind == "sleep":
        return bool(event.lane) and event.data.get("what") == "sleep"
    if event.kind == "wake":
        return bool(event.lane) and event.data.get("how") == "fired" and event.data.get("timer") in alarms
    return event.kind in ("world", "end", "blocked") or (event.kind in _COUNTED and bool(event.lane))


def _words(event: Event, names: Mapping[str, str]) -> str:
    who = clean(names.get(event.lane, event.lane), 40)
    data = event.data
    service = clean(tidy(data.get("service") or "the service"), 40)
    match event.kind:
        case "call":
            return f"{who} calls {service}"
        case "ok":
            return f"{service} answers {who}"
        case "error":
            return f"{service} fails for {who} ({clean(data.get('error') or 'error', 40)})"
        case "cancel":
            return f"{who} gives up on {service}"
        case "sleep":
            return f"{who} waits{_until(data.get('until'))}"
        case "wake":
            return f"{who}: timeout"
        case "blocked":
            return "time.sleep blocks every task"
        case "world":
            what = f"{clean(data.get('what') or 'fault', 40)} of {service}"
            return f"{what} {'begins' if data.get('on', True) else 'ends'}"
        case "end":
            return f"the run ends: {clean(ending_of(event), 80)}"
    return f"{who}: {_mark(event)}"


def _until(until: object) -> str:
    return f" until {seconds(until / NS)}" if isinstance(until, int) and until >= 0 else ""


def _mark(event: Event) -> str:
    name, value = clean(tidy(event.data.get("name") or "mark"), 60), event.data.get("value")
    return name if value is None or value is True else f"{name} {readable(value)}"
