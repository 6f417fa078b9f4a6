# Calls the backend without any protection
# fails: retries, unavailable, timeouts, recorded
class UserService:
    def __init__(self, fetch, record, **options):
        self.fetch, self.record = fetch, record

    async def handle(self, user_id):
        return 200, await self.fetch(user_id)
