# A permit on its way to a waiter is lost when that waiter is cancelled before it wakes
# fails: chaos
from collections import deque


class BulkheadFull(Exception):
    """No permit is free, and the queue has no place."""


class Bulkhead:
    def __init__(self, max_concurrent, *, max_queue=0, max_wait=None):
        self.active = self.waiting = 0
        self._limit, self._max_queue, self._max_wait = max_concurrent, max_queue, max_wait
        self._queue = deque()

    async def run(self, op):
        if self.active < self._limit:
            self.active += 1
        elif self.waiting >= self._max_queue:
            raise BulkheadFull("the queue is full")
        else:
            await self._turn()
        try:
            return await op()
        finally:
            self._leave()

    async def _turn(self):
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        self.waiting += 1
        try:
            async with asyncio.timeout(self._max_wait):
                await turn
        except TimeoutError:
            raise BulkheadFull("waited too long") from None
        finally:
            if turn in self._queue:
                self._queue.remove(turn)
                self.waiting -= 1

    def _leave(self):
        if self._queue:
            self.waiting -= 1
            self._queue.popleft().set_result(None)
        else:
            self.active -= 1
