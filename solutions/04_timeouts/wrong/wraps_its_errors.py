# What the work raised comes out as another error
# fails: own_errors
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
        await tidy()
        raise
    except Exception as error:
        if not limit.expired():
            raise RuntimeError("the work failed") from error
        await tidy()
        raise DeadlineExceeded(f"not done after {timeout:g} s") from error
