"""Turn a timeline into what a picture shows: spans, points and bands, in seconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from faultlab.pictures.names import natural, readable, state_word, tidy
from faultlab.pictures.sheet import seconds
from faultlab.pictures.words import actors_of, ending_of, faults_of
from faultlab.timeline import Call, Mark, Pause, Timeline, Wait, is_wait

OUTCOME_STYLES = {"ok": "ok", "error": "failed", "cancelled": "cancelled", "pending": "attempt"}


class Span(NamedTuple):
    """Something with a duration in one lane. Times in seconds."""

    lane: str
    start: float
    end: float
    style: str
    label: str
    tip: str
    cut: bool = False
    """Whether a cancellation, or another exception, landed at its end."""


class Point(NamedTuple):
    """A labelled instant in one lane."""

    lane: str
    at: float
    label: str


class Band(NamedTuple):
    """Something that concerned every lane: a fault of the world, a blocking sleep, the run's end."""

    start: float
    end: float
    style: str
    label: str


@dataclass(frozen=True)
class Scene:
    """A timeline as the things that a picture shows."""

    lanes: tuple[str, ...]
    spans: tuple[Span, ...]
    points: tuple[Point, ...]
    bands: tuple[Band, ...]
    until: float


def lands(span: Span, points: Iterable[Point]) -> bool:
    """Whether a cancellation at a span's end has a cross: not where a mark with its words stands."""
    return span.cut and not any(point.lane == span.lane and point.at == span.end for point in points)


def scene(timeline: Timeline, *, order: Sequence[str] = (), lines: Sequence[str] = ()) -> Scene:
    """The lanes, spans, points and bands of a timeline; lanes named in `order` come first, others as they begin.

    Marks named in `lines` concern every lane: they are bands without duration, not points of one lane.
    """
    calls = [call for call in timeline.calls() if call.lane]
    several = len({call.service for call in calls}) > 1
    pauses = [pause for pause in timeline.pauses() if pause.lane]
    end = max([timeline.duration, *(event.seconds + event.data["seconds"] for event in timeline.of("blocked"))])
    spans = [call_span(call, end, several=several) for call in calls]
    blocked = [(event.seconds, event.seconds + event.data["seconds"]) for event in timeline.of("blocked")]
    spans += [_sleep_span(pause, end, blocked) for pause in pauses if pause.what == "sleep"]
    spans += [_wait_span(wait, end) for wait in timeline.waits() if wait.lane and wait.end != wait.start]
    marks = [mark for mark in timeline.marks() if mark.lane and not is_wait(mark.name, mark.value)]
    points = [Point(mark.lane, mark.at, _mark_words(mark)) for mark in marks if mark.name not in lines]
    points += [
        Point(pause.lane, pause.end, "timeout")
        for pause in pauses
        if pause.what == "timeout" and pause.how == "fired" and pause.end is not None
    ]
    firsts = {event.lane: event.at for event in reversed(timeline)}
    present = sorted(actors_of(timeline), key=lambda name: (firsts[name], natural(name)))
    seen = {span.lane for span in spans} | {point.lane for point in points}
    names = [name for name in order if name in present]
    # a task that only set timers, or whose calls stand in another lane, would be an empty row
    names += [name for name in present if name in seen and name not in set(names)]
    bands = [*bands_of(timeline), *(Band(m.at, m.at, "end", _mark_words(m)) for m in marks if m.name in lines)]
    return Scene(tuple(names), tuple(spans), tuple(points), tuple(bands), end)


def bands_of(timeline: Timeline) -> Iterable[Band]:
    """The bands: the world's faults, blocking sleeps, an end that wasn't a return."""
    for words, start, stop in faults_of(timeline):
        yield Band(start, max(stop, start), "world", words)
    for event in timeline.of("blocked"):
        lasted = float(event.data["seconds"])
        yield Band(event.seconds, event.seconds + lasted, "blocked", f"blocked {seconds(lasted)}")
    ending = timeline.ending
    if ending is not None and ending.data.get("how") != "returned":
        yield Band(ending.seconds, ending.seconds, "end", f"ended: {ending_of(ending)}")


def call_span(call: Call, end: float, *, several: bool) -> Span:
    """A call from its start to its end, or to the run's; with its service's name where there are several."""
    word = {"ok": "ok", "error": call.error or "error", "cancelled": "given up", "pending": "no answer"}[call.outcome]
    label = f"{call.service}: {word}" if several else word
    stop = call.end if call.end is not None else end
    tip = f"call {call.id + 1} to {call.service}: {word}, {seconds(call.start)} to {seconds(stop)}"
    return Span(call.lane, call.start, stop, OUTCOME_STYLES[call.outcome], label, tip, call.outcome == "cancelled")


def _sleep_span(pause: Pause, end: float, blocked: Sequence[tuple[float, float]]) -> Span:
    stop = pause.end if pause.end is not None else end
    label = seconds(round(stop - pause.start, 9))
    tip = f"waits {label}, {seconds(pause.start)} to {seconds(stop)}"
    if any(start < stop and pause.start < last for start, last in blocked):
        label = ""  # no words on hatching
    return Span(pause.lane, pause.start, stop, "sleep", label, tip, pause.how == "cancelled")


def _wait_span(wait: Wait, end: float) -> Span:
    stop = wait.end if wait.end is not None else end
    label = f"waits for {wait.what}" if wait.what else f"waits {seconds(round(stop - wait.start, 9))}"
    tip = f"{label}, {seconds(wait.start)} to {seconds(stop)}"
    return Span(wait.lane, wait.start, stop, "sleep", label, tip, wait.how not in ("over", "pending"))


def _mark_words(mark: Mark) -> str:
    if mark.value is None or mark.value is True:
        return tidy(mark.name)
    if isinstance(mark.value, dict) and isinstance(how := mark.value.get("how"), str):  # how a call of an answer ended
        what = mark.value.get("error") if how == "raised" else mark.value.get("value")
        said = how + (f" {readable(what)}" if what is not None else "")
        return said if mark.name == mark.lane else f"{tidy(mark.name)}: {said}"
    if mark.name == "state" and isinstance(mark.value, str):
        return state_word(mark.value)
    return readable(mark.value) if mark.name in ("state", mark.lane) else f"{tidy(mark.name)} {readable(mark.value)}"
