# Waits in a loop without letting time pass
# fails: limit, fifo
class BulkheadFull(Exception):
    pass


class Bulkhead:
    def __init__(self, max_concurrent, *, max_queue=0, max_wait=None):
        self.active = self.waiting = 0
        self._limit, self._max_queue, self._max_wait = max_concurrent, max_queue, max_wait

    async def run(self, op):
        if self.active >= self._limit and self.waiting >= self._max_queue:
            raise BulkheadFull("the queue is full")
        self.waiting += 1
        while self.active >= self._limit:
            await asyncio.sleep(0)
        self.waiting -= 1
        self.active += 1
        try:
            return await op()
        finally:
            self.active -= 1
