"""Scenarios: how a student's code is called, without any expectation.

A scenario has two halves. The first, an ordinary function, sets the scene: it gives a world its services and returns a
*brief*, the little that the second half needs to know. The second half, the *driver*, is a coroutine that runs beside
the student's code and calls it. In a notebook both run in one process. When grading, the first half stays on the
trusted side, and only the brief crosses over.

    @scenario
    def flaky(world, failures=2, attempts=4):
        world.service("op", [error("ConnectionError")] * failures)
        return {"attempts": attempts}

    @flaky.driver
    async def _(lab, attempts):
        await lab.outcome("result", lab.answer("retry"), lab.service("op"), max_attempts=attempts)
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import gc
import inspect
import random
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from faultlab.chance import seeded
from faultlab.clock.loop import Outside, VirtualLoop
from faultlab.clock.running import run_virtual
from faultlab.heard import Heard, listening, undebugged
from faultlab.plain import plain, told
from faultlab.run import Here, ending
from faultlab.script import in_order as in_order
from faultlab.script import read_script as read_script
from faultlab.service import Service, mark
from faultlab.slip import slip
from faultlab.timeline import Timeline
from faultlab.world import World

CPU_SECONDS = 2.0
"""CPU seconds of one scenario before it is stopped."""
STALL = 30_000
"""Turns of the event loop without time passing after which a scenario is stopped: enough to know, and cheap enough
for an answer that spins in every scenario."""
EVENTS, QUESTIONS = 18_000, 4_500
"""The most events of one scenario: a little less than the grader's own limits, so that honest code that does too much
is told so."""

Setup = Callable[..., Mapping[str, Any] | None]
Drive = Callable[..., Awaitable[None]]


class ScenarioError(Exception):
    """A section's `scenarios.py` is malformed; the message is for its author."""


class MissingAnswer(Exception):
    """The notebook doesn't define what the exercise asks for."""


class TooLong(KeyboardInterrupt):
    """The CPU limit of one scenario is used up. It is raised again and again, so that no `except` outlives it."""


@dataclass
class Scenario:
    """One scenario: its name, the group whose process it shares, its two halves."""

    name: str
    setup: Setup
    group: str = "main"
    drive: Drive | None = None
    fixed: bool = False
    """Whether its seed is the same for every submission, as statistics over many runs need it."""

    def driver(self, function: Drive) -> Drive:
        """Decorate the half that runs beside the student's code; it takes the lab and the brief's items by name."""
        self.drive = function
        return function


class Played(NamedTuple):
    """One scenario as a test names it: its name and its parameters, in a form that can be a key."""

    name: str
    parameters: tuple[tuple[str, Any], ...]

    @property
    def options(self) -> dict[str, Any]:
        """The parameters by name."""
        return {key: _thawed(value) for key, value in self.parameters}


def played(name: str, parameters: Mapping[str, Any]) -> Played:
    """A scenario's name and parameters (plain values) as a key."""
    return Played(name, tuple(sorted((key, _frozen(value)) for key, value in parameters.items())))


def scenario(setup: Setup | None = None, *, group: str = "main", fixed: bool = False) -> Any:
    """Decorate the half that sets the scene: a function of the world and of the parameters that a test varies.

    The function gives the world its services and returns the brief, a dict: what the driver is told.

    group: scenarios of one group share a process when grading.
    fixed: whether it has the same seed for every submission, as statistics over many runs need it.

    Returns a Scenario, whose `driver` decorates the other half.

    >>> @scenario
    ... def flaky(world, failures=2):
    ...     world.service("op", [error("ConnectionError")] * failures, then=ok("done"))
    ...     return {"tries": failures + 1}
    >>> @flaky.driver
    ... async def _(lab, tries):
    ...     await lab.outcome("result", lab.answer("retry"), lab.service("op"), tries)
    >>> async def retry(operation, tries):
    ...     for _ in range(tries - 1):
    ...         with contextlib.suppress(ConnectionError):
    ...             return await operation()
    ...     return await operation()
    >>> play(flaky, {"failures": 3}, {"retry": retry}).marks("result")[0].value
    {'how': 'returned', 'value': 'done'}
    """
    if setup is not None:
        return Scenario(setup.__name__, setup, group, fixed=fixed)
    return lambda function: Scenario(function.__name__, function, group, fixed=fixed)


