# Reads time.monotonic instead of the loop's clock
import time


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
    start = time.monotonic()
    for n in range(max_attempts):
        try:
            return await op()
        except retry_on as error:
            pause = max(rng.random() * min(cap, base * 2**n), getattr(error, "retry_after", 0))
            out_of_time = deadline is not None and time.monotonic() + pause - start > deadline
            if n + 1 == max_attempts or out_of_time:
                raise
        await asyncio.sleep(pause)
