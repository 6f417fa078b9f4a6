class UserService:
    """Fetch users from a backend that may fail, hang or be slow; `handle` always has an answer."""

    def __init__(self, fetch, record, *, attempt_timeout=1.0, deadline=5.0, max_attempts=4, base=0.1, cap=1.0,
                 failure_threshold=5, recovery_time=30.0, max_concurrent=10, max_queue=0, rng=None):  # fmt: skip
        self.fetch, self.record = fetch, record
        self.attempt_timeout, self.deadline = attempt_timeout, deadline
        self.retrying = {"max_attempts": max_attempts, "base": base, "cap": cap, "rng": rng}
        self.bulkhead = Bulkhead(max_concurrent, max_queue=max_queue)
        self.breaker = CircuitBreaker(
            failure_threshold=failure_threshold,
            recovery_time=recovery_time,
            is_failure=lambda exc: not isinstance(exc, NotFound),
        )

    async def handle(self, user_id):
        """Return the answer for this user: `(status, body)`."""
        clock = asyncio.get_running_loop().time
        start = clock()
        status, body = await self._answer(user_id)
        self.record(clock() - start, status < 500)
        return status, body

    async def _answer(self, user_id):
        try:
            return 200, await asyncio.wait_for(retry(lambda: self._with_slot(user_id), **self.retrying), self.deadline)
        except NotFound:
            return 404, {"error": "no such user"}
        except CircuitOpenError as error:
            return 503, {"error": "the backend is failing", "retry_after": error.retry_after}
        except BulkheadFull:
            return 503, {"error": "too many requests at once", "retry_after": 1.0}
        except TimeoutError:
            return 504, {"error": "no answer in time"}
        except ConnectionError:
            return 502, {"error": "the backend can't be reached"}

    async def _with_slot(self, user_id):
        return await self.bulkhead.run(lambda: self.breaker.call(lambda: self._attempt(user_id)))

    async def _attempt(self, user_id):
        return await asyncio.wait_for(self.fetch(user_id), self.attempt_timeout)
