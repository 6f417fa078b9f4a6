class CircuitOpenError(Exception):
    def __init__(self, retry_after):
        super().__init__(f"open for another {retry_after:.1f} s")
        self.retry_after = retry_after


class CircuitBreaker:
    """Counts all probes in flight, of earlier recoveries too; ignores the results of those."""

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
        self.limits = failure_threshold, recovery_time, half_open_max, success_threshold
        self.is_failure, self.on_state_change = is_failure, on_state_change
        self.state = "closed"
        self.period = self.count = self.probes = 0

    def turn(self, state):
        old, self.state, self.count = self.state, state, 0
        self.period += 1
        self.since = asyncio.get_running_loop().time()
        if self.on_state_change:
            self.on_state_change(old, state)

    async def call(self, op):
        _, recovery, most, _ = self.limits
        if self.state == "open":
            left = self.since + recovery - asyncio.get_running_loop().time()
            if left > 0:
                raise CircuitOpenError(left)
            self.turn("half_open")
        probe, period = self.state == "half_open", self.period
        if probe and self.probes >= most:
            raise CircuitOpenError(0.0)
        self.probes += probe
        try:
            result = await op()
        except Exception as exc:
            self.judge(period, probe, not self.is_failure(exc))
            raise
        else:
            self.judge(period, probe, True)
            return result
        finally:
            self.probes -= probe

    def judge(self, period, probe, good):
        threshold, _, _, enough = self.limits
        if period != self.period:
            return
        self.count = self.count + 1 if good is probe else 0
        if probe and not good:
            self.turn("open")
        elif self.count >= (enough if probe else threshold):
            self.turn("closed" if probe else "open")
