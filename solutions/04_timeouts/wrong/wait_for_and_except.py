# wait_for raises the same class as the work may: both are taken for our timeout
# fails: own_errors
class DeadlineExceeded(Exception):
    """The work didn't end in time."""


async def run_with_deadline(work, *, timeout, cleanup, grace=1.0):
    async def tidy():
        with contextlib.suppress(Exception):
            async with asyncio.timeout(grace):
                await cleanup()

    try:
        return await asyncio.wait_for(work(), timeout)
    except asyncio.CancelledError:
        await tidy()
        raise
    except TimeoutError as error:
        await tidy()
        raise DeadlineExceeded(f"not done after {timeout:g} s") from error
