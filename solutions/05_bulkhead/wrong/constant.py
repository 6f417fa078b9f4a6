# Rejects every caller
# fails: limit, fifo, full, max_wait, op_timeout, permit_returns, cancelled_waiter, independent, chaos
class BulkheadFull(Exception):
    pass


class Bulkhead:
    def __init__(self, max_concurrent, *, max_queue=0, max_wait=None):
        self.active = self.waiting = 0
        self._limit, self._max_queue, self._max_wait = max_concurrent, max_queue, max_wait

    async def run(self, op):
        raise BulkheadFull("full")
