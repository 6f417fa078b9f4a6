class TokenBucket:
    """The generic cell rate algorithm: it remembers until when the tokens given out are paid for."""

    def __init__(self, rate, burst):
        self.each, self.slack = 1 / rate, burst / rate
        self.paid = self.now()

    def now(self):
        return asyncio.get_running_loop().time()

    def due(self, n):
        return max(self.paid, self.now()) + n * self.each

    def try_acquire(self, n=1):
        due = self.due(n)
        if due - self.now() > self.slack:
            return False
        self.paid = due
        return True

    async def acquire(self, n=1):
        self.paid = self.due(n)
        await asyncio.sleep(self.paid - self.slack - self.now())
