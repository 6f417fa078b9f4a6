"""What must be true of a `UserService`: each test reads the timeline of one or more scenarios (see scenarios.py)."""

from itertools import pairwise

import pytest

BLINK = 0.001
"""Seconds that "at once" may take."""
NEAR = 0.005
"""Seconds by which a recorded latency may be off."""


def asked(run, who):
    """When this request came, and for which user."""
    mark = next((mark for mark in run.marks("ask") if mark.value[0] == who), None)
    assert mark is not None, f"the run ended before {who} came"
    return mark.at, mark.value[1]


def everybody(run):
    """All who asked, in order."""
    assert run.calls(), f"fetch was never called{_instead(run)}"
    return [mark.value[0] for mark in run.marks("ask")]


def crowd(run, name):
    """The requests D1, D2, ... of a crowd."""
    return [who for who in everybody(run) if who.startswith(name) and who != name]


def attempts(run, who):
    """The calls of fetch for this request."""
    _, user = asked(run, who)
    return [call for call in run.calls("fetch") if call.args[:1] == (user,)]


def ended(run, who):
    """How `handle` ended for this request, and when."""
    marks = run.marks(who, lane=who)
    assert marks, f"{who}: handle never came to an end"
    return marks[-1].value, marks[-1].at


def answer(run, who):
    """Status, body, and how many seconds the request took."""
    end, at = ended(run, who)
    assert end["how"] == "returned", f"{who}: handle {words(end)}, where (status, body) was to come back"
    pair = end["value"]
    good = isinstance(pair, list) and len(pair) == 2 and type(pair[0]) is int
    assert good, f"{who}: handle returned {pair!r}, which is no pair (status, body)"
    return pair[0], pair[1], at - asked(run, who)[0]


def words(end):
    """How `handle` ended, as a person would say it."""
    if end["how"] == "raised":
        return f"raised {end['error']}"
    return "was cancelled" if end["how"] == "cancelled" else f"returned {end['value']!r}"


def story(run, who):
    """What a request's attempts met, for messages."""
    calls = attempts(run, who)
    if not calls:
        return "no attempt reached fetch"
    seen = {"ok": "worked", "cancelled": "cut off", "pending": "still running"}
    return f"{times(len(calls))} ({', '.join(seen.get(call.outcome) or f'{call.error}' for call in calls)})"


def times(number):
    return "one attempt" if number == 1 else f"{number} attempts"


def _instead(run):
    first = next(iter(run.marks("ask")), None)
    marks = run.marks(first.value[0]) if first else []
    return f": handle {words(marks[-1].value)}" if marks else ""


def check(run, who, status, calls=None):
    """This request was answered with `status` after so many calls of fetch; with 200 and 503 the body fits."""
    found, body, _ = answer(run, who)
    if calls is not None:
        number = len(attempts(run, who))
        assert number == calls, f"{who}: {story(run, who)}, where {calls or 'none'} was right; the status is {found}"
    assert found == status, f"{who}: {story(run, who)}; the status is {found}, not {status}"
    if status == 200:
        value = attempts(run, who)[-1].value if attempts(run, who) else None
        assert body == value and type(body) is type(value), f"{who}: fetch answered {value!r}, the body is {body!r}"
    if status == 503:
        after = body.get("retry_after") if isinstance(body, dict) else None
        good = type(after) in (int, float) and after >= 0
        assert good, f"{who}: 503 with the body {body!r}, where a dict with retry_after >= 0 belongs"


def check_at_once(run, who, status):
    """Answered without an attempt, and without a wait."""
    check(run, who, status, calls=0)
    _, _, took = answer(run, who)
    assert took < BLINK, f"{who}: {status} without an attempt, but only after {took:.2f} s"


