import time
from enum import Enum


class CircuitOpenError(Exception):
    def __init__(self, retry_after):
        super().__init__(f"open for another {retry_after:.1f} s")
        self.retry_after = retry_after


class State(Enum):
    closed = "closed"
    open = "open"
    half_open = "half_open"


class CircuitBreaker:
    """Holds a lock around the changes of state only; reads time.monotonic()."""

    def __init__(
        self,
        *,
        failure_threshold=5,
        recovery_time=30.0,
        half_open_max=1,
        success_threshold=1,
        is_failure=lambda exc: True,
        on_state_change=None,
    ):
        self.failure_threshold, self.recovery_time = failure_threshold, recovery_time
        self.half_open_max, self.success_threshold = half_open_max, success_threshold
        self.is_failure, self.on_state_change = is_failure, on_state_change
        self.state, self.generation, self.lock = State.closed, 0, asyncio.Lock()
        self.bad = self.good = self.running = 0
        self.opened = None

    def _to(self, state):
        before, self.state = self.state, state
        self.generation += 1
        self.bad = self.good = self.running = 0
        if state is State.open:
            self.opened = time.monotonic()
        if self.on_state_change:
            self.on_state_change(before, state)

    async def _enter(self):
        async with self.lock:
            if self.state is State.open:
                left = self.recovery_time - (time.monotonic() - self.opened)
                if left > 0:
                    raise CircuitOpenError(left)
                self._to(State.half_open)
            if self.state is State.half_open:
                if self.running == self.half_open_max:
                    raise CircuitOpenError(0.0)
                self.running += 1
            return self.generation

    async def _leave(self, generation, good):
        async with self.lock:
            if generation != self.generation:
                return
            if self.state is State.half_open:
                self.running -= 1
                if good is False:
                    self._to(State.open)
                elif good:
                    self.good += 1
                    if self.good == self.success_threshold:
                        self._to(State.closed)
            elif good is not None:
                self.bad = 0 if good else self.bad + 1
                if self.bad == self.failure_threshold:
                    self._to(State.open)

    async def call(self, op):
        generation = await self._enter()
        good = None
        try:
            result = await op()
            good = True
            return result
        except Exception as exc:
            good = not self.is_failure(exc)
            raise
        finally:
            await self._leave(generation, good)
