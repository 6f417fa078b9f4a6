"""What the health exercise believes: claims are worth nothing unless they follow from what the world said."""

from __future__ import annotations

from collections import Counter
from runpy import run_path
from types import SimpleNamespace
from typing import Any

import pytest

from autograder.authoring.worked import run_answer
from autograder.judging.bench import Bench
from autograder.judging.result import Behaviour
from faultlab.scenario import play
from tests.sections.conftest import SECTIONS, judge, notebook

HEALTH = next(section for section in SECTIONS if section.exercise == "health")
SLOTS = 5.0
"""Seconds: windows may move in slots of this length."""

CLAIM = """
class HealthMonitor:
    latest = True
    def __init__(self, **options): pass
    def record(self, latency, ok): self.latest, self.latency = ok, latency
    def begin_drain(self): pass
    def snapshot(self): return dict(count=20, error_rate=0.0, p50=0.01, p95=0.01, p99=0.01)
    def ready(self): return {claim}

def make_app(monitor):
    async def app(scope, receive, send):
        ready = monitor.ready()
        body = json.dumps(dict(ready=ready, **monitor.snapshot()))
        status = 503 if scope["path"] == "/readyz" and not ready else 200
        await send(dict(type="http.response.start", status=status, headers=[]))
        await send(dict(type="http.response.body", body=body.encode()))
    return app
"""


def points(behaviours: list[Behaviour]) -> float:
    return sum(behaviour.points for behaviour in behaviours)


@pytest.mark.parametrize("claim", ["None", "False", "True", "self.latest", "self.latency < 1.0"])
def test_claims_alone_earn_nothing(claim):
    """Silence, constants, and an echo of the latest request are worth no points."""
    assert points(judge(HEALTH, CLAIM.replace("{claim}", claim))) == 0


@pytest.fixture(scope="module")
def questions():
    """Every question for readiness, by the test that judges it and the seed."""
    visible = SimpleNamespace(**run_path(str(HEALTH.tests)))
    bench = Bench.at("health", HEALTH.folder)
    names = run_answer(HEALTH, notebook(HEALTH))
    found = {}
    for test in bench.judge(hidden=True).tests:
        for seed in range(4):
            runs = [play(bench.scenarios[one.name], one.options, names, seed=seed) for one in test.scenarios]
            asked = [one for run in runs for one in visible.asked(run)]
            found[test.id, test.hidden, seed] = [one for one in asked if one.question in ("ready()", "/readyz")]
    return found


def test_opposite_claims_are_demanded(questions):
    """Whatever is judged by yes or no is judged by at least four of each, so that no coin earns it."""
    for test, asked in questions.items():
        if asked and test[0] not in ("percentiles", "unknown_path"):
            demanded = Counter(one.ready for one in asked)
            assert min(demanded[True], demanded[False]) >= 4, (test, demanded)


def test_nothing_is_asked_at_a_boundary(questions):
    """Slots of five seconds and any percentile are right: no request is near the window's end, no number at a limit."""
    for test, asked in questions.items():
        for one in asked:
            ages = [one.limits["window"] - (one.at - request.at) for request in one.told]
            assert all(abs(age) > SLOTS + 0.1 for age in ages), (test, one.who, one.at)
            if len(one.recent) >= one.limits["min_samples"]:
                assert not 0.9 < one.failed / len(one.recent) / one.limits["max_error_rate"] < 1.1, (test, one.who)
                assert not 0.84 < one.p99 / one.limits["max_p99"] < 1.16, (test, one.who)


def test_each_submission_meets_another_order():
    """Which monitor is in trouble is drawn anew for each seed."""
    bench = Bench.at("health", HEALTH.folder)
    names = run_answer(HEALTH, notebook(HEALTH))
    cases: dict[str, Any] = {"cases": [[40, failed, {}] for failed in (0, 10, 20, 30)]}
    failures = set()
    for seed in range(6):
        run = play(bench.scenarios["failures"], cases, names, seed=seed)
        rates = [mark.value["error_rate"] for mark in run.marks("snapshot()", lane="monitor 1")]
        failures.add(rates[0])
    assert len(failures) > 1
