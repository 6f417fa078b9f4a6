# time.sleep blocks the whole event loop: nothing else runs, not even the timeout
# fails: in_time, cancelled
class DeadlineExceeded(Exception):
    """The work didn't end in time."""


import time


async def run_with_deadline(work, *, timeout, cleanup, grace=1.0):
    task = asyncio.ensure_future(work())
    await asyncio.sleep(0)
    time.sleep(timeout)
    if task.done():
        return task.result()
    task.cancel()
    await asyncio.wait([task])
    with contextlib.suppress(Exception):
        await asyncio.wait_for(cleanup(), grace)
    raise DeadlineExceeded
