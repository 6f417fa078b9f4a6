# wait_for around the semaphore, and counters that are set before the wait
class BulkheadFull(Exception):
    pass


class Bulkhead:
    def __init__(self, max_concurrent, *, max_queue=0, max_wait=None):
        self.active = self.waiting = 0
        self._limit, self._max_queue, self._max_wait = max_concurrent, max_queue, max_wait
        self._permits = asyncio.BoundedSemaphore(max_concurrent)
        self._inside = 0

    async def run(self, op):
        if self._inside >= self._limit + self._max_queue:
            raise BulkheadFull("the queue is full")
        self._inside += 1
        try:
            await self._acquire()
            try:
                self.active += 1
                return await op()
            finally:
                self.active -= 1
                self._permits.release()
        finally:
            self._inside -= 1

    async def _acquire(self):
        self.waiting += 1
        try:
            await asyncio.wait_for(self._permits.acquire(), self._max_wait)
        except asyncio.TimeoutError:
            raise BulkheadFull("waited too long") from None
        finally:
            self.waiting -= 1
