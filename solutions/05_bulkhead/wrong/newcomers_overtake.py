# A newcomer takes the permit that was just given back, before the waiter wakes
# fails: fifo
class BulkheadFull(Exception):
    pass


class Bulkhead:
    def __init__(self, max_concurrent, *, max_queue=0, max_wait=None):
        self.active = self.waiting = 0
        self._limit, self._max_queue, self._max_wait = max_concurrent, max_queue, max_wait
        self._free = asyncio.Condition()

    async def run(self, op):
        async with self._free:
            if self.active >= self._limit:
                if self.waiting >= self._max_queue:
                    raise BulkheadFull("the queue is full")
                self.waiting += 1
                try:
                    async with asyncio.timeout(self._max_wait):
                        await self._free.wait_for(lambda: self.active < self._limit)
                except TimeoutError:
                    raise BulkheadFull("waited too long") from None
                finally:
                    self.waiting -= 1
            self.active += 1
        try:
            return await op()
        finally:
            self.active -= 1
            async with self._free:
                self._free.notify()
