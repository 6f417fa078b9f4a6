# A cancellation is caught inside and outside, and each of the two cleans up
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
            try:
                return await work()
            except asyncio.CancelledError:
                if not limit.expired() and limit.when() > asyncio.get_running_loop().time():
                    await tidy()
                raise
    except asyncio.CancelledError:
        await tidy()
        raise
    except TimeoutError as error:
        if not limit.expired():
            raise
        await tidy()
        raise DeadlineExceeded(f"not done after {timeout:g} s") from error
