# A while loop that doubles the ceiling as it goes
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
    rng = random.Random() if rng is None else rng
    loop = asyncio.get_running_loop()
    give_up_at = float("inf") if deadline is None else loop.time() + deadline
    ceiling, left = min(base, cap), max_attempts
    while True:
        left -= 1
        try:
            return await op()
        except retry_on as error:
            if not left:
                raise
            pause = max(getattr(error, "retry_after", 0.0), rng.random() * ceiling)
            if loop.time() + pause >= give_up_at:
                raise
        ceiling = min(cap, 2 * ceiling)
        await asyncio.sleep(pause)
