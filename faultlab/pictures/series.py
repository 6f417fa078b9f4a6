"""Read numbers and slots from a timeline: step lines, and which tenant held which slot for how long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from faultlab.timeline import Call, Timeline

Series = Sequence[tuple[float, float]]
"""(instant in seconds, value) in order; the value holds until the next instant."""


class Interval(NamedTuple):
    """A slot held by a tenant, in seconds."""

    slot: str
    tenant: str
    start: float
    end: float


def occupancy(
    timeline: Timeline, service: str | None = None, *, tenant: Callable[[Call], str] = lambda call: call.lane
) -> list[Interval]:
    """Calls as held slots: each call takes the lowest free slot.

    service: only calls to this one. tenant: the tenant of a call; its lane unless given.
    """
    free_at: list[float] = []
    held: list[Interval] = []
    for call in timeline.calls(service):
        end = call.end if call.end is not None else timeline.duration
        slot = next((index for index, free in enumerate(free_at) if free <= call.start), len(free_at))
        if slot == len(free_at):
            free_at.append(end)
        free_at[slot] = end
        held.append(Interval(f"slot {slot + 1}", tenant(call), call.start, end))
    return held


def in_flight(timeline: Timeline, service: str | None = None) -> list[tuple[float, float]]:
    """The number of calls in flight, as a step line."""
    changes: dict[float, int] = {0.0: 0}
    for call in timeline.calls(service):
        changes[call.start] = changes.get(call.start, 0) + 1
        if call.end is not None:
            changes[call.end] = changes.get(call.end, 0) - 1
    level, series = 0, []
    for at in sorted(changes):
        level += changes[at]
        series.append((at, float(level)))
    return series


def marked(timeline: Timeline, name: str, *, lane: str | None = None) -> list[tuple[float, float]]:
    """The numbers that the code marked under this name (a queue's length, a counter), as a step line."""
    return [(mark.at, float(mark.value)) for mark in timeline.marks(name, lane=lane)]
