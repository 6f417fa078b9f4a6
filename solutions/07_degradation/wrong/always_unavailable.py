# Always raises Unavailable: safe, and of no use
# fails: primary, cached, reported, not_found, unavailable, recovery, shared, cancelled
class Fallback:
    def __init__(self, primary, **options):
        self.primary = primary

    async def get(self, key):
        try:
            await self.primary(key)
        except Exception as error:
            raise Unavailable(key) from error
        raise Unavailable(key)
