"""What happened, and when: the timeline of a run, as plain data.

A timeline is the only thing that leaves a run. Plots draw it, tests judge it, feedback shows it, reports count it.
It is an ordered list of events; each has an instant (whole nanoseconds since the run began, so that it repeats to
the byte), a kind, a lane (who it happened to: a task, a client, a service) and a little plain data.

Kinds that the laboratory itself writes:

=========  ==========================================================================================
kind       data
=========  ==========================================================================================
call       call (number), service, args: a call reaches the world
ok         call, service, value: the world answered
error      call, service, error (class name), args: the world answered with an error
cancel     call, service: the caller gave up before the answer
sleep      timer (number), until (ns), what ("sleep", "timeout", "timer"): a task armed a timer
wake       timer, how ("fired" or "cancelled")
blocked    seconds: `time.sleep` stopped everybody
world      what ("outage"), service, on (bool): the world changed
note       what ("slip", "warning", "breakpoint", "printed"), text: what code says beside its results
mark       name, value: whatever the running code wants to show (a state, a permit, a result)
end        how ("returned", "raised", "deadlock", "livelock", "limit", ...), and what there is to say of it
=========  ==========================================================================================
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, overload

VERSION = 1
NS = 1_000_000_000

WAIT = "wait"
"""The name of the two marks that enclose a wait (see `waiting` in `service.py`)."""

Plain = Any
"""None, bool, int, float, str, and lists and dicts (with str keys) of these."""


class Event(NamedTuple):
    """One thing that happened. `at` is in whole nanoseconds since the run began."""

    at: int
    kind: str
    lane: str
    data: Mapping[str, Plain]

    @property
    def seconds(self) -> float:
        """The instant in seconds since the run began."""
        return self.at / NS


class Call(NamedTuple):
    """One call to a service, from its start to its outcome. Times in seconds."""

    id: int
    service: str
    lane: str
    args: tuple[Plain, ...]
    start: float
    end: float | None
    outcome: str
    """ok, error, cancelled, or pending when the run ended before the answer came."""
    value: Plain = None
    """What the world answered: the value, or for an error its arguments."""
    error: str | None = None
    """The error's class name."""


@dataclass(frozen=True, slots=True)
class Pause:
    """One timer that a task waited on. Times in seconds; `until` is when it would have fired."""

    lane: str
    what: str
    start: float
    until: float
    end: float | None
    how: str
    """fired, cancelled, or pending when the run ended first."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that the running code chose to show. `at` in seconds."""

    at: float
    lane: str
    name: str
    value: Plain


class Wait(NamedTuple):
    """A wait that the running code chose to show. Times in seconds."""

    lane: str
    what: str
    """What it waited for, in words; may be empty."""
    start: float
    end: float | None
    how: str
    """over, cancelled, the class of another exception that ended it, or pending when the run ended first."""


