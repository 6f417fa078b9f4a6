"""Every stream that a program may draw from repeats, and nothing of it stays."""

from __future__ import annotations

import os
import random
import secrets
import uuid
from random import Random, SystemRandom

import numpy as np
import pytest

from faultlab import simulate
from faultlab.chance import seeded

SOURCES = {
    "the global stream": random.random,
    "Random without a seed": lambda: random.Random().random(),
    "Random imported by name": lambda: Random().random(),
    "a subclass of Random": lambda: type("Mine", (Random,), {})().random(),
    "the global stream, sown anew": lambda: (random.seed(), random.random())[1],
    "SystemRandom": lambda: SystemRandom().random(),
    "secrets": lambda: secrets.token_hex(16),
    "uuid4": uuid.uuid4,
    "os.urandom": lambda: os.urandom(16),
    "numpy's global stream": lambda: np.random.random(),
    "numpy's default_rng": lambda: np.random.default_rng().random(),
}
sources = pytest.mark.parametrize("draw", SOURCES.values(), ids=SOURCES)


def drawn(draw, seed):
    with seeded(seed):
        return [draw() for _ in range(3)]


@sources
def test_the_same_seed_gives_the_same_numbers(draw):
    """Three draws repeat, and aren't all equal."""
    first = drawn(draw, 1)
    assert first == drawn(draw, 1)
    assert len(set(first)) == 3


@sources
def test_another_seed_gives_others(draw):
    """The seed matters."""
    assert drawn(draw, 1) != drawn(draw, 2)


@sources
def test_luck_is_back_afterwards(draw):
    """Outside, what was unpredictable is so again: two draws after the same seed differ."""
    drawn(draw, 1)
    first = draw()
    drawn(draw, 1)
    assert draw() != first


def test_everything_is_put_back():
    """Streams go on where they were and patched names are the old ones, also after an error."""
    names = (random.Random.seed, random.seed, os.urandom, vars(random)["_urandom"])
    random.seed(3)
    np.random.seed(3)
    expected = random.random(), np.random.random()
    random.seed(3)
    np.random.seed(3)
    with pytest.raises(KeyError), seeded(1):
        {0.5: "never drawn"}[random.random()]
    assert (random.random(), np.random.random()) == expected
    assert (random.Random.seed, random.seed, os.urandom, vars(random)["_urandom"]) == names


def test_a_given_seed_is_respected():
    """`Random(5)` and `random.seed(5)` are what they are everywhere."""
    expected = Random(5).random()
    with seeded(1):
        random.seed(5)
        assert Random(5).random() == random.random() == expected


def test_within_one_another():
    """A seeded stretch inside another doesn't disturb it."""
    with seeded(1):
        undisturbed = [random.random(), Random().random(), os.urandom(4)]
    with seeded(1):
        first = random.random()
        with seeded(2):
            inner = random.random(), Random().random(), os.urandom(4)
        assert [first, Random().random(), os.urandom(4)] == undisturbed
    with seeded(2):
        assert (random.random(), Random().random(), os.urandom(4)) == inner


def test_simulate_is_seeded():
    """A run draws from its seed and from nothing before it."""

    async def main():
        return random.random(), Random().random(), uuid.uuid4()

    assert simulate(main, seed=4).value == simulate(main, seed=4).value != simulate(main, seed=5).value
