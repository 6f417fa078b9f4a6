# A queue that holds the permits, and wait_for
class BulkheadFull(Exception):
    pass


class Bulkhead:
    def __init__(self, max_concurrent, *, max_queue=0, max_wait=None):
        self.max_concurrent, self.max_queue, self.max_wait = max_concurrent, max_queue, max_wait
        self.inside = 0
        self.waiting = 0
        self.gate = asyncio.Lock()
        self.tokens = asyncio.Queue()
        for number in range(max_concurrent):
            self.tokens.put_nowait(number)

    @property
    def active(self):
        return self.inside - self.waiting

    async def run(self, op):
        if self.inside >= self.max_concurrent + self.max_queue:
            raise BulkheadFull(f"{self.waiting} wait already")
        self.inside += 1
        try:
            token = await self.turn()
            try:
                return await op()
            finally:
                self.tokens.put_nowait(token)
        finally:
            self.inside -= 1

    async def turn(self):
        if self.waiting == 0 and not self.tokens.empty():
            return self.tokens.get_nowait()
        self.waiting += 1
        try:
            # Only the holder of the gate, the first in line, asks for a token, so no caller overtakes.
            async with asyncio.timeout(self.max_wait), self.gate:
                return await self.tokens.get()
        except TimeoutError:
            raise BulkheadFull("no token in time") from None
        finally:
            self.waiting -= 1