def check_cut(run, who):
    """This request's caller gave up; so did the request, at once, and its attempt with it."""
    gave_up = [mark for mark in run.marks("give up") if mark.value[0] == who]
    assert gave_up, f"the run ended before {who} gave up"
    end, at = ended(run, who)
    left = gave_up[0].at
    assert at > left - BLINK, (
        f"{who}: {story(run, who)}, then handle {words(end)}: it had ended before it was cancelled"
    )
    assert end["how"] == "cancelled", f"{who} was cancelled, but handle {words(end)}"
    assert at - left < BLINK, f"{who} was cancelled, and handle went on for {at - left:.2f} s"
    for call in attempts(run, who):
        over = call.end is not None and call.end < left + BLINK
        assert over, f"{who} was cancelled, and its attempt went on"


def check_users(run):
    """Every call of fetch was given the number of a user who was asked for, and nothing else."""
    users = [mark.value[1] for mark in run.marks("ask")]
    for call in run.calls("fetch"):
        assert len(call.args) == 1 and call.args[0] in users, f"fetch was called with {call.args!r}, not with a user_id"


@pytest.mark.points(0.25)
@pytest.mark.scenario(
    "requests", script=["A then: works", "B then: missing", "C then: empty", "6 x D at 2: works or missing"]
)
def test_answers(run):
    """200 with the value that fetch returned, 404 for NotFound

    Hint: `return 200, value` when the chain of layers returns, and one `except` for each error that comes out of it.
    """
    everybody(run)
    check_users(run)
    for who in everybody(run):
        calls = attempts(run, who)
        assert calls, f"{who}: fetch was never called for it"
        check(run, who, 200 if calls[-1].outcome == "ok" else 404)


@pytest.mark.points(0.25)
@pytest.mark.scenario(
    "requests",
    script=["A then: fails, fails, works", "B then: fails", "C then: works", "D then: fails, works"],
    max_attempts=3,
    base=0.2,
    cap=0.3,
    failure_threshold=50,
    seed=5,
)
@pytest.mark.scenario(
    "requests",
    script=["A then: fails, fails, works", "B then: fails", "C then: works", "D then: fails, works"],
    max_attempts=3,
    base=0.2,
    cap=0.3,
    failure_threshold=50,
    seed=6,
)
@pytest.mark.scenario(
    "requests",
    script=["A then: fails, fails, works", "B then: fails", "C then: works", "D then: fails, works", "E then: works"],
    max_attempts=3,
    base=0.2,
    cap=0.3,
    failure_threshold=50,
    seed=5,
)
def test_retries(
    runs, expected=({"A": (200, 3), "B": (502, 3), "C": (200, 1), "D": (200, 2)},) * 3, ceilings=(0.2, 0.3)
):
    """A failed attempt is tried again, at most max_attempts in all; 502 when the connection stays broken

    Hint: the toolkit's `retry` does it: hand it max_attempts, base, cap and rng.
    """
    for run, table in zip(runs, expected, strict=True):
        everybody(run)
        for who, (status, calls) in table.items():
            check(run, who, status, calls)
            for number, (pause, ceiling) in enumerate(zip(pauses(run, who), ceilings, strict=False), 1):
                seen = f"{who}: a pause of {pause:.2f} s after attempt {number}"
                assert pause <= ceiling + BLINK, f"{seen}, where base and cap allow {ceiling:g} s"
    first, other, again = ([round(one, 6) for who in expected[0] for one in pauses(run, who)] for run in runs)
    assert first == again, f"the same seed gave other pauses: {_listed(first)} and {_listed(again)}"
    assert first != other, f"another seed gave the same pauses: {_listed(first)}"


def _listed(found):
    return ", ".join(f"{pause:.2f}" for pause in found) + " s"


def pauses(run, who):
    calls = attempts(run, who)
    return [later.start - call.end for call, later in pairwise(calls) if call.end is not None]


