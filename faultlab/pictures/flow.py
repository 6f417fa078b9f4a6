"""A timeline as a flow: requests that leave their callers, wait in a queue, are served, and come back.

Nothing here knows where anything stands: it says who asks whom, from when to when, and how it ended.
`script/flow.js` gives these things places and lets them move.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from faultlab.pictures.names import lane_words, natural, readable
from faultlab.pictures.sheet import clean
from faultlab.pictures.words import faults_of
from faultlab.timeline import Call, Mark, Timeline

OUTCOMES = {"ok": 0, "error": 1, "cancelled": 2, "pending": 3}
"""The outcomes of calls, as the script knows them."""

WAYS = ("through", "some", "shut")
"""What a gate lets pass, as the script knows it: everything, some requests, nothing."""

STATES = {"closed": "through", "half_open": "some", "half-open": "some", "open": "shut"}
"""What a gate lets pass in the states of a circuit breaker; other words say it themselves, or are given."""

PLACES = 12
"""So many callers have a row with their name; more are a block of dots."""


@dataclass(frozen=True)
class Cast:
    """The parts of a flow, by names that the notebook gives. See `play` for what each means."""

    callers: Callable[[str], str] | None = None
    servers: Callable[[Call], str] | None = None
    slots: int | Mapping[str, int] | None = None
    gate: str = ""
    switch: str = ""
    states: Mapping[str, str] | None = None
    refused: Sequence[str] = ()
    waits: str = ""
    who: str = "callers"


def flow(timeline: Timeline, cast: Cast, until: float) -> dict[str, Any]:
    """The flow as plain data for the script.

    Raises ValueError for a state that is said to let pass something else than `WAYS`.
    """
    calls = [call for call in timeline.calls() if call.lane and call.start <= until]
    waits = _waits(timeline, calls, cast.waits)
    turned = [mark for mark in timeline.marks() if mark.name in cast.refused and mark.at <= until]
    seen = {call.lane for call in calls} | {lane for lane, *_ in waits}
    lanes = [lane for lane in timeline.lanes if lane in seen]
    group = cast.callers or (lambda lane: lane)
    names = lane_words(timeline.lanes)
    callers = sorted(dict.fromkeys(group(lane) for lane in lanes), key=natural)
    place = {name: number for number, name in enumerate(callers)}
    of_lane = {lane: place[group(lane)] for lane in lanes}
    asked = [(cast.servers or (lambda call: call.service))(call) for call in calls]
    servers = list(dict.fromkeys(asked))
    queue, lined = _lined(waits, of_lane)
    requests = _requests(calls, asked, servers, of_lane, queue, until)
    return {
        "who": clean(cast.who, 40),
        "grouped": cast.callers is not None,
        "callers": [clean(names.get(name, name), 60) for name in callers],
        "servers": [_server(name, number, requests, cast.slots) for number, name in enumerate(servers)],
        "requests": requests,
        "waits": lined,
        "refused": [[of_lane.get(mark.lane, -1), round(mark.at, 6)] for mark in turned],
        "rests": _rests(timeline, of_lane, until),
        "gate": _states(_marks_of(timeline, cast.gate), cast.states),
        "switch": _states(_marks_of(timeline, cast.switch), cast.states, servers),
        "faults": _faults(timeline, servers),
    }


_Wait = tuple[str, float, float, bool]
"""A lane, from when to when it waits (seconds), and whether it got what it waited for."""


def _waits(timeline: Timeline, calls: Sequence[Call], name: str) -> list[_Wait]:
    """The callers that wait for a place before calling, from when to when: as the code shows it, or from marks or
    timeouts."""
    if not name:
        return [
            (wait.lane, wait.start, timeline.duration if wait.end is None else wait.end, wait.how == "over")
            for wait in timeline.waits()
            if wait.lane and wait.end != wait.start
        ]
    starts: dict[str, list[float]] = {}
    for call in calls:
        starts.setdefault(call.lane, []).append(call.start)
    if name == "timeout":
        pauses = [pause for pause in timeline.pauses("timeout") if pause.lane and pause.end != pause.start]
        ends = [timeline.duration if pause.end is None else pause.end for pause in pauses]
        return [
            (pause.lane, pause.start, end, pause.how == "cancelled") for pause, end in zip(pauses, ends, strict=True)
        ]
    others: dict[str, list[float]] = {}
    for mark in timeline.marks():
        others.setdefault(mark.lane, []).append(mark.at)
    found: list[_Wait] = []
    for mark in timeline.marks(name):
        begun = _after(starts.get(mark.lane, []), mark.at, or_at=True)
        left = _after(others.get(mark.lane, []), mark.at)
        end = min(begun, left, timeline.duration)
        if end > mark.at:
            found.append((mark.lane, mark.at, end, end == begun))
    return found


def _after(instants: Sequence[float], at: float, *, or_at: bool = False) -> float:
    """The first of the instants (in order) that comes after this one."""
    place = bisect_left(instants, at if or_at else at + 1e-9)
    return instants[place] if place < len(instants) else float("inf")


def _lined(waits: Iterable[_Wait], of_lane: Mapping[str, int]) -> tuple[dict[tuple[str, float], int], list[list[Any]]]:
    """The waits with their places in the line; and, by lane and end, the place that somebody leaves to be served."""
    left: dict[tuple[str, float], int] = {}
    lined: list[list[Any]] = []
    free = _Places()
    for lane, start, end, served in sorted(waits, key=lambda wait: wait[1]):
        if lane in of_lane:
            place = free.take(start, end)
            lined.append([of_lane[lane], round(start, 6), round(end, 6), int(served), place])
            if served:
                left[lane, round(end, 6)] = place
    return left, lined


class _Places:
    """Numbered places: each comer takes the lowest that is free."""

    def __init__(self) -> None:
        self._free: list[int] = []
        self._taken: list[tuple[float, int]] = []
        self.count = 0

    def take(self, start: float, end: float) -> int:
        while self._taken and self._taken[0][0] <= start:
            heapq.heappush(self._free, heapq.heappop(self._taken)[1])
        if not self._free:
            heapq.heappush(self._free, self.count)
            self.count += 1
        place = heapq.heappop(self._free)
        heapq.heappush(self._taken, (end, place))
        return place


def _requests(
    calls: Sequence[Call],
    asked: Sequence[str],
    servers: Sequence[str],
    of_lane: Mapping[str, int],
    queue: Mapping[tuple[str, float], int],
    until: float,
) -> list[list[Any]]:
    """Each call: caller, server, start, end, outcome, its place at the server, the place in the line it came from."""
    numbers = {name: number for number, name in enumerate(servers)}
    free = [_Places() for _ in servers]
    found: list[list[Any]] = []
    for call, name in zip(calls, asked, strict=True):
        end = until if call.end is None else call.end
        outcome = OUTCOMES[call.outcome if end <= until else "pending"]
        server, place = numbers[name], free[numbers[name]].take(call.start, end)
        came = queue.get((call.lane, round(call.start, 6)), -1)
        start, end = round(call.start, 6), round(min(end, until), 6)
        found.append([of_lane[call.lane], server, start, end, outcome, place, came])
    return found


def _server(name: str, number: int, requests: Sequence[Sequence[Any]], slots: int | Mapping[str, int] | None) -> Any:
    """A server's name, how many places it has (0: no limit is drawn), and how many are needed at most."""
    given = slots if isinstance(slots, int) else (slots or {}).get(name, 0)
    needed = max([request[5] + 1 for request in requests if request[1] == number], default=1)
    return [clean(name, 60), given, max(needed, given)]


