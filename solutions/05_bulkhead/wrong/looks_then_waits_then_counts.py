# Checks that there is room, lets other tasks run, and only then takes the place
# fails: full, chaos
class BulkheadFull(Exception):
    pass


class Bulkhead:
    def __init__(self, max_concurrent, *, max_queue=0, max_wait=None):
        self.active = 0
        self.waiting = 0
        self._limit = max_concurrent
        self._max_queue = max_queue
        self._max_wait = max_wait

    async def run(self, op):
        full = self.active >= self._limit and self.waiting >= self._max_queue
        await asyncio.sleep(0)
        if full:
            raise BulkheadFull("the queue is full")
        self.active += 1
        while self.active > self._limit:
            self.active -= 1
            self.waiting += 1
            await asyncio.sleep(0.001)
            self.waiting -= 1
            self.active += 1
        try:
            return await op()
        finally:
            self.active -= 1