@pytest.mark.points(0.5)
@pytest.mark.scenario("requests", script=["8 x A at 0: works after 0.5", "B at 2: works"], max_concurrent=2)
@pytest.mark.scenario(
    "requests", script=["4 x A at 0: works after 0.3", "B at 2: works"], max_concurrent=1, max_queue=2
)
@pytest.mark.scenario(
    "requests",
    script=["A then: fails", "B then: fails", "C then: works", "D at 5: works"],
    max_attempts=1,
    failure_threshold=2,
)
def test_unavailable(runs, served=(2, 3), full=(6, 1), failing=("A", "B"), rejected=("C", "D")):
    """503 with retry_after >= 0 in a dict, when the bulkhead is full and when the circuit is open

    Hint: `CircuitOpenError` has a `retry_after`, `BulkheadFull` has none: say a number of your own.
    """
    for run, well, turned_away in zip(runs, served, full, strict=False):
        names = crowd(run, "A")
        through = [who for who in names if attempts(run, who)]
        seen = f"{len(names)} came at once, and {len(through)} got through to fetch"
        assert len(through) == well, f"{seen}, where there was room for {well}"
        for who in names:
            check(run, who, 200 if who in through else 503)
        assert len(names) - len(through) == turned_away
        check(run, "B", 200, calls=1)
    run = runs[-1]
    everybody(run)
    for who in failing:
        check(run, who, 502, calls=1)
    for who in rejected:
        check(run, who, 503, calls=0)


@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "requests",
    script=["A then: hangs", "B then: hangs, works", "C then: works after 0.8", "D then: fails, hangs"],
    max_attempts=2,
    failure_threshold=50,
)
@pytest.mark.scenario(
    "requests",
    script=["A then: hangs", "B then: fails after 0.9", "C then: works after 0.8"],
    max_attempts=9,
    deadline=2.5,
    base=0.01,
    cap=0.01,
    failure_threshold=50,
)
def test_timeouts(
    runs,
    limits=(1.0, 1.0),
    deadlines=(5.0, 2.5),
    expected=(
        {"A": (504, 2), "B": (200, 2), "C": (200, 1), "D": (504, 2)},
        {"A": (504, 3), "B": (504, 3), "C": (200, 1)},
    ),
):
    """504 when the last attempt takes longer than attempt_timeout, or when the deadline cuts the request

    Hint: two `asyncio.timeout`: one around a single call of fetch, one around everything. Which one is retried?
    """
    for run, limit, deadline, table in zip(runs, limits, deadlines, expected, strict=True):
        everybody(run)
        for who, (status, calls) in table.items():
            for call in attempts(run, who):
                lasted = (call.end or run.duration) - call.start
                assert lasted < limit + BLINK, (
                    f"{who}: an attempt ran for {lasted:.2f} s, attempt_timeout is {limit:g} s"
                )
            _, _, took = answer(run, who)
            assert took < deadline + BLINK, f"{who}: the request took {took:.2f} s, the deadline is {deadline:g} s"
            check(run, who, status, calls)


@pytest.mark.points(0.25)
@pytest.mark.scenario(
    "requests",
    script=[
        "A then: works",
        "B then: missing",
        "C then: fails, works after 0.3",
        "D then: fails",
        "E then: hangs",
        "F then: fails",
        "G then: fails",
        "H then: works",
    ],
    attempt_timeout=0.5,
    max_attempts=2,
    failure_threshold=7,
)
@pytest.mark.scenario("requests", script=["3 x A at 0: works after 0.4", "B then: works"], max_concurrent=1)
def test_recorded(runs, expected=(("A", "B", "C", "D", "E", "F", "G", "H"), ("A1", "A2", "A3", "B"))):
    """Each request is recorded once: the seconds of the whole request, and whether its status is below 500

    Hint: read the clock when `handle` begins, and record where every answer passes, rejections too.
    """
    for run, names in zip(runs, expected, strict=True):
        everybody(run)
        for who in names:
            status, _, took = answer(run, who)
            records = [mark.value[1:] for mark in run.marks("record") if mark.value[0] == who]
            seen = f"{who} was answered {status} after {took:.3f} s"
            worked = bool(attempts(run, who)) and attempts(run, who)[-1].outcome == "ok"
            assert worked == (status == 200), f"{seen}: {story(run, who)}"
            assert len(records) == 1, f"{seen}; record was called {_often(len(records))} for it"
            latency, good = records[0]
            near = type(latency) in (int, float) and abs(latency - took) < NEAR
            assert near, f"{seen}; recorded were {_number(latency)} s"
            assert good == (status < 500), f"{seen}; recorded was {good!r}"
        assert len(run.marks("record")) == len(names), f"{len(names)} requests, {len(run.marks('record'))} records"
    statuses = [answer(runs[0], who)[0] for who in expected[0]]
    assert len(set(statuses)) > 3, f"works, missing, broken, hanging, open: the statuses are {statuses}"


