# Lets a caller that wants few tokens overtake one that waits for many
# fails: waits
class TokenBucket:
    def __init__(self, rate, burst):
        self.rate, self.burst = rate, burst
        self.tokens, self.looked = burst, asyncio.get_running_loop().time()

    def try_acquire(self, n=1):
        now = asyncio.get_running_loop().time()
        self.tokens = min(self.burst, self.tokens + (now - self.looked) * self.rate)
        self.looked = now
        if self.tokens < n:
            return False
        self.tokens -= n
        return True

    async def acquire(self, n=1):
        while not self.try_acquire(n):
            await asyncio.sleep((n - self.tokens) / self.rate + 1e-6)
