# Gives the row as it came: the caller must know the order of its columns
# fails: row, concurrent
async def get_user(db, user_id):
    if isinstance(user_id, bool) or not isinstance(user_id, int) or user_id <= 0:
        raise InvalidInput(f"a user's id is a positive number, not {user_id!r}")
    try:
        row = await db.fetch_one("SELECT id, name FROM users WHERE id = ?", (user_id,))
    except TimeoutError as error:
        error.add_note(f"while asking for user {user_id}")
        raise DeadlineExceeded("the database took too long") from error
    except (ConnectionError, sqlite3.OperationalError) as error:
        error.add_note(f"while asking for user {user_id}")
        raise Unavailable("the database can't be reached") from error
    if row is None:
        raise NotFound("user", user_id)
    return row


async def get_users(db, ids):
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(get_user(db, user_id)) for user_id in ids]
    return [task.result() for task in tasks]
