class DeadlineExceeded(Exception):
    """The work didn't end in time."""


async def run_with_deadline(work, *, timeout, cleanup, grace=1.0):
    now = asyncio.get_running_loop().time
    ended = False
    try:
        async with asyncio.timeout_at(now() + timeout) as limit:
            try:
                result = await work()
            except Exception:
                ended = True
                raise
            ended = True
            return result
    except BaseException as problem:
        if ended:
            raise
        try:
            async with asyncio.timeout_at(now() + grace):
                await cleanup()
        except Exception as failed:
            problem.add_note(f"cleanup failed, too: {failed!r}")
        if limit.expired():
            raise DeadlineExceeded from problem
        raise
