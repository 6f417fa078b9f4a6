"""What must be true of `HealthMonitor` and its app: each test reads the timeline of a scenario (see scenarios.py).

The world told each monitor its requests, one pile after the other. From what it was told follows what it must say.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import pytest

DEFAULTS = {"window": 60.0, "min_samples": 20, "max_error_rate": 0.05, "max_p99": 1.0}
PERCENTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
TOLERANCE = 0.06
"""Definitions of a percentile differ, and a histogram rounds: so much is no mistake."""


class Request(NamedTuple):
    """One request that a monitor was told."""

    at: float
    latency: float
    ok: bool


@dataclass(frozen=True)
class Asked:
    """A question to one monitor: what it answered, and all that it had been told by then."""

    who: str
    question: str
    at: float
    answer: object
    limits: dict
    told: tuple[Request, ...]
    drained: bool

    @cached_property
    def recent(self):
        """The requests in the window."""
        return [one for one in self.told if self.at - one.at < self.limits["window"]]

    @cached_property
    def failed(self):
        """How many of them failed."""
        return sum(not one.ok for one in self.recent)

    @cached_property
    def p99(self):
        """Their 99th percentile, by nearest rank."""
        latencies = sorted(one.latency for one in self.recent)
        return latencies[-(-99 * len(latencies) // 100) - 1]

    @property
    def ready(self):
        """What follows from it: True or False."""
        if self.drained:
            return False
        number = len(self.recent)
        if number < self.limits["min_samples"]:
            return True
        return self.failed / number <= self.limits["max_error_rate"] and self.p99 <= self.limits["max_p99"]


def asked(run, question=None):
    """Every question to the monitors, in order, each with what the monitor knew."""
    lanes = list(dict.fromkeys(call.lane for call in run.calls("traffic")))
    found = [one for lane in lanes for one in _asked(run, lane) if question in (None, one.question)]
    assert found, "no monitor was asked anything"
    return found


def _asked(run, lane):
    marks = [
        mark for mark in run.marks(lane=lane) if mark.name in ("ready()", "snapshot()", "raised") or "/" in mark.name
    ]
    limits, told, drained = {}, [], False
    for call in run.calls("traffic", lane=lane):
        step, *rest = call.value or ["nothing"]
        if step == "create":
            limits = {**DEFAULTS, **rest[0]}
        elif step == "record":
            told += [Request(call.end, latency, ok) for latency, ok, times in rest[0] for _ in range(times)]
        elif step == "drain":
            drained = True
        elif step == "ask":
            for question in rest[0]:
                assert marks, f"{lane}: {question} was never answered"
                mark = marks.pop(0)
                assert mark.name == question, _raised(lane, mark)
                yield Asked(lane, question, mark.at, mark.value, limits, tuple(told), drained)
    assert not marks, _raised(lane, marks[0])


def _raised(lane, mark):
    what = mark.value if isinstance(mark.value, dict) else {}
    words = str(what.get("message")).partition(": {")[0]  # a set's order is another in each process
    return f"{lane}: {what.get('doing')} raised {what.get('error')}: {words}"


def situation(one):
    """What a monitor had in its window, as a person would say it."""
    number, window = len(one.recent), one.limits["window"]
    quiet = f", the latest {one.at - one.told[-1].at:.0f} s ago" if one.told and one.at - one.told[-1].at > 5 else ""
    before = f", {len(one.told) - number:,} before that" if len(one.told) > number else ""
    leaves = "it was told to drain; " if one.drained else ""
    if not number:
        return f"{leaves}no request in its last {window:g} s{before}"
    seen = f"{plural(number, 'request')}, {one.failed:,} failed ({one.failed / number:.1%}), p99 {one.p99:.2g} s"
    own = [f"{key}={one.limits[key]:g}" for key in DEFAULTS if one.limits[key] != DEFAULTS[key]]
    return f"{leaves}in its last {window:g} s {seen}{quiet}{before}" + (f" ({', '.join(own)})" if own else "")


def plural(number, word):
    return f"{number:,} {word}" + ("" if number == 1 else "s")


def says_ready(one):
    """True or False as the monitor or `/readyz` says it, whichever was asked; None when it says nothing."""
    if one.question == "ready()":
        return {"yes": True, "no": False}.get(one.answer)
    status = one.answer["status"]
    assert status in (200, 503), f"GET /readyz answered {status}: 200 and 503 are the statuses that say something"
    return status == 200


def right_about(found):
    """Each of these questions for readiness got the answer that follows from the requests."""
    for one in found:
        said, said_how = says_ready(one), "said" if one.question == "ready()" else "answered"
        words = said if one.question == "ready()" else one.answer["status"]
        verdict = "ready" if one.ready else "not ready"
        assert said == one.ready, f"{situation(one)}: that is {verdict}, but {one.question} {said_how} {words}"


def right_numbers(one, found):
    """These are the numbers of the window: count and error rate exact, percentiles of any definition."""
    assert isinstance(found, dict), f"{one.question} gave {found!r}, not a dict with its numbers"
    missing = [key for key in ("count", "error_rate", *PERCENTILES) if key not in found]
    assert not missing, f"{one.question}: no {missing[0]!r} in it"
    number = len(one.recent)
    assert found["count"] == number, f"{situation(one)}: {one.question} has count {found['count']}"
    if not number:
        return
    rate = one.failed / number
    good = isinstance(found["error_rate"], int | float) and abs(found["error_rate"] - rate) < 0.0006
    assert good, f"{situation(one)}: {one.question} has error_rate {found['error_rate']}, which is {rate:.4g}"
    latencies = sorted(request.latency for request in one.recent)
    for key, share in PERCENTILES.items():
        low, high = between(latencies, share)
        good = isinstance(found[key], int | float) and low * (1 - TOLERANCE) <= found[key] <= high * (1 + TOLERANCE)
        seen = f"{number} latencies from {latencies[0]:.3g} to {latencies[-1]:.3g} s"
        assert good, f"{seen}: {one.question} has {key} {found[key]}, which is about {(low + high) / 2:.3g}"


def between(latencies, share):
    """The latencies, sorted, between which this percentile lies by all definitions in use."""
    number = len(latencies)
    last = number - 1
    low = min(int(share * last), int(share * number) - 1)
    high = max(int(share * number), int(share * (number + 1)))
    return latencies[max(0, low)], latencies[min(last, high)]


@pytest.mark.points(0.5)
@pytest.mark.step("Window")
@pytest.mark.scenario("idle", silences=[0.4, 3.0, 40.0, 200.0])
def test_idle(run):
    """A monitor that never saw a request is ready, and its snapshot counts none

    Hint: what does your code divide by when there is nothing to count, and what does it sort?
    """
    # first those that never saw a request: they are what the title speaks of
    right_about(sorted(asked(run, "ready()"), key=lambda one: len(one.told)))
    for one in sorted(asked(run, "snapshot()"), key=lambda one: len(one.told)):
        found = one.answer
        assert isinstance(found, dict), f"{situation(one)}: snapshot() gave {found!r}, not a dict"
        number = len(one.recent)
        assert found.get("count") == number, f"{situation(one)}: snapshot() has count {found.get('count')!r}"


@pytest.mark.points(0.5)
@pytest.mark.step("Window")
@pytest.mark.scenario("orders", numbers=[300])
def test_percentiles(run):
    """p50, p95 and p99 are right, in whatever order the latencies came

    Hint: a percentile is a place in the *sorted* latencies. Sort a copy when you are asked.
    """
    for one in asked(run, "snapshot()"):
        right_numbers(one, one.answer)


@pytest.mark.points(0.5)
@pytest.mark.step("Window")
@pytest.mark.scenario(
    "silence",
    cases=[["failed", 2.0, 48.0, 70.0, {}], ["slow", 51.0, 30.0, 68.0, {}], ["failed", 110.0, 50.0, 75.0, {}]],
)
@pytest.mark.scenario("silence", cases=[["slow", 20.0, 15.0, 39.0, {"window": 30.0}]])
def test_recovers_without_traffic(runs):
    """Without traffic trouble lasts as long as the window, and then it is over

    Hint: a check that only looks at the clock when a request comes never forgets the last one. Forget when asked, too.
    """
    for run in runs:
        right_about(asked(run, "ready()"))
        for one in asked(run, "snapshot()"):
            found = one.answer.get("count") if isinstance(one.answer, dict) else one.answer
            assert found == 0, f"{situation(one)}: snapshot() has count {found}"


@pytest.mark.points(0.5)
@pytest.mark.step("Window")
@pytest.mark.scenario("long_history", cases=[["failed", 2, 60.0, {}], ["slow", 8, 55.0, {}]])
@pytest.mark.scenario("long_history", cases=[["failed", 3, 30.0, {"window": 30.0}], ["failed", 3, 120.0, {}]])
def test_history_does_not_mask(runs):
    """A long good history doesn't hide what happens now

    Hint: which requests does the share of failures count: all since the start, or those of the last `window` seconds?
    """
    for run in runs:
        right_about(asked(run, "ready()"))


@pytest.mark.points(0.5)
@pytest.mark.step("Window")
@pytest.mark.scenario("traffic_goes_on", cases=[["failed", 60.0], ["slow", 60.0], ["failed", 90.0], ["slow", 75.0]])
def test_recovers_with_traffic(run):
    """With good traffic too, trouble lasts until it has left the window

    Hint: once the bad requests have left the window nothing may remember them: no flag, no total.
    """
    right_about(asked(run, "ready()"))


@pytest.mark.points(0.5)
@pytest.mark.step("Window")
@pytest.mark.scenario("busy", cases=[[1500, 120, 60.0], [600, 60, 60.0], [1200, 130, 40.0], [600, 70, 90.0]])
def test_window_is_time(run):
    """The window is a stretch of time, not a number of requests

    Hint: how many requests fit into `window` seconds? Any number: keep each one's instant, and no fixed length.
    """
    right_about(asked(run, "ready()"))


@pytest.mark.points(0.5)
@pytest.mark.step("Readiness")
@pytest.mark.scenario("few", cases=[[3, 20, {}], [6, 8, {"min_samples": 7}]])
@pytest.mark.scenario("few", cases=[[19, 21, {}], [29, 31, {"min_samples": 30}]], before=40)
def test_min_samples(runs):
    """Fewer than min_samples requests in the window say nothing: ready

    Hint: one failure of one request is 100 %. From how many requests on is a share worth believing?
    """
    for run in runs:
        right_about(asked(run, "ready()"))


@pytest.mark.points(0.5)
@pytest.mark.step("Readiness")
@pytest.mark.scenario(
    "failures",
    cases=[
        *([200, 7, {}], [200, 13, {}], [1000, 42, {}], [1000, 58, {}], [60, 0, {}], [60, 60, {}]),
        *([100, 14, {"max_error_rate": 0.2}], [100, 26, {"max_error_rate": 0.2}]),
    ],
)
def test_error_rate(run):
    """Ready up to max_error_rate, not above it; failures that come quickly count too

    Hint: failed requests of the window divided by all requests of the window. How long they took doesn't matter here.
    """
    right_about(asked(run, "ready()"))
    for one in asked(run, "snapshot()"):
        right_numbers(one, one.answer)


@pytest.mark.points(0.5)
@pytest.mark.step("Readiness")
@pytest.mark.scenario(
    "slow",
    cases=[
        *([1000, 1, 5.0, {}], [1000, 300, 5.0, {}], [600, 2, 12.0, {}], [600, 200, 4.0, {}]),
        *([400, 1, 3.0, {"max_p99": 0.3}], [400, 130, 3.0, {"max_p99": 0.3}], [300, 1, 20.0, {}], [300, 90, 6.0, {}]),
    ],
)
def test_one_outlier(run):
    """One slow request in a thousand is no trouble: p99 isn't the maximum

    Hint: of 1,000 sorted latencies p99 is about the 990th. How many requests are slower?
    """
    right_about(asked(run, "ready()"))


@pytest.mark.points(1)
@pytest.mark.step("Endpoints")
@pytest.mark.scenario(
    "slow",
    cases=[
        *([1000, 20, 5.0, {}], [1000, 20, 0.7, {}], [500, 15, 6.0, {}], [500, 15, 0.6, {}]),
        *([400, 12, 0.5, {"max_p99": 0.3}], [400, 12, 0.2, {"max_p99": 0.3}], [300, 9, 4.0, {}], [300, 9, 0.72, {}]),
    ],
    questions=["ready()", "/readyz"],
)
def test_tail(run):
    """A slow tail is a 503, however good the mean looks

    Hint: 980 requests of 10 ms and 20 of 5 s: the mean is 0.11 s, and one user in fifty waits 5 s. Compare p99.
    """
    right_about(asked(run))


@pytest.mark.points(0.5)
@pytest.mark.step("Endpoints")
@pytest.mark.scenario(
    "two_questions",
    cases=[
        *([40, 0, 20], [60, 0, 0], [60, 30, 0], [90, 0, 0], [30, 10, 10], [50, 0, 0], [2, 0, 70], [72, 0, 0]),
    ],
)
def test_liveness(run):
    """/livez answers 200 whatever the health; only /readyz goes to 503

    Hint: who hears "not alive" restarts the process. Would that help a service whose database is down?
    """
    right_about(asked(run, "/readyz"))
    for one in asked(run, "/livez"):
        status = one.answer["status"]
        assert status == 200, f"{situation(one)}: GET /livez answered {status}; the process is alive"


@pytest.mark.points(0.5)
@pytest.mark.step("Endpoints")
@pytest.mark.scenario("leaving", cases=[0, 50, 5, 300])
def test_drain(run):
    """After begin_drain() not ready for good, and still alive

    Hint: look at draining first: also a monitor with few requests must say no. And /livez isn't asked about it.
    """
    right_about([one for one in asked(run) if one.question != "/livez"])
    for one in asked(run, "/livez"):
        status = one.answer["status"]
        assert status == 200, f"{situation(one)}: GET /livez answered {status}; who drains is alive"


@pytest.mark.points(0.5)
@pytest.mark.step("Endpoints")
@pytest.mark.scenario("reports", cases=[[30, 0, 0, 9.0], [40, 0, 30, 70.0], [40, 9, 20, 25.0], [30, 0, 9, 35.0]])
def test_body_and_counters(run):
    """/readyz gives its reasons as JSON; the counters of /metrics only ever go up

    Hint: the body repeats the snapshot, and "ready" beside it. The counters start with the monitor and know no window.
    """
    for one in asked(run, "/readyz"):
        body = one.answer.get("json")
        assert isinstance(body, dict), f"GET /readyz: its body is no JSON object: {one.answer.get('text', body)!r}"
        right_about([one])
        told = f"GET /readyz answered {one.answer['status']} with ready {body.get('ready')!r} in its body"
        assert body.get("ready") is one.ready, told
        right_numbers(one, body)
    for one in asked(run, "/metrics"):
        failed = sum(not request.ok for request in one.told)
        for outcome, right in (("ok", len(one.told) - failed), ("error", failed)):
            seen = f"after {plural(len(one.told), 'request')}, {failed} failed"
            value = counter(one.answer, outcome)
            assert value is not None or right == 0, f'{seen}: /metrics has no requests_total{{outcome="{outcome}"}}'
            assert (value or 0) == right, f'{seen}: requests_total{{outcome="{outcome}"}} is {value:g}'


def counter(answer, outcome):
    """The value of a counter on the page, None when it isn't there."""
    assert answer["status"] == 200, f"GET /metrics answered {answer['status']}"
    found = [
        float(line.split("}")[1].split()[0])
        for line in answer.get("counters", ())
        if re.match(rf'requests_total{{.*\boutcome="{outcome}".*}}\s+[\d.eE+]+', line)
    ]
    return sum(found) if found else None


@pytest.mark.points(0)
@pytest.mark.step("Endpoints")
@pytest.mark.scenario("other_paths", paths=["/nothing", "/", "/ready"])
def test_unknown_path(run):
    """Advice: any other path is a 404

    Hint: a check that answers 200 to a misspelled path lets a misspelled probe pass for ever.
    """
    for one in asked(run):
        want = 200 if one.question == "/livez" else 404
        status = one.answer["status"]
        assert status == want, f"GET {one.question} answered {status}; {want} is right"
