"""Liars: answers that do none of the work and claim what they please. An exercise declares how much one may earn.

    LIARS = 1.5  # in hidden/test_<name>.py: points, 0 where nothing is said

Some are Python: they have the shapes of the solution's functions and classes, and every call returns a constant, the
toss of a coin, or its own arguments. The others are parrots: they repeat the solution's transcripts (see `parrot.py`).
"""

from __future__ import annotations

import contextlib
import inspect
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from autograder.authoring import parrot
from autograder.authoring.worked import run_answer, solution_notebook
from autograder.course import Section
from autograder.judging.bench import Bench, seed_of
from autograder.judging.result import Behaviour
from autograder.processes import Tell
from autograder.sandbox.session import Task
from faultlab.scenario import Played, play
from faultlab.timeline import Timeline

COINS = 40
"""How many coins are tried: a lucky one is a liar that earns something."""
SEEDS = 10
"""How many other seeds the whole transcript is repeated under, for the same reason."""

Says = Callable[[tuple[Any, ...]], Any]
"""What a call with these arguments returns."""


class Lie(NamedTuple):
    """What a liar earned: the points of each behaviour, visible and hidden together."""

    liar: str
    earned: dict[str, float]

    @property
    def points(self) -> float:
        """All of them."""
        return sum(self.earned.values())


def overpaid_liars(section: Section, tell: Tell) -> list[str]:
    """Report liars that earn more than their exercise declares, a line each. Tells the highest score."""
    if section.exercise is None:
        return []
    allowed = declared(section)
    worst = max(lies(section), key=lambda lie: lie.points)
    by = f" ({worst.liar})" if worst.points else ""
    tell(f"{section.name}: most points that a liar earned: {worst.points:g}{by}; declared: {allowed:g}")
    if worst.points <= allowed:
        return []
    behaviours = ", ".join(f"{test} {points:g}" for test, points in worst.earned.items())
    where = section.hidden.relative_to(section.course.root).as_posix()
    said = f"a liar ({worst.liar}) earns {worst.points:g} points ({behaviours}), {allowed:g} are declared"
    return [f"{section.name}: {said}; let these tests ask for what the world drew, or say LIARS in {where}"]


def declared(section: Section) -> float:
    """The points that a liar may earn, as the section's hidden tests declare."""
    modules = [getattr(test.item, "module", None) for test in _bench(section).judge(hidden=True).tests if test.hidden]
    return max((float(getattr(module, "LIARS", 0)) for module in modules), default=0.0)


def lies(section: Section) -> Iterator[Lie]:
    """Every liar, and what it earns. The parrots know the transcripts under the seeds that `check` plays with."""
    bench = _bench(section)
    judge = bench.judge(hidden=True)
    names = run_answer(section, solution_notebook(section))
    known = {one: bench.play(one, names) for one in judge.scenarios}
    for liar, timelines in _told(bench, names, known):
        yield Lie(liar, _earned(judge.judge(timelines)))


def _bench(section: Section) -> Bench:
    return Bench.at(str(section.exercise), section.folder)


def _earned(behaviours: list[Behaviour]) -> dict[str, float]:
    earned: Counter[str] = Counter()
    for behaviour in behaviours:
        if behaviour.points:
            earned[behaviour.test] += behaviour.points  # type: ignore[assignment]
    return dict(earned)


def _told(
    bench: Bench, names: Mapping[str, Any], known: Mapping[Played, Timeline]
) -> Iterator[tuple[str, dict[Played, Timeline]]]:
    for number in range(1, SEEDS + 1):
        others = _tasks(bench, known, number).items()
        for liar, swap in (
            ("transcript under another seed", False),
            ("transcript with its tokens and receipts swapped", True),
        ):
            yield liar, {one: parrot.retell(task, known[one], parrot.whole, swap=swap) for one, task in others}
    tasks = _tasks(bench, known, 1)
    for liar, script in parrot.SCRIPTS.items():
        yield liar, {one: parrot.retell(task, known[one], script) for one, task in tasks.items()}
    for liar, says in claimants().items():
        claims = dict(names) | {name: pretending(names[name], says) for name in bench.wanted}
        yield liar, {one: play(task.scenario, one.options, claims, seed=task.seed) for one, task in tasks.items()}


def _tasks(bench: Bench, wanted: Iterable[Played], number: int) -> dict[Played, Task]:
    """The plays, under another seed than that of `check`, except scenarios whose seed is fixed."""
    scenarios = ((one, bench.scenarios[one.name]) for one in wanted)
    return {one: Task(found, one.options, seed_of(one) + number * (not found.fixed), 0) for one, found in scenarios}


# --- liars in Python


def claimants() -> dict[str, Says]:
    """What each kind of liar says, by its name."""
    constants: dict[str, Says] = {f"always {value!r}": partial(_same, value) for value in (None, True, False, 0, "")}
    coins: dict[str, Says] = {f"coin {number}": partial(_toss, random.Random(number)) for number in range(COINS)}
    return constants | {"echo": _echo, "last input": partial(_before, [None])} | coins


def _same(value: Any, _args: tuple[Any, ...]) -> Any:
    return value


def _toss(draw: random.Random, _args: tuple[Any, ...]) -> bool:
    return draw.random() < 0.5


def _echo(args: tuple[Any, ...]) -> Any:
    return args[0] if args else None


def _before(told: list[Any], args: tuple[Any, ...]) -> Any:
    """The last argument of the call before."""
    last = told[0]
    told[0] = args[-1] if args else last
    return last


def pretending(value: Any, says: Says) -> Any:
    """An object of the shape of `value` whose calls do nothing but return `says(arguments)`.

    Exception classes stay as they are: a liar may know those.
    """
    if isinstance(value, type):
        return value if issubclass(value, BaseException) else _class(value, says)
    if not callable(value):
        return value
    if inspect.isgeneratorfunction(inspect.unwrap(value)):  # it makes a context manager
        return lambda *args, **_options: contextlib.nullcontext(says(args))
    if not inspect.iscoroutinefunction(value):
        return lambda *args, **_options: says(args)

    async def later(*args: Any, **_options: Any) -> Any:
        return says(args)

    return later


_CALLED = {"__call__", "__enter__", "__exit__", "__aenter__", "__aexit__"}


def _class(kind: type, says: Says) -> type:
    def listen(_self: Any, *args: Any, **_options: Any) -> None:
        says(args)

    found: dict[str, Any] = {"__init__": listen, "__getattr__": lambda _self, _name: says(())}
    for name, value in inspect.getmembers_static(kind):
        if callable(value) and (not name.startswith("__") or name in _CALLED):
            found[name] = _method(pretending(value, says))
    return type(kind.__name__, (), found)


def _method(function: Any) -> Any:
    return lambda _self, *args, **options: function(*args, **options)
