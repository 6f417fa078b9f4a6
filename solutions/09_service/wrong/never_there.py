# Answers 503 without calling the backend
# fails: answers, unavailable, half_open
class UserService:
    def __init__(self, fetch, record, **options):
        self.fetch, self.record = fetch, record

    async def handle(self, user_id):
        self.record(0.0, False)
        return 503, {"retry_after": 0}
