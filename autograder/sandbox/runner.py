"""Inside the sandbox: run the cells that count, then each scenario's driver against the world at the other end.

The submission controls this whole process. The judge believes nothing just because this file sends it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from msgspec import Raw
from msgspec.structs import replace

from autograder.notebook.cells import CodeCell
from autograder.notebook.execution import run_notebook, running
from autograder.sandbox import wire
from autograder.sandbox.wire import encodable
from faultlab.clock.patches import install
from faultlab.run import unpack
from faultlab.scenario import perform, read
from faultlab.world import Answer

PIECE = 48 * 1024
ROOM = 24 << 20
"""The most bytes of one scenario's values: less than the grader's own limit, so that honest submissions stay below
it."""


class Line(Protocol):
    """A socket, or what does the same."""

    def send(self, message: bytes, /) -> object:
        """Say it."""

    def recv(self, most: int, /) -> bytes:
        """The next reply; empty at the end."""


def main(sock: Line, payload: bytes) -> None:
    """Run a submission: `payload` holds its cells, the names wanted and the scenarios, `sock` leads to the world."""
    install()
    given = wire.unpack(payload)
    drivers = list(read(given.scenarios).values())
    with running(given.cells, given.wanted, given.seed) as ran:
        talk = _Talk(sock, given.token)
        errors = [(number, encodable(kind), encodable(text)) for number, kind, text in ran.errors[:50]]
        reply = talk.ask(wire.Cells("", errors, ran.notes))
        while isinstance(reply, wire.Play):
            world = _Far(talk, reply, ran.namespace)
            ran.context.run(perform, drivers[reply.driver], reply.brief, ran.namespace, world, seed=reply.seed)
            reply = world.finish()


def warm() -> None:
    """Do once, before forking, what every child would do first."""
    install()
    run_notebook([CodeCell("None", own=True)])


class _Talk:
    """The conversation: one question, one reply, whose token opens the next question."""

    def __init__(self, sock: Line, token: str) -> None:
        self._sock = sock
        self._token = token

    def ask(self, message: wire.Message) -> wire.Reply:
        """Send a message with its token; return the reply."""
        message.token = self._token
        self._sock.send(wire.encode(message))
        reply = wire.hear(self._sock.recv(1 << 20))
        self._token = reply.token
        return reply


class _Far:
    """The world at the other end of the socket, as the virtual loop sees it."""

    def __init__(self, talk: _Talk, play: wire.Play, errors: Mapping[str, Any]) -> None:
        self.horizon, self.timers = play.horizon, not play.leases
        self._talk, self._number, self._leases, self._errors = talk, play.number, play.leases, errors
        self._events: list[wire.Told] = []
        self._calls = 0
        self._room = ROOM

    def ask(self, upcoming: int | None) -> tuple[int, list[tuple[int, Any, BaseException | None]]] | None:
        reply = self._talk.ask(wire.Batch(self._number, "", self._flush(), upcoming))
        if not isinstance(reply, wire.Go):
            return None
        self.horizon = reply.horizon
        return reply.now, [unpack(Answer(*answer), self._errors) for answer in reply.answers]

    def call(self, at: int, service: str, lane: str, args: tuple[Any, ...]) -> int:
        number = self._calls
        self._calls += 1
        self.write(at, "call", lane, {"call": number, "service": service, "args": args})
        if not self._leases:
            self.horizon = at
        return number

    def cancel(self, at: int, number: int) -> None:
        self.write(at, "cancel", "", {"call": number})

    def write(self, at: int, kind: str, lane: str, data: Mapping[str, Any]) -> None:
        self._events.append(wire.to_wire(at, kind, lane, data))

    def finish(self) -> wire.Reply:
        """Say that the scenario is over; returns the reply."""
        return self._talk.ask(wire.Done(self._number, "", self._flush()))

    def _flush(self) -> Any:
        """Encode what happened. If it doesn't fit into one message, send all pieces but the last."""
        events, self._events = self._events, []
        whole = wire.encode(events)
        heavy = wire.weight(whole)
        if len(whole) > PIECE or heavy > self._room:
            return self._last_piece(events)
        self._room -= heavy
        return Raw(whole)

    def _last_piece(self, events: list[wire.Told]) -> Any:
        piece: list[bytes] = []
        size = 0
        for event in map(self._encoded, events):
            if size + len(event) > PIECE:
                self._talk.ask(wire.Part(self._number, "", _listed(piece)))
                piece, size = [], 0
            piece.append(event)
            size += len(event) + 1
        return _listed(piece)

    def _encoded(self, event: wire.Told) -> bytes:
        """An event as bytes, without its value if there is no room left."""
        data = wire.encode(event)
        self._room -= wire.weight(data)
        if self._room < 0 and isinstance(event, wire.CallEvent | wire.MarkEvent):
            more = [{"$more": len(data)}]
            data = wire.encode(replace(event, **{"args" if isinstance(event, wire.CallEvent) else "value": more}))
        return data


def _listed(events: list[bytes]) -> Any:
    return Raw(b"[" + b",".join(events) + b"]")
