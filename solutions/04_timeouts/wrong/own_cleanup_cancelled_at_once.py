# Cleanup is cancelled as soon as it has begun: it should get its grace
# fails: cleanup, cancelled
class DeadlineExceeded(Exception):
    """The work didn't end in time."""


async def run_with_deadline(work, *, timeout, cleanup, grace=1.0):
    async def tidy():
        with contextlib.suppress(Exception):
            task = asyncio.ensure_future(cleanup())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])

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
