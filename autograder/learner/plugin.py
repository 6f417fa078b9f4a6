"""The pytest side of judging: `points`, `scenario` and `step` marks, and the fixtures `run` and `runs`.

A section's tests are plain pytest files over timelines. This plugin provides the timelines. When a submission is
judged, they are the judge's. Under a bare `pytest` they are those of the notebook beside the tests (`--submission PATH`
names another one).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from autograder.errors import UsageError
from autograder.judging.marks import SOURCE, scenarios_of
from faultlab.scenario import Played, ScenarioError
from faultlab.timeline import Timeline

if TYPE_CHECKING:
    from autograder.learner.nearby import Nearby


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--submission", metavar="PATH", help="judge this notebook or answer instead of the one nearby")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "points(n): what the behaviour is worth")
    config.addinivalue_line("markers", "scenario(name, **parameters): the scenario whose timeline the test reads")
    config.addinivalue_line("markers", "step(name): the rung of a long exercise that the behaviour belongs to")
    config.option.importmode = "importlib"  # sections have test files of the same name


class Runs(list[Timeline]):
    """Timelines that remember which one a test used last: in a loop, that is the one that it judges."""

    looked_at: int | None = None
    """Its number; None if the test used none, or all at once."""

    def __iter__(self) -> Iterator[Timeline]:
        for self.looked_at, one in enumerate(super().__iter__()):
            yield one
        self.looked_at = None

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, int):
            self.looked_at = range(len(self))[key]
        return super().__getitem__(key)


@pytest.fixture
def runs(request: pytest.FixtureRequest) -> Runs:
    """The timelines of the scenarios that the test names, in the order of its marks."""
    source = request.config.stash.get(SOURCE, None) or _nearby
    return Runs(source(request.node, wanted) for wanted in scenarios_of(request.node))


@pytest.fixture
def run(runs: Runs) -> Timeline:
    """The timeline of the one scenario that the test names."""
    if len(runs) != 1:
        raise pytest.UsageError(f"`run` needs exactly one scenario mark, found {len(runs)}; use `runs` for several")
    (only,) = runs
    return only


def _nearby(item: pytest.Item, wanted: Played) -> Timeline:
    try:
        return _notebook(item.path, item.config.getoption("--submission")).play(wanted)
    except (UsageError, ScenarioError) as error:
        raise pytest.UsageError(str(error)) from None


@cache
def _notebook(tests: Path, submission: str | None) -> Nearby:
    from autograder.learner.nearby import nearby

    return nearby(tests, submission)
