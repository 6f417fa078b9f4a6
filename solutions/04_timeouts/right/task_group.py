class DeadlineExceeded(Exception):
    """The work didn't end in time."""


async def run_with_deadline(work, *, timeout, cleanup, grace=1.0):
    async def keep():
        try:
            answer.append((await work(), None))
        except Exception as own:
            answer.append((None, own))

    answer = []
    try:
        async with asyncio.timeout(timeout), asyncio.TaskGroup() as group:
            group.create_task(keep())
    except (TimeoutError, asyncio.CancelledError) as problem:
        try:
            async with asyncio.timeout(grace):
                await cleanup()
        except Exception:
            pass
        if isinstance(problem, TimeoutError):
            raise DeadlineExceeded(str(timeout)) from problem
        raise
    value, own = answer[0]
    if own is not None:
        raise own
    return value
