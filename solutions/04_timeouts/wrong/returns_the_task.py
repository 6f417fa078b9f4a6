# The task comes back instead of its result
# fails: in_time, own_errors
class DeadlineExceeded(Exception):
    """The work didn't end in time."""


async def run_with_deadline(work, *, timeout, cleanup, grace=1.0):
    async def tidy():
        with contextlib.suppress(Exception):
            await asyncio.wait_for(cleanup(), grace)

    async def stop():
        task.cancel()
        await asyncio.wait([task])
        await tidy()

    task = asyncio.ensure_future(work())
    try:
        done, _ = await asyncio.wait([task], timeout=timeout)
    except asyncio.CancelledError:
        await stop()
        raise
    if done:
        return task
    await stop()
    raise DeadlineExceeded(f"not done after {timeout:g} s")