@dataclass(frozen=True)
class Timeline(Sequence[Event]):
    """An ordered, immutable list of events, with views that pair them up.

    `seed` is what the run was started with: the same program, seed and version give the same bytes.
    """

    events: tuple[Event, ...] = ()
    seed: int = 0
    _calls: list[Call] = field(default_factory=list, init=False, repr=False, compare=False)

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | Sequence[Event]:
        return self.events[index]

    def __len__(self) -> int:
        return len(self.events)

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    def __repr__(self) -> str:
        return f"<Timeline of {len(self.events)} events, {self.duration:g} s, seed {self.seed}>"

    @property
    def duration(self) -> float:
        """Seconds from the start to the last event."""
        return self.events[-1].seconds if self.events else 0.0

    @property
    def ending(self) -> Event | None:
        """The event that says how the run ended, if it did."""
        return next((event for event in reversed(self.events) if event.kind == "end"), None)

    @property
    def lanes(self) -> list[str]:
        """The names of all lanes, in the order of their first event."""
        return list(dict.fromkeys(event.lane for event in self.events if event.lane))

    def of(self, *kinds: str) -> list[Event]:
        """The events of these kinds, in order."""
        return [event for event in self.events if event.kind in kinds]

    def calls(self, service: str | None = None, *, lane: str | None = None) -> list[Call]:
        """Every call that reached the world, in the order of their starts."""
        if not self._calls:
            self._calls.extend(_pair_calls(self.events))
        return [
            call
            for call in self._calls
            if (service is None or call.service == service) and (lane is None or call.lane == lane)
        ]

    def pauses(self, what: str | None = None, *, lane: str | None = None) -> list[Pause]:
        """Every timer that was armed, in order; `what` is sleep, timeout or timer."""
        return [
            pause
            for pause in _pair_pauses(self.events)
            if (what is None or pause.what == what) and (lane is None or pause.lane == lane)
        ]

    def marks(self, name: str | None = None, *, lane: str | None = None) -> list[Mark]:
        """What the running code showed of itself, in order."""
        return [
            Mark(event.seconds, event.lane, event.data["name"], event.data["value"])
            for event in self.events
            if event.kind == "mark"
            and (name is None or event.data["name"] == name)
            and (lane is None or event.lane == lane)
        ]

    def waits(self) -> list[Wait]:
        """Every wait that the running code showed, in the order of their starts."""
        open_waits: dict[str, list[int]] = {}
        found: list[Wait] = []
        for event in self.events:
            if event.kind != "mark" or not is_wait(event.data["name"], event.data["value"]):
                continue
            inside, value = open_waits.setdefault(event.lane, []), event.data["value"]
            if value["on"]:
                inside.append(len(found))
                found.append(Wait(event.lane, str(value.get("what", "")), event.seconds, None, "pending"))
            elif inside:
                last = inside.pop()
                found[last] = found[last]._replace(end=event.seconds, how=str(value.get("how", "over")))
        return found

    def to_json(self) -> str:
        """The timeline as compact JSON with sorted keys: equal timelines give equal bytes."""
        body = {"version": VERSION, "seed": self.seed, "events": [list(event) for event in self.events]}
        return json.dumps(body, separators=(",", ":"), sort_keys=True, allow_nan=False, ensure_ascii=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Timeline:
        """Read back what `to_json` wrote.

        Raises ValueError when the text is no timeline, or one of another version.
        """
        try:
            body = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"this is no timeline ({error}): record the run again") from None
        if not isinstance(body, dict) or body.get("version") != VERSION:
            version = body.get("version") if isinstance(body, dict) else None
            raise ValueError(f"not a timeline of version {VERSION} (found version {version!r}): record the run again")
        try:
            return cls(tuple(_event(event) for event in body["events"]), _whole(body["seed"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"this timeline is damaged ({error}): record the run again") from None


def is_wait(name: str, value: Plain) -> bool:
    """Whether a mark is the start or the end of a wait that the code showed."""
    return name == WAIT and isinstance(value, dict) and "on" in value


def _event(item: Any) -> Event:
    match item:
        case [at, str(kind), str(lane), dict(data)]:
            return Event(_whole(at), kind, lane, data)
    raise TypeError("an event is an instant, a kind, a lane and its data")


def _whole(number: Any) -> int:
    if type(number) is not int:
        raise TypeError(f"{str(number)[:40]!r} is no whole number")
    return number


def _pair_calls(events: Iterable[Event]) -> list[Call]:
    starts: dict[int, Event] = {}
    ends: dict[int, Event] = {}
    for event in events:
        if event.kind == "call":
            starts[event.data["call"]] = event
        elif event.kind in ("ok", "error", "cancel"):
            ends.setdefault(event.data["call"], event)
    return [_call(start, ends.get(number)) for number, start in starts.items()]


def _call(start: Event, end: Event | None) -> Call:
    data = start.data
    common = (data["call"], data["service"], start.lane, tuple(data["args"]), start.at / NS)
    if end is None:
        return Call(*common, None, "pending")
    if end.kind == "cancel":
        return Call(*common, end.at / NS, "cancelled")
    if end.kind == "error":
        return Call(*common, end.at / NS, "error", end.data["args"], end.data["error"])
    return Call(*common, end.at / NS, "ok", end.data["value"])


def _pair_pauses(events: Iterable[Event]) -> Iterator[Pause]:
    events = list(events)
    wakes = {event.data["timer"]: event for event in events if event.kind == "wake"}
    for event in events:
        if event.kind == "sleep":
            wake = wakes.get(event.data["timer"])
            end, how = (wake.seconds, wake.data["how"]) if wake else (None, "pending")
            yield Pause(event.lane, event.data["what"], event.seconds, event.data["until"] / NS, end, how)
