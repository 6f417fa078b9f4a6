# A Condition that is notified of every end
import dataclasses


@dataclasses.dataclass
class Report:
    completed: int = 0
    cancelled: int = 0
    duration: float = 0.0
    close_errors: list = dataclasses.field(default_factory=list)


class GracefulServer:
    def __init__(self, handler, *, drain_timeout=10.0, readiness_delay=0.0, on_close=()):
        self.handler = handler
        self.drain_timeout = drain_timeout
        self.readiness_delay = readiness_delay
        self.on_close = list(on_close)
        self.ready = True
        self._gone = False
        self._running = {}
        self._changed = asyncio.Condition()
        self._report = None
        self._state = "open"

    @property
    def in_flight(self):
        return len(self._running)

    async def handle(self, request):
        if self._gone:
            raise Rejected("gone")
        task = asyncio.create_task(self._run(request))
        self._running[task] = False
        task.add_done_callback(self._forget)
        return await task

    async def _run(self, request):
        return await self.handler(request)

    def _forget(self, task):
        cancelled = self._running.pop(task)
        if self._report is not None:
            if cancelled:
                self._report.cancelled += 1
            else:
                self._report.completed += 1
        self._told = asyncio.create_task(self._tell())

    async def _tell(self):
        async with self._changed:
            self._changed.notify_all()

    async def _until(self, true):
        async with self._changed:
            await self._changed.wait_for(true)

    async def shutdown(self):
        self.ready = False
        if self._report is None:
            self._report = Report()
            start = asyncio.get_running_loop().time()
            if self.readiness_delay > 0:
                await asyncio.sleep(self.readiness_delay)
            self._gone = True
            try:
                await asyncio.wait_for(self._until(lambda: not self._running), self.drain_timeout)
            except TimeoutError:
                for task in self._running:
                    self._running[task] = True
                    task.cancel()
                await self._until(lambda: not self._running)
            while self.on_close:
                try:
                    await self.on_close.pop()()
                except Exception as error:
                    self._report.close_errors.append(error)
            self._report.duration = asyncio.get_running_loop().time() - start
            self._state = "closed"
            await self._tell()
        await self._until(lambda: self._state == "closed")
        return self._report
