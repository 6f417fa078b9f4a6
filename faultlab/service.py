"""What the code under study holds of a service: something to call, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from faultlab.clock.errors import SimulationError
from faultlab.clock.loop import VirtualLoop
from faultlab.plain import plain, short
from faultlab.timeline import WAIT

ARGUMENTS = 50
"""So many arguments of a call reach the world."""


class Connection(Protocol):
    """What connects running code to a world."""

    async def call(self, service: str, lane: str, args: tuple[Any, ...]) -> Any:
        """Call a service and wait for its answer."""


class Line(Connection, Protocol):
    """The same on the real clock."""

    def mark(self, name: str, value: Any, lane: str) -> None:
        """Show something on the timeline."""


line: ContextVar[Line | None] = ContextVar("line", default=None)
"""Set while `live` runs something on the real clock."""


class Service:
    """A service's name, callable: `await service(...)` asks the world and waits for its answer.

    Each call returns a fresh coroutine. `lane` is who calls, in the pictures; the running task's name unless given.
    """

    def __init__(self, name: str, lane: str = "") -> None:
        self.name = name
        self.lane = lane

    def __repr__(self) -> str:
        return f"<service {self.name}>"

    def for_lane(self, lane: str) -> Service:
        """The same service, called by somebody else."""
        return Service(self.name, lane)

    async def __call__(self, *args: Any) -> Any:
        return await _connection().call(self.name, self.lane, tuple(plain(args[:ARGUMENTS])))


def mark(name: str, value: Any = None, *, lane: str | None = None) -> None:
    """Show something on the timeline of the running simulation: a state, a permit, a result.

    name: what is shown, at most 200 letters.
    value: plain data; of other objects the class's name is shown (see `plain.py`).
    lane: where it stands in a picture; the running task's name unless given.

    Outside a simulation it does nothing, so that the same code also runs on its own.

    >>> async def main():
    ...     await asyncio.sleep(1.5)
    ...     mark("state", "open", lane="breaker")
    >>> simulate(main).timeline.marks("state")
    [Mark(at=1.5, lane='breaker', name='state', value='open')]
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return
    connection = line.get()
    if isinstance(loop, VirtualLoop) and (loop.outside is not None or connection is None):
        loop.write("mark", {"name": short(name), "value": plain(value)}, lane=None if lane is None else short(lane))
    elif connection is not None:
        connection.mark(short(name), plain(value), short(lane or ""))


@contextmanager
def waiting(what: str = "", *, lane: str | None = None) -> Iterator[None]:
    """Show on the timeline that the code in this block waits: pictures draw a thin grey bar from its start to its end.

    what: what it waits for ("a permit"), as words for the picture.
    lane: where the bar stands; the running task's name unless given.

    A wait that is cancelled, or that ends in another exception, has a cross at its end. One that takes no time isn't
    drawn. Outside a simulation it does nothing.

    >>> async def main():
    ...     with waiting("tea"):
    ...         await asyncio.sleep(3)
    >>> simulate(main).timeline.waits()
    [Wait(lane='main', what='tea', start=0.0, end=3.0, how='over')]
    """
    mark(WAIT, {"on": True, "what": short(what)}, lane=lane)
    how = "over"
    try:
        yield
    except BaseException as error:
        how = "cancelled" if isinstance(error, asyncio.CancelledError) else type(error).__name__
        raise
    finally:
        mark(WAIT, {"on": False, "how": how}, lane=lane)


def _connection() -> Connection:
    loop, connection = asyncio.get_running_loop(), line.get()
    if isinstance(loop, VirtualLoop) and (loop.outside is not None or connection is None):
        return loop  # one without a world may stand in for the real clock, where `live` has brought one
    if connection is None:
        raise SimulationError("services answer only in a run: use simulate(...), or await live(...) on the real clock")
    return connection
