"""A program that does everything whose order asyncio leaves open, and prints its timeline's SHA-256.

A process of its own runs it, on a plain interpreter with nothing installed: `python tests/faultlab/rich.py`.
"""

import asyncio
import hashlib
import random
import secrets
import time
import uuid

from faultlab import Service, World, error, hang, mark, ok, simulate

NOISE = [object() for _ in range(random.SystemRandom().randrange(20_000))]  # addresses differ from process to process


def build():
    world = World(seed=5)
    world.service("db", [error("ConnectionError")] * 3, latency=lambda rng: rng.uniform(0.01, 0.2))
    world.service("cache", [hang()], latency=0.05)
    world.service("mail", lambda asked: error("TimeoutError") if asked.random.random() < 0.4 else ok(after=0.3))
    world.outage("cache", 1.0, 2.0)
    world.outage("db", 3.0)
    return world


async def tried(service, *args):
    """Retry with jitter and a deadline for each attempt."""
    for attempt in range(5):
        try:
            async with asyncio.timeout(0.5):
                return await service(*args)
        except (ConnectionError, TimeoutError):
            mark("attempt", attempt)
            await asyncio.sleep(random.uniform(0, 0.2) + random.Random().random() * 0.1)
    return "gave up"


async def cancelled(number):
    try:
        await asyncio.sleep(60)
    finally:
        mark("cancelled", number)


async def failing():
    await asyncio.sleep(0.01)
    raise ValueError("stop the group")


async def main():
    db, cache, mail = Service("db"), Service("cache"), Service("mail")
    try:
        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(cancelled(number), name=f"member {number}" if number % 3 else None)
            group.create_task(failing())
    except* ValueError:
        pass
    done, _ = await asyncio.wait([asyncio.ensure_future(tried(db, number)) for number in range(12)])
    for task in done:
        mark("done", task.result())
    for earliest in asyncio.as_completed([tried(cache, number) for number in range(12)]):
        mark("earliest", await earliest)
    _, pending = await asyncio.wait(
        {asyncio.create_task(tried(mail, number)) for number in range(12)}, return_when=asyncio.FIRST_COMPLETED
    )
    for task in pending:
        mark("still", task.get_name())
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    left = [asyncio.create_task(cancelled(number)) for number in range(9)]
    await asyncio.sleep(0)
    for task in asyncio.all_tasks():
        mark("alive", task.get_name())
    await asyncio.to_thread(time.sleep, 0.7)
    time.sleep(0.1)  # noqa: ASYNC251
    mark("luck", [random.random(), uuid.uuid4().hex, secrets.token_hex(4), time.time()])
    return len(left)


if __name__ == "__main__":
    timeline = simulate(main, seed=7, world=build()).timeline
    print(len(timeline), hashlib.sha256(timeline.to_json().encode()).hexdigest())
