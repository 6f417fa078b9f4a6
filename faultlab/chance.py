"""Random numbers that repeat: inside `seeded`, every random stream of a program comes from one seed."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed `random`'s global stream, `random.Random()` and `random.seed()` without a seed, `os.urandom` (and with it
    `SystemRandom`, `secrets` and `uuid4`) and numpy's global stream where numpy was imported; put everything back
    afterwards.
    """
    stream = random.Random(seed)
    numpy = sys.modules.get("numpy")
    numpy_random: Any = getattr(numpy, "random", None)
    before = random.getstate(), None if numpy_random is None else numpy_random.get_state()
    real_seed, real_urandom, real_module_seed = random.Random.seed, os.urandom, random.seed

    def seed_from_stream(self: random.Random, a: Any = None, version: int = 2) -> None:
        real_seed(self, stream.getrandbits(64) if a is None else a, version)

    def urandom(size: int, /) -> bytes:
        return stream.randbytes(size)

    def install(seed_method: Any, source: Any) -> None:
        random.Random.seed = seed_method  # type: ignore[method-assign]
        os.urandom = random._urandom = source  # type: ignore[attr-defined]

    def module_seed(a: Any = None, version: int = 2) -> None:
        real_module_seed(stream.getrandbits(64) if a is None else a, version)

    try:  # from here on: an alarm can land anywhere
        random.seed(seed)
        if numpy_random is not None:
            numpy_random.seed(seed % 2**32)
        install(seed_from_stream, urandom)
        random.seed = module_seed
        yield
    finally:
        install(real_seed, real_urandom)
        random.seed = real_module_seed
        random.setstate(before[0])
        if before[1] is not None:
            numpy_random.set_state(before[1])
