class DeadlineExceeded(Exception):
    """The work didn't end in time."""


import anyio


async def run_with_deadline(work, *, timeout, cleanup, grace=1.0):
    async def tidy():
        with anyio.move_on_after(grace, shield=True), contextlib.suppress(Exception):
            await cleanup()

    # anyio cancels again at every await: so the work gets its own task, which is cancelled only once.
    task = asyncio.ensure_future(work())
    over = asyncio.Event()
    task.add_done_callback(lambda _: over.set())
    try:
        with anyio.move_on_after(timeout):
            await over.wait()
            return task.result()
    except asyncio.CancelledError:
        task.cancel()
        await over.wait()
        await tidy()
        raise
    task.cancel()
    await over.wait()
    await tidy()
    raise DeadlineExceeded
