class DeadlineExceeded(Exception):
    """The work didn't end in time."""


async def run_with_deadline(work, *, timeout, cleanup, grace=1.0):
    loop = asyncio.get_running_loop()
    task, ours = loop.create_task(work()), []

    def late():
        ours.append(True)
        task.cancel()

    timer, finished = loop.call_later(timeout, late), False
    try:
        try:
            value = await task
            finished = True
            return value
        except Exception:
            finished = True
            raise
        except asyncio.CancelledError:
            if ours:
                raise DeadlineExceeded(f"{timeout} s") from None
            raise
    finally:
        timer.cancel()
        if not finished:
            clean = asyncio.ensure_future(cleanup())
            done, _ = await asyncio.wait({clean}, timeout=grace)
            if done:
                clean.exception()
            else:
                clean.cancel()
