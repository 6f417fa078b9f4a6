"""Where a run first does something else than the intended one: when, in which lane, what, in words.

Both runs are read as the steps of each lane: calls and what became of them, and what was shown. Timers aren't
compared, for the same may be done with others; a pause is named where it is what differs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from faultlab.pictures.names import lane_words, nth, token_places
from faultlab.pictures.sheet import clean, seconds
from faultlab.pictures.telling import end_words, mark_pair, mark_words
from faultlab.timeline import Event, Pause, Timeline

MOMENT = 1e-6
"""Instants that lie no farther apart than so many seconds are the same."""

NOTHING = "does nothing more"


@dataclass(frozen=True)
class Difference:
    """The first difference between two runs. `at` in seconds; `lane` as the picture calls it, "" for none."""

    at: float
    lane: str
    own: str
    intended: str

    @property
    def words(self) -> str:
        """The difference in a sentence."""
        where = f", {self.lane}" if self.lane else ""
        return f"First difference, at {instant(self.at)}{where}: yours: {self.own}; intended: {self.intended}."


class Step(NamedTuple):
    """Something that happened in a lane. `data` is what is compared; `said` what it is in words."""

    at: float
    kind: str
    data: Any
    said: str
    place: int


def instant(at: float) -> str:
    """An instant, exact to the millisecond, so that two that differ read differently."""
    return f"{round(at, 3):,.3f}".rstrip("0").rstrip(".") + " s"


def first_difference(own: Timeline, intended: Timeline) -> Difference | None:
    """The first difference between a run and the intended one; None where both do the same.

    Sentences in values, such as texts of errors, count only where nothing else differs.
    """
    for strict in (False, True):
        found = [one for one in _all(own, intended, strict) if one is not None]
        if found:
            return min(found, key=lambda one: one[0])[1]
    return None


def lanes_that_differ(own: Timeline, intended: Timeline) -> dict[str, float]:
    """The lanes in which the runs aren't the same, as the picture calls them, each with the instant of the first
    difference in it."""
    mine, meant = steps_of(own), steps_of(intended)
    found: dict[str, float] = {}
    for lane in dict.fromkeys([*mine, *meant]):
        for strict in (False, True):
            pair = _apart(mine.get(lane, []), meant.get(lane, []), strict)
            if pair is not None and lane not in found:
                found[lane] = min(step.at for step in pair[:2] if step is not None)
    return found


def steps_of(timeline: Timeline) -> dict[str, list[Step]]:
    """The steps of each lane in order, by the lane's name in the picture; what has no lane stands under ""."""
    names = lane_words(timeline.lanes)
    services = {event.data["call"]: (event.data["service"], event.lane) for event in timeline.of("call")}
    receipts = _receipts(timeline)
    counts: dict[tuple[str, str], int] = {}
    steps: dict[str, list[Step]] = {}
    for place, event in enumerate(timeline):
        service, lane = services.get(event.data.get("call"), ("", event.lane))
        if event.kind == "call":
            counts[lane, service] = counts.get((lane, service), 0) + 1
        step = _step(event, place, counts.get((lane, service), 0), receipts)
        if step is not None and (lane or step.kind in ("mark", "end", "blocked")):
            steps.setdefault(names.get(lane, ""), []).append(step)
    return steps


def _step(event: Event, place: int, count: int, receipts: Mapping[int, str]) -> Step | None:
    """What an event is as a step; None for what isn't compared."""
    data, kind = event.data, event.kind
    service = clean(data.get("service", ""), 40)
    if kind == "call":
        again = {1: "", 2: " again"}.get(count, f" for the {nth(count)} time")
        return Step(event.seconds, kind, [service, data["args"]], f"calls {service}{again}", place)
    if kind == "ok":
        return Step(event.seconds, kind, [service, data["value"]], f"gets the answer of {service}", place)
    if kind == "error":
        return Step(
            event.seconds, kind, [service, data["error"]], f"gets {clean(data['error'], 40)} from {service}", place
        )
    if kind == "cancel":
        return Step(event.seconds, kind, [service], f"cancels its call of {service}", place)
    if kind == "mark":
        return Step(event.seconds, kind, [data["name"], _with_receipts(data["value"], receipts)], event.lane, place)
    if kind == "blocked":
        lasted = seconds(data["seconds"])
        return Step(event.seconds, kind, lasted, f"stops everything for {lasted} with time.sleep", place)
    if kind == "end" and data.get("how") != "returned":
        return Step(event.seconds, kind, data.get("how"), end_words(event), place)
    return None


def _receipts(timeline: Timeline) -> dict[int, str]:
    """Each call, as its caller would say it: the number of a call depends on what the others do."""
    counts: dict[tuple[str, str], int] = {}
    said = {}
    for call in timeline.calls():
        key = call.lane, call.service
        counts[key] = counts.get(key, 0) + 1
        said[call.id] = f"call {counts[key]} of {call.service}"
    return said


def _with_receipts(value: Any, receipts: Mapping[int, str]) -> Any:
    if isinstance(value, dict):
        told = {key: _with_receipts(item, receipts) for key, item in value.items()}
        if "error" in told and isinstance(call := told.get("call"), int):
            told["call"] = receipts.get(call, "")
        return told
    return [_with_receipts(item, receipts) for item in value] if isinstance(value, list) else value


