"""Fields in every tier that locks, and the figures of the corpus at the end of a run."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.attacks.field import Field, field
from tests.sandbox.boxes import Setting


@pytest.fixture(scope="session")
def fields() -> Iterator[Callable[[Setting], Field]]:
    """The field of a setting, kept until another setting's is asked for."""
    opened: dict[Setting, Field] = {}
    with contextlib.ExitStack() as stack:

        def of(setting: Setting) -> Field:
            if setting not in opened:
                opened.clear()
                stack.close()
                folder = Path(tempfile.mkdtemp(prefix="course-", dir="/tmp"))
                stack.callback(shutil.rmtree, folder)
                opened[setting] = stack.enter_context(field(folder, setting))
            return opened[setting]

        yield of


@pytest.fixture
def place(setting: Setting, fields: Callable[[Setting], Field]) -> Field:
    """A grader in the setting that the test names, shared by all attacks: each one is the next one's neighbour."""
    return fields(setting)


FIGURES = ("attacks tried", "contained", "points gained", "neighbours harmed")
_seen: Counter[str] = Counter()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Collected where the reports arrive: with several workers, that is in one place only."""
    for name, value in report.user_properties:
        if name == "attack" and report.when == "call" and isinstance(value, list | tuple):
            points, harmed = value
            _seen.update(dict(zip(FIGURES, (1, int(report.passed), points, harmed), strict=True)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Attacks tried, contained, points gained, neighbours harmed."""
    if _seen:
        terminalreporter.write_line(", ".join(f"{name}: {_seen[name]:g}" for name in FIGURES))