def load(path: Path) -> dict[str, Scenario]:
    """The scenarios of a `scenarios.py`, by name, in order. Raises ScenarioError when something is missing."""
    return read(path.read_text(encoding="utf-8"), str(path))


def read(source: str, filename: str = "scenarios.py") -> dict[str, Scenario]:
    """The scenarios in a source text. Raises ScenarioError when one has no driver."""
    module: dict[str, Any] = {"__name__": "scenarios", "__file__": filename}
    exec(compile(source, filename, "exec"), module)
    found = {value.name: value for value in module.values() if isinstance(value, Scenario)}
    for name, item in found.items():
        if item.drive is None:
            raise ScenarioError(f"{filename}: scenario {name!r} has no driver; add one with @{name}.driver")
    return found


def asked(source: str) -> list[str]:
    """The notebook's names that the drivers in a source text ask the lab for."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    found = {
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr == "answer"
        if call.args and isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str)
    }
    return sorted(found)


@dataclass
class Lab:
    """What a driver holds: the student's names, the world's services, and a way to show what came back."""

    namespace: Mapping[str, Any]
    slips: list[str] = field(default_factory=list)
    """Slips of the notebook behind the errors that were described."""
    _known: dict[type, list[str]] = field(default_factory=dict, repr=False)

    def answer(self, name: str) -> Any:
        """What the notebook defines under this name. Raises MissingAnswer when it doesn't."""
        if name not in self.namespace:
            raise MissingAnswer(f"the notebook defines no `{name}`: run the cell that does, and check its spelling")
        return self.namespace[name]

    def service(self, name: str, lane: str = "") -> Service:
        """One of the world's services, as seen by the caller `lane`."""
        return Service(name, lane)

    def random(self, seed: int) -> random.Random:
        """A real `random.Random`."""
        return random.Random(seed)

    def mark(self, name: str, value: Any = None, lane: str | None = None) -> None:
        """Show a value on the timeline."""
        mark(name, value, lane=lane)

    async def outcome(self, name: str, function: Callable[..., Any], *args: Any, **options: Any) -> dict[str, Any]:
        """Call `function`, await what it returns, and show on the timeline how that ended.

        The mark `name` gets {"how": "returned", "value"}, {"how": "raised", "error", "call", ...} or
        {"how": "cancelled"}, which is also returned. "call" is the receipt of the service's call whose very error
        object came out; on the timeline it is that call's number. A cancellation propagates.
        """
        try:
            value = function(*args, **options)
            if inspect.isawaitable(value):
                value = await value
            seen = {"how": "returned", "value": plain(value)}
        except asyncio.CancelledError:
            mark(name, {"how": "cancelled"})
            raise
        except Exception as error:
            seen = {"how": "raised", **self.describe(error)}
        mark(name, seen)
        return seen

    def start(self, name: str, function: Callable[..., Any], *args: Any, **options: Any) -> asyncio.Task[Any]:
        """`outcome` in a task of its own, named `name`."""
        return asyncio.create_task(self.outcome(name, function, *args, **options), name=name)

    async def until(self, instant: float) -> None:
        """Wait until this instant of the loop's clock. All events of one instant come in one turn of the loop."""
        wait = instant - asyncio.get_running_loop().time()
        if wait > 1e-6:
            await asyncio.sleep(wait)

    async def settle(self, *tasks: asyncio.Task[Any]) -> None:
        """Wait until all of these tasks are over, however they end."""
        if tasks:
            await asyncio.wait(tasks)

    def notice(self, error: BaseException) -> None:
        """Record the notebook's slip behind this error, if there is one."""
        if (found := slip(error, self.namespace)) and found not in self.slips:
            self.slips.append(found)

    @contextlib.contextmanager
    def whatever_comes(self) -> Iterator[None]:
        """Swallow errors where only earlier events matter; record a slip among them."""
        try:
            yield
        except Exception as error:
            self.notice(error)

    def describe(self, error: BaseException, depth: int = 0) -> dict[str, Any]:
        """An exception as plain data: its class, the notebook's names for its classes, its origin, its cause."""
        if not depth:
            self.notice(error)
        kind = type(error)
        if kind not in self._known:
            self._known[kind] = [
                name
                for name, value in list(self.namespace.items())
                if isinstance(value, type) and value in kind.__mro__
            ]
        seen: dict[str, Any] = {
            "error": kind.__name__[:80],
            "names": self._known[kind],
            "builtins": [base.__name__ for base in kind.__mro__ if base.__module__ == "builtins"],
            "call": plain(getattr(error, "__faultlab_call__", None)),
            "args": plain(list(error.args)),
            "message": told(error),
            "notes": plain(list(getattr(error, "__notes__", []))),
        }
        if depth < 3 and error.__cause__ is not None:
            seen["cause"] = self.describe(error.__cause__, depth + 1)
        if depth < 3 and isinstance(error, BaseExceptionGroup):
            seen["exceptions"] = [self.describe(inner, depth + 1) for inner in error.exceptions[:50]]
        return seen


