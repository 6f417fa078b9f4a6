# A cancellation becomes DeadlineExceeded, so whoever cancelled isn't obeyed
# fails: cancelled, masks_nothing
class DeadlineExceeded(Exception):
    """The work didn't end in time."""


async def run_with_deadline(work, *, timeout, cleanup, grace=1.0):
    async def tidy():
        with contextlib.suppress(Exception):
            async with asyncio.timeout(grace):
                await cleanup()

    try:
        async with asyncio.timeout(timeout) as limit:
            return await work()
    except (asyncio.CancelledError, TimeoutError) as error:
        if isinstance(error, TimeoutError) and not limit.expired():
            raise
        await tidy()
        raise DeadlineExceeded(f"not done after {timeout:g} s") from error
