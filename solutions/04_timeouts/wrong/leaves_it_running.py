# The caller hears that the time is up, but the work keeps running: cancel it
# fails: stops_work, cleanup, cancelled
class DeadlineExceeded(Exception):
    """The work didn't end in time."""


async def run_with_deadline(work, *, timeout, cleanup, grace=1.0):
    async def tidy():
        with contextlib.suppress(Exception):
            await asyncio.wait_for(cleanup(), grace)

    async def stop():
        await tidy()

    task = asyncio.ensure_future(work())
    try:
        done, _ = await asyncio.wait([task], timeout=timeout)
    except asyncio.CancelledError:
        await stop()
        raise
    if done:
        return task.result()
    await stop()
    raise DeadlineExceeded(f"not done after {timeout:g} s")
