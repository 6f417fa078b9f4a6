"""For all tests: where CI runs, a test that didn't run has failed; and what is said at the end of a run."""

import os
from collections.abc import Generator

import pytest

from tests.summary import pytest_runtest_logreport, pytest_terminal_summary  # noqa: F401

os.environ.setdefault("MPLBACKEND", "agg")  # no test opens a window

CI = bool(os.environ.get("CI"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--turns", type=int, default=2, help="how often the hostile class is graded (2)")


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
