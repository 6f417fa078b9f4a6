"""A virtual clock for asyncio: an event loop that jumps from timer to timer instead of waiting.

Between two timers nothing can happen. Whenever every task is suspended, the clock moves straight to the next instant at
which one can continue. Thirty seconds of an open circuit breaker cost microseconds. A run repeats to the byte, because
nothing in it depends on the machine. Time is whole nanoseconds. Equal deadlines fire in the order in which they were
set. Tasks and futures hash by a number, so that sets of them have one order.

Programs compute with floats, and `0.2 + 0.1` is a little more than 0.3. The deadline lies at the whole nanosecond
nearest to it, and when it is there `time()` reads the deadline itself: a timer never fires while `time() < when`.

What is outside the loop (scripted services, the timeline's pen) is reached through one object, `outside`; see
`world.py` for what stands behind it. Prior art: tokio's paused clock, trio's MockClock, looptime.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import sys
import threading
from asyncio import base_events, events
from collections.abc import Callable, Collection, Coroutine, Mapping
from typing import Any, Protocol, TypeVar

from faultlab.clock.errors import BeyondTheLimit, DeadlockError, LimitError, LivelockError, SimulationError
from faultlab.clock.insides import (
    count_as_heard,
    detached,
    ends_the_run,
    forget_running_loop,
    forget_the_end,
    is_asyncios,
    is_unheard,
    keep_forever,
    let_go_of_cancellation,
    purpose_of,
    submits_a_coroutine,
    take_back,
)
from faultlab.clock.patches import installed
from faultlab.clock.threads import Clock
from faultlab.clock.where import suspended
from faultlab.plain import short
from faultlab.timeline import NS

T = TypeVar("T")
FOREVER = 10**18
"""An instant that never comes, in nanoseconds."""
CREEP_TURNS, CREEP_NS = 2_000, 1_000
"""After every 2,000 turns without progress the clock moves by a microsecond, for libraries that compare floats
exactly."""
CHAIN = 10
"""How many timers that set one another may fire at one instant; then a nanosecond passes. Some libraries set a timer
again until their sum of floats is right, and on a real clock no callback is free.
"""


class Outside(Protocol):
    """The loop's interface to the world around it. Instants are whole nanoseconds."""

    horizon: int
    """Before this instant nothing from outside can arrive, so the loop may run its own timers."""

    timers: bool
    """Whether it wants to be told about timers."""

    def ask(self, upcoming: int | None) -> tuple[int, list[tuple[int, Any, BaseException | None]]] | None:
        """The next instant and what arrives then (call, value, error); None when nothing can ever arrive."""

    def call(self, at: int, service: str, lane: str, args: tuple[Any, ...]) -> int:
        """Call a service; returns the call's number."""

    def cancel(self, at: int, number: int) -> None:
        """The caller of this call has given up."""

    def write(self, at: int, kind: str, lane: str, data: Mapping[str, Any]) -> None:
        """Put an event of the loop itself on the timeline."""


class _Timer(events.TimerHandle):
    """A timer that may be seen on the timeline."""

    __slots__ = ("_chain", "_closed", "_lane", "_sequence")
    _sequence: int
    _chain: int
    _lane: str | None
    _closed: bool

    def __hash__(self) -> int:
        return self._sequence

    def _run(self) -> None:
        loop: VirtualLoop = self._loop  # type: ignore[attr-defined]
        loop._reached = max(loop._reached, float(self._when))  # type: ignore[attr-defined]
        if self._lane is not None:
            self._wake("fired")
        loop._chain = self._chain
        super()._run()
        loop._chain = 0

    def cancel(self) -> None:
        if self._lane is not None and not self._cancelled:
            self._wake("cancelled")
        super().cancel()

    def _wake(self, how: str) -> None:
        if not self._closed:
            self._closed = True
            loop: VirtualLoop = self._loop  # type: ignore[attr-defined]
            loop.write("wake", {"timer": self._sequence, "how": how}, lane=self._lane)