def _rests(timeline: Timeline, of_lane: Mapping[str, int], until: float) -> list[list[Any]]:
    """The callers that sleep, from when to when."""
    return [
        [of_lane[pause.lane], round(pause.start, 6), round(until if pause.end is None else pause.end, 6)]
        for pause in timeline.pauses("sleep")
        if pause.lane in of_lane and pause.start <= until
    ]


def _marks_of(timeline: Timeline, name: str) -> list[Mark]:
    """The marks of this name; otherwise those of the lane of this name."""
    return (timeline.marks(name) or timeline.marks(lane=name)) if name else []


def _states(marks: Sequence[Mark], given: Mapping[str, str] | None, servers: Sequence[str] = ()) -> list[list[Any]]:
    """Each state: since when, its word, which way it lets pass (see `WAYS`), and the server that it points to."""
    found: list[list[Any]] = []
    for mark in marks:
        word = mark.name if mark.value is None or mark.value is True else readable(mark.value)
        way = (given or {}).get(word) or STATES.get(word) or ("shut" if word.startswith("not ") else "through")
        if way not in WAYS:
            raise ValueError(f"states={{{word!r}: {way!r}}}: a gate lets pass one of {', '.join(WAYS)}")
        to = servers.index(word) if word in servers else -1
        shown = clean(word.replace("_", "-"), 40)
        if not found or found[-1][1:] != [shown, WAYS.index(way), to]:
            found.append([round(mark.at, 6), shown, WAYS.index(way), to])
    return found


def _faults(timeline: Timeline, servers: Sequence[str]) -> list[list[Any]]:
    """What was wrong with the world: with which server (-1: all), from when to when, in words."""
    services = {event.data.get("service") or "" for event in timeline.of("world")}
    found: list[list[Any]] = []
    for words, start, end in faults_of(timeline):
        service = next((one for one in services if one and words.endswith(f" of {one}")), "")
        number = servers.index(service) if service in servers else -1
        found.append([number, round(start, 6), round(end, 6), clean(words.removesuffix(f" of {service}"), 40)])
    return found
