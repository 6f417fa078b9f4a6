# Cleanup is started as a task, and nobody waits for it
# fails: cleanup, cancelled
class DeadlineExceeded(Exception):
    """The work didn't end in time."""


async def run_with_deadline(work, *, timeout, cleanup, grace=1.0):
    async def tidy():
        asyncio.get_running_loop().create_task(cleanup())

    try:
        async with asyncio.timeout(timeout) as limit:
            return await work()
    except asyncio.CancelledError:
        await tidy()
        raise
    except TimeoutError as error:
        if not limit.expired():
            raise
        await tidy()
        raise DeadlineExceeded(f"not done after {timeout:g} s") from error
