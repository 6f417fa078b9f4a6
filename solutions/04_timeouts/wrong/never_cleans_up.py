# The work is stopped in time, and then nobody cleans up
# fails: cleanup, cancelled
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
    except asyncio.CancelledError:
        pass
        raise
    except TimeoutError as error:
        if not limit.expired():
            raise
        pass
        raise DeadlineExceeded(f"not done after {timeout:g} s") from error
