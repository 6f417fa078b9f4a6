# grace is counted from the timeout: after a long unwinding nothing is left for cleanup
# fails: grace
class DeadlineExceeded(Exception):
    """The work didn't end in time."""


async def run_with_deadline(work, *, timeout, cleanup, grace=1.0):
    now = asyncio.get_running_loop().time

    async def tidy(until):
        with contextlib.suppress(Exception):
            async with asyncio.timeout_at(until):
                await cleanup()

    start = now()
    try:
        async with asyncio.timeout(timeout) as limit:
            return await work()
    except asyncio.CancelledError:
        await tidy(now() + grace)
        raise
    except TimeoutError as error:
        if not limit.expired():
            raise
        await tidy(start + timeout + grace)
        raise DeadlineExceeded(f"not done after {timeout:g} s") from error
