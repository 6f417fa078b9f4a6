# One except, and a table that says what each error becomes
POLICY = [(TimeoutError, DeadlineExceeded), (ConnectionError, Unavailable), (sqlite3.OperationalError, Unavailable)]


async def get_user(db, user_id):
    if type(user_id) is not int or user_id < 1:
        raise InvalidInput(f"{user_id!r} is no id")
    try:
        row = await db.fetch_one("SELECT id, name FROM users WHERE id = ?", [user_id])
    except Exception as error:
        for known, becomes in POLICY:
            if isinstance(error, known):
                error.add_note(f"get_user({user_id})")
                raise becomes(str(error)) from error
        raise
    if not row:
        raise NotFound("user", user_id)
    return dict(zip(("id", "name"), row, strict=True))


async def get_users(db, ids):
    async with asyncio.TaskGroup() as group:
        tasks = {user_id: group.create_task(get_user(db, user_id)) for user_id in ids}
    return [tasks[user_id].result() for user_id in ids]
