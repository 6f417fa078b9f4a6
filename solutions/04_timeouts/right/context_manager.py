class DeadlineExceeded(Exception):
    """The work didn't end in time."""


@contextlib.asynccontextmanager
async def deadline(timeout, cleanup, grace):
    limit = asyncio.timeout(timeout)
    try:
        async with limit:
            yield
    except (asyncio.CancelledError, TimeoutError) as problem:
        late = limit.expired()
        if not late and isinstance(problem, TimeoutError):
            raise
        await asyncio.gather(asyncio.wait_for(cleanup(), grace), return_exceptions=True)
        if late:
            raise DeadlineExceeded(f"more than {timeout} s") from problem
        raise


async def run_with_deadline(work, *, timeout, cleanup, grace=1.0):
    async with deadline(timeout, cleanup, grace):
        return await work()
