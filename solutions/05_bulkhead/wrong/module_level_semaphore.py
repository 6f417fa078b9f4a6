# One semaphore for the module: every new bulkhead replaces that of the others
# fails: independent
class BulkheadFull(Exception):
    pass


permits = None


class Bulkhead:
    def __init__(self, max_concurrent, *, max_queue=0, max_wait=None):
        self.active = 0
        self.waiting = 0
        global permits
        permits = asyncio.Semaphore(max_concurrent)
        self._max_queue = max_queue
        self._max_wait = max_wait

    async def run(self, op):
        if permits.locked() and self.waiting >= self._max_queue:
            raise BulkheadFull("the queue is full")
        self.waiting += 1
        try:
            async with asyncio.timeout(self._max_wait):
                await permits.acquire()
        except TimeoutError:
            raise BulkheadFull("waited too long") from None
        finally:
            self.waiting -= 1
        self.active += 1
        try:
            return await op()
        finally:
            self.active -= 1
            permits.release()
