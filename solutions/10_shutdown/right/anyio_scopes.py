# anyio: a cancel scope for each request, and move_on_after for the deadline
from types import SimpleNamespace

import anyio


class GracefulServer:
    def __init__(self, handler, *, drain_timeout=10.0, readiness_delay=0.0, on_close=()):
        self.handler = handler
        self.drain_timeout = drain_timeout
        self.readiness_delay = readiness_delay
        self.on_close = list(on_close)
        self.ready = True
        self._accepting = True
        self._tasks = set()
        self._over = 0
        self._idle = anyio.Event()
        self._closed = None
        self._report = None

    @property
    def in_flight(self):
        return len(self._tasks)

    async def handle(self, request):
        if not self._accepting:
            raise Rejected("leaving")
        task = asyncio.ensure_future(self.handler(request))
        self._tasks.add(task)
        try:
            return await task
        finally:
            self._tasks.discard(task)
            self._over += 1
            if not self._tasks:
                self._idle.set()
                self._idle = anyio.Event()

    async def shutdown(self):
        if self._closed is not None:
            await self._closed.wait()
            return self._report
        self._closed = anyio.Event()
        self.ready = False
        began, before, errors, late = anyio.current_time(), self._over, [], []
        await anyio.sleep(self.readiness_delay)
        self._accepting = False
        with anyio.move_on_after(self.drain_timeout):
            while self._tasks:
                await self._idle.wait()
        for task in list(self._tasks):
            task.cancel()
            late.append(task)
        while self._tasks:
            await self._idle.wait()
        for close in reversed(self.on_close):
            try:
                await close()
            except Exception as error:
                errors.append(error)
        self._report = SimpleNamespace(
            completed=self._over - before - len(late),
            cancelled=len(late),
            duration=anyio.current_time() - began,
            close_errors=errors,
        )
        self._closed.set()
        return self._report
