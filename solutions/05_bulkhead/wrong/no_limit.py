# Runs every call that comes, at once
# fails: limit, fifo, full, chaos
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
        self.active += 1
        try:
            return await op()
        finally:
            self.active -= 1
