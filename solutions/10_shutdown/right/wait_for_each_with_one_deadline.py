# Waits for each request in turn, each time for the rest of the one deadline
class GracefulServer:
    def __init__(self, handler, *, drain_timeout=10.0, readiness_delay=0.0, on_close=()):
        self.handler = handler
        self.drain_timeout = drain_timeout
        self.readiness_delay = readiness_delay
        self.on_close = tuple(on_close)
        self.ready = True
        self._accepting = True
        self._tasks = set()
        self._over = 0
        self._leaving = None

    @property
    def in_flight(self):
        return len(self._tasks)

    async def handle(self, request):
        if not self._accepting:
            raise Rejected("shutting down")
        task = asyncio.ensure_future(self.handler(request))
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return await task

    def _ended(self, task):
        self._tasks.discard(task)
        self._over += 1

    def shutdown(self):
        self.ready = False
        if self._leaving is None:
            self._leaving = asyncio.create_task(self._leave())
        return asyncio.shield(self._leaving)

    async def _leave(self):
        clock = asyncio.get_running_loop().time
        began, before = clock(), self._over
        if self.readiness_delay:
            await asyncio.sleep(self.readiness_delay)
        self._accepting = False
        cancelled = await self._drain()
        completed = self._over - before - cancelled
        errors = []
        for close in reversed(self.on_close):
            try:
                await close()
            except Exception as error:
                errors.append(error)
        return SimpleNamespace(completed=completed, cancelled=cancelled, duration=clock() - began, close_errors=errors)

    async def _drain(self):
        deadline = asyncio.get_running_loop().time() + self.drain_timeout
        late = []
        for task in list(self._tasks):
            left = max(0.0, deadline - asyncio.get_running_loop().time())
            if (await asyncio.wait({task}, timeout=left))[1]:
                late.append(task)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        return len(late)
