"""Run code against a world: `simulate` on the virtual clock, `live` on the real one."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from faultlab.chance import seeded
from faultlab.clock.errors import SimulationError
from faultlab.clock.loop import VirtualLoop
from faultlab.clock.patches import installed
from faultlab.clock.running import run_virtual
from faultlab.plain import plain, told
from faultlab.service import line
from faultlab.timeline import NS, Timeline
from faultlab.world import Answer, World

T = TypeVar("T")


@dataclass(frozen=True)
class Run(Generic[T]):
    """The result of a run: the value that the code returned, and the timeline of what it did."""

    value: T
    timeline: Timeline
    error: BaseException | None = None
    """What the code raised, when `simulate` was told to catch it."""

    def __await__(self) -> Generator[None, None, Run[T]]:
        """`await simulate(...)` is a natural slip in a notebook; the run is over, so this returns it."""
        return self
        yield


class Here:
    """The world in the same process, as the virtual loop sees it."""

    def __init__(self, world: World, errors: Mapping[str, Any] | None = None) -> None:
        self.world = world
        self.horizon = world.horizon
        self.timers = not world.leases_through_calls
        self._errors = errors or {}
        self._calls = 0

    def ask(self, upcoming: int | None) -> tuple[int, list[tuple[int, Any, BaseException | None]]] | None:
        """The next instant, and the answers that arrive then."""
        news = self.world.ask(upcoming)
        self.horizon = self.world.horizon
        return None if news is None else (news[0], [unpack(answer, self._errors) for answer in news[1]])

    def call(self, at: int, service: str, lane: str, args: tuple[Any, ...]) -> int:
        """Call a service; until the world is asked again, the answer may be due at once."""
        number = self._calls
        self._calls += 1
        self.world.call(at, number, service, lane, args)
        if not self.world.leases_through_calls:
            self.horizon = at
        return number

    def cancel(self, at: int, number: int) -> None:
        """Nobody waits for this call any more."""
        self.world.cancel(at, number)

    def write(self, at: int, kind: str, lane: str, data: Mapping[str, Any]) -> None:
        """Put an event of the running code on the timeline."""
        self.world.write(at, kind, lane, data)


def simulate(
    main: Coroutine[Any, Any, T] | Callable[[], Coroutine[Any, Any, T]],
    *,
    seed: int = 0,
    world: World | None = None,
    errors: Mapping[str, Any] | None = None,
    catch: bool = False,
    **limits: Any,
) -> Run[T]:
    """Run a coroutine on a fresh virtual clock, where waiting takes no time.

    A plain call, in a script as in a notebook's cell (a loop that already runs there continues afterwards), and inside
    another simulation.

    main: the coroutine, or a function that returns it.
    seed: where random numbers drawn in the run come from (see `chance.py`), and of the world if none is given.
    world: has the services; each run needs a new one.
    errors: classes for the names of errors that the world answers with, besides the built-in ones.
    catch: keep an exception in `.error`; then `.value` is None.
    limits: those of `VirtualLoop`, such as `max_time=3600` (simulated seconds).

    Returns a Run: the coroutine's `value` and the `timeline` of what happened. Raises what the coroutine raises.
    Raises DeadlockError, LivelockError or LimitError when the run can't end: all are SimulationError, and have the
    `timeline` up to there.

    >>> async def main():
    ...     await asyncio.sleep(9.5)
    ...     return "nine and a half seconds later"
    >>> run = simulate(main())
    >>> run.value, run.timeline.duration
    ('nine and a half seconds later', 9.5)
    """
    world = World(seed) if world is None else world
    world.begin()
    loop = VirtualLoop(Here(world, errors), **limits)
    try:
        with installed(), seeded(seed):
            value = run_virtual(loop, main() if callable(main) else main)
    except BaseException as error:
        world.write(loop.now, "end", "", ending(error))
        if isinstance(error, SimulationError):
            error.timeline = world.timeline()
        if not catch or not isinstance(error, Exception):
            raise
        return Run(None, world.timeline(), error)  # type: ignore[arg-type]
    world.write(loop.now, "end", "", {"how": "returned"})
    return Run(value, world.timeline())


def ending(error: BaseException) -> dict[str, Any]:
    """How a run ended, as the data of its last event."""
    if isinstance(error, SimulationError):
        return {"how": error.how, "message": told(error, 1500)}
    return {"how": "raised", "error": type(error).__name__, "message": told(error)}


def unpack(answer: Answer, errors: Mapping[str, Any]) -> tuple[int, Any, BaseException | None]:
    """What a caller receives: the value, or an error of the class with that name in `errors` or builtins."""
    if answer.kind == "ok":
        return answer.number, answer.value, None
    kind = errors.get(answer.error, getattr(builtins, answer.error, None))
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        kind = type(answer.error, (Exception,), {})
    try:
        error = kind(*answer.args)
    except Exception as cause:
        error = RuntimeError(f"{answer.error} can't be made from {answer.args!r}: {cause}")
    for name, value in (answer.attributes or {}).items():
        setattr(error, name, value)
    error.__faultlab_call__ = answer.receipt
    return answer.number, None, error


class Live:
    """The world behind code that runs on the real clock."""

    def __init__(self, world: World, errors: Mapping[str, Any] | None = None) -> None:
        self._world = world
        self._errors = errors or {}
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._calls = 0

    @property
    def now(self) -> int:
        """Nanoseconds since the run began."""
        return max(self._world.now, round((self._loop.time() - self._began) * NS))

    async def call(self, service: str, lane: str, args: tuple[Any, ...]) -> Any:
        """Call a service and wait, in real time, for its answer."""
        number = self._calls
        self._calls += 1
        self._world.call(self.now, number, service, lane or _task_name(), args)
        future = self._waiting[number] = self._loop.create_future()
        self._arm()
        try:
            return await future
        except asyncio.CancelledError:
            if self._waiting.pop(number, None) is not None:
                self._world.cancel(self.now, number)
            raise

    def mark(self, name: str, value: Any, lane: str) -> None:
        """Show something on the timeline."""
        self._world.write(self.now, "mark", lane or _task_name(), {"name": name, "value": plain(value)})

    def close(self) -> None:
        """End the run, and leave nothing of it in the loop."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(max(0.0, (self._world.horizon - self.now) / NS), self._arrive)

    def _arrive(self) -> None:
        now = self.now
        while self._world.horizon <= now:
            news = self._world.ask(now)
            for number, value, error in [unpack(answer, self._errors) for answer in (news[1] if news else [])]:
                future = self._waiting.pop(number, None)
                if future is not None and not future.done():
                    future.set_result(value) if error is None else future.set_exception(error)
        if self._waiting:
            self._arm()


async def live(main: Awaitable[T], *, world: World | None = None, errors: Mapping[str, Any] | None = None) -> Run[T]:
    """Run a coroutine on the real clock against a world, in the loop that runs: `await live(main(), world=world)`.

    main: the coroutine.
    world: has the services; each run needs a new one.
    errors: classes for the names of errors that the world answers with, besides the built-in ones.

    Returns a Run as `simulate` does; the timeline's instants are seconds of real time since the run began, so they
    don't repeat. Raises what the coroutine raises.

    >>> world = World()
    >>> payments = world.service("payments", [ok("paid")], latency=0.01)
    >>> run = asyncio.run(live(payments(), world=world))
    >>> run.value, run.timeline.duration >= 0.01
    ('paid', True)
    """
    world = World() if world is None else world
    world.begin()
    connection = Live(world, errors)
    token = line.set(connection)
    try:
        value = await main
    except BaseException as error:
        world.write(connection.now, "end", "", ending(error))
        raise
    finally:
        line.reset(token)
        connection.close()
    world.write(connection.now, "end", "", {"how": "returned"})
    return Run(value, world.timeline())


def _task_name() -> str:
    task = asyncio.current_task()
    return task.get_name() if task is not None else ""
