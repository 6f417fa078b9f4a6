# Numbered tickets: when permits are free, the holders of the lowest numbers are called
class BulkheadFull(Exception):
    pass


class Bulkhead:
    def __init__(self, max_concurrent, *, max_queue=0, max_wait=None):
        self.active = 0
        self._limit, self._max_queue, self._max_wait = max_concurrent, max_queue, max_wait
        self._tickets = {}
        self._next = 0

    @property
    def waiting(self):
        return len(self._tickets)

    async def run(self, op):
        if self.active < self._limit and not self._tickets:
            self.active += 1
        elif self.waiting < self._max_queue:
            await self._turn()
        else:
            raise BulkheadFull("the queue is full")
        try:
            return await op()
        finally:
            self.active -= 1
            self._call()

    async def _turn(self):
        self._next += 1
        ticket, called = self._next, asyncio.Event()
        self._tickets[ticket] = called
        try:
            await asyncio.wait_for(called.wait(), self._max_wait)
            self.active += 1
        except asyncio.TimeoutError:
            raise BulkheadFull("waited too long") from None
        finally:
            del self._tickets[ticket]
            self._call()

    def _call(self):
        free = max(0, self._limit - self.active)
        for ticket in sorted(self._tickets)[:free]:
            self._tickets[ticket].set()