def play(item: Scenario, parameters: Mapping[str, Any], namespace: Mapping[str, Any], *, seed: int = 0) -> Timeline:
    """Play one scenario against the names of a notebook, with the world in this process.

    parameters: those of the scenario's first half. seed: the world's. Returns the timeline; everything that happens is
        recorded there, and only KeyboardInterrupt is raised.
    """
    world = World(seed)
    brief = item.setup(world, **parameters) or {}
    perform(item, brief, namespace, Here(world, namespace), seed=world.child_seed)
    return world.timeline()


def perform(
    item: Scenario,
    brief: Mapping[str, Any],
    namespace: Mapping[str, Any],
    outside: Outside,
    *,
    seed: int,
) -> None:
    """Run a scenario's driver against `outside`, and record how it ended. Raises only KeyboardInterrupt."""
    assert item.drive is not None
    loop = VirtualLoop(outside, max_stall=STALL, max_events=EVENTS, max_questions=QUESTIONS)
    lab, heard = Lab(namespace), Heard()

    def hear(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Of a task or a callback whose error nobody asks for."""
        error = context.get("exception")
        if error is not None:
            lab.notice(error)
        heard.warnings.append(str(error or context["message"]))

    loop.set_exception_handler(hear)
    with listening(heard), undebugged(heard), seeded(seed), uncollected(), cpu_limit(CPU_SECONDS) as limit:
        try:
            run_virtual(loop, _drive(item.drive, lab, brief), name="")
            end: dict[str, Any] = {"how": "returned"}
        except MissingAnswer as error:
            end = {"how": "missing", "message": str(error)}
        except TooLong:
            end = {"how": "endless"}
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            end = ending(error)
            lab.notice(error)
    if limit.hit:
        end = {"how": "endless", "message": f"still computing after {CPU_SECONDS:g} s of CPU time"}
    for what, text in heard.notes(lab.slips):
        outside.write(loop.now, "note", "", {"what": what, "text": text})
    outside.write(loop.now, "end", "", end)


async def _drive(drive: Drive, lab: Lab, brief: Mapping[str, Any]) -> None:
    await drive(lab, **brief)


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Keep the garbage collector out of a short run. It would search all objects of pytest and jupytext, which halves
    the speed, and it would collect at a different moment in each process.
    """
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


@dataclass
class _Limit:
    hit: bool = False


@contextlib.contextmanager
def cpu_limit(seconds: float) -> Iterator[_Limit]:
    """Stop the code inside after `seconds` of CPU time; does nothing where there is no such alarm.

    CPU time, so that a busy machine changes no verdict. The alarm can land anywhere, so callers look at `.hit`.
    """
    limit = _Limit()
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        yield limit
        return

    def alarm(*_: Any) -> None:
        limit.hit = True
        raise TooLong(f"still computing after {seconds:g} s of CPU time")

    before = signal.signal(signal.SIGVTALRM, alarm)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, 0.2)
    try:
        yield limit
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _frozen(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return ("list", tuple(_frozen(item) for item in value))
    if isinstance(value, dict):
        return ("dict", tuple(sorted((key, _frozen(item)) for key, item in value.items())))
    return value


def _thawed(value: Any) -> Any:
    if isinstance(value, tuple):
        kind, items = value
        return [_thawed(item) for item in items] if kind == "list" else {key: _thawed(item) for key, item in items}
    return value
