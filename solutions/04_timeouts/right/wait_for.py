class DeadlineExceeded(Exception):
    """The work didn't end in time."""


async def run_with_deadline(work, *, timeout, cleanup, grace=1.0):
    async def in_time():
        try:
            return True, await work()
        except TimeoutError as own:
            return False, own

    async def tidy():
        try:
            await asyncio.wait_for(cleanup(), timeout=grace)
        except Exception as problem:
            return problem

    try:
        good, value = await asyncio.wait_for(in_time(), timeout)
    except TimeoutError:
        await tidy()
        raise DeadlineExceeded(timeout) from None
    except asyncio.CancelledError:
        await tidy()
        raise
    if good:
        return value
    raise value
