# Calls the backend and hopes for the best
# fails: retries, unavailable, timeouts, recorded
class UserService:
    def __init__(self, fetch, record, **options):
        self.fetch, self.record = fetch, record

    async def handle(self, user_id):
        return 200, await self.fetch(user_id)
