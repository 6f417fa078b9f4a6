# The counters belong to the class: each bulkhead counts the callers of all bulkheads
# fails: independent
class BulkheadFull(Exception):
    pass


class Bulkhead:
    active = 0
    waiting = 0

    def __init__(self, max_concurrent, *, max_queue=0, max_wait=None):
        self._permits = asyncio.Semaphore(max_concurrent)
        self._max_queue = max_queue
        self._max_wait = max_wait

    async def run(self, op):
        if self._permits.locked() and Bulkhead.waiting >= self._max_queue:
            raise BulkheadFull("the queue is full")
        Bulkhead.waiting += 1
        try:
            async with asyncio.timeout(self._max_wait):
                await self._permits.acquire()
        except TimeoutError:
            raise BulkheadFull("waited too long") from None
        finally:
            Bulkhead.waiting -= 1
        Bulkhead.active += 1
        try:
            return await op()
        finally:
            Bulkhead.active -= 1
            self._permits.release()
