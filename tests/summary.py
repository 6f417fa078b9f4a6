"""What is said at the end of a run, as far as its tests were in it: what each mistake loses, and the attacks' figures.

For `tests/conftest.py`: pytest asks the conftest of a folder below for such things only when it is named on the command
line, or without several workers.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

ATTACKS = ("attacks tried", "contained", "points gained", "neighbours harmed")
COUNTED = ("messages fuzzed", "submissions in the random-kill run", "processes killed")
KINDS = {"mistake": "mistakes caught", "right": "right answers accepted"}


class Judged(NamedTuple):
    """One answer of `right/` or `wrong/`: what it lost, and whether it was seen as what it is."""

    kind: str
    answer: str
    lost: list[str]
    well: bool


_attacks: Counter[str] = Counter()
_counted: Counter[str] = Counter()
_matrix: dict[str, list[Judged]] = defaultdict(list)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Collected where the reports arrive: with several workers, that is in one place only."""
    for name, value in report.user_properties if report.when == "call" else ():
        if name == "answer" and isinstance(value, list | tuple):
            section, kind, answer, lost = value
            _matrix[section].append(Judged(kind, answer, lost, report.passed))
        elif name == "attack" and isinstance(value, list | tuple):
            points, harmed = value
            _attacks.update(dict(zip(ATTACKS, (1, int(report.passed), points, harmed), strict=True)))
        elif name in COUNTED and isinstance(value, int):
            _counted[name] += value


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """The kill matrix (with `-v` what each mistake loses), and the figures of SECURITY.md."""
    if config.get_verbosity() > 0:
        _show_losses(terminalreporter)
    for section, rows in sorted(_matrix.items()):
        terminalreporter.write_line(f"{section}: {', '.join(_caught(rows))}")
    figures = {name: _attacks[name] for name in ATTACKS} if _attacks else {}
    if figures or _counted:
        said = (f"{name}: {value:,g}" for name, value in (figures | _counted).items())
        terminalreporter.write_line(", ".join(said))


def _show_losses(terminalreporter: Any) -> None:
    for section, rows in sorted(_matrix.items()):
        terminalreporter.section(f"{section}: what each mistake loses")
        width = max(len(row.answer) for row in rows)
        for row in sorted(rows):
            if row.kind == "mistake":
                terminalreporter.write_line(f"{row.answer:{width}}  {', '.join(row.lost) or 'nothing'}")


def _caught(rows: list[Judged]) -> Iterator[str]:
    for kind, words in KINDS.items():
        of = [row for row in rows if row.kind == kind]
        yield f"{sum(row.well for row in of)} of {len(of)} {words}"
