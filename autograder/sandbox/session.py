"""The trusted side of one child's conversation: bytes in, bytes out, timelines as the result.

A session plays some scenarios, one after the other, with one child. It holds the world of each scenario: clock,
services and the timeline's pen are here, and the child only asks. It uses no socket and no real clock, so that it can
be tested and fuzzed as a pure function.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from autograder.notebook.notes import NoteKind
from autograder.sandbox import wire
from autograder.sandbox.limits import MEBI, Budget, TooMuch
from autograder.sandbox.wire import Tampered
from faultlab.scenario import Scenario
from faultlab.timeline import NS, Event, Timeline
from faultlab.world import World

MESSAGES = 5_000
EVENTS = 20_000
WEIGHT = 40 * MEBI
"""Bytes of one scenario's messages, as `wire.weight` counts them: they stay in memory until all is judged."""
REPLY = 200_000
"""Bytes of the longest reply: a little less than a socket takes at once."""
CALL = 1_000
"""Bytes that a call takes on top of its message: the answer, its tokens, and both on the timeline."""
TIME_LIMIT = 2 * 10**15
"""Virtual nanoseconds: 23 days, twice the limit that an honest child's clock has."""


@dataclass(frozen=True)
class Task:
    """A scenario to be played: its halves, its parameters, its seed, and the driver's number on the wire."""

    scenario: Scenario
    parameters: Mapping[str, Any]
    seed: int
    driver: int


@dataclass
class _Stage:
    """One scenario under way, with its world and the state of its lease."""

    world: World
    floor: int = 0
    horizon: int = 0
    calls: int = 0
    messages: int = 0
    events: int = 0
    weight: int = 0
    ended: bool = False

    def weigh(self, weight: int) -> None:
        self.weight += weight
        if self.weight > WEIGHT:
            raise TooMuch(f"what it shows takes more than {WEIGHT // MEBI} MB")


@dataclass
class Session:
    """Plays `tasks` with one child. `timelines` fills up as they end, in order.

    `budget` is the whole submission's. Exceeding it, or one scenario's part, raises TooMuch. A message that no honest
    child sends raises Tampered.
    """

    tasks: list[Task]
    budget: Budget = field(default_factory=Budget)
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    timelines: list[Timeline] = field(default_factory=list)
    cell_errors: list[tuple[int, str, str]] | None = None
    cell_notes: list[tuple[int, NoteKind, str]] = field(default_factory=list)
    _stage: _Stage | None = None

    @property
    def over(self) -> bool:
        """Whether everything was played."""
        return self.cell_errors is not None and len(self.timelines) == len(self.tasks)

    def receive(self, data: bytes) -> bytes:
        """Take one message and return the reply to it. Raises Tampered and TooMuch."""
        message = wire.decode(data)
        if message.token != self.token:
            raise Tampered("a message out of turn")
        self.token = secrets.token_hex(8)
        heavy = wire.weight(data)
        self.budget.keep(heavy)
        if isinstance(message, wire.Cells):
            if self.cell_errors is not None:
                raise Tampered("the cells were run twice")
            self.cell_errors, self.cell_notes = list(message.errors), list(message.notes)
            return self._next()
        stage = self._stage
        if stage is None or message.scenario != len(self.timelines):
            raise Tampered("a message for a scenario that isn't being played")
        stage.messages += 1
        if stage.messages > MESSAGES:
            raise TooMuch(f"more than {MESSAGES:,} instants at which something happens")
        stage.weigh(heavy)
        for event in message.events:
            self._take(stage, event)
        if isinstance(message, wire.Part):
            return wire.encode(wire.Ack(self.token))
        if isinstance(message, wire.Done):
            if not stage.ended:
                raise Tampered("a scenario without an end")
            self.timelines.append(stage.world.timeline())
            return self._next()
        return self._advance(stage, message.upcoming)

    def give_up(self, how: str, message: str = "") -> None:
        """The child has ended: end the scenario under way like this."""
        if self._stage is not None:
            events = self._stage.world.timeline().events
            at = events[-1].at if events else 0
            self.timelines.append(Timeline((*events, Event(at, "end", "", {"how": how, "message": message}))))
            self._stage = None

    def abandon(self) -> None:
        """End the scenario under way and all after it as not played."""
        self._stage = None

    def _next(self) -> bytes:
        self._stage = None
        number = len(self.timelines)
        if number == len(self.tasks):
            return wire.encode(wire.Over(self.token))
        task = self.tasks[number]
        world = World(task.seed)
        brief = dict(task.scenario.setup(world, **task.parameters) or {})
        self._stage = _Stage(world, horizon=world.horizon)
        lease = self._stage.horizon, world.leases_through_calls
        return wire.encode(wire.Play(self.token, number, task.driver, brief, world.child_seed, *lease))

    def _take(self, stage: _Stage, event: wire.Told) -> None:
        stage.events += 1
        if stage.events > EVENTS:
            raise TooMuch(f"more than {EVENTS:,} things happened")
        if stage.ended:
            raise Tampered("an event after the end")
        # At the horizon the world's results come first: a child that goes there has to ask.
        if event.at != stage.floor and not stage.floor < event.at < stage.horizon:
            raise Tampered("an event at an instant that was not its own")
        stage.floor = event.at
        world = stage.world
        match event:
            case wire.CallEvent():
                if event.number != stage.calls or event.service not in world.services:
                    raise Tampered("a call that can't be")
                stage.calls += 1
                stage.weigh(CALL)
                self.budget.weight -= CALL
                world.call(event.at, event.number, event.service, event.lane, tuple(event.args))
                if not world.leases_through_calls:
                    stage.horizon = event.at  # its answer may be due at once: the batch may claim no later instant
            case wire.CancelEvent():
                if event.number >= stage.calls:
                    raise Tampered("a cancellation of a call that never was")
                world.cancel(event.at, event.number)
            case _:
                stage.ended = isinstance(event, wire.EndEvent)
                world.write(event.at, *wire.from_wire(event))

    def _advance(self, stage: _Stage, upcoming: int | None) -> bytes:
        if stage.ended or (upcoming is not None and upcoming < stage.floor):
            raise Tampered("a question about the past")
        news = stage.world.ask(upcoming)
        if news is None:
            stage.horizon = stage.floor
            return wire.encode(wire.Dead(self.token))
        now, answers = news
        if now > TIME_LIMIT:
            raise TooMuch(f"more than {TIME_LIMIT // NS:,} simulated seconds passed")
        stage.floor, stage.horizon = now, stage.world.horizon
        reply = wire.encode(wire.Go(self.token, now, stage.horizon, [list(answer) for answer in answers]))
        if len(reply) > REPLY:
            raise TooMuch(f"{len(answers):,} answers come at the same instant")
        return reply
