# A cancelled waiter gives back a permit that it never had
# fails: cancelled_waiter, chaos
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
        counted = True
        try:
            try:
                async with asyncio.timeout(self._max_wait):
                    await self._permits.acquire()
            except TimeoutError:
                self._permits._value -= 1
                raise BulkheadFull("waited too long") from None
            finally:
                self.waiting -= 1
                counted = False
            self.active += 1
            counted = True
            return await op()
        finally:
            self.active -= counted
            self._permits.release()
