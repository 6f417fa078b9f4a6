# Cleanup waits for a signal, but the timeout has already stopped the task that listens for it
# fails: cleanup, cancelled, grace
class DeadlineExceeded(Exception):
    """The work didn't end in time."""


async def run_with_deadline(work, *, timeout, cleanup, grace=1.0):
    signal = asyncio.Event()

    async def listening():
        doing, hearing = asyncio.ensure_future(work()), asyncio.ensure_future(signal.wait())
        try:
            await asyncio.wait([doing, hearing], return_when=asyncio.FIRST_COMPLETED)
            if doing.done():
                return doing.result()
            await cleanup()
        finally:
            doing.cancel()
            hearing.cancel()

    try:
        return await asyncio.wait_for(listening(), timeout)
    except TimeoutError:
        signal.set()
        raise DeadlineExceeded from None
