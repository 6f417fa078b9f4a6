# Cleanup in a finally also runs when all went well
# fails: in_time, own_errors
class DeadlineExceeded(Exception):
    """The work didn't end in time."""


async def run_with_deadline(work, *, timeout, cleanup, grace=1.0):
    try:
        async with asyncio.timeout(timeout) as limit:
            return await work()
    except TimeoutError:
        if not limit.expired():
            raise
        raise DeadlineExceeded from None
    finally:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(grace):
                await cleanup()
