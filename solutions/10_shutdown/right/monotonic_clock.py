# Reads time.monotonic, keeps a dataclass of counts, and counts only what it found after the delay
import time
from dataclasses import dataclass, field


@dataclass
class Report:
    completed: int = 0
    cancelled: int = 0
    duration: float = 0.0
    close_errors: list = field(default_factory=list)


class GracefulServer:
    def __init__(self, handler, *, drain_timeout=10.0, readiness_delay=0.0, on_close=()):
        self.handler = handler
        self.drain_timeout = drain_timeout
        self.readiness_delay = readiness_delay
        self.on_close = list(on_close)
        self.ready = True
        self.tasks = set()
        self.rejecting = False
        self.leaving = None

    @property
    def in_flight(self):
        return len(self.tasks)

    async def handle(self, request):
        if self.rejecting:
            raise Rejected()
        task = asyncio.ensure_future(self.handler(request))
        self.tasks.add(task)
        try:
            return await task
        finally:
            self.tasks.discard(task)

    def shutdown(self):
        if self.leaving is None:
            self.ready = False
            self.leaving = asyncio.ensure_future(self._leave(time.monotonic()))
        return self.leaving

    async def _leave(self, began):
        report = Report()
        if self.readiness_delay:
            await asyncio.sleep(self.readiness_delay)
        self.rejecting = True
        if self.tasks:
            done, late = await asyncio.wait(self.tasks, timeout=self.drain_timeout)
            report.completed, report.cancelled = len(done), len(late)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for close in reversed(self.on_close):
            try:
                await close()
            except Exception as error:
                report.close_errors.append(error)
        report.duration = time.monotonic() - began
        return report
