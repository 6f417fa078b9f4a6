import time


class Fallback:
    """Shares only the primary's call: each caller looks into the cache and reports by itself."""

    def __init__(self, primary, *, primary_timeout=0.5, max_stale=300.0, on_degraded=None):
        self._primary, self._timeout, self._max_stale = primary, primary_timeout, max_stale
        self._tell = on_degraded or (lambda served: None)
        self._kept, self._tasks = {}, {}

    async def _call(self, key):
        try:
            value = await asyncio.wait_for(self._primary(key), self._timeout)
            self._kept[key] = (time.monotonic(), value)
            return value
        finally:
            del self._tasks[key]

    async def get(self, key):
        if key not in self._tasks:
            self._tasks[key] = asyncio.ensure_future(self._call(key))
        task = self._tasks[key]
        await asyncio.wait([task])
        failure = task.exception()
        if failure is None:
            return Served(task.result(), "primary", 0, False)
        if isinstance(failure, NotFound):
            self._kept.pop(key, None)
            raise failure
        if not isinstance(failure, Exception):
            raise failure
        then, value = self._kept.get(key, (-math.inf, None))
        age = time.monotonic() - then
        if age > self._max_stale:
            raise Unavailable(key) from failure
        served = Served(value, "cache", age, True)
        self._tell(served)
        return served
