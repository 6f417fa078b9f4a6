# The pauses come from a generator of their own
def ceilings(base, cap):
    while True:
        yield min(base, cap)
        base = min(2 * base, cap)


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
    now = asyncio.get_running_loop().time
    start = now()
    for n, ceiling in enumerate(ceilings(base, cap), 1):
        try:
            return await op()
        except retry_on as error:
            pause = max(rng.uniform(0, ceiling), getattr(error, "retry_after", 0))
            if n == max_attempts or (deadline is not None and now() + pause > start + deadline):
                raise
            await asyncio.sleep(pause)
