# anyio's CapacityLimiter, with a borrower of its own for each call
import anyio


class BulkheadFull(Exception):
    pass


class Bulkhead:
    def __init__(self, max_concurrent, *, max_queue=0, max_wait=None):
        self._limiter = anyio.CapacityLimiter(max_concurrent)
        self._max_queue = max_queue
        self._max_wait = float("inf") if max_wait is None else max_wait

    @property
    def active(self):
        return self._limiter.borrowed_tokens

    @property
    def waiting(self):
        return self._limiter.statistics().tasks_waiting

    async def run(self, op):
        caller = object()
        try:
            self._limiter.acquire_on_behalf_of_nowait(caller)
        except anyio.WouldBlock:
            if self.waiting >= self._max_queue:
                raise BulkheadFull("the queue is full") from None
            with anyio.move_on_after(self._max_wait) as scope:
                await self._limiter.acquire_on_behalf_of(caller)
            if scope.cancelled_caught:
                raise BulkheadFull("waited too long") from None
        try:
            return await op()
        finally:
            self._limiter.release_on_behalf_of(caller)
