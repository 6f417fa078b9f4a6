# tenacity.AsyncRetrying with a wait function of our own
import tenacity


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

    def wait(state):
        drawn = rng.uniform(0, min(cap, base * 2 ** min(state.attempt_number - 1, 60)))
        return max(drawn, getattr(state.outcome.exception(), "retry_after", 0))

    stop = tenacity.stop_after_attempt(max_attempts)
    if deadline is not None:
        stop |= tenacity.stop_before_delay(deadline)
    retrying = tenacity.AsyncRetrying(
        stop=stop, wait=wait, retry=tenacity.retry_if_exception_type(retry_on), reraise=True
    )
    return await retrying(op)
