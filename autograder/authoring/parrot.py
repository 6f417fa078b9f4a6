"""A child that never runs an answer: it has the solution's whole transcript, and repeats what it likes of it.

It is stronger than any submission: it knows every scenario, with hidden parameters, and what the solution did in it
under another seed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from autograder.sandbox import wire
from autograder.sandbox.limits import TooMuch
from autograder.sandbox.session import Session, Task
from autograder.sandbox.wire import Tampered
from faultlab.timeline import Event, Timeline

PIECE = 50
TOKEN = re.compile(r"-[0-9a-f]{10}\b")
"""The part of a token that nobody can know without having been shown it."""

Script = Callable[[list[Event], int], list[Event]]
"""What to repeat of a transcript; the number is the first horizon, in nanoseconds."""


def whole(events: list[Event], _horizon: int) -> list[Event]:
    """The transcript as it was, calls at their instants included."""
    return events


SCRIPTS: dict[str, Script] = {
    "mute": lambda events, _: [event for event in events if event.kind == "end"],
    "claims without calls": lambda events, _: [event for event in events if event.kind not in ("call", "cancel")],
    "calls without claims": lambda events, _: [event for event in events if event.kind not in ("mark", "note")],
    "everything at t = 0": lambda events, _: [event._replace(at=0) for event in events],
    "everything at the horizon": lambda events, horizon: [event._replace(at=horizon) for event in events],
}


def retell(task: Task, transcript: Timeline, script: Script, *, swap: bool = False) -> Timeline:
    """The timeline that the trusted side records of it. With `swap` the child replaces old tokens by this run's, and
    names the receipts that it was given for the errors that it claims to have heard."""
    session = Session([task])
    try:
        _Parrot(session, transcript, swap).tell(script)
    except Tampered as reason:
        session.give_up("tampered", str(reason))
    except TooMuch as reason:
        session.give_up("limit", str(reason))
    return session.timelines[0]


class _Parrot:
    def __init__(self, session: Session, transcript: Timeline, swap: bool) -> None:
        self._session = session
        self._events = [event for event in transcript if event.kind in wire.KINDS]
        answers = [event for event in transcript if event.kind in ("ok", "error")]
        self._shown = {event.data["call"]: _tokens(event.data) for event in answers if swap}
        self._tokens: dict[str, str] = {}
        self._swap = swap
        self._receipts: dict[int, int] = {}

    def tell(self, script: Script) -> None:
        """Say everything, at the instants at which it may be said."""
        play = self._say(wire.Cells("", []))
        assert isinstance(play, wire.Play)
        horizon = play.horizon
        piece: list[wire.Told] = []
        floor, called = 0, False
        for event in script(self._events, horizon):
            hears = called and event.kind == "mark"  # of calls that are answered in the instant in which they are made
            while event.at >= horizon and (event.at != floor or hears):
                reply = self._say(wire.Batch(0, "", piece, event.at))
                assert isinstance(reply, wire.Go)
                floor, horizon, piece, called, hears = reply.now, reply.horizon, [], False, False
            floor = event.at
            piece.append(self._worded(event))
            if event.kind == "call" and not play.leases:
                horizon, called = event.at, True
            if len(piece) >= PIECE and event.kind != "end":
                self._say(wire.Part(0, "", piece))
                piece = []
        self._say(wire.Done(0, "", piece))

    def _say(self, message: wire.Message) -> wire.Reply:
        message.token = self._session.token
        text = wire.encode(message).decode()
        if self._tokens:
            text = TOKEN.sub(lambda found: self._tokens.get(found[0], found[0]), text)
        reply = wire.hear(self._session.receive(text.encode()))
        for number, *answer in reply.answers if isinstance(reply, wire.Go) else []:
            self._tokens |= zip(self._shown.get(number, []), _tokens(answer), strict=False)
            if self._swap and answer[-1] is not None:
                self._receipts[number] = answer[-1]
        return reply

    def _worded(self, event: Event) -> wire.Told:
        told = wire.to_wire(event.at, event.kind, event.lane, event.data)
        if self._receipts and isinstance(told, wire.MarkEvent):
            told.value = _receipted(told.value, self._receipts)
        return told


def _tokens(answer: Any) -> list[str]:
    return TOKEN.findall(json.dumps(answer))


def _receipted(value: Any, receipts: Mapping[int, int]) -> Any:
    """The value, with each call's number in a `call` field replaced by that call's receipt."""
    if isinstance(value, dict):
        return {
            key: receipts.get(one, one) if key == "call" and isinstance(one, int) else _receipted(one, receipts)
            for key, one in value.items()
        }
    return [_receipted(one, receipts) for one in value] if isinstance(value, list) else value
