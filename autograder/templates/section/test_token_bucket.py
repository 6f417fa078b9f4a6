"""What must be true of a `TokenBucket`: each test reads the timeline of one scenario (see scenarios.py)."""

# AUTHOR: a test asks for what the world drew. Its name is the behaviour's id, its points stand in contract.toml too.

import pytest

BLINK = 0.001
"""Seconds that "as soon as" may take."""


def drawn(run, buckets, requests):
    """What the world drew for each bucket: its rate, its burst, and its requests, (instant, tokens wanted) each."""
    calls = run.calls("traffic")
    size = requests + 1
    assert len(calls) == buckets * size, f"only {len(calls)} of {buckets * size} requests came"
    for first in range(0, len(calls), size):
        (rate, burst), *wanted = [call.value for call in calls[first : first + size]]
        yield rate, burst, list(zip([call.end for call in calls[first + 1 : first + size]], wanted, strict=True))


def room(taken, at, rate, burst):
    """Tokens that may go at this instant: in no stretch of time may more than burst + rate * seconds go."""
    stretches = [burst + rate * (at - start) - sum(n for when, n in taken if when >= start) for start, _ in taken]
    return min([burst, *stretches])


def check_admitted(run, buckets, requests):
    """Each request was admitted if its bucket held enough for it, and only then."""
    for number, (rate, burst, wanted) in enumerate(drawn(run, buckets, requests), 1):
        said = [mark.value for mark in run.marks("admitted", lane=f"bucket {number}")]
        assert len(said) == requests, f"bucket {number} answered {len(said)} of {requests} requests"
        taken = []
        for (at, n), admitted in zip(wanted, said, strict=True):
            holds = room(taken, at, rate, burst)
            assert admitted is (holds >= n), (
                f"TokenBucket({rate:.2f}, {burst:.2f}) holds {holds:.2f} tokens at {at:.2f} s, "
                f"and try_acquire({n}) returned {admitted}"
            )
            taken += [(at, n)] if admitted else []


@pytest.mark.points(0.5)
@pytest.mark.scenario("asks", buckets=5, requests=8, most=0)
def test_burst(run, buckets=5, requests=8):
    """A new bucket lets `burst` tokens go at once, and then no more

    Hint: how many tokens does it hold before anything has happened?
    """
    check_admitted(run, buckets, requests)


@pytest.mark.points(0.5)
@pytest.mark.scenario("asks", buckets=5, requests=14, most=4)
def test_refill(run, buckets=5, requests=14):
    """Tokens flow in evenly, fractions of them too, and never above `burst`

    Hint: what has flowed in since you last looked? What if that was a long time ago?
    """
    check_admitted(run, buckets, requests)


@pytest.mark.points(0.5)
@pytest.mark.scenario("waits", buckets=3, requests=8)
def test_waits(run, buckets=3, requests=8):
    """`acquire` returns as soon as there are enough tokens, and nobody is overtaken

    Hint: how many tokens are missing, and how long does it take until they have flowed in?
    """
    for number, (rate, burst, wanted) in enumerate(drawn(run, buckets, requests), 1):
        taken, due = [], 0.0
        for caller, (came, n) in enumerate(wanted, 1):
            due = max(came, due)
            due += max(0.0, n - room(taken, due, rate, burst)) / rate
            taken.append((due, n))
            ended = run.marks(f"bucket {number}, caller {caller}")
            who = f"TokenBucket({rate:.2f}, {burst:.2f}): acquire({n}), called at {came:.2f} s,"
            assert ended and ended[0].value["how"] == "returned", f"{who} never returned"
            late = ended[0].at - due
            assert abs(late) < BLINK, f"{who} returned at {ended[0].at:.2f} s; it should have at {due:.2f} s"
