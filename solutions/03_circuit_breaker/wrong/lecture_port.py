# The lecture's breaker as it is: cumulative count, no limit on probes, late results decide
# fails: success_resets, one_probe, some_probes, late_failure, late_result, is_failure
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

    async def call(self, op):
        now = asyncio.get_running_loop().time
        if self.state == "open":
            if now() - self.opened_at > self.recovery_time:
                self.state = "half_open"
            else:
                raise CircuitOpenError(self.opened_at + self.recovery_time - now())
        try:
            result = await op()
        except Exception:
            self.failures += 1
            if self.failures >= self.failure_threshold:
                self.state = "open"
                self.opened_at = now()
            raise
        if self.state == "half_open":
            self.state = "closed"
            self.failures = 0
        return result