def _often(number):
    return "never" if not number else f"{number} times"


def _number(value):
    return f"{value:.3f}" if type(value) in (int, float) else f"{value!r}"


@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "requests", script=["A then: fails", "B then: fails", "C then: fails", "D at 5: fails", "E at 20: fails"]
)
@pytest.mark.scenario(
    "requests", script=["A then: fails", "B then: works", "C then: fails", "D then: works", "E at 20: works"]
)
def test_counts_attempts(
    runs,
    expected=(
        {"A": (502, 4), "B": (503, 1), "C": (503, 0), "D": (503, 0), "E": (503, 0)},
        {"A": (502, 4), "B": (200, 1), "C": (502, 4), "D": (200, 1), "E": (200, 1)},
    ),
    threshold=5,
):
    """failure_threshold counts attempts: so many in a row reach a dead backend, then requests fail in 0 s

    Hint: what does the breaker see, each attempt or each request? Which of retry and breaker is the outer one?
    """
    for run, table in zip(runs, expected, strict=True):
        everybody(run)
        dead = all(status != 200 for status, _ in table.values())
        reached = len(run.calls("fetch"))
        if dead:
            seen = f"failure_threshold={threshold}, and {times(reached)} reached a dead backend"
            assert reached == threshold, f"{seen}: " + ", ".join(
                f"{len(attempts(run, who))} for {who}" for who in table
            )
        for who, (status, calls) in table.items():
            if calls:
                check(run, who, status, calls)
            else:
                check_at_once(run, who, status)


@pytest.mark.points(0.25)
@pytest.mark.scenario("requests", script=["A then: hangs", "B then: hangs", "C then: hangs"])
def test_hanging(run, expected=(("A", 504, 4), ("B", 503, 1), ("C", 503, 0)), threshold=5, timeout=1.0):
    """A backend that hangs opens the circuit too

    Hint: an attempt that was cut off from outside gives the breaker no verdict. Inside the breaker it is a TimeoutError.
    """
    everybody(run)
    reached = len(run.calls("fetch"))
    assert reached == threshold, f"failure_threshold={threshold}, and {times(reached)} reached a backend that hangs"
    answered = [call for call in run.calls("fetch") if call.outcome in ("ok", "error")]
    assert not answered, f"fetch was called with {answered[0].args!r}, not with the user_id of the request"
    for call in run.calls("fetch"):
        took = timeout if call.end is None else call.end - call.start
        assert took > timeout - BLINK, f"attempt_timeout={timeout:g}, and an attempt was cut off after {took:.2f} s"
    for who, status, calls in expected:
        check(run, who, status, calls)


@pytest.mark.points(0.25)
@pytest.mark.scenario(
    "requests",
    script=["A then: fails, works", "B then: works", "C at 4: works"],
    failure_threshold=1,
    recovery_time=2.0,
)
@pytest.mark.scenario(
    "requests", script=["A at 0: works after 0.6", "B at 0.1: works", "C then: works"], max_concurrent=1, base=1.0
)
@pytest.mark.scenario(
    "requests",
    script=[f"{who} then: missing" for who in "ABCDEF"] + ["G then: works"],
)
def test_not_retried(
    runs,
    expected=(
        {"A": (503, 1), "B": (503, 0), "C": (200, 1)},
        {"A": (200, 1), "B": (503, 0), "C": (200, 1)},
        {"A": (404, 1), "B": (404, 1), "C": (404, 1), "D": (404, 1), "E": (404, 1), "F": (404, 1), "G": (200, 1)},
    ),
):
    """An open circuit, a full bulkhead and NotFound are not tried again, and NotFound is no failure

    Hint: `retry_on` says what is worth another attempt, `is_failure` says what speaks against the backend.
    """
    for run, table in zip(runs, expected, strict=True):
        everybody(run)
        for who, (status, calls) in table.items():
            if calls:
                check(run, who, status, calls)
            else:
                check_at_once(run, who, status)


