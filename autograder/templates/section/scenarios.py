"""What is done to a `TokenBucket`: requests that ask whether they may go, and callers that wait until they may.

The world draws everything: rate, burst, when each request comes and how many tokens it wants. The service `traffic`
hands it out, one answer for each request, when the request's time has come.
"""

# AUTHOR: a scenario does things to an answer and shows what came back. It knows nothing of what is expected.

from faultlab.scenario import scenario
from faultlab.world import ok


def traffic(draw, requests, most):
    """A bucket's rate and burst, then what each request wants. Up to `most` tokens flow in between two of them.

    Nothing is compared at its boundary: what the bucket holds always ends in .1 to .9, and requests want whole tokens.
    """
    rate, burst = draw.uniform(2, 20), draw.randint(3, 6) + draw.uniform(0.1, 0.2)
    pauses = [(draw.randint(0, most) + draw.uniform(0.03, 0.05)) / rate for _ in range(requests)]
    return [ok([rate, burst]), *(ok(draw.randint(1, 3), after=pause) for pause in pauses)]


@scenario
def asks(world, buckets, requests, most):
    """So many requests ask each bucket whether they may go."""
    draw = world.stream("traffic")
    world.service("traffic", [reply for _ in range(buckets) for reply in traffic(draw, requests, most)])
    return {"buckets": buckets, "requests": requests}


@asks.driver
async def _(lab, buckets, requests):
    world = lab.service("traffic")
    for number in range(1, buckets + 1):
        rate, burst = await world()
        bucket = lab.answer("TokenBucket")(rate, burst)
        for _ in range(requests):
            wanted = await world()
            lab.mark("admitted", bool(bucket.try_acquire(wanted)), lane=f"bucket {number}")


@scenario
def waits(world, buckets, requests):
    """So many callers wait at each bucket."""
    draw = world.stream("traffic")
    world.service("traffic", [reply for _ in range(buckets) for reply in traffic(draw, requests, 1)])
    return {"buckets": buckets, "requests": requests}


@waits.driver
async def _(lab, buckets, requests):
    world = lab.service("traffic")
    for number in range(1, buckets + 1):
        rate, burst = await world()
        bucket = lab.answer("TokenBucket")(rate, burst)
        callers = []
        for caller in range(1, requests + 1):
            wanted = await world()
            callers.append(lab.start(f"bucket {number}, caller {caller}", bucket.acquire, wanted))
        await lab.settle(*callers)
