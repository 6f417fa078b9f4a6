import contextlib


class CircuitOpenError(Exception):
    def __init__(self, retry_after):
        super().__init__(f"open for another {retry_after:.1f} s")
        self.retry_after = retry_after


class CircuitBreaker:
    """Admits and records a call in one context manager around `await op()`."""

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
        self._most_failures, self._recovery, self._places = failure_threshold, recovery_time, half_open_max
        self._enough, self._counts = success_threshold, is_failure
        self._tell = on_state_change or (lambda old, new: None)
        self._generation, self._state, self._since, self._tally, self._probes = 0, "closed", None, 0, 0

    @property
    def state(self):
        if self._state == "open" and self._left() <= 0:
            self._go("half_open")
        return self._state

    def _left(self):
        return self._since + self._recovery - asyncio.get_running_loop().time()

    def _go(self, state):
        old, self._state = self._state, state
        self._since, self._tally, self._probes = asyncio.get_running_loop().time(), 0, 0
        self._generation += 1
        self._tell(old, state)

    @contextlib.contextmanager
    def _admitted(self):
        if self.state == "open":
            raise CircuitOpenError(self._left())
        if self.state == "half_open" and self._probes >= self._places:
            raise CircuitOpenError(1.0)
        mine = self._generation
        self._probes += 1
        try:
            yield
        except Exception as exc:
            self._judge(mine, not self._counts(exc))
            raise
        except BaseException:
            if mine == self._generation:
                self._probes -= 1
            raise
        else:
            self._judge(mine, True)

    def _judge(self, mine, good):
        if mine != self._generation:
            return
        self._probes -= 1
        if self._state == "half_open":
            self._tally += good
            if not good:
                self._go("open")
            elif self._tally >= self._enough:
                self._go("closed")
        else:
            self._tally = 0 if good else self._tally + 1
            if self._tally >= self._most_failures:
                self._go("open")

    async def call(self, op):
        with self._admitted():
            return await op()
