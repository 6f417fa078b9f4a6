# A failed probe opens it with the first opening's time: the next call is let through at once
# fails: reopens
class CircuitOpenError(Exception):
    def __init__(self, retry_after):
        super().__init__(f"circuit open, ask again in {retry_after:.1f} s")
        self.retry_after = retry_after


class CircuitBreaker:
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
        self.failure_threshold = failure_threshold
        self.recovery_time = recovery_time
        self.half_open_max = half_open_max
        self.success_threshold = success_threshold
        self.is_failure = is_failure
        self.on_state_change = on_state_change
        self.state = "closed"
        self.opened_at = 0.0
        self.period = self.failures = self.successes = self.probes = 0

    def enter(self, state):
        old, self.state = self.state, state
        self.period += 1
        self.failures = self.successes = self.probes = 0
        if state == "open" and old == "closed":
            self.opened_at = asyncio.get_running_loop().time()
        if self.on_state_change:
            self.on_state_change(old, state)

    def admit(self):
        if self.state == "open":
            remaining = self.opened_at + self.recovery_time - asyncio.get_running_loop().time()
            if remaining > 0:
                raise CircuitOpenError(remaining)
            self.enter("half_open")
        if self.state == "half_open":
            if self.probes >= self.half_open_max:
                raise CircuitOpenError(0.0)
            self.probes += 1
        return self.period

    def success(self, period):
        if period != self.period:
            return
        self.failures = 0
        if self.state == "half_open":
            self.successes += 1
            if self.successes >= self.success_threshold:
                self.enter("closed")

    def failure(self, period):
        if period != self.period:
            return
        self.failures += 1
        if self.state == "half_open" or self.failures >= self.failure_threshold:
            self.enter("open")

    async def call(self, op):
        period = self.admit()
        try:
            result = await op()
        except Exception as exc:
            if self.is_failure(exc):
                self.failure(period)
            else:
                self.success(period)
            raise
        else:
            self.success(period)
            return result
        finally:
            if period == self.period and self.state == "half_open":
                self.probes -= 1
