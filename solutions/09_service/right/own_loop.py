class UserService:
    def __init__(self, fetch, record, *, attempt_timeout=1.0, deadline=5.0, max_attempts=4, base=0.1, cap=1.0,
                 failure_threshold=5, recovery_time=30.0, max_concurrent=10, max_queue=0, rng=None):  # fmt: skip
        self.fetch, self.record, self.attempt_timeout, self.deadline = fetch, record, attempt_timeout, deadline
        self.max_attempts, self.base, self.cap, self.rng = max_attempts, base, cap, rng or random.Random()
        self.bulkhead = Bulkhead(max_concurrent, max_queue=max_queue)
        self.breaker = CircuitBreaker(
            failure_threshold=failure_threshold,
            recovery_time=recovery_time,
            is_failure=lambda exc: isinstance(exc, ConnectionError | TimeoutError),
        )

    async def attempts(self, user_id):
        async def guarded():
            return await self.breaker.call(lambda: asyncio.wait_for(self.fetch(user_id), self.attempt_timeout))

        for number in range(self.max_attempts):
            if number:
                await asyncio.sleep(self.rng.random() * min(self.cap, self.base * 2 ** (number - 1)))
            try:
                return await self.bulkhead.run(guarded)
            except (ConnectionError, TimeoutError) as error:
                last = error
        raise last

    async def handle(self, user_id):
        import time

        before, answer = time.monotonic(), None
        try:
            answer = 200, await asyncio.wait_for(self.attempts(user_id), self.deadline)
        except (NotFound, CircuitOpenError, BulkheadFull, TimeoutError, ConnectionError) as error:
            kinds = {NotFound: 404, CircuitOpenError: 503, BulkheadFull: 503, TimeoutError: 504, ConnectionError: 502}
            status = next(status for kind, status in kinds.items() if isinstance(error, kind))
            answer = status, {"error": str(error), "retry_after": getattr(error, "retry_after", 0)}
        finally:
            if answer:
                self.record(time.monotonic() - before, answer[0] < 500)
        return answer