# --- comparing -------------------------------------------------------------------------------------------------------

_Pair = tuple[Step | None, Step | None, float]
"""The first steps that differ, and the instant of the last one that both have."""


def _all(own: Timeline, intended: Timeline, strict: bool) -> Iterable[tuple[Any, Difference] | None]:
    """The first difference in each lane, with what it is sorted by: time, lanes with a name first, place."""
    mine, meant = steps_of(own), steps_of(intended)
    for lane in dict.fromkeys([*mine, *meant]):
        pair = _apart(mine.get(lane, []), meant.get(lane, []), strict)
        if pair is not None:
            found = _told(pair, lane, own, intended)
            step = pair[0] or pair[1]
            assert step is not None
            yield (round(found.at, 6), not lane, step.place), found


def _apart(mine: Sequence[Step], meant: Sequence[Step], strict: bool) -> _Pair | None:
    before = 0.0
    for number in range(max(len(mine), len(meant))):
        one = mine[number] if number < len(mine) else None
        other = meant[number] if number < len(meant) else None
        if one is None or other is None or not _same(one, other, strict):
            return one, other, before
        before = one.at
    return None


def _same(one: Step, other: Step, strict: bool) -> bool:
    return one.kind == other.kind and abs(one.at - other.at) <= MOMENT and _equal(one.data, other.data, strict)


_TEXTS = {"message", "args", "notes", "names", "builtins"}
"""What an exception says beside its class: of one's own exceptions nobody may expect that it is the same."""


def _equal(one: Any, other: Any, strict: bool) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-6)
    if isinstance(one, dict) and isinstance(other, dict):
        free = _TEXTS if not strict and "error" in one else set()
        keys = (one.keys() | other.keys()) - free
        return all(key in one and key in other and _equal(one[key], other[key], strict) for key in keys)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_equal(a, b, strict) for a, b in zip(one, other, strict=True))
    if not strict and isinstance(one, str) and isinstance(other, str) and " " in one and " " in other:
        return True
    return type(one) is type(other) and bool(one == other)


# --- telling ---------------------------------------------------------------------------------------------------------


def _told(pair: _Pair, lane: str, own: Timeline, intended: Timeline) -> Difference:
    """The difference in words."""
    mine, meant, before = pair
    at = min(step.at for step in (mine, meant) if step is not None)
    slept, meant_to = _sleep_of(own, lane, before, at), _sleep_of(intended, lane, before, at)
    if (
        slept
        and meant_to
        and abs(slept.start - meant_to.start) <= MOMENT
        and abs(slept.until - meant_to.until) > MOMENT
    ):
        return Difference(slept.start, lane, _wait_words(slept), _wait_words(meant_to))
    if mine is not None and meant is not None and abs(mine.at - meant.at) <= MOMENT:
        return Difference(at, lane, *_both(mine, meant, lane, own, intended))
    words = [_one(step, at, lane, timeline) for step, timeline in ((mine, own), (meant, intended))]
    return Difference(at, lane, *words)


def _both(mine: Step, meant: Step, lane: str, own: Timeline, intended: Timeline) -> tuple[str, str]:
    """What both do at the same instant."""
    if mine.kind == meant.kind == "mark" and mine.data[0] == meant.data[0]:
        return mark_pair(lane, mine.data[0], mine.data[1], meant.data[1], token_places(intended, own))
    if mine.kind == meant.kind == "call" and mine.said == meant.said:
        return mark_pair("", mine.said, mine.data[1], meant.data[1], token_places(intended, own))
    return _said(mine, lane), _said(meant, lane)


def _said(step: Step, lane: str) -> str:
    return mark_words(lane, step.data[0], step.data[1]) if step.kind == "mark" else step.said


def _one(step: Step | None, at: float, lane: str, timeline: Timeline) -> str:
    """What one of the runs does at an instant at which only the other one takes a step."""
    if step is not None and step.at - at <= MOMENT:
        return _said(step, lane)
    doing = _meanwhile(lane, at, timeline)
    if step is None:
        return doing or NOTHING
    return f"{_said(step, lane)}, but only at {instant(step.at)}" if not doing else f"{doing}, until {instant(step.at)}"


def _meanwhile(lane: str, at: float, timeline: Timeline) -> str:
    """What a lane is waiting for at an instant."""
    names = lane_words(timeline.lanes)
    for call in timeline.calls():
        if names.get(call.lane) == lane and lane and call.start <= at and (call.end is None or call.end > at + MOMENT):
            return f"waits for {clean(call.service, 40)}"
    pause = _sleep_of(timeline, lane, 0.0, at)
    return "waits" if pause is not None and (pause.end is None or pause.end > at + MOMENT) else ""


def _sleep_of(timeline: Timeline, lane: str, since: float, at: float) -> Pause | None:
    """The last sleep that a lane began between two instants, both included."""
    names = lane_words(timeline.lanes)
    found = [pause for pause in timeline.pauses("sleep") if lane and names.get(pause.lane) == lane]
    found = [pause for pause in found if since - MOMENT <= pause.start <= at + MOMENT]
    return found[-1] if found else None


def _wait_words(pause: Pause) -> str:
    return f"waits {instant(pause.until - pause.start)}"
