# The last one in the queue runs first
# fails: fifo
class BulkheadFull(Exception):
    pass


class Bulkhead:
    def __init__(self, max_concurrent, *, max_queue=0, max_wait=None):
        self.active = self.waiting = 0
        self._limit, self._max_queue, self._max_wait = max_concurrent, max_queue, max_wait
        self._queue = []

    async def run(self, op):
        if self.active < self._limit and not self._queue:
            self.active += 1
        elif self.waiting >= self._max_queue:
            raise BulkheadFull("the queue is full")
        else:
            turn = asyncio.get_running_loop().create_future()
            self._queue.append(turn)
            self.waiting += 1
            try:
                async with asyncio.timeout(self._max_wait):
                    await turn
            except BaseException as error:
                if turn in self._queue:
                    self._queue.remove(turn)
                if turn.done() and not turn.cancelled():
                    self._leave()
                if isinstance(error, TimeoutError):
                    raise BulkheadFull("waited too long") from None
                raise
            finally:
                self.waiting -= 1
        try:
            return await op()
        finally:
            self._leave()

    def _leave(self):
        self.active -= 1
        if self._queue:
            self.active += 1
            self._queue.pop().set_result(None)
