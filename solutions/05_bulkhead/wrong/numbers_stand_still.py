# `active` and `waiting` always say 0
# fails: limit, cancelled_waiter, independent
class BulkheadFull(Exception):
    pass


class Bulkhead:
    def __init__(self, max_concurrent, *, max_queue=0, max_wait=None):
        self.active = 0
        self.waiting = self._queued = 0
        self._permits = asyncio.Semaphore(max_concurrent)
        self._max_queue = max_queue
        self._max_wait = max_wait

    async def run(self, op):
        if self._permits.locked() and self._queued >= self._max_queue:
            raise BulkheadFull("the queue is full")
        self._queued += 1
        try:
            async with asyncio.timeout(self._max_wait):
                await self._permits.acquire()
        except TimeoutError:
            raise BulkheadFull("waited too long") from None
        finally:
            self._queued -= 1
        try:
            return await op()
        finally:
            self._permits.release()
