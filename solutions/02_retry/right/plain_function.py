# A plain function that checks its arguments and returns a coroutine
def retry(
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
    return _attempts(op, max_attempts, base, cap, retry_on, rng or random.Random(), deadline)


async def _attempts(op, max_attempts, base, cap, retry_on, rng, deadline):
    clock = asyncio.get_running_loop().time
    start = clock()
    last = None
    for n in range(max_attempts):
        if last is not None:
            pause = rng.uniform(0, min(cap, base * 2 ** min(n - 1, 50)))
            pause = max(pause, getattr(last, "retry_after", 0))
            if deadline is not None and clock() + pause > start + deadline:
                break
            await asyncio.sleep(pause)
        try:
            return await op()
        except retry_on as error:
            last = error
    raise last
