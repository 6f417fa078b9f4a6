class Fallback:
    """Keeps a record and an event for each call: a waiter takes what the call wrote into the record."""

    def __init__(self, primary, *, primary_timeout=0.5, max_stale=300.0, on_degraded=lambda served: None):
        self.primary, self.primary_timeout = primary, primary_timeout
        self.max_stale, self.on_degraded = max_stale, on_degraded
        self.cache, self.calls = {}, {}

    async def get(self, key):
        call = self.calls.get(key)
        if call is None:
            call = self.calls[key] = {"done": asyncio.Event()}
            call["task"] = asyncio.create_task(self.fill(key, call))
        await call["done"].wait()
        if "error" in call:
            if isinstance(call["error"], NotFound):
                raise NotFound(*call["error"].args)
            return self.from_cache(key, call["error"])
        return call["served"]

    async def fill(self, key, call):
        try:
            task = asyncio.ensure_future(self.primary(key))
            done, _ = await asyncio.wait([task], timeout=self.primary_timeout)
            if not done:
                task.cancel()
                raise TimeoutError(f"{key}: not within {self.primary_timeout} s")
            value = task.result()
        except NotFound as error:
            self.cache.pop(key, None)
            call["error"] = error
        except Exception as error:
            call["error"] = error
        else:
            self.cache[key] = (value, asyncio.get_running_loop().time())
            call["served"] = Served(value, "primary", 0.0, False)
        del self.calls[key]
        call["done"].set()

    def from_cache(self, key, error):
        value, since = self.cache.get(key, (None, None))
        if since is not None:
            age = asyncio.get_running_loop().time() - since
            if age <= self.max_stale:
                served = Served(value, "cache", age, True)
                self.on_degraded(served)
                return served
        raise Unavailable(f"{key} can't be had") from error
