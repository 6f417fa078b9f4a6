# CancelledError is no Exception: whoever catches only that doesn't clean up after a cancellation
# fails: cancelled
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
    except TimeoutError as error:
        if not limit.expired():
            raise
        await tidy()
        raise DeadlineExceeded(f"not done after {timeout:g} s") from error
