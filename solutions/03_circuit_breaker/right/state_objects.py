class CircuitOpenError(Exception):
    def __init__(self, retry_after):
        super().__init__(f"open for another {retry_after:.1f} s")
        self.retry_after = retry_after


class Closed:
    name = "closed"

    def __init__(self, breaker):
        self.breaker, self.failures = breaker, 0

    def admit(self):
        pass

    def leave(self):
        pass

    def succeeded(self):
        self.failures = 0

    def failed(self):
        self.failures += 1
        if self.failures >= self.breaker.failure_threshold:
            self.breaker.become(Open)


class Open:
    name = "open"

    def __init__(self, breaker):
        self.breaker, self.until = breaker, asyncio.get_running_loop().time() + breaker.recovery_time

    def admit(self):
        left = self.until - asyncio.get_running_loop().time()
        if left > 0:
            raise CircuitOpenError(left)
        self.breaker.become(HalfOpen)
        self.breaker.now.admit()


class HalfOpen:
    name = "half_open"

    def __init__(self, breaker):
        self.breaker, self.free, self.good = breaker, breaker.half_open_max, 0

    def admit(self):
        if not self.free:
            raise CircuitOpenError(self.breaker.recovery_time)
        self.free -= 1

    def leave(self):
        self.free += 1

    def succeeded(self):
        self.good += 1
        if self.good >= self.breaker.success_threshold:
            self.breaker.become(Closed)

    def failed(self):
        self.breaker.become(Open)


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
        self.failure_threshold, self.recovery_time = failure_threshold, recovery_time
        self.half_open_max, self.success_threshold = half_open_max, success_threshold
        self.is_failure, self.on_state_change = is_failure, on_state_change
        self.now = Closed(self)

    @property
    def state(self):
        return self.now.name

    def become(self, kind):
        old, self.now = self.now, kind(self)
        if self.on_state_change is not None:
            self.on_state_change(old.name, self.now.name)

    async def call(self, op):
        self.now.admit()
        admitted_by = self.now
        try:
            result = await op()
        except Exception as exc:
            if admitted_by is self.now:
                self.now.failed() if self.is_failure(exc) else self.now.succeeded()
            raise
        else:
            if admitted_by is self.now:
                self.now.succeeded()
            return result
        finally:
            admitted_by.leave()
