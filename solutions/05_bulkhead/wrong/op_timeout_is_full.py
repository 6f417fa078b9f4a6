# Treats a TimeoutError of op as its own, and raises BulkheadFull
# fails: op_timeout
class BulkheadFull(Exception):
    pass


class Bulkhead:
    def __init__(self, max_concurrent, *, max_queue=0, max_wait=None):
        self.active = 0
        self.waiting = 0
        self._permits = asyncio.Semaphore(max_concurrent)
        self._max_queue = max_queue
        self._max_wait = max_wait

    async def run(self, op):
        if self._permits.locked() and self.waiting >= self._max_queue:
            raise BulkheadFull("the queue is full")
        self.waiting += 1
        entered = False
        try:
            async with asyncio.timeout(self._max_wait) as limit:
                await self._permits.acquire()
                limit.reschedule(None)
            entered = True
            self.waiting -= 1
            self.active += 1
            try:
                return await op()
            finally:
                self.active -= 1
                self._permits.release()
        except TimeoutError:
            raise BulkheadFull("waited too long") from None
        finally:
            if not entered:
                self.waiting -= 1
