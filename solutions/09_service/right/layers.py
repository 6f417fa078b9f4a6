from functools import partial


def timed(seconds):
    async def layer(op):
        async with asyncio.timeout(seconds):
            return await op()

    return layer


class UserService:
    def __init__(self, fetch, record, *, attempt_timeout=1.0, deadline=5.0, max_attempts=4, base=0.1, cap=1.0,
                 failure_threshold=5, recovery_time=30.0, max_concurrent=10, max_queue=0, rng=None):  # fmt: skip
        self.fetch, self.record = fetch, record
        breaker = CircuitBreaker(
            failure_threshold=failure_threshold,
            recovery_time=recovery_time,
            is_failure=lambda exc: isinstance(exc, OSError),
        )
        self.layers = [
            timed(attempt_timeout),
            breaker.call,
            Bulkhead(max_concurrent, max_queue=max_queue).run,
            partial(retry, max_attempts=max_attempts, base=base, cap=cap, rng=rng),
            timed(deadline),
        ]

    async def handle(self, user_id):
        begin = asyncio.get_running_loop().time()
        op = partial(self.fetch, user_id)
        for layer in self.layers:
            op = partial(layer, op)
        try:
            answer = 200, await op()
        except NotFound as nobody:
            answer = 404, {"error": str(nobody)}
        except (CircuitOpenError, BulkheadFull) as rejected:
            answer = 503, {"error": str(rejected), "retry_after": getattr(rejected, "retry_after", 1)}
        except OSError as problem:
            answer = (504 if isinstance(problem, TimeoutError) else 502), {"error": repr(problem)}
        self.record(asyncio.get_running_loop().time() - begin, answer[0] < 500)
        return answer
