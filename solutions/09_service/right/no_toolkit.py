class UserService:
    """Do without the toolkit: one loop, a count of slots, a breaker of five fields."""

    def __init__(self, fetch, record, *, attempt_timeout=1.0, deadline=5.0, max_attempts=4, base=0.1, cap=1.0,
                 failure_threshold=5, recovery_time=30.0, max_concurrent=10, max_queue=0, rng=None):  # fmt: skip
        self.fetch, self.record, self.attempt_timeout, self.deadline = fetch, record, attempt_timeout, deadline
        self.max_attempts, self.base, self.cap, self.rng = max_attempts, base, cap, rng or random.Random()
        self.failure_threshold, self.recovery_time = failure_threshold, recovery_time
        self.room, self.slots = max_concurrent + max_queue, asyncio.Semaphore(max_concurrent)
        self.inside = self.failures = self.period = 0
        self.opened, self.probing = None, False

    async def attempt(self, user_id):
        if self.inside >= self.room:
            return 503, {"retry_after": 1}
        self.inside += 1
        try:
            async with self.slots:
                return await self.admitted(user_id)
        finally:
            self.inside -= 1

    async def admitted(self, user_id):
        probe = self.opened is not None
        if probe:
            left = self.opened + self.recovery_time - asyncio.get_running_loop().time()
            if left > 0 or self.probing:
                return 503, {"retry_after": max(left, 0)}
            self.probing = True
        period = self.period
        try:
            async with asyncio.timeout(self.attempt_timeout):
                found = 200, await self.fetch(user_id)
        except NotFound:
            found = 404, None
        except TimeoutError:
            found = 504, None
        except ConnectionError:
            found = 502, None
        finally:
            if probe:
                self.probing = False
        if period == self.period:
            self.verdict(found[0] < 500, probe)
        return found

    def verdict(self, good, probe):
        self.failures = 0 if good else self.failures + 1
        if good and probe:
            self.opened, self.period = None, self.period + 1
        elif not good and (probe or self.failures >= self.failure_threshold):
            self.opened, self.period, self.failures = asyncio.get_running_loop().time(), self.period + 1, 0

    async def handle(self, user_id):
        begin = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self.deadline):
                answer = await self.attempt(user_id)
                for n in range(self.max_attempts - 1):
                    if answer[0] not in (502, 504):
                        break
                    await asyncio.sleep(self.rng.uniform(0, min(self.cap, self.base * 2**n)))
                    answer = await self.attempt(user_id)
        except TimeoutError:
            answer = 504, None
        self.record(asyncio.get_running_loop().time() - begin, answer[0] < 500)
        return answer
