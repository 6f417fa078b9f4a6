# A global variable holds the task: with several calls at once, each waits for the last one's task
# fails: in_time
class DeadlineExceeded(Exception):
    """The work didn't end in time."""


task = None


async def run_with_deadline(work, *, timeout, cleanup, grace=1.0):
    global task

    async def stop():
        task.cancel()
        await asyncio.wait([task])
        with contextlib.suppress(Exception):
            await asyncio.wait_for(cleanup(), grace)

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
