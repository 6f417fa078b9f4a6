"""The world: scripted services, their faults, and the timeline's pen. It knows nothing of asyncio.

A world is a state machine in whole nanoseconds. When a service is called, the world records the call, decides what will
come back and when, and hands the answer out at its time, not before. In a notebook the world stands in the same process
as the calling code; when grading, it is on the trusted side of a socket. Both ask it the same
question: "nothing happens here before t; what comes next?" (`ask`).

Between two answers a world *leases* time: it names a horizon before which nothing of its own is due. The caller may run
its own timers up to there without asking again.
"""

from __future__ import annotations

import heapq
import random
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from faultlab.service import Service
from faultlab.timeline import NS, Event, Plain, Timeline

LEASE = 60 * NS
"""The longest lease: a horizon is always finite."""


class WorldError(Exception):
    """The world was asked for something that it doesn't have."""


class Reply(NamedTuple):
    """The reply to a call: a value or an error after `after` seconds, or nothing ever."""

    kind: str
    after: float = 0.0
    value: Plain = None
    error: str = ""
    args: tuple[Plain, ...] = ()
    attributes: Mapping[str, Plain] | None = None


TOKEN = "\0token"
"""A fresh value that the world draws, for a value or an error's argument: code that shows it must have seen it."""


def ok(value: Plain = TOKEN, *, after: float = 0.0) -> Reply:
    """A success: `value` (a fresh token unless given) after `after` seconds.

    >>> ok("paid", after=0.2).value
    'paid'
    """
    return Reply("ok", after, value)


def error(name: str = "ConnectionError", *args: Plain, after: float = 0.0, **attributes: Plain) -> Reply:
    """A failure after `after` seconds: an error of this class name.

    args: the error's arguments, a fresh token unless given.
    attributes: what is set on the error, such as `status=503`.

    >>> error("TimeoutError", "too slow", after=0.2).args
    ('too slow',)
    """
    return Reply("error", after, error=name, args=args or (TOKEN,), attributes=attributes or None)


def hang() -> Reply:
    """Never an answer."""
    return Reply("hang")


@dataclass(slots=True)
class Asked:
    """A call as a script sees it: its index among the service's calls (from 0), its arguments, its instant in
    seconds."""

    index: int
    args: tuple[Plain, ...]
    at: float
    random: random.Random


Script = Sequence[Reply] | Callable[[Asked], Reply]
_NESTS = (dict, list)


class Answer(NamedTuple):
    """The world's answer to call `number`, with its tokens drawn."""

    number: int
    kind: str
    value: Plain
    error: str
    args: tuple[Plain, ...]
    attributes: Mapping[str, Plain] | None
    receipt: int | None = None
    """An error's receipt: code that names it as the `call` of an error in a mark has received this very answer."""


@dataclass
class _Outage:
    start: int
    end: int | None
    reply: Reply

    def covers(self, at: int) -> bool:
        return self.start <= at and (self.end is None or at < self.end)


@dataclass
class _Service:
    name: str
    script: Script
    then: Reply | None
    latency: float | Callable[[random.Random], float]
    random: random.Random
    calls: int = 0
    outages: list[_Outage] = field(default_factory=list)


class _Pending(NamedTuple):
    service: str
    lane: str
    answer: Answer


