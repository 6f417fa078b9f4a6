# A pause is an event that is never set, awaited with a timeout
import contextlib


async def retry(
    op,
    *,
    max_attempts=4,
    base=0.1,
    cap=2.0,
    retry_on=(ConnectionError, TimeoutError),
    rng=None,
    deadline=None,
):
    if max_attempts < 1:
        raise ValueError("max_attempts must be at least 1")
    rng = rng or random.Random()
    loop = asyncio.get_running_loop()
    start = loop.time()
    n = 0
    while True:
        n += 1
        try:
            return await op()
        except retry_on as error:
            pause = max(rng.uniform(0, min(cap, base * 2 ** min(n - 1, 100))), getattr(error, "retry_after", 0))
            if n >= max_attempts or (deadline is not None and loop.time() + pause - start > deadline):
                raise
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await asyncio.Event().wait()
