"""A child that never runs an answer: it was given the whole transcript of the solution, and tells it again.

Stronger than any submission: it knows every scenario, hidden parameters too, and what the solution did in it under
another seed (where a seed is the same for everybody, under that one).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from autograder.authoring import answered, solved
from autograder.course import Section
from autograder.judge import Judge
from autograder.result import Behaviour
from autograder.sandbox.session import Session, Task
from autograder.sandbox.wire import Tampered
from faultlab.scenario import Played, load, play
from faultlab.timeline import Event, Timeline

TOLD = {"call", "cancel", "sleep", "wake", "blocked", "mark", "note", "end"}
"""What a child tells; the rest is the world's."""
PIECE = 50

Script = Callable[[list[Event]], list[Event]]


def claims_only(events: list[Event]) -> list[Event]:
    """Fabricates everything that it can: every claim, every timer, and not one call."""
    return [event for event in events if event.kind not in ("call", "cancel")]


def at_once(events: list[Event]) -> list[Event]:
    """The same without waiting for anything."""
    return [event._replace(at=0) for event in claims_only(events)]


def whole(events: list[Event]) -> list[Event]:
    """The transcript as it was, calls at their instants included; what comes back is ignored."""
    return events


SCRIPTS: dict[str, Script] = {"fabricates": claims_only, "fabricates at once": at_once, "replays": whole}


class Class:
    """A section's judge, and the solution's transcripts of all its scenarios."""

    def __init__(self, section: Section) -> None:
        self.scenarios = load(section.scenarios)
        self.judge = Judge(section.tests, section.hidden)
        names = answered(section, solved(section))
        self.wanted = self.judge.scenarios
        self.transcripts = {
            one: play(self.scenarios[one.name], one.options, names, seed=self.seed(one, 1)) for one in self.wanted
        }

    def seed(self, one: Played, otherwise: int) -> int:
        """Where a scenario is the same for all submissions, so is its seed."""
        return 3 if self.scenarios[one.name].fixed else otherwise

    def judged(self, script: Script) -> list[Behaviour]:
        """What a replay earns."""
        return self.judge.judge({one: self.told(one, script) for one in self.wanted})

    def told(self, one: Played, script: Script) -> Timeline:
        """The timeline that the trusted side writes of it, under another seed."""
        session = Session([Task(self.scenarios[one.name], one.options, self.seed(one, 2), 0)])
        try:
            _tell(session, script([event for event in self.transcripts[one] if event.kind in TOLD]))
        except Tampered as reason:
            session.give_up("tampered", str(reason))
        return session.timelines[0]


def _tell(session: Session, events: list[Event]) -> None:
    def say(kind: str, *rest: Any) -> list[Any]:
        head = [kind] if kind == "cells" else [kind, 0]
        reply: list[Any] = json.loads(session.receive(json.dumps([*head, session.token, *rest]).encode()))
        return reply

    horizon = say("cells", [])[6]
    piece: list[list[Any]] = []
    floor = 0
    for event in events:
        while event.at != floor and event.at >= horizon:
            reply = say("batch", piece, event.at)
            assert reply[0] == "go"
            floor, horizon, piece = reply[2], reply[3], []
        floor = event.at
        piece.append(_worded(event))
        if event.kind == "call" and horizon < (1 << 62) and not _leases(session):
            horizon = event.at
        if len(piece) >= PIECE and event.kind != "end":
            say("part", piece)
            piece = []
    say("done", piece)


def _leases(session: Session) -> bool:
    assert session._stage is not None
    return session._stage.world.leases_through_calls


def _worded(event: Event) -> list[Any]:
    data = event.data
    rest: Iterable[Any]
    match event.kind:
        case "call":
            rest = data["call"], data["service"], event.lane, data["args"]
        case "cancel":
            rest = (data["call"],)
        case "sleep":
            rest = event.lane, data["timer"], data["until"], data["what"]
        case "wake":
            rest = event.lane, data["timer"], data["how"]
        case "blocked":
            rest = event.lane, data["seconds"]
        case "mark":
            rest = event.lane, data["name"], data["value"]
        case "note":
            rest = (data["text"],)
        case _:
            rest = data["how"], data.get("error", ""), data.get("message", "")
    return [event.kind, event.at, *rest]
