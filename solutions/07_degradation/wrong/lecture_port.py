# The lecture's listing as it stands: an invented answer, NotFound falls back, no age, no single flight
# fails: reported, not_found, unavailable, recovery, shared
class Fallback:
    def __init__(self, primary, *, primary_timeout=0.5, max_stale=300.0, on_degraded=None):
        self.primary, self.primary_timeout, self.cache = primary, primary_timeout, {}

    async def get(self, key):
        try:
            async with asyncio.timeout(self.primary_timeout):
                value = await self.primary(key)
        except Exception as error:
            print(f"primary: {error}")
        else:
            self.cache[key] = value
            return Served(value, "primary", 0.0, False)
        if key in self.cache:
            return Served(self.cache[key], "cache", 0.0, True)
        return Served({"name": "guest"}, "default", 0.0, True)
