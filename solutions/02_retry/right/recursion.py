# Each attempt calls the next one
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
    start = asyncio.get_running_loop().time()

    async def attempt(n):
        try:
            return await op()
        except retry_on as error:
            if n == max_attempts:
                raise
            pause = max(rng.uniform(0, min(cap, base * 2 ** (n - 1))), getattr(error, "retry_after", 0))
            if deadline is not None and asyncio.get_running_loop().time() - start + pause > deadline:
                raise
        await asyncio.sleep(pause)
        return await attempt(n + 1)

    return await attempt(1)