@pytest.mark.points(0.25)
@pytest.mark.scenario(
    "requests",
    script=["2 x A at 0: fails, cancelled at 4", "B at 1: works", "2 x C at 2: works after 0.5"],
    max_concurrent=2,
    deadline=1e6,
    base=1e5,
    cap=1e5,
    seed=3,
)
def test_backoff_frees(run, waiting=("A1", "A2"), served=("B", "C1", "C2")):
    """While a request waits for its next attempt, others may use its slot

    Hint: the slot protects the backend. Is the backend busy while we sleep? Put the bulkhead around each attempt.
    """
    everybody(run)
    for who in waiting:
        calls = len(attempts(run, who))
        assert calls == 1, f"{who}: {story(run, who)}, where one and then a long pause was right"
        check_cut(run, who)
    for who in served:
        check(run, who, 200, calls=1)
        late = attempts(run, who)[0].start - asked(run, who)[0]
        assert late < BLINK, f"{who} waited {late:.2f} s for a slot, though all others were in their pauses"


@pytest.mark.points(0.25)
@pytest.mark.scenario(
    "requests",
    script=["A then: fails", "B then: fails", "C at 9.5: works", "8 x D at 10.5: works after 0.4", "E then: works"],
    max_attempts=1,
    failure_threshold=2,
    recovery_time=10.0,
)
def test_half_open(run, rejected=("C",), crowds=(("D", 200),), after=(("E", 200, 1),)):
    """When recovery_time is over, one request of eight goes through as a probe, the others hear 503

    Hint: one breaker for the whole service, made in `__init__`; its half-open state lets one through by itself.
    """
    everybody(run)
    for who in rejected:
        check_at_once(run, who, 503)
    for name, status in crowds:
        names = crowd(run, name)
        probes = [who for who in names if attempts(run, who)]
        assert len(probes) == 1, f"{len(names)} came when recovery_time was over, {len(probes)} got through to fetch"
        check(run, probes[0], status, calls=1)
        for who in names:
            if who not in probes:
                check_at_once(run, who, 503)
    for who, status, calls in after:
        check(run, who, status, calls)


@pytest.mark.points(0.25)
@pytest.mark.scenario(
    "requests",
    script=["3 x A at 0: hangs, cancelled at 0.5", "3 x B at 1: works after 0.2", "C then: works"],
    max_concurrent=3,
    failure_threshold=3,
)
@pytest.mark.scenario(
    "requests",
    script=["A then: fails", "B at 1: hangs, cancelled at 1.5", "C at 2: fails", "D at 3: works"],
    max_attempts=1,
    failure_threshold=2,
)
@pytest.mark.scenario(
    "requests",
    script=["A then: fails", "B at 10.5: hangs, cancelled at 11", "C at 11.5: works", "D then: works"],
    max_attempts=1,
    failure_threshold=1,
    recovery_time=10.0,
)
def test_cancelled(
    runs,
    leaving=(("A1", "A2", "A3"), ("B",), ("B",)),
    expected=(
        {"B1": (200, 1), "B2": (200, 1), "B3": (200, 1), "C": (200, 1)},
        {"A": (502, 1), "C": (502, 1), "D": (503, 0)},
        {"A": (502, 1), "C": (200, 1), "D": (200, 1)},
    ),
):
    """A cancelled request is over at once: its slot is free, and the breaker has heard neither good nor bad

    Hint: cancelling raises CancelledError at the `await`; it is no `Exception`. Let it pass through all layers.
    """
    for run, gone, table in zip(runs, leaving, expected, strict=True):
        everybody(run)
        for who in gone:
            check_cut(run, who)
        for who, (status, calls) in table.items():
            check(run, who, status, calls)
