from collections import deque


class TokenBucket:
    def __init__(self, rate, burst):
        self.loop = asyncio.get_running_loop()
        self.rate, self.burst = rate, burst
        self.empty_at = self.loop.time() - burst / rate
        self.queue = deque()

    def held(self):
        now = self.loop.time()
        self.empty_at = max(self.empty_at, now - self.burst / self.rate)
        return (now - self.empty_at) * self.rate

    def try_acquire(self, n=1):
        if self.held() < n:
            return False
        self.empty_at += n / self.rate
        return True

    async def acquire(self, n=1):
        turn = self.loop.create_future()
        self.queue.append((n, turn))
        if len(self.queue) == 1:
            self.serve()
        await turn

    def serve(self):
        while self.queue:
            n, turn = self.queue[0]
            missing = n - self.held()
            if missing > 1e-6:
                self.loop.call_later(missing / self.rate, self.serve)
                return
            self.empty_at += n / self.rate
            self.queue.popleft()
            turn.set_result(None)
