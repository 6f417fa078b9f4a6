class CircuitOpenError(Exception):
    def __init__(self, retry_after):
        super().__init__(f"open for another {retry_after:.1f} s")
        self.retry_after = retry_after


class Period:
    """One period with its counters; each call keeps the period that let it through."""

    def __init__(self, name, places=None):
        self.name, self.began = name, asyncio.get_running_loop().time()
        self.places = None if places is None else asyncio.Semaphore(places)
        self.failures = self.successes = 0


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
        self.period = None

    @property
    def state(self):
        return "closed" if self.period is None else self.period.name

    def _start(self, name):
        old = self.state
        self.period = Period(name, self.half_open_max if name == "half_open" else None)
        if self.on_state_change:
            self.on_state_change(old, name)

    async def call(self, op):
        if self.period is None:
            self.period = Period("closed")
        if self.period.name == "open":
            left = self.period.began + self.recovery_time - asyncio.get_running_loop().time()
            if left > 0:
                raise CircuitOpenError(retry_after=left)
            self._start("half_open")
        period = self.period
        if period.places is None:
            return await self._watched(period, op)
        if period.places.locked():
            raise CircuitOpenError(retry_after=0.5)
        async with period.places:
            return await self._watched(period, op)

    async def _watched(self, period, op):
        failed = False
        try:
            return await op()
        except asyncio.CancelledError:
            period = None
            raise
        except BaseException as exc:
            failed = self.is_failure(exc)
            raise
        finally:
            if period is self.period:
                self._count(period, failed)

    def _count(self, period, failed):
        if failed:
            period.failures += 1
            if period.name == "half_open" or period.failures >= self.failure_threshold:
                self._start("open")
        else:
            period.failures = 0
            period.successes += 1
            if period.name == "half_open" and period.successes >= self.success_threshold:
                self._start("closed")
