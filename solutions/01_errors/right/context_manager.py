# The translation as a context manager
@contextlib.contextmanager
def translated(user_id):
    try:
        yield
    except TimeoutError as error:
        error.add_note(f"user {user_id}")
        raise DeadlineExceeded("asked for too long") from error
    except (ConnectionError, sqlite3.OperationalError) as error:
        error.add_note(f"user {user_id}")
        raise Unavailable("no database") from error


async def get_user(db, user_id):
    match user_id:
        case bool():
            raise InvalidInput("a bool is no id")
        case int() if user_id > 0:
            pass
        case _:
            raise InvalidInput("an id is a positive number")
    with translated(user_id):
        row = await db.fetch_one("SELECT id, name FROM users WHERE id = ?", (user_id,))
    if row is None:
        raise NotFound("user", user_id)
    number, name = row
    return {"id": number, "name": name}


async def get_users(db, ids):
    tasks = [asyncio.create_task(get_user(db, user_id)) for user_id in ids]
    try:
        return list(await asyncio.gather(*tasks))
    except Exception as error:
        for task in tasks:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        failures = [one for one in done if isinstance(one, Exception)]
        raise ExceptionGroup("get_users", failures or [error]) from None
