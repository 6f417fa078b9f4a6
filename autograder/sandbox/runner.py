"""Inside the sandbox: run the cells that count, then each scenario's driver against the world at the other end.

Everything in here is in the hands of the submission. Nothing that it says is believed because this file says it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from autograder.notebook.execution import run_notebook, running
from autograder.sandbox.wire import weight
from faultlab.run import unpack
from faultlab.scenario import perform, read
from faultlab.world import Answer

PIECE = 48 * 1024
ROOM = 24 << 20
"""Bytes that one scenario's values may take: less than what the grader remembers, so that honest ones stay below."""


class Line(Protocol):
    """A socket, or what does the same."""

    def send(self, message: bytes, /) -> object:
        """Say it."""

    def recv(self, most: int, /) -> bytes:
        """The next reply; empty at the end."""


def main(sock: Line, payload: bytes) -> None:
    """Run a submission: `payload` holds its cells, the names wanted and the scenarios, `sock` leads to the world."""
    task = json.loads(payload)
    drivers = list(read(task["scenarios"]).values())
    with running(task["cells"], task["wanted"], task.get("seed", 0)) as ran:
        talk = _Talk(sock, task["token"])
        reply = talk.cells(
            [(number, _encodable(kind), _encodable(text)) for number, kind, text in ran.errors[:50]], ran.notes
        )
        while reply[0] == "play":
            number, driver, brief, seed, horizon, leases = reply[2:]
            world = _Far(talk, number, horizon, leases, ran.namespace)
            ran.context.run(perform, drivers[driver], brief, ran.namespace, world, seed=seed)
            reply = world.finish()


def warm() -> None:
    """What a child would do first, done once before children are forked."""
    run_notebook([{"source": "None", "own": True, "number": 0}])


class _Talk:
    """One question, one reply; the reply's token opens the next question."""

    def __init__(self, sock: Line, token: str) -> None:
        self._sock = sock
        self._token = token

    def cells(self, errors: list[tuple[int, str, str]], notes: list[tuple[int, str, str]]) -> list[Any]:
        """Say that the notebook was run."""
        return self._ask(msgspec.json.encode(["cells", self._token, errors, notes]))

    def say(self, kind: str, number: int, events: bytes, rest: bytes = b"") -> list[Any]:
        """Say what happened in scenario `number`: the encoded list of events, and what else belongs to this kind."""
        head = f'["{kind}",{number},"{self._token}",'.encode()
        return self._ask(b"".join((head, events, rest, b"]")))

    def _ask(self, message: bytes) -> list[Any]:
        self._sock.send(message)
        reply: list[Any] = msgspec.json.decode(self._sock.recv(1 << 20) or b'["over",""]')
        self._token = reply[1]
        return reply


class _Far:
    """The world at the other end of the socket, as the virtual loop sees it."""

    def __init__(self, talk: _Talk, number: int, horizon: int, leases: bool, errors: Mapping[str, Any]) -> None:
        self.horizon, self.timers = horizon, not leases
        self._talk, self._number, self._leases, self._errors = talk, number, leases, errors
        self._events: list[list[Any]] = []
        self._calls = 0
        self._room = ROOM

    def ask(self, upcoming: int | None) -> tuple[int, list[tuple[int, Any, BaseException | None]]] | None:
        rest = b",null" if upcoming is None else f",{upcoming}".encode()
        reply = self._talk.say("batch", self._number, self._flush(), rest)
        if reply[0] != "go":
            return None
        _, _, now, self.horizon, answers = reply
        return now, [unpack(Answer(*answer), self._errors) for answer in answers]

    def call(self, at: int, service: str, lane: str, args: tuple[Any, ...]) -> int:
        number = self._calls
        self._calls += 1
        self._events.append(["call", at, number, service[:200], lane[:200], args])
        if not self._leases:
            self.horizon = at
        return number

    def cancel(self, at: int, number: int) -> None:
        self._events.append(["cancel", at, number])

    def write(self, at: int, kind: str, lane: str, data: Mapping[str, Any]) -> None:
        lane = lane[:200]
        match kind:
            case "sleep":
                self._events.append(["sleep", at, lane, data["timer"], data["until"], data["what"]])
            case "wake":
                self._events.append(["wake", at, lane, data["timer"], data["how"]])
            case "blocked":
                self._events.append(["blocked", at, lane, float(data["seconds"])])
            case "mark":
                self._events.append(["mark", at, lane, str(data["name"])[:200], data["value"]])
            case "note":
                self._events.append(["note", at, _encodable(str(data["text"]))])
            case "end":
                error, message = (_encodable(str(data.get(key, ""))) for key in ("error", "message"))
                self._events.append(["end", at, data["how"], error[:200], message])

    def finish(self) -> list[Any]:
        """Say that the scenario is over; returns the reply."""
        return self._talk.say("done", self._number, self._flush())

    def _flush(self) -> bytes:
        """The encoded list of what happened; of more than fits into a message, send all but the last piece."""
        events, self._events = self._events, []
        whole = msgspec.json.encode(events)
        heavy = weight(whole)
        if len(whole) > PIECE or heavy > self._room:
            return self._last_piece(events)
        self._room -= heavy
        return whole

    def _last_piece(self, events: list[list[Any]]) -> bytes:
        piece: list[bytes] = []
        size = 0
        for event in map(self._encoded, events):
            if size + len(event) > PIECE:
                self._talk.say("part", self._number, _listed(piece))
                piece, size = [], 0
            piece.append(event)
            size += len(event) + 1
        return _listed(piece)

    def _encoded(self, event: list[Any]) -> bytes:
        """An event as bytes; when there is no room left, without its value."""
        data = msgspec.json.encode(event)
        self._room -= weight(data)
        if self._room < 0 and event[0] in ("call", "mark"):
            event[-1] = [{"$more": len(data)}]
            data = msgspec.json.encode(event)
        return data


def _listed(events: list[bytes]) -> bytes:
    return b"[" + b",".join(events) + b"]"


def _encodable(text: str) -> str:
    return text[:4000].encode("utf-8", "backslashreplace").decode()[:4000]
