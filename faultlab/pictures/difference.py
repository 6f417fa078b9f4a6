"""Find the first difference between a run and the intended one: when, in which lane, and what, in words.

Both runs are read as the steps of each lane: calls with their outcomes, and marks. Timers aren't compared, because
other timers can do the same. A pause is named if it is the difference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any, NamedTuple

from faultlab.pictures.names import lane_words, nth, token_places
from faultlab.pictures.sheet import clean, seconds
from faultlab.pictures.telling import end_words, mark_pair, mark_words
from faultlab.timeline import Call, Event, Pause, Timeline

MOMENT = 1e-6
"""Instants closer than this, in seconds, count as the same."""

NOTHING = "does nothing more"

LOOSE, PLAIN, STRICT = range(3)
"""Three comparisons, tried until one finds a difference. The first ignores numbers shown beside a call's end, which a
contract may leave open, and sentences in values. The second ignores only sentences. The third compares everything."""


@dataclass(frozen=True)
class Difference:
    """The first difference between two runs. `at` in seconds; `lane` as the picture calls it, "" for none."""

    at: float
    lane: str
    own: str
    intended: str
    level: int = 0
    """The comparison that finds it: LOOSE, PLAIN or STRICT."""

    @property
    def words(self) -> str:
        """The difference in a sentence."""
        where = f", {self.lane}" if self.lane else ""
        return f"First difference, at {instant(self.at)}{where}: yours: {self.own}; intended: {self.intended}."


class Step(NamedTuple):
    """Something that happened in a lane. `data` is compared; `said` puts it into words."""

    at: float
    kind: str
    data: Any
    said: str
    place: int
    beside: bool = False
    """Whether the same lane also shows a call's end at this instant."""


def instant(at: float) -> str:
    """An instant in words, exact to the millisecond, so that different instants read differently."""
    return f"{round(at, 3):,.3f}".rstrip("0").rstrip(".") + " s"


def first_difference(own: Timeline, intended: Timeline) -> Difference | None:
    """The first difference between a run and the intended one; None if both do the same.

    Numbers shown beside a call's end, and sentences in values such as texts of errors, count only if nothing else
    differs.
    """
    return differences(own, intended)[0]


def differences(own: Timeline, intended: Timeline) -> tuple[Difference | None, dict[str, float]]:
    """The first difference, and the picture's names of the lanes that differ, each with the instant of its first
    difference."""
    if own.events == intended.events:
        return None, {}
    mine, meant = _Run(own), _Run(intended)
    for strict in (LOOSE, PLAIN, STRICT):
        pairs = {
            lane: pair
            for lane in dict.fromkeys([*mine.steps, *meant.steps])
            if (pair := _apart(mine.steps.get(lane, []), meant.steps.get(lane, []), strict)) is not None
        }
        if pairs:
            told = [(_rank(pair, lane), _told(pair, lane, mine, meant)) for lane, pair in _earliest(pairs)]
            first = min(told, key=lambda one: (round(one[1].at, 6), one[0]))[1]
            return replace(first, level=strict), {lane: pair.at for lane, pair in pairs.items()}
    return None, {}


class _Run:
    """The steps, sleeps and calls of each lane, by its name in the picture; "" holds those without a lane."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        names = lane_words(timeline.lanes)
        self.steps: dict[str, list[Step]] = {}
        self.sleeps: dict[str, list[Pause]] = {}
        self.calls: dict[str, list[Call]] = {}
        for pause in timeline.pauses("sleep"):
            self.sleeps.setdefault(names.get(pause.lane, ""), []).append(pause)
        for call in timeline.calls():
            self.calls.setdefault(names.get(call.lane, ""), []).append(call)
        self._read(names)

    def _read(self, names: Mapping[str, str]) -> None:
        calls = {call.id: call for call in self.timeline.calls()}
        counts: dict[tuple[str, str], int] = {}
        places = {}
        for one in calls.values():
            key = one.lane, one.service
            places[one.id] = counts[key] = counts.get(key, 0) + 1
        # a call's number depends on the other callers; its caller's own count doesn't
        receipts = {one.id: f"call {places[one.id]} of {one.service}" for one in calls.values()}
        for place, event in enumerate(self.timeline):
            call = calls.get(event.data.get("call", -1))
            lane = call.lane if call else event.lane
            step = _step(event, place, places[call.id] if call else 0, receipts)
            if step is not None and (lane or event.kind in ("mark", "end", "blocked")):
                self.steps.setdefault(names.get(lane, ""), []).append(step)
        for lane, steps in self.steps.items():
            ended = {step.at for step in steps if step.kind == "mark" and "how" in _keys(step.data[1])}
            self.steps[lane] = [step._replace(beside=step.at in ended) for step in steps] if ended and lane else steps


def _keys(value: Any) -> Sequence[str]:
    return list(value) if isinstance(value, dict) else []


def _step(event: Event, place: int, count: int, receipts: Mapping[int, str]) -> Step | None:
    """An event as a step; None if it isn't compared."""
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


def _with_receipts(value: Any, receipts: Mapping[int, str]) -> Any:
    if isinstance(value, dict):
        told = {key: _with_receipts(item, receipts) for key, item in value.items()}
        if "error" in told and isinstance(call := told.get("call"), int):
            told["call"] = receipts.get(call, "")
        return told
    return [_with_receipts(item, receipts) for item in value] if isinstance(value, list) else value


