# Gives every caller the same answer and never asks the primary
# fails: primary, cached, reported, not_found, unavailable, recovery, shared, cancelled
class Fallback:
    def __init__(self, primary, **options):
        pass

    async def get(self, key):
        return Served("a user", "primary", 0.0, False)
