# Waits by asking every 10 ms: chance decides which caller is next, and free permits lie idle
# fails: limit, fifo
class BulkheadFull(Exception):
    pass


class Bulkhead:
    def __init__(self, max_concurrent, *, max_queue=0, max_wait=None):
        self.active = self.waiting = 0
        self._limit, self._max_queue, self._max_wait = max_concurrent, max_queue, max_wait

    async def run(self, op):
        loop = asyncio.get_running_loop()
        if self.active >= self._limit:
            if self.waiting >= self._max_queue:
                raise BulkheadFull("the queue is full")
            self.waiting += 1
            until = loop.time() + (float("inf") if self._max_wait is None else self._max_wait)
            try:
                while self.active >= self._limit:
                    if loop.time() > until:
                        raise BulkheadFull("waited too long")
                    await asyncio.sleep(0.01)
            finally:
                self.waiting -= 1
        self.active += 1
        try:
            return await op()
        finally:
            self.active -= 1
