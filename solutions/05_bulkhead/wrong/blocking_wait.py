# Waits with time.sleep, which stops every task
# fails: limit, fifo
class BulkheadFull(Exception):
    pass


class Bulkhead:
    def __init__(self, max_concurrent, *, max_queue=0, max_wait=None):
        self.active = self.waiting = 0
        self._limit, self._max_queue, self._max_wait = max_concurrent, max_queue, max_wait

    async def run(self, op):
        import time

        if self.active >= self._limit and self.waiting >= self._max_queue:
            raise BulkheadFull("the queue is full")
        self.waiting += 1
        for _ in range(20):
            if self.active < self._limit:
                break
            time.sleep(0.1)
        self.waiting -= 1
        if self.active >= self._limit:
            raise BulkheadFull("waited too long")
        self.active += 1
        try:
            return await op()
        finally:
            self.active -= 1
