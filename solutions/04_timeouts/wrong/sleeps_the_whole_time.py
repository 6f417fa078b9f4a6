# It always waits for the whole timeout before it checks whether the work is done
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
        await asyncio.sleep(timeout)
        done = task.done()
    except asyncio.CancelledError:
        await stop()
        raise
    if done:
        return task.result()
    await stop()
    raise DeadlineExceeded(f"not done after {timeout:g} s")
