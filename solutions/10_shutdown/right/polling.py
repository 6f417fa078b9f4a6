# A loop that looks every 10 ms
class Report:
    completed = cancelled = 0
    duration = 0.0

    def __init__(self):
        self.close_errors = []


class GracefulServer:
    def __init__(self, handler, *, drain_timeout=10.0, readiness_delay=0.0, on_close=()):
        self.handler = handler
        self.drain_timeout = drain_timeout
        self.readiness_delay = readiness_delay
        self.on_close = list(on_close)
        self.ready = True
        self.accepting = True
        self.tasks = []
        self.report = None
        self.done = False

    @property
    def in_flight(self):
        return sum(not task.done() for task in self.tasks)

    async def handle(self, request):
        if not self.accepting:
            raise Rejected
        task = asyncio.ensure_future(self.handler(request))
        self.tasks.append(task)
        return await task

    async def shutdown(self):
        if self.report is not None:
            while not self.done:
                await asyncio.sleep(0.01)
            return self.report
        self.report = Report()
        self.ready = False
        clock = asyncio.get_running_loop().time
        start = clock()
        known = [task for task in self.tasks if not task.done()]
        while clock() - start < self.readiness_delay:
            await asyncio.sleep(0.01)
        self.accepting = False
        known += [task for task in self.tasks if not task.done() and task not in known]
        drain_start = clock()
        while self.in_flight and clock() - drain_start < self.drain_timeout:
            await asyncio.sleep(0.01)
        late = [task for task in self.tasks if not task.done()]
        for task in late:
            task.cancel()
        while self.in_flight:
            await asyncio.sleep(0.01)
        self.report.cancelled = len(late)
        self.report.completed = len(known) - len(late)
        for close in self.on_close[::-1]:
            try:
                await close()
            except Exception as error:
                self.report.close_errors.append(error)
        self.report.duration = clock() - start
        self.done = True
        return self.report
