"""For all tests: where CI runs, a test that didn't run has failed; and the figures at the end of a run."""

import os
from collections import Counter
from collections.abc import Generator

import pytest

os.environ.setdefault("MPLBACKEND", "agg")  # no test opens a window

CI = bool(os.environ.get("CI"))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if CI and report.skipped and not hasattr(report, "wasxfail"):
        fail(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if CI and report.skipped:
        fail(report)
    return report


def fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    report.outcome = "failed"
    report.longrepr = f"Skipped, and where CI is set nothing may be: install what is missing in .ci/run. {reason}"


ATTACKS = ("attacks tried", "contained", "points gained", "neighbours harmed")
COUNTED = ("messages fuzzed", "submissions in the random-kill run", "processes killed")
_attacks: Counter[str] = Counter()
_counted: Counter[str] = Counter()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Collected where the reports arrive: with several workers, that is in one place only."""
    for name, value in report.user_properties if report.when == "call" else ():
        if name == "attack" and isinstance(value, list | tuple):
            points, harmed = value
            _attacks.update(dict(zip(ATTACKS, (1, int(report.passed), points, harmed), strict=True)))
        elif name in COUNTED and isinstance(value, int):
            _counted[name] += value


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The figures of SECURITY.md, as far as they were produced."""
    figures = {name: _attacks[name] for name in ATTACKS} if _attacks else {}
    if figures or _counted:
        said = (f"{name}: {value:,g}" for name, value in (figures | _counted).items())
        terminalreporter.write_line(", ".join(said))
