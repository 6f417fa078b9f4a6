"""Tests of `HealthMonitor` and its app: each reads the timeline of a scenario (see scenarios.py).

The world told each monitor its requests, batch by batch. What a monitor must say follows from what it was told.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import pytest

DEFAULTS = {"window": 60.0, "min_samples": 20, "max_error_rate": 0.05, "max_p99": 1.0}
PERCENTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
TOLERANCE = 0.06
"""The share by which a percentile may differ: definitions vary, and a histogram rounds."""


class Request(NamedTuple):
    """A request that a monitor was told about."""

    at: float
    latency: float
    ok: bool


@dataclass(frozen=True)
class Asked:
    """A question to a monitor: its answer, and all that the monitor had been told by then."""

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
        """How many requests in the window failed."""
        return sum(not one.ok for one in self.recent)

    @cached_property
    def p99(self):
        """The 99th percentile of the window's latencies, by nearest rank."""
        latencies = sorted(one.latency for one in self.recent)
        return latencies[-(-99 * len(latencies) // 100) - 1]

    @property
    def ready(self):
        """Whether the monitor must be ready."""
        if self.drained:
            return False
        number = len(self.recent)
        if number < self.limits["min_samples"]:
            return True
        return self.failed / number <= self.limits["max_error_rate"] and self.p99 <= self.limits["max_p99"]


def asked(run, question=None, empty=True):
    """List every question to the monitors with what the monitor knew; no draw decides the order of the monitors.

    Without `empty`, a monitor that raises while its window is empty isn't judged from there on.
    """
    lanes = dict.fromkeys(call.lane for call in run.calls("traffic"))
    found = [one for lane in sorted(lanes, key=lambda lane: plan_of(run, lane)) for one in _asked(run, lane, empty)]
    assert found, "no monitor was asked anything"
    return [one for one in found if question in (None, one.question)]


def plan_of(run, lane):
    """Sum up what was done to a monitor: how many requests each step had, and how many of them failed."""
    steps = [call.value or ["nothing"] for call in run.calls("traffic", lane=lane)]
    rows = [step[1] if step[0] == "record" else [] for step in steps]
    numbers = [[sum(row[2] for row in some), sum(row[2] * (not row[1]) for row in some)] for some in rows]
    slow = sum(row[2] for some in rows for row in some if row[0] > 0.1)
    options = [str(step[1]) for step in steps if step[0] == "create"]
    return sum(number for number, _ in numbers), slow, options, numbers


def _asked(run, lane, empty):
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
                one = Asked(lane, question, mark.at, mark.value, limits, tuple(told), drained)
                if mark.name != question and not empty and not one.recent:
                    return
                assert mark.name == question, _raised(one, mark)
                yield one
    assert not marks, _raised(None, marks[0])


def _raised(one, mark):
    what = mark.value if isinstance(mark.value, dict) else {}
    words = str(what.get("message")).partition(": {")[0]  # a set's order differs from process to process
    when = f"{situation(one)}: " if one is not None and one.limits else ""
    return f"{when}{what.get('doing')} raised {what.get('error')}: {words}"


def shown(value):
    """Write a value as a person would."""
    if isinstance(value, dict) and len(value) == 1:
        ((kind, what),) = value.items()
        if kind.startswith("$"):
            return f"an object of class {what}" if kind == "$object" else str(what)
    return repr(value)


def situation(one):
    """Say in words what a monitor had in its window."""
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
    """Return what the monitor or `/readyz` said, whichever was asked: True, False, or None for no clear answer."""
    if one.question == "ready()":
        return {"yes": True, "no": False}.get(one.answer)
    status = one.answer["status"]
    return status < 400 if isinstance(status, int) else {"200": True, "503": False}.get(status)


def right_about(found):
    """Check that each of these questions about readiness got the answer that follows from the requests."""
    for one in found:
        said, said_how = says_ready(one), "said" if one.question == "ready()" else "answered"
        words = one.answer["status"] if said_how == "answered" else shown(one.answer) if said is None else said
        verdict = "ready" if one.ready else "not ready"
        assert said is one.ready, f"{situation(one)}: that is {verdict}, but {one.question} {said_how} {words}"


def right_count(one, found):
    """Check the number of requests in the window, if the answer has a number at all."""
    count = found.get("count") if isinstance(found, dict) else None
    number = len(one.recent)
    good = count == number or not is_number(count)
    assert good, f"{situation(one)}: {one.question} has count {shown(count)}, expected {number}"


def right_rate(one, found):
    """Check the share of failures in the window; for an empty window it is 0."""
    assert isinstance(found, dict), f"{one.question} gave {shown(found)}, not a dict with its numbers"
    assert "error_rate" in found, f"{one.question}: no 'error_rate' in it"
    said, rate = found["error_rate"], one.failed / max(1, len(one.recent))
    good = is_number(said) and abs(said - rate) < 0.0006
    assert good, f"{situation(one)}: {one.question} has error_rate {shown(said)}, expected {rate:.4g}"


def right_percentiles(one, found):
    """Check the percentiles of all requests in the window, by any definition."""
    assert isinstance(found, dict), f"{one.question} gave {shown(found)}, not a dict with its numbers"
    missing = [key for key in ("count", *PERCENTILES) if key not in found]
    assert not missing, f"{one.question}: no {missing[0]!r} in it"
    right_count(one, found)
    assert is_number(found["count"]), f"{one.question} has count {shown(found['count'])}, which isn't a number"
    latencies = sorted(request.latency for request in one.recent)
    for key, share in PERCENTILES.items():
        if not latencies or fits(found[key], latencies, share):
            continue
        seen = f"{len(latencies)} latencies from {latencies[0]:.3g} to {latencies[-1]:.3g} s"
        told = f"{seen}: {one.question} has {key} {shown(found[key])}, expected about {middle(latencies, share):.3g}"
        well = sorted(request.latency for request in one.recent if request.ok)
        theirs = bool(well) and fits(found[key], well, share)
        raise AssertionError(f"{told}; that would be right for the {len(well)} successes alone" if theirs else told)


def is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)


def fits(value, latencies, share):
    """Return whether this is the percentile of these sorted latencies, by some definition."""
    low, high = between(latencies, share)
    return is_number(value) and low * (1 - TOLERANCE) <= value <= high * (1 + TOLERANCE)


def middle(latencies, share):
    return sum(between(latencies, share)) / 2


def between(latencies, share):
    """Return the two of these sorted latencies between which this percentile lies, by every definition in use."""
    number = len(latencies)
    last = number - 1
    low = min(int(share * last), int(share * number) - 1)
    high = max(int(share * number), int(share * (number + 1)))
    return latencies[max(0, low)], latencies[min(last, high)]


@pytest.mark.points(0.5)
@pytest.mark.step("Window")
@pytest.mark.scenario("orders", numbers=[300])
def test_percentiles(run):
    """p50, p95 and p99 are right, in whatever order the latencies came

    Hint: a percentile is a place in the *sorted* latencies. Sort a copy in `snapshot`.
    """
    for one in asked(run, "snapshot()"):
        right_percentiles(one, one.answer)


@pytest.mark.points(0.5)
@pytest.mark.step("Window")
@pytest.mark.scenario("long_history", cases=[["failed", 2, 60.0, {}], ["slow", 8, 55.0, {}]])
@pytest.mark.scenario("long_history", cases=[["failed", 3, 30.0, {"window": 30.0}], ["failed", 3, 120.0, {}]])
def test_history_does_not_mask(runs):
    """A long good history doesn't hide what happens now

    Hint: which requests does your share of failures count: all since the start, or those of the last `window` seconds?
    """
    for run in runs:
        right_about(asked(run, "ready()"))


@pytest.mark.points(0.5)
@pytest.mark.step("Window")
@pytest.mark.scenario(
    "silence",
    cases=[["failed", 14.0, 53.5, 70.0, {}], ["slow", 51.0, 30.0, 65.4, {}], ["failed", 110.0, 50.0, 75.0, {}]],
)
@pytest.mark.scenario(
    "silence", cases=[["slow", 20.0, 15.0, 39.0, {"window": 30.0}], ["failed", 14.0, 24.0, 36.0, {"window": 30.0}]]
)
def test_recovers_without_traffic(runs):
    """Without traffic, trouble lasts as long as the window, and then it is over

    Hint: a check that looks at the clock only when a request comes never forgets the last one. Forget when asked, too.
    """
    for run in runs:
        for one in asked(run, "snapshot()"):
            right_count(one, one.answer)
        right_about(asked(run, "ready()"))


@pytest.mark.points(0.5)
@pytest.mark.step("Window")
@pytest.mark.scenario("traffic_goes_on", cases=[["failed", 60.0], ["slow", 60.0], ["failed", 90.0], ["slow", 75.0]])
def test_recovers_with_traffic(run):
    """With good traffic too, trouble lasts until it has left the window

    Hint: once the bad requests have left the window, nothing may remember them: no flag, no total.
    """
    right_about(asked(run, "ready()"))


@pytest.mark.points(0.5)
@pytest.mark.step("Window")
@pytest.mark.scenario("busy", cases=[[1500, 120, 60.0], [600, 60, 60.0], [1200, 130, 40.0], [600, 70, 90.0]])
def test_window_is_time(run):
    """The window is a stretch of time, not a number of requests

    Hint: how many requests fit into `window` seconds? Any number, so keep each request's instant, and no fixed length.
    """
    right_about(asked(run, "ready()"))


@pytest.mark.points(0.5)
@pytest.mark.step("Window")
@pytest.mark.scenario("idle", silences=[0.4, 3.0, 15.0, 40.0, 90.0, 200.0])
def test_idle(run):
    """A monitor that never saw a request is ready, and its snapshot counts none

    Hint: what does your code divide by when there is nothing to count, and what does it sort?
    """
    # The monitors that never saw a request come first: the title is about them.
    right_about(sorted(asked(run, "ready()"), key=lambda one: len(one.told)))
    for one in sorted(asked(run, "snapshot()"), key=lambda one: len(one.told)):
        right_count(one, one.answer)
        assert isinstance(one.answer, dict), f"snapshot() gave {shown(one.answer)}, not a dict with its numbers"
        said = one.answer.get("error_rate")
        nothing = f"{situation(one)}: snapshot() has error_rate {shown(said)}, expected 0"
        assert one.recent or said in (None, 0), nothing


@pytest.mark.points(0.5)
@pytest.mark.step("Readiness")
@pytest.mark.scenario(
    "failures",
    cases=[
        *([200, 7, {}], [200, 13, {}], [1000, 44, {}], [1000, 56, {}], [60, 0, {}], [60, 60, {}]),
        *([100, 14, {"max_error_rate": 0.2}], [100, 26, {"max_error_rate": 0.2}]),
    ],
)
def test_error_rate(run):
    """Ready up to max_error_rate and not above it; quick failures count too

    Hint: divide the window's failed requests by all its requests. How long they took doesn't matter here.
    """
    for one in asked(run, "snapshot()"):
        right_rate(one, one.answer)
    right_about(asked(run, "ready()"))


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

    Hint: of 1,000 sorted latencies, p99 is about the 990th. How many requests are slower?
    """
    right_about(asked(run, "ready()"))


@pytest.mark.points(0.5)
@pytest.mark.step("Readiness")
@pytest.mark.scenario("few", cases=[[3, 20, {}], [6, 7, {"min_samples": 7}]])
@pytest.mark.scenario("few", cases=[[19, 21, {}], [29, 31, {"min_samples": 30}]], before=40)
def test_min_samples(runs):
    """With fewer than min_samples requests in the window, the monitor is ready

    Hint: one failure of one request is 100 %. How many requests does it take before you believe a share?
    """
    for run in runs:
        right_about(asked(run, "ready()"))


@pytest.mark.points(1)
@pytest.mark.step("Endpoints")
@pytest.mark.scenario(
    "slow",
    cases=[
        *([1000, 20, 5.0, {}], [1000, 20, 0.7, {}], [500, 15, 1.3, {}], [500, 15, 0.76, {}]),
        *([400, 12, 0.5, {"max_p99": 0.3}], [400, 12, 0.2, {"max_p99": 0.3}], [300, 9, 4.0, {}], [300, 9, 0.72, {}]),
        *([600, 18, 3.0, {}, False], [600, 18, 0.5, {}, False]),
    ],
    questions=["ready()", "/readyz"],
)
def test_tail(run):
    """A slow tail gives a 503, however good the mean looks

    Hint: 980 requests take 10 ms and 20 take 5 s. The mean is 0.11 s, but one user in fifty waits 5 s. Compare p99.
    """
    for one in asked(run):
        right_about([one])
        if one.question == "/readyz":
            status, right = one.answer["status"], 200 if one.ready else 503
            assert status == right, f"{situation(one)}: /readyz answered {shown(status)}, expected {right}"


@pytest.mark.points(0.5)
@pytest.mark.step("Endpoints")
@pytest.mark.scenario(
    "two_questions",
    cases=[
        *([40, 0, 20], [60, 0, 0], [60, 30, 0], [90, 0, 0], [30, 10, 10], [50, 0, 0], [2, 0, 70], [72, 0, 0]),
    ],
)
def test_liveness(run):
    """/livez answers 200 whatever the health is; only /readyz may answer 503

    Hint: a supervisor that hears "not alive" restarts the process. Would that help a service whose database is down?
    """
    right_about(asked(run, "/readyz", empty=False))
    for one in asked(run, "/livez", empty=False):
        status = one.answer["status"]
        assert str(status) == "200", f"{situation(one)}: GET /livez answered {status}; the process is alive"


@pytest.mark.points(0.5)
@pytest.mark.step("Endpoints")
@pytest.mark.scenario("leaving", cases=[0, 50, 5, 300])
def test_drain(run):
    """After begin_drain() the monitor is never ready again, but still alive

    Hint: look at draining first, because a monitor with few requests must say no too. /livez doesn't look at it.
    """
    found = [one for one in asked(run, empty=False) if one.question != "/livez"]
    stays = [one for one in found if one.drained and says_ready(one)]
    ways = " and ".join(sorted({one.question for one in stays}))
    windows = ", ".join(str(number) for number in sorted({len(one.recent) for one in stays}))
    bodies = [(len(one.recent), one.answer.get("json")) for one in stays if one.question == "/readyz"]
    gone = any(isinstance(body, dict) and body.get("count") == 0 for number, body in bodies if number)
    told = f"told to drain, {ways} said ready with {windows} requests in the window"
    assert not stays, f"{told}; its body counts none of them" if gone else told
    right_about(found)
    for one in asked(run, "/livez", empty=False):
        status = one.answer["status"]
        assert str(status) == "200", f"{situation(one)}: GET /livez answered {status}; a draining service is alive"


@pytest.mark.points(0.5)
@pytest.mark.step("Endpoints")
@pytest.mark.scenario("reports", cases=[[30, 0, 0, 9.0], [40, 0, 30, 70.0], [40, 9, 20, 25.0], [30, 0, 9, 35.0]])
def test_body_and_counters(run):
    """/readyz gives its reasons as JSON; the counters of /metrics only ever go up

    Hint: the body repeats the snapshot and adds "ready". The counters start with the monitor and ignore the window.
    """
    snapshot = None
    for one in asked(run, empty=False):
        if one.question == "snapshot()":
            snapshot = one.answer
        elif one.question == "/readyz":
            right_body(one, snapshot)
        else:
            right_counters(one)


def right_body(one, snapshot):
    """Check that the body of `/readyz` says ready or not, and why: with the window's numbers, or with the snapshot's.

    Other tests judge whether the snapshot's own numbers are right.
    """
    assert not one.answer.get("unfit"), f"GET /readyz: {one.answer['unfit']}"
    body = one.answer.get("json")
    assert isinstance(body, dict), f"GET /readyz: its body isn't a JSON object: {one.answer.get('text', body)!r}"
    told = f"GET /readyz answered {shown(one.answer['status'])} with ready {shown(body.get('ready'))} in its body"
    assert body.get("ready") is one.ready, f"{situation(one)}: {told}"
    for key in ("count", "error_rate", *PERCENTILES):
        assert key in body, f"/readyz: no {key!r} in it"
    if all(
        key in (snapshot or {}) and close(body[key], snapshot[key]) for key in ("count", "error_rate", *PERCENTILES)
    ):
        return
    right_count(one, body)
    right_rate(one, body)
    right_percentiles(one, body)


def close(one, other):
    """Return whether two values are equal, up to rounding if they are numbers."""
    return one == other or (is_number(one) and is_number(other) and abs(one - other) < 0.01 * abs(other) + 0.0006)


def right_counters(one):
    """Check that each counter of `/metrics` is the number of such requests since the monitor was created."""
    failed = sum(not request.ok for request in one.told)
    for outcome, right in (("ok", len(one.told) - failed), ("error", failed)):
        seen = f"after {plural(len(one.told), 'request')}, {failed:,} failed"
        value, name = counter(one.answer, outcome), f'requests_total{{outcome="{outcome}"}}'
        assert value is not None or right == 0, f"{seen}: /metrics has no {name} with a number; {instead(one.answer)}"
        recent = sum(request.ok is (outcome == "ok") for request in one.recent)
        why = {len(one.told): "that is all requests", recent: "those in the window", right: ""}.get(value or 0)
        why = "that is more than were recorded" if why is None and value > len(one.told) else why or "another number"
        assert (value or 0) == right, f"{seen}: {name} is {value or 0:g}, expected {right:,}: {why}"


def instead(answer):
    """Say in words what `/metrics` has where a counter is missing."""
    if answer.get("counters"):
        return f"it says {answer['counters'][0]}"
    text = (answer.get("text") or str(answer.get("json", ""))).replace("\n", " ")
    return f"no line begins with requests_total, the first says {text[:30]!r}"


def counter(answer, outcome):
    """Return the value of a counter on the page, None when it isn't there."""
    assert str(answer["status"]) == "200", f"GET /metrics answered {shown(answer['status'])}"
    assert not answer.get("unfit"), f"GET /metrics: {answer['unfit']}"
    lines = answer.get("counters", ())
    found = [
        re.match(rf'requests_total{{.*\boutcome="{outcome}".*}}\s+(\d+(\.\d*)?([eE][+]?\d+)?)(\s|$)', one)
        for one in lines
    ]
    return sum(float(one[1]) for one in found if one) if any(found) else None


@pytest.mark.points(0)
@pytest.mark.step("Endpoints")
@pytest.mark.scenario("other_paths", paths=["/nothing", "/", "/ready", "/readyz2"])
def test_unknown_path(run):
    """Advice: any other path is a 404

    Hint: a check that answers 200 to a misspelled path lets a misspelled probe pass forever.
    """
    for one in asked(run):
        want = 200 if one.question == "/livez" else 404
        status = one.answer["status"]
        assert status == want, f"GET {one.question} answered {status}; {want} is right"
