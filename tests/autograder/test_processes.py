"""Work side by side: jobs wait for a free process, results and lines come at once, a death costs only its job."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext

import pytest

from autograder.processes import Died, Tell, side_by_side
from tests.autograder.sandbox.boxes import descendants, eventually


def start(number: int | None, tell: Tell) -> AbstractContextManager[Callable[[str], str]]:
    def work(given: str) -> str:
        if given == "die":
            os._exit(7)
        if given == "fail":
            raise ValueError("it failed")
        tell(f"did {given}")
        return f"{given} in {'this' if number is None else 'another'}"

    return nullcontext(work)


def start_nothing(number: int | None, tell: Tell) -> AbstractContextManager[Callable[[str], str]]:
    os._exit(7)


@pytest.mark.parametrize(("count", "where"), [(1, "this"), (2, "another")])
def test_results_and_lines(count: int, where: str) -> None:
    """Each job comes back with its result, what the work tells is heard, and no process is left."""
    told: list[str] = []
    before = set(descendants(os.getpid()))
    found = dict(side_by_side([(number, f"job {number}") for number in range(5)], count, start, told.append))
    assert found == {number: f"job {number} in {where}" for number in range(5)}
    assert sorted(told) == [f"did job {number}" for number in range(5)]
    left = set(descendants(os.getpid())) - before
    assert len(left) <= 1  # multiprocessing's resource tracker stays


@pytest.mark.parametrize("count", [1, 2])
def test_jobs_are_read_when_a_process_is_free(count: int) -> None:
    """However many there are, only those under way are held."""
    read = 0

    def jobs() -> Iterator[tuple[int, str]]:
        nonlocal read
        for number in range(8):
            read += 1
            yield number, "job"

    for done, _ in enumerate(side_by_side(jobs(), count, start), 1):
        assert read <= done + count
    assert done == read == 8


def test_a_death() -> None:
    """It is told in place of the result; the caller may have the job done once more; the others are done."""
    deaths = []
    found = []
    for job, result in side_by_side([(given, given) for given in ("one", "die", "two")], 2, start):
        if isinstance(result, Died):
            deaths.append((job, result.exitcode, result.started))
            result.again = len(deaths) == 1
        else:
            found.append(job)
    assert deaths == [("die", 7, True)] * 2 and sorted(found) == ["one", "two"]


def test_a_death_at_the_start() -> None:
    """It says that no process was ever ready."""
    with closing(side_by_side([(1, "one")], 2, start_nothing)) as results:
        _, died = next(results)
    assert isinstance(died, Died) and not died.started


def test_a_failure() -> None:
    """What is raised there is raised here, with the place, and ends all processes."""
    before = set(descendants(os.getpid()))
    with pytest.raises(ValueError, match="it failed") as caught:
        list(side_by_side([(given, given) for given in ("one", "fail", "two")], 2, start))
    assert "test_processes.py" in caught.value.__notes__[0]
    assert eventually(lambda: len(set(descendants(os.getpid())) - before) <= 1)
