class Fallback:
    """Gives each waiting caller a future; the call runs in the background and sets them all."""

    def __init__(self, primary, *, primary_timeout=0.5, max_stale=300.0, on_degraded=lambda served: None):
        self.primary, self.limit, self.max_stale, self.on_degraded = primary, primary_timeout, max_stale, on_degraded
        self.values, self.times, self.waiting, self.running = {}, {}, {}, set()

    def get(self, key):
        return self.join(key)

    async def join(self, key):
        mine = asyncio.get_running_loop().create_future()
        first = key not in self.waiting
        self.waiting.setdefault(key, []).append(mine)
        if first:
            task = asyncio.create_task(self.ask(key))
            self.running.add(task)
            task.add_done_callback(self.running.discard)
        return await mine

    async def ask(self, key):
        result, failure = None, None
        try:
            result = await self.decide(key)
        except Exception as error:
            failure = error
        for one in self.waiting.pop(key):
            if one.done():
                continue
            if failure is None:
                one.set_result(result)
            else:
                one.set_exception(failure)

    async def decide(self, key):
        now = asyncio.get_running_loop().time
        asked = now()
        try:
            async with asyncio.timeout_at(asked + self.limit):
                value = await self.primary(key)
        except Exception as error:
            if isinstance(error, NotFound):
                self.values.pop(key, None)
                raise
            if key in self.values and now() - self.times[key] <= self.max_stale:
                served = Served(self.values[key], "cache", now() - self.times[key], True)
                self.on_degraded(served)
                return served
            raise Unavailable(f"no answer for {key}") from error
        self.values[key], self.times[key] = value, asked
        return Served(value=value, source="primary", age=now() - asked, degraded=False)
