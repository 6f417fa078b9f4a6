# Starts with an empty bucket
# fails: burst, waits
class TokenBucket:
    def __init__(self, rate, burst):
        self.rate, self.burst = rate, burst
        self.tokens, self.looked = 0, asyncio.get_running_loop().time()
        self.turn = asyncio.Lock()

    def try_acquire(self, n=1):
        now = asyncio.get_running_loop().time()
        self.tokens = min(self.burst, self.tokens + (now - self.looked) * self.rate)
        self.looked = now
        if self.tokens < n:
            return False
        self.tokens -= n
        return True

    async def acquire(self, n=1):
        async with self.turn:
            if not self.try_acquire(n):
                await asyncio.sleep((n - self.tokens) / self.rate)
                self.tokens, self.looked = 0, asyncio.get_running_loop().time()
