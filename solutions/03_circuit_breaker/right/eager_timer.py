import enum


class CircuitOpenError(Exception):
    def __init__(self, retry_after):
        super().__init__(f"open for another {retry_after:.1f} s")
        self.retry_after = retry_after


class State(enum.StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitBreaker:
    """Becomes half-open by itself, with a timer."""

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
        self.options = failure_threshold, recovery_time, half_open_max, success_threshold
        self.is_failure, self.on_state_change = is_failure, on_state_change
        self.state = State.CLOSED
        self.period = object()
        self.count = 0
        self.probes = set()

    def _change(self, new):
        old, self.state, self.period, self.count = self.state, new, object(), 0
        self.probes = set()
        if new is State.OPEN:
            loop = asyncio.get_running_loop()
            self.timer = loop.call_later(self.options[1], self._change, State.HALF_OPEN)
        if self.on_state_change:
            self.on_state_change(old, new)

    async def call(self, op):
        threshold, _, most, wanted = self.options
        if self.state is State.OPEN:
            raise CircuitOpenError(self.timer.when() - asyncio.get_running_loop().time())
        ticket, period, probes = object(), self.period, self.probes
        if self.state is State.HALF_OPEN:
            if len(probes) >= most:
                raise CircuitOpenError(0)
            probes.add(ticket)
        good = None
        try:
            result = await op()
            good = True
            return result
        except Exception as exc:
            good = not self.is_failure(exc)
            raise
        finally:
            probes.discard(ticket)
            if good is not None and period is self.period:
                self._verdict(good, threshold, wanted)

    def _verdict(self, good, threshold, wanted):
        if self.state is State.HALF_OPEN:
            self.count += 1
            if not good:
                self._change(State.OPEN)
            elif self.count >= wanted:
                self._change(State.CLOSED)
        else:
            self.count = 0 if good else self.count + 1
            if self.count >= threshold:
                self._change(State.OPEN)