class World:
    """Services and their outages on one clock, and the pen that writes the timeline. It has one run.

    seed: decides everything that is drawn: latencies, failures, tokens. Each service draws from its own stream, apart
        from the `random` module's.

    >>> world = World(seed=1)
    >>> payments = world.service("payments", [error("ConnectionError", "down")], then=ok("paid"), latency=0.05)
    >>> async def main():
    ...     try:
    ...         return await payments("order 7")
    ...     except ConnectionError:
    ...         return await payments("order 7")
    >>> run = simulate(main(), world=world)
    >>> run.value, [(call.outcome, call.end) for call in run.timeline.calls("payments")]
    ('paid', [('error', 0.05), ('ok', 0.1)])
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.now = 0
        self._begun = False
        self._events: list[Event] = []
        self._services: dict[str, _Service] = {}
        self._due: list[tuple[int, int, int | tuple[str, bool]]] = []
        self._order = 0
        self._pending: dict[int, _Pending] = {}
        self._lost: dict[int, tuple[str, str]] = {}
        self._rounds = 0
        self._tokens = self.stream("tokens")
        self._receipts: dict[int, int] = {}
        self._numbers = self.stream("receipts")

    # -- setting the scene

    def stream(self, name: str) -> random.Random:
        """A random stream of its own, the same for the same seed and name in every process."""
        return random.Random(zlib.crc32(f"{self.seed}/{name}".encode()) ^ (self.seed << 32))

    @property
    def child_seed(self) -> int:
        """The seed of the code under study: it reveals nothing about what the world draws."""
        return self.stream("child").getrandbits(48)

    def token(self, prefix: str = "t") -> str:
        """A fresh value that nobody can know without having seen it."""
        return f"{prefix}-{self._tokens.getrandbits(40):010x}"

    def service(
        self,
        name: str,
        script: Script = (),
        *,
        then: Reply | None = None,
        latency: float | Callable[[random.Random], float] = 0.0,
    ) -> Service:
        """Add a service; returns what the code under study calls: `await service(...)`.

        name: the service's, on the timeline and in pictures.
        script: the replies to its calls, in order; or a function from an `Asked` to a `Reply`.
        then: the reply when the script is over; a success with a fresh token unless given.
        latency: seconds, or a function that draws them from the service's random stream; on top of a reply's `after`.

        A function that returns no Reply ends the run with a WorldError; what else it raises reaches the caller as a
        TypeError.

        >>> world = World(seed=1)
        >>> flaky = world.service("flaky", lambda asked: hang() if asked.index == 0 else ok(asked.args), latency=0.1)
        >>> async def main():
        ...     try:
        ...         return await asyncio.wait_for(flaky(), timeout=2)
        ...     except TimeoutError:
        ...         return await flaky("again")
        >>> run = simulate(main, world=world)
        >>> run.value, run.timeline.duration
        (('again',), 2.1)
        """
        self._services[name] = _Service(name, script, then, latency, self.stream(f"service/{name}"))
        return Service(name)

    @property
    def services(self) -> list[str]:
        """The names of all services."""
        return list(self._services)

    def outage(self, service: str, start: float, end: float | None = None, reply: Reply | None = None) -> None:
        """Let every new call fail at once from `start` to `end` (seconds), for good without an end.

        reply: how they fail; a ConnectionError unless given. Raises WorldError when there is no such service.
        """
        if service not in self._services:
            raise WorldError(f"there is no service {service!r}: create it before its outages")
        begin, finish = round(start * NS), None if end is None else round(end * NS)
        self._services[service].outages.append(_Outage(begin, finish, reply or error("ConnectionError")))
        self._schedule(begin, (service, True))
        if finish is not None:
            self._schedule(finish, (service, False))

    def rounds(self, every: float) -> None:
        """Hold every answer to the next multiple of `every` seconds: thousands of runs then cost a few messages.

        Made for statistics over many runs, so the callers' timers aren't written down.
        """
        self._rounds = round(every * NS)

    @property
    def leases_through_calls(self) -> bool:
        """Whether a call leaves the lease as it is, because answers come at announced instants only."""
        return self._rounds > 0

    # -- what the callers' side asks

    def call(self, at: int, number: int, service: str, lane: str, args: tuple[Plain, ...]) -> None:
        """Record a call. Raises WorldError if there is no such service."""
        known = self._services.get(service)
        if known is None:
            raise WorldError(f"there is no service {service!r}; there are: {', '.join(self._services) or 'none'}")
        self.now = max(self.now, at)
        self._events.append(Event(at, "call", lane, {"call": number, "service": service, "args": list(args)}))
        after, reply = self._decide(known, at, args)
        known.calls += 1
        if reply.kind == "hang":
            self._lost[number] = (lane, service)
            return
        self._pending[number] = _Pending(service, lane, self._drawn(number, service, reply))
        self._schedule(self._arrival(at + round(after * NS)), number)

    def cancel(self, at: int, number: int) -> None:
        """Record that a caller gave up. Cancelling a call that was just answered is honest, and changes nothing."""
        pending = self._pending.pop(number, None)
        who = (pending.lane, pending.service) if pending else self._lost.pop(number, None)
        if who is not None:
            lane, service = who
            self.now = max(self.now, at)
            self.write(at, "cancel", lane, {"call": number, "service": service})

    def write(self, at: int, kind: str, lane: str, data: Mapping[str, Plain]) -> None:
        """Put an event on the timeline.

        A mark's value is translated: a receipt under `"call"` becomes the number of the call that it was given for, and
        any other number there becomes None.
        """
        if kind == "mark":
            self._redeem(data.get("value"))
        self._events.append(Event(at, kind, lane, data))

    def ask(self, upcoming: int | None) -> tuple[int, list[Answer]] | None:
        """Move to the next instant: the caller's next timer or the world's next answer, whichever comes first.

        Returns that instant and the answers due then; None when neither will ever come.
        """
        due = self._next()
        if due is None and upcoming is None:
            return None
        self.now = max(self.now, min(instant for instant in (due, upcoming) if instant is not None))
        return self.now, self._give_out()

    @property
    def horizon(self) -> int:
        """Before this instant nothing is due."""
        nearest = self.now + LEASE
        due = self._next()
        if due is not None:
            nearest = min(nearest, due)
        if self._rounds:
            nearest = min(nearest, (self.now // self._rounds + 1) * self._rounds)
        return nearest

    def begin(self) -> None:
        """Begin a run. Raises WorldError if one has begun before: then scripts and faults are used up."""
        if self._begun:
            raise WorldError("this world has already had a run: make a new World, with its services, for each run")
        self._begun = True

    def timeline(self) -> Timeline:
        """What happened so far."""
        return Timeline(tuple(self._events), self.seed)

    # -- private

    def _schedule(self, at: int, what: int | tuple[str, bool]) -> None:
        self._order += 1
        heapq.heappush(self._due, (max(at, self.now), self._order, what))

    def _decide(self, service: _Service, at: int, args: tuple[Plain, ...]) -> tuple[float, Reply]:
        outage = next((outage for outage in service.outages if outage.covers(at)), None)
        if outage is not None:
            return outage.reply.after, outage.reply
        reply = self._scripted(service, at, args)
        latency = service.latency(service.random) if callable(service.latency) else service.latency
        return latency + reply.after, reply

    def _scripted(self, service: _Service, at: int, args: tuple[Plain, ...]) -> Reply:
        if callable(service.script):
            try:
                reply = service.script(Asked(service.calls, args, at / NS, service.random))
            except Exception as cause:
                # The caller passed the arguments: if a script can't read them, that is the caller's mistake.
                return error("TypeError", f"{service.name} can't be called with these arguments ({cause})"[:300])
            if not isinstance(reply, Reply):
                raise WorldError(
                    f"the script of {service.name!r} must return ok(), error() or hang(), not {reply!r:.80}"
                )
            return reply
        if service.calls < len(service.script):
            return service.script[service.calls]
        return service.then or ok()

    def _drawn(self, number: int, service: str, reply: Reply) -> Answer:
        value = self.token(service) if reply.value == TOKEN else reply.value
        args = tuple([self.token(service) if one == TOKEN else one for one in reply.args]) if reply.args else ()
        receipt = self._receipt(number) if reply.kind == "error" else None
        return Answer(number, reply.kind, value, reply.error, args, reply.attributes, receipt)

    def _receipt(self, number: int) -> int:
        receipt = self._numbers.getrandbits(62)
        self._receipts[receipt] = number
        return receipt

    def _redeem(self, value: Any) -> None:
        kind = type(value)
        if kind is dict:
            if type(receipt := value.get("call")) in (int, float, bool):
                value["call"] = self._receipts.get(receipt)
            value = value.values()
        elif kind is not list:
            return
        for item in value:
            if type(item) in _NESTS:
                self._redeem(item)

    def _arrival(self, due: int) -> int:
        if self._rounds:
            due = -(-max(due, self.now + 1) // self._rounds) * self._rounds
        return due

    def _next(self) -> int | None:
        while self._due and isinstance(self._due[0][2], int) and self._due[0][2] not in self._pending:
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def _give_out(self) -> list[Answer]:
        answers = []
        while (due := self._next()) is not None and due <= self.now:
            at, _, what = heapq.heappop(self._due)
            if isinstance(what, tuple):
                self.write(at, "world", "", {"what": "outage", "service": what[0], "on": what[1]})
            else:
                answers.append(self._arrive(at, what))
        return answers

    def _arrive(self, at: int, number: int) -> Answer:
        pending = self._pending.pop(number)
        answer = pending.answer
        data: dict[str, Plain] = {"call": number, "service": pending.service}
        if answer.kind == "ok":
            data["value"] = answer.value
        else:
            data |= {"error": answer.error, "args": list(answer.args)}
        self._events.append(Event(at, answer.kind, pending.lane, data))
        return answer
