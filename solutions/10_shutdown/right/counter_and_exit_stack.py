# A counter with an Event, the hooks on an AsyncExitStack, the clients' own tasks
import collections
import contextlib

Report = collections.namedtuple("Report", "completed cancelled duration close_errors")


class GracefulServer:
    def __init__(self, handler, *, drain_timeout=10.0, readiness_delay=0.0, on_close=()):
        self.handler = handler
        self.drain_timeout = drain_timeout
        self.readiness_delay = readiness_delay
        self.on_close = list(on_close)
        self.ready = True
        self.in_flight = 0
        self._open = True
        self._clients = {}
        self._ended = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._report = None

    async def handle(self, request):
        if not self._open:
            raise Rejected("closing")
        key = object()
        self._clients[key] = asyncio.current_task()
        self.in_flight += 1
        self._idle.clear()
        try:
            return await self.handler(request)
        finally:
            del self._clients[key]
            self.in_flight -= 1
            self._ended += 1
            if not self.in_flight:
                self._idle.set()

    async def shutdown(self):
        self.ready = False
        if self._report is None:
            self._report = asyncio.get_running_loop().create_future()
            self._report.set_result(await self._stop()) if not self._report.done() else None
        return await asyncio.shield(self._report)

    async def _stop(self):
        loop = asyncio.get_running_loop()
        start, before = loop.time(), self._ended
        await asyncio.sleep(self.readiness_delay)
        self._open = False
        late = []
        try:
            async with asyncio.timeout(self.drain_timeout):
                await self._idle.wait()
        except TimeoutError:
            late = list(self._clients.values())
            for task in late:
                task.cancel()
            await self._idle.wait()
        errors = []
        async with contextlib.AsyncExitStack() as stack:
            for close in self.on_close:
                stack.push_async_callback(self._close, close, errors)
        return Report(self._ended - before - len(late), len(late), loop.time() - start, errors)

    async def _close(self, close, errors):
        try:
            await close()
        except Exception as error:
            errors.append(error)
