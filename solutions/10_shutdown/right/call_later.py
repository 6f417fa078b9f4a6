# The delay and the deadline are timers, and the end is a future
from types import SimpleNamespace


class GracefulServer:
    def __init__(self, handler, *, drain_timeout=10.0, readiness_delay=0.0, on_close=()):
        self.handler = handler
        self.drain_timeout = drain_timeout
        self.readiness_delay = readiness_delay
        self.on_close = list(on_close)
        self.ready = True
        self._accepting = True
        self._tasks = {}
        self._counts = [0, 0]
        self._report = None

    in_flight = property(lambda self: len(self._tasks))

    async def handle(self, request):
        if not self._accepting:
            raise Rejected("on its way out")
        task = asyncio.ensure_future(self.handler(request))
        self._tasks[task] = 0
        task.add_done_callback(self._ended)
        return await task

    def shutdown(self):
        if self._report is None:
            self.ready = False
            self._loop = asyncio.get_running_loop()
            self._began = self._loop.time()
            self._counts = [0, 0]
            self._report = self._loop.create_future()
            self._loop.call_later(self.readiness_delay, self._drain) if self.readiness_delay else self._drain()
        return self._report

    def _drain(self):
        self._accepting = False
        self._timer = self._loop.call_later(self.drain_timeout, self._cancel)
        self._look()

    def _cancel(self):
        for task in list(self._tasks):
            self._tasks[task] = 1
            task.cancel()

    def _ended(self, task):
        self._counts[self._tasks.pop(task)] += 1
        if not self._accepting:
            self._look()

    def _look(self):
        if not self._tasks:
            self._timer.cancel()
            self._closing = self._loop.create_task(self._close())

    async def _close(self):
        errors = []
        for close in reversed(self.on_close):
            try:
                await close()
            except Exception as error:
                errors.append(error)
        completed, cancelled = self._counts
        took = self._loop.time() - self._began
        self._report.set_result(
            SimpleNamespace(completed=completed, cancelled=cancelled, duration=took, close_errors=errors)
        )
