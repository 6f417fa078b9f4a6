# Ends quietly when it is cancelled, as if nothing had happened
# fails: cancelled
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
        raise ValueError(f"max_attempts must be at least 1, not {max_attempts}")
    rng = rng or random.Random()
    clock = asyncio.get_running_loop().time
    start = clock()
    try:
        for n in range(1, max_attempts + 1):
            try:
                return await op()
            except retry_on as error:
                pause = rng.uniform(0, min(cap, base * 2 ** min(n - 1, 1000)))
                pause = max(pause, getattr(error, "retry_after", 0))
                late = deadline is not None and clock() + pause - start >= deadline
                if n == max_attempts or late:
                    raise
            await asyncio.sleep(pause)
    except asyncio.CancelledError:
        return None
