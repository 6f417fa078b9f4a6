"""The pytest side of judging: `points`, `scenario` and `step` marks, and the fixtures `run` and `runs`.

A section's tests are plain pytest files over timelines. This plugin gives them the timelines: the judge's, when a
submission is being judged, or under a bare `pytest` those of the notebook beside the tests (`--submission PATH` names
another one).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from faultlab.scenario import Played, played
from faultlab.timeline import Timeline

if TYPE_CHECKING:
    from autograder.check import Nearby

Source = Callable[[pytest.Item, Played], Timeline]
SOURCE = pytest.StashKey[Source]()
"""Where the running session's timelines come from."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--submission", metavar="PATH", help="judge this notebook or answer instead of the one nearby")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "points(n): what the behaviour is worth")
    config.addinivalue_line("markers", "scenario(name, **parameters): the scenario whose timeline the test reads")
    config.addinivalue_line("markers", "step(name): the rung of a long exercise that the behaviour belongs to")
    config.option.importmode = "importlib"  # sections have test files of the same name


def scenarios_of(item: pytest.Item) -> list[Played]:
    """The scenarios that a test names, the first mark first."""
    marks = reversed(list(item.iter_markers("scenario")))
    return [played(mark.args[0], mark.kwargs) for mark in marks]


@pytest.fixture
def runs(request: pytest.FixtureRequest) -> list[Timeline]:
    """The timelines of the scenarios that the test names, in the order in which they stand above it."""
    source = request.config.stash.get(SOURCE, None) or _nearby
    return [source(request.node, wanted) for wanted in scenarios_of(request.node)]


@pytest.fixture
def run(runs: list[Timeline]) -> Timeline:
    """The timeline of the one scenario that the test names."""
    if len(runs) != 1:
        raise pytest.UsageError(f"`run` needs exactly one scenario mark, found {len(runs)}; use `runs` for several")
    return runs[0]


def _nearby(item: pytest.Item, wanted: Played) -> Timeline:
    from autograder.course import UsageError
    from faultlab.scenario import ScenarioError

    try:
        return _notebook(item.path, item.config.getoption("--submission")).play(wanted)
    except (UsageError, ScenarioError) as error:
        raise pytest.UsageError(str(error)) from None


@cache
def _notebook(tests: Path, submission: str | None) -> Nearby:
    from autograder.check import nearby

    return nearby(tests, submission)
