# Gives the missing cache entry as the cause, not the primary's failure
# fails: unavailable
class Fallback:
    def __init__(self, primary, *, primary_timeout=0.5, max_stale=300.0, on_degraded=lambda served: None):
        self.primary = primary
        self.primary_timeout = primary_timeout
        self.max_stale = max_stale
        self.on_degraded = on_degraded
        self.cache = {}  # key: value and when it came
        self.under_way = {}  # key: task

    async def get(self, key):
        task = self.under_way.get(key)
        if task is None:
            task = self.under_way[key] = asyncio.create_task(self._ask(key))
            task.add_done_callback(lambda _: self.under_way.pop(key))
        return await asyncio.shield(task)

    async def _ask(self, key):
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.primary_timeout):
                value = await self.primary(key)
        except NotFound:
            self.cache.pop(key, None)
            raise
        except Exception as error:
            if key not in self.cache:
                raise Unavailable(f"{key}: no answer, and none kept") from KeyError(key)
            value, since = self.cache[key]
            age = loop.time() - since
            if age > self.max_stale:
                raise Unavailable(f"{key}: no answer, and the one kept is {age:.0f} s old") from KeyError(key)
            served = Served(value, "cache", age, True)
            self.on_degraded(served)
            return served
        self.cache[key] = value, loop.time()
        return Served(value, "primary", 0.0, False)
