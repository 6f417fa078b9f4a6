"""Run an experiment twice and compare: the shortest way to find where it depends on luck."""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest
from typing import TypeVar

from faultlab.run import Run
from faultlab.timeline import Event

T = TypeVar("T")


class NotRepeatable(Exception):
    """The same experiment gave two timelines. `index` is the place of the first event that differs."""

    def __init__(self, index: int, first: Event | None, second: Event | None) -> None:
        super().__init__(
            f"the two runs differ from event {index} on:\n  first run:  {_told(first)}\n  second run: {_told(second)}\n"
            "Something in it hangs on more than the seed: state that the first run left behind, the order of a set "
            "of strings or objects, datetime.now(), a real thread or a real connection."
        )
        self.index, self.first, self.second = index, first, second


def repeatable(experiment: Callable[[], Run[T]]) -> Run[T]:
    """Run an experiment twice; return its first run, or fail at the first event that differs.

    experiment: makes its own world and coroutine each time, and returns the run.

    Differences between processes don't show here; for those, compare `timeline.to_json()` after a restart.
    Raises NotRepeatable when the timelines differ, and whatever the experiment raises.

    >>> import random
    >>> async def main():
    ...     mark("drawn", random.randrange(100))
    >>> repeatable(lambda: simulate(main(), seed=3)).timeline.marks("drawn")[0].value
    30
    """
    first, second = experiment(), experiment()
    for index, (one, other) in enumerate(zip_longest(first.timeline, second.timeline)):
        if one != other:
            raise NotRepeatable(index, one, other)
    return first


def _told(event: Event | None) -> str:
    if event is None:
        return "over already"
    return f"t={event.seconds:g} s, {event.kind}, lane {event.lane!r}, {dict(event.data)!r:.300}"