class _Task(asyncio.Task[Any]):
    """A task that hashes by its number, so that a set of tasks has the same order in every process."""

    _number = 0

    def __hash__(self) -> int:
        return self._number


class _Future(asyncio.Future[Any]):
    _number = 0

    def __hash__(self) -> int:
        return self._number


class VirtualLoop(base_events.BaseEventLoop, Clock):
    """An asyncio event loop on virtual time: `run_virtual(VirtualLoop(), main())`.

    outside: the world that answers calls and keeps the timeline; without one a call raises SimulationError.
    max_turns: the turns that the loop may take, and
    max_stall: those without time moving on; LivelockError beyond.
    max_time: the simulated seconds that may pass.
    max_events: how much the code may put on the timeline.
    max_questions: how often the world may be asked for the next instant. LimitError beyond each of these.
    record: whether sleeps are written to the timeline.

    >>> from faultlab.clock import run_virtual
    >>> loop = VirtualLoop(max_time=60)
    >>> run_virtual(loop, asyncio.sleep(59, "just in time"))
    'just in time'
    >>> loop.time()
    59.0
    >>> run_virtual(VirtualLoop(max_time=60), asyncio.sleep(61))
    Traceback (most recent call last):
    faultlab.clock.errors.LimitError: more than 60 simulated seconds passed (at t=61 s)...
    """

    ended_by = SimulationError

    def __init__(
        self,
        outside: Outside | None = None,
        *,
        max_turns: int = 5_000_000,
        max_stall: int = 100_000,
        max_time: float = 1e6,
        max_events: int = 10**9,
        max_questions: int = 10**9,
        record: bool = True,
    ) -> None:
        super().__init__()
        self.now = 0
        self.outside = outside
        self.max_turns, self.max_stall, self.max_ns = max_turns, max_stall, round(max_time * NS)
        self._allowance = self.max_ns
        self.max_events, self.max_questions = max_events, max_questions
        self.limit_hit: SimulationError | None = None
        self._record = record and outside is not None and outside.timers
        self._timers: list[tuple[int, int, _Timer]] = []
        """A heap; equal deadlines fire in the order in which they were set."""
        # Each kind counts for itself: how many futures the library makes differs between Pythons.
        self._task_numbers, self._future_numbers, self._timer_numbers = (itertools.count(1) for _ in range(3))
        self._names: dict[str, int] = {}
        self._tasks: list[_Task] = []
        self._dropped: set[asyncio.Task[Any]] = set()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._signals: dict[int, tuple[Callable[..., object], tuple[Any, ...]]] = {}
        self._turns = self._stall = self._spin = self._chain = 0
        self._events = self._questions = 0
        self.threads: list[threading.Thread] = []
        self.inline = False
        self._ahead = 0  # nanoseconds that a thread's own clock is ahead while its work runs inline
        # the latest deadline that has come, in seconds: by less than 1 ns it may be after `reading`
        self._reached = 0.0

    # -- the clock

    def time(self) -> float:
        """Seconds since the simulation began; never before a deadline that has come."""
        return max((self.now + self._ahead) / NS, self._reached)

    @property
    def reading(self) -> int:
        """What a clock reads for the code that is running now, in nanoseconds."""
        return self.now + self._ahead

    def unfinished(self) -> set[asyncio.Task[Any]]:
        """The tasks that aren't done."""
        return {task for task in self._tasks if not task.done()}

    def _instant(self, when: float) -> int:
        """Round a deadline in seconds to the nearest nanosecond; a future one stays later than now."""
        if not when < FOREVER / NS:  # later than any limit, or no number
            return FOREVER
        instant = round(max(when, -FOREVER / NS) * NS)
        return max(instant, self.reading + 1) if when > self.time() else instant

    def run_forever(self) -> None:
        """Run until stopped; meanwhile Python's clocks read this one.

        An interrupt in its first or last steps doesn't leave it running forever.
        """
        self._check_running()  # type: ignore[attr-defined]
        hooks = sys.get_asyncgen_hooks()
        with installed():
            try:
                super().run_forever()
            finally:
                self._stopping, self._thread_id = False, None
                forget_running_loop()
                sys.set_asyncgen_hooks(*hooks)

    def _run_once(self) -> None:
        """One turn, in place of asyncio's: there is no selector to wait for, and instants are whole nanoseconds."""
        timers, ready = self._timers, self._ready  # type: ignore[attr-defined]
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)
        due = bool(timers) and timers[0][0] <= self.now
        self._turn(idle=not (ready or due or self._stopping))
        now = self.now
        while timers and timers[0][0] <= now:
            ready.append(heapq.heappop(timers)[2])
        if self._dropped:
            take_back(ready, lambda callback: getattr(callback, "__self__", None) in self._dropped)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()
        handle = None  # an error that came through here refers to this frame: it must not refer back

    def _turn(self, *, idle: bool) -> None:
        """Enforce the limits and, when nothing is ready, move on to the next instant."""
        if self.limit_hit is not None:
            raise self.limit_hit
        self._turns += 1
        self._stall += 1
        if self._turns > self.max_turns:
            raise self.end_with(LimitError(f"more than {self.max_turns:,} turns of the event loop"))
        if self._stall > self.max_stall:
            raise self.end_with(LivelockError(f"{self.max_stall:,} turns of the event loop and no time passes"))
        if idle:
            before, self._spin = self.now, 0
            self._move_on()
            if self.now > before:
                self._stall = 0
        else:
            self._spin += 1
            if self._spin % CREEP_TURNS == 0:
                self._pass(self.now + CREEP_NS)

    def _horizon(self) -> int:
        return FOREVER if self.outside is None else self.outside.horizon

    def _move_on(self) -> None:
        upcoming = self._timers[0][0] if self._timers else None
        if upcoming is not None and upcoming >= FOREVER:
            upcoming = None
        if upcoming is not None and upcoming < self._horizon():
            self.now = max(self.now, upcoming)
        elif not self._ask(None if upcoming is None else min(upcoming, self.max_ns + 1)):
            message = "nothing is scheduled, so nothing can ever wake a task"
            raise self.end_with(DeadlockError(message + self._threads_of_its_own()))
        if self.now > self.max_ns:
            raise self.end_with(self._too_late())

    def _threads_of_its_own(self) -> str:
        """A clause that names the threads that the code started."""
        if not self.threads:
            return ""
        names = ", ".join(dict.fromkeys(short(thread.name) for thread in self.threads[:3]))
        return f"; a thread of its own ({names}) isn't on the course's clock: await in a coroutine instead"

    def _ask(self, upcoming: int | None) -> bool:
        """Go where the world says, and take what arrives there; False when nothing ever will."""
        if self.outside is None:
            return False
        self._questions += 1
        if self._questions > self.max_questions:
            raise self.end_with(LimitError(f"more than {self.max_questions:,} instants at which something happens"))
        news = self.outside.ask(upcoming)
        if news is None:
            return False
        self.now, answers = news
        for number, value, error in answers:
            self._deliver(number, value, error)
        return True

    def _pass(self, target: int) -> None:
        """Let time pass up to `target`, taking what arrives on the way."""
        while self.now < target and target >= self._horizon() and self._ask(target):
            pass
        self.now = max(self.now, target)

    def _too_late(self) -> LimitError:
        return LimitError(f"more than {self.max_ns / NS:,.0f} simulated seconds passed")

    def _deliver(self, number: int, value: Any, error: BaseException | None) -> None:
        future = self._waiting.pop(number, None)
        if future is None or future.done():
            return
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)

    async def call(self, service: str, lane: str, args: tuple[Any, ...]) -> Any:
        """Call a service outside and wait for its answer. Raises SimulationError when there is no outside."""
        if self.outside is None:
            raise SimulationError(f"nobody answers for {service!r}: this run has no world, or it is over")
        if self.limit_hit is not None:
            raise self.limit_hit
        self._count_event()
        number = self.outside.call(self.now, service, short(lane) or self.lane(), args)
        future = self._waiting[number] = self.create_future()
        try:
            return await future
        except (asyncio.CancelledError, GeneratorExit):
            if self._waiting.pop(number, None) is not None and self.outside is not None:
                self._count_event()
                self.outside.cancel(self.now, number)
            raise
        finally:
            del future  # an error refers to this frame: it must not refer back

    def block(self, seconds: float) -> None:
        """A `time.sleep`: the clock moves on and nobody else runs."""
        seconds = float(seconds + 0.0)
        if not seconds >= 0:
            raise ValueError("sleep length must be a number that isn't negative")
        end = self.time() + seconds
        target = min(self._instant(end), self.max_ns + 1)
        spent = self.reading > self.max_ns
        if self.inline:
            self._ahead = target - self.now
        else:
            self.write("blocked", {"seconds": min(seconds, 1e9)})
            self._pass(target)
        if target > self.max_ns:
            # A thread's limit counts when the other tasks reach it, if they do: its caller may be cancelled before.
            raise BeyondTheLimit if self.inline and not spent else self.end_with(self._too_late())
        self._reached = max(self._reached, end)

    # -- timers, tasks, futures: everything has a number

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        if when is None:
            raise TypeError("when cannot be None")
        self._check_closed()  # type: ignore[attr-defined]
        instant = self._instant(when)
        chain = self._chain + 1 if instant <= self.now else 0
        if chain > CHAIN:
            instant, chain = self.now + 1, 0
        timer = _Timer(when, callback, args, self, context)
        timer._sequence, timer._lane, timer._closed = next(self._timer_numbers), None, False
        timer._chain = chain
        if self._record:
            timer._lane = self.lane()
            data = {"timer": timer._sequence, "until": max(instant, self.now), "what": purpose_of(callback)}
            self.write("sleep", data, lane=timer._lane)
        heapq.heappush(self._timers, (instant, timer._sequence, timer))
        return timer

    def create_task(self, coro: Any, *, name: object = None, context: Any = None, **options: Any) -> asyncio.Task[Any]:
        self._check_closed()  # type: ignore[attr-defined]
        task = _Task.__new__(_Task)
        task._number = next(self._task_numbers)
        if context is not None:
            options["context"] = context
        options.pop("eager_start", None)
        unnamed = self._name(coro)  # always counted: some Pythons create a task first and name it then
        task.__init__(coro, loop=self, name=unnamed if name is None else str(name), **options)  # type: ignore[misc]
        self._tasks.append(task)  # strong references: the garbage collector must never change a timeline
        return task

    def _name(self, coro: Any) -> str:
        base = getattr(coro, "__name__", "task")
        count = self._names[base] = self._names.get(base, 0) + 1
        return base if count == 1 else f"{base}#{count}"

    def create_future(self) -> asyncio.Future[Any]:
        future = _Future.__new__(_Future)
        future._number = next(self._future_numbers)
        future.__init__(loop=self)  # type: ignore[misc]
        return future

    # -- the timeline

    def lane(self) -> str:
        """The running task's name; empty outside a task."""
        task = asyncio.current_task(self)
        return "" if task is None else short(task.get_name())

    def write(self, kind: str, data: Mapping[str, Any], *, lane: str | None = None) -> None:
        """Put an event on the timeline, now."""
        if self.outside is not None and self.limit_hit is None:
            self._count_event()
            self.outside.write(self.now, kind, self.lane() if lane is None else lane, data)

    def _count_event(self) -> None:
        self._events += 1
        if self._events >= self.max_events:
            self.end_with(LimitError(f"more than {self.max_events:,} things happened"))  # raised at the next turn

    # -- threads, signals, and what the virtual world lacks

    def run_in_executor(  # type: ignore[override]
        self, _executor: Any, func: Callable[..., Any], *args: Any
    ) -> Any:
        """Run `func` here and now, whichever the executor; its result arrives after the time that it slept."""
        future = self.create_future()
        end, value, error = self._work(func, args)

        def done() -> None:
            if not future.done():
                future.set_result(value) if error is None else future.set_exception(error)

        self.call_at(end, done)
        return future

    def _work(self, func: Callable[..., Any], args: tuple[Any, ...]) -> tuple[float, Any, Exception | None]:
        """A thread's work: when it ends, and its outcome. A frame of its own, so that no cycle is left."""
        outer = self.inline, self._ahead, self._reached
        self.inline = True
        value: Any = None
        try:
            value = func(*args)
        except Exception as error:
            return self.time(), None, error
        except BeyondTheLimit:
            return self.time(), None, None
        else:
            return self.time(), value, None
        finally:
            self.inline, self._ahead, self._reached = outer

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """There is no executor to shut down, and no timer may outlive the run."""

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.Handle:
        self._check_closed()  # type: ignore[attr-defined]
        if self.is_running() and self._thread_id != threading.get_ident():
            name = short(threading.current_thread().name)
            raise self.end_with(
                DeadlockError(
                    f"a thread of its own ({name}) calls the event loop, and isn't on the course's clock: "
                    "await in a coroutine instead"
                )
            )
        if not self.inline:
            return super().call_soon_threadsafe(callback, *args, context=context)
        if submits_a_coroutine(callback):
            raise self.refuse(
                "code in a thread asked the event loop for something and would wait forever: on the virtual "
                "clock threads run inline; await it in a coroutine instead"
            )
        return self.call_at(self.time(), callback, *args, context=context)

    def refuse(self, reason: str) -> SimulationError:
        """End the run because of something that the virtual clock lacks; return the error, to be raised."""
        return self.end_with(SimulationError(reason))

    def _write_to_self(self) -> None:
        pass

    def add_signal_handler(  # type: ignore[override]
        self, sig: int, callback: Callable[..., object], *args: Any
    ) -> None:
        self._signals[sig] = (callback, args)

    def remove_signal_handler(self, sig: int) -> bool:
        return self._signals.pop(sig, None) is not None

    def deliver_signal(self, sig: int) -> None:
        """What the operating system would do: `loop.call_at(12, loop.deliver_signal, signal.SIGTERM)`.

        Raises SimulationError when no handler is installed: a real process would die here.
        """
        if sig not in self._signals:
            message = f"signal {sig!r} arrives and nobody handles it: a real process would die here"
            raise self.end_with(SimulationError(message))
        callback, args = self._signals[sig]
        self.call_soon(callback, *args)

    # -- the end

    def end_with(self, error: SimulationError) -> SimulationError:
        """End the simulation with this error, at the next turn at the latest, even if a task swallows it."""
        if self.limit_hit is None:
            error.args = (f"{error.args[0]} (at t={self.time():g} s){self.where()}",)
            self.limit_hit = error
        return self.limit_hit

    def where(self) -> str:
        """A line for each task that isn't done: where in the code it is suspended."""
        pending = [task for task in self._tasks if task.get_name() and not task.done()]
        lines = [f"\n  task {task.get_name()!r} waits at " + " > ".join(suspended(task)) for task in pending[:8]]
        more = f"\n  and {len(pending) - 8} more tasks" if len(pending) > 8 else ""
        return "".join(lines) + more

    def recover(self, *, leave: Collection[asyncio.Task[Any]] = ()) -> None:
        """Make the loop fit for another run after one that ended in an error. The clock stays where it is.

        Limits count from here. Pending tasks are cancelled, except those in `leave`: `loop.unfinished()` before
        the failed run, for instance. A cancelled task gets some turns to clean up, but no time; one that still refuses
        to end never runs again. After a livelock, callbacks that wait for their turn are dropped too.

        Raises RuntimeError while the loop runs, and when it is closed.
        """
        self._check_closed()  # type: ignore[attr-defined]
        if self.is_running():
            raise RuntimeError("a loop that is running can't recover: the run has to end first")
        self._forget_its_end()
        if isinstance(self.limit_hit, LivelockError):
            take_back(self._ready, lambda callback: not is_asyncios(callback))  # type: ignore[attr-defined]
        failed = [task for task in self._tasks if not task.done() and task not in leave]
        for _ in range(3):
            for task in failed:
                task.cancel()
            self._take_turns(100, failed)
            failed = [task for task in failed if not task.done()]
        for task in failed:
            keep_forever(task)
        self._dropped.update(failed)
        self._tasks = [task for task in self._tasks if task not in self._dropped]
        self._renew()

    def _take_turns(self, most: int, tasks: list[_Task]) -> None:
        """Run until these tasks are done, within `most` turns and at this instant."""
        with detached():
            for _ in range(most):
                if all(task.done() for task in tasks):
                    return
                self._renew()
                self.stop()  # before `run_forever`: a single turn
                try:
                    self.run_forever()
                except (KeyboardInterrupt, SystemExit) as error:
                    if not any(task.done() and not task.cancelled() and task.exception() is error for task in tasks):
                        raise  # no clean-up raised it: it is for the caller

    def _renew(self) -> None:
        self.limit_hit = None
        self._turns = self._stall = self._spin = self._events = self._questions = 0
        self.max_ns = self.now + self._allowance

    def _forget_its_end(self) -> None:
        """Keep an interrupted run from ending the next one."""
        take_back(self._ready, ends_the_run)  # type: ignore[attr-defined]
        for task in self._tasks:
            forget_the_end(task)

    def clean_up(self) -> None:
        """Cancel what is left, within bounds, and break every cycle, so that runs leave no garbage.

        Afterwards the clock shows the run's end: the time that cleaning up took isn't part of the run.
        """
        ended = self.now, self._reached
        self._turns = self._stall = self._spin = 0
        self.max_turns = self.max_stall = 2_000
        self.max_ns = self.now + 10**6 * NS
        self.outside, self.limit_hit, self._record = None, None, False
        self._forget_its_end()
        self._tell_unheard()
        try:
            with detached():
                for _ in range(3):
                    pending = [task for task in self._tasks if not task.done()]
                    if not pending:
                        break
                    for task in pending:
                        task.cancel()
                    self.run_until_complete(asyncio.wait(pending, timeout=60))
                self.run_until_complete(self.shutdown_asyncgens())
        except SimulationError:
            pass
        finally:
            for task in self._tasks:
                count_as_heard(task)
                if not task.done():
                    keep_forever(task)
                elif task.cancelled():
                    let_go_of_cancellation(task)
            if not self.is_running():
                self.close()
            self._tasks.clear()
            self._waiting.clear()
            self._timers.clear()
            self.now, self._reached = ended

    def _tell_unheard(self) -> None:
        """Report exceptions that nobody retrieved: now and in order, not whenever the garbage collector runs.

        The loop's own errors have ended the run, so they have been reported.
        """
        for task in self._tasks:
            if is_unheard(task) and isinstance(error := task.exception(), Exception):
                count_as_heard(task)
                if not isinstance(error, SimulationError):
                    text = f"the task {task.get_name()!r} failed and nobody awaited it"
                    self.call_exception_handler({"message": text, "exception": error, "task": task})


def _absent(name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
    async def refuse(self: VirtualLoop, *_: Any, **__: Any) -> Any:
        raise self.end_with(
            SimulationError(
                f"loop.{name}() needs the real world, which the virtual clock hasn't got: "
                "use the laboratory's services, or run the cell on the real clock"
            )
        )

    return refuse


for _name in [
    "create_connection",
    "create_server",
    "create_datagram_endpoint",
    "create_unix_connection",
    "create_unix_server",
    "subprocess_exec",
    "subprocess_shell",
    "getaddrinfo",
    "getnameinfo",
    "sock_connect",
    "sock_recv",
    "sock_sendall",
    "sock_accept",
    "connect_read_pipe",
    "connect_write_pipe",
    "start_tls",
    "sendfile",
]:
    setattr(VirtualLoop, _name, _absent(_name))
