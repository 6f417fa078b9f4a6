"""A pen for hand-made timelines, so that pictures are tested without running anything."""

from __future__ import annotations

from typing import Any

import pytest

from faultlab.timeline import NS, Event, Timeline


class Pen:
    """Writes events in any order; `timeline` sorts them. Times in seconds."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.number = 0

    def call(self, lane: str, at: float, lasts: float | None, error: str = "", *, service: str = "op") -> Pen:
        """A call that is answered, fails with `error`, or (error "cancel") is given up; lasts None: never answered."""
        self.number += 1
        common: dict[str, Any] = {"call": self.number, "service": service}
        self.put(at, "call", lane, args=[], **common)
        if lasts is not None and error == "cancel":
            self.put(at + lasts, "cancel", lane, **common)
        elif lasts is not None and error:
            self.put(at + lasts, "error", lane, error=error, args=[], **common)
        elif lasts is not None:
            self.put(at + lasts, "ok", lane, value=None, **common)
        return self

    def sleep(self, lane: str, at: float, lasts: float, what: str = "sleep", how: str = "fired") -> Pen:
        """A timer that was armed and woke."""
        self.number += 1
        self.put(at, "sleep", lane, timer=self.number, until=round((at + lasts) * NS), what=what)
        return self.put(at + lasts, "wake", lane, timer=self.number, how=how)

    def mark(self, lane: str, at: float, name: str, value: Any = None) -> Pen:
        """Something that the code shows."""
        return self.put(at, "mark", lane, name=name, value=value)

    def put(self, at: float, kind: str, lane: str, **data: Any) -> Pen:
        """Any event."""
        self.events.append(Event(round(at * NS), kind, lane, data))
        return self

    @property
    def timeline(self) -> Timeline:
        """What was written, in order of time."""
        return Timeline(tuple(sorted(self.events, key=lambda event: event.at)))


@pytest.fixture
def pen() -> Pen:
    """A fresh pen."""
    return Pen()


@pytest.fixture
def busy() -> Timeline:
    """A run that has a bit of everything: failures, sleeps, a given-up call, an outage, a blocking sleep, marks."""
    pen = Pen()
    pen.put(0.5, "world", "world", what="outage", service="db", on=True)
    pen.put(1.6, "world", "world", what="outage", service="db", on=False)
    pen.call("alice", 0.0, 0.1).sleep("alice", 0.1, 0.5).call("alice", 0.6, 0.2, "ConnectionError")
    pen.sleep("alice", 0.8, 0.2).call("alice", 1.0, 0.3, "ConnectionError").sleep("alice", 1.3, 0.4)
    pen.call("alice", 1.7, 0.2).mark("alice", 1.9, "result", "done")
    pen.call("bob", 0.2, 1.0, "cancel").sleep("bob", 0.2, 1.0, "timeout").mark("bob", 1.2, "attempt", 2)
    pen.call("bob", 1.25, 0.6).put(2.0, "blocked", "carol", seconds=0.4)
    pen.sleep("carol", 0.0, 2.0).call("carol", 2.4, None)
    pen.put(2.9, "end", "", how="deadlock")
    return pen.timeline
