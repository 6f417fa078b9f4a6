import time


class TokenBucket:
    def __init__(self, rate, burst):
        self.rate = rate
        self.burst = burst
        self.tokens = burst
        self.at = time.monotonic()

    def fill(self):
        at = time.monotonic()
        self.tokens = min(self.burst, self.tokens + self.rate * (at - self.at))
        self.at = at

    def try_acquire(self, n=1):
        self.fill()
        enough = self.tokens >= n
        self.tokens -= n if enough else 0
        return enough

    async def acquire(self, n=1):
        """Take the tokens at once, below zero if need be, and wait until the debt is paid."""
        self.fill()
        self.tokens -= n
        if self.tokens < 0:
            await asyncio.sleep(-self.tokens / self.rate)