# --- comparing -------------------------------------------------------------------------------------------------------


class _Pair(NamedTuple):
    """The first steps of a lane that differ, and the instant of the last common one."""

    own: Step | None
    intended: Step | None
    before: float

    @property
    def at(self) -> float:
        return min(step.at for step in self[:2] if step is not None)


def _rank(pair: _Pair, lane: str) -> tuple[bool, int]:
    """Order differences at one instant: lanes with a name first, then by order of events."""
    step = pair.own or pair.intended
    return not lane, step.place if step else 0


def _earliest(pairs: Mapping[str, _Pair]) -> list[tuple[str, _Pair]]:
    """The lanes that may hold the first difference: a differing pause lies before the differing steps."""
    first = min(pair.at for pair in pairs.values())
    return [(lane, pair) for lane, pair in pairs.items() if pair.before <= first + MOMENT]


def _apart(mine: Sequence[Step], meant: Sequence[Step], strict: int) -> _Pair | None:
    before = 0.0
    for one, other in zip_longest(mine, meant):
        if one is None or other is None or not _same(one, other, strict):
            return _Pair(one, other, before)
        before = one.at
    return None


def _same(one: Step, other: Step, strict: int) -> bool:
    if one.kind != other.kind or abs(one.at - other.at) > MOMENT:
        return False
    aside = strict == LOOSE and one.kind == "mark" and one.data[0] == other.data[0] and _numbers(one, other)
    return aside or _equal(one.data, other.data, strict)


def _numbers(*marks: Step) -> bool:
    return all(type(mark.data[1]) in (int, float) and mark.beside for mark in marks)


_TEXTS = {"message", "args", "notes", "names", "builtins"}
"""What an exception says besides its class; an answer's own exceptions may say anything."""


def _equal(one: Any, other: Any, strict: int) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-6)
    if isinstance(one, dict) and isinstance(other, dict):
        free = _TEXTS if strict < STRICT and "error" in one else set()
        keys = (one.keys() | other.keys()) - free
        return all(key in one and key in other and _equal(one[key], other[key], strict) for key in keys)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_equal(a, b, strict) for a, b in zip(one, other, strict=True))
    if strict < STRICT and isinstance(one, str) and isinstance(other, str) and " " in one and " " in other:
        return True
    return type(one) is type(other) and bool(one == other)


# --- telling ---------------------------------------------------------------------------------------------------------


def _told(pair: _Pair, lane: str, own: _Run, intended: _Run) -> Difference:
    """The difference in words."""
    mine, meant, before = pair
    at = pair.at
    slept, meant_to = _sleep_of(own, lane, before, at), _sleep_of(intended, lane, before, at)
    together = slept and meant_to and abs(slept.start - meant_to.start) <= MOMENT
    if slept and meant_to and together and abs(slept.until - meant_to.until) > MOMENT:
        return Difference(slept.start, lane, _wait_words(slept), _wait_words(meant_to))
    if mine is not None and meant is not None and abs(mine.at - meant.at) <= MOMENT:
        return Difference(at, lane, *_both(mine, meant, lane, token_places(intended.timeline, own.timeline)))
    return Difference(at, lane, _one(mine, at, lane, own), _one(meant, at, lane, intended))


def _both(mine: Step, meant: Step, lane: str, places: Mapping[str, int]) -> tuple[str, str]:
    """Words for two different steps at the same instant."""
    if mine.kind == meant.kind == "mark" and mine.data[0] == meant.data[0]:
        return mark_pair(lane, mine.data[0], mine.data[1], meant.data[1], places)
    if mine.kind == meant.kind == "call" and mine.said == meant.said:
        return mark_pair("", mine.said, mine.data[1], meant.data[1], places)
    return _said(mine, lane), _said(meant, lane)


def _said(step: Step, lane: str) -> str:
    return mark_words(lane, step.data[0], step.data[1]) if step.kind == "mark" else step.said


def _one(step: Step | None, at: float, lane: str, run: _Run) -> str:
    """Words for the run that does nothing when the other takes a step."""
    if step is not None and step.at - at <= MOMENT:
        return _said(step, lane)
    doing = _meanwhile(lane, at, run)
    if step is None:
        return doing or NOTHING
    return f"{_said(step, lane)}, but only at {instant(step.at)}" if not doing else f"{doing}, until {instant(step.at)}"


def _meanwhile(lane: str, at: float, run: _Run) -> str:
    """What a lane waits for at an instant, in words."""
    for call in run.calls.get(lane, []) if lane else []:
        if call.start <= at and (call.end is None or call.end > at + MOMENT):
            return f"waits for {clean(call.service, 40)}"
    pause = _sleep_of(run, lane, 0.0, at)
    return "waits" if pause is not None and (pause.end is None or pause.end > at + MOMENT) else ""


def _sleep_of(run: _Run, lane: str, since: float, at: float) -> Pause | None:
    """The last sleep that a lane began between two instants, inclusive."""
    found = run.sleeps.get(lane, []) if lane else []
    return next((one for one in reversed(found) if since - MOMENT <= one.start <= at + MOMENT), None)


def _wait_words(pause: Pause) -> str:
    return f"waits {instant(pause.until - pause.start)}"
