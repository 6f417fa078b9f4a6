"""Check a `UserService`: each test reads the timeline of one or more scenarios (see scenarios.py)."""

import re
from itertools import accumulate, pairwise

import pytest

BLINK = 0.001
"""How many seconds still count as "at once"."""
NEAR = 0.005
"""By how many seconds a recorded latency may be off."""
RETRIES = [
    "A then: fails, fails, works",
    "B then: fails",
    "C then: works",
    "D then: fails with ConnectionResetError, works",
]
"""Requests that need one attempt, need several, or use up all of them."""


def asked(run, who):
    """Return when this request came, and for which user."""
    mark = next((mark for mark in run.marks("ask") if mark.value[0] == who), None)
    assert mark is not None, f"the run ended before {who} came"
    return mark.at, mark.value[1]


def everybody(run):
    """Return the names of all requests, in the order in which they came."""
    assert run.calls(), f"fetch was never called{_instead(run)}"
    return [mark.value[0] for mark in run.marks("ask")]


def crowd(run, name):
    """Return the requests D1, D2, ... of a crowd."""
    return [who for who in everybody(run) if who.startswith(name) and who != name]


def attempts(run, who):
    """Return the calls of fetch for this request."""
    _, user = asked(run, who)
    return [call for call in run.calls("fetch") if call.args[:1] == (user,)]


def ended(run, who):
    """Return how `handle` ended for this request, and when."""
    marks = run.marks(who, lane=who)
    assert marks, f"{who}: handle never came to an end"
    return marks[-1].value, marks[-1].at


def took(run, who):
    """Return how many seconds this request took."""
    return ended(run, who)[1] - asked(run, who)[0]


def status_of(run, who):
    """Return the status, or None if `handle` raised or returned no pair. `test_answers` judges a status as text."""
    end, _ = ended(run, who)
    pair = end["value"] if end["how"] == "returned" else None
    told = pair[0] if type(pair) is list and len(pair) == 2 else None
    if type(told) is str and told.isascii() and told.isdigit():
        return int(told[:9])
    return told if type(told) in (int, float) else None


def pair_of(run, who):
    """Return status and body as `handle` returned them."""
    end, _ = ended(run, who)
    assert end["how"] == "returned", (
        f"{who}: {story(run, who)}; handle {words(end)}, where it should return (status, body)"
    )
    pair = end["value"]
    good = type(pair) is list and len(pair) == 2
    assert good, f"{who}: {story(run, who)}; handle {words(end)}, which is no pair (status, body)"
    return pair


def words(end):
    """Return how `handle` ended, in the words of a message."""
    if end["how"] == "raised":
        return f"raised {end['error']}"
    return "was cancelled" if end["how"] == "cancelled" else f"returned {said(end['value'])}"


def said(value):
    """Return a value in the words of a message."""
    if type(value) is list:
        return f"({', '.join(said(one) for one in value)})"
    if type(value) is not dict:
        return f"{value:g}" if type(value) is float else repr(value)
    if len(value) == 1 and next(iter(value)).startswith("$"):
        (kind, name), *_ = value.items()
        return f"a {name}" if kind == "$object" else f"{name}"
    return "{" + ", ".join(f"{key!r}: {said(one)}" for key, one in value.items()) + "}"


def told(run, who):
    """Return the answer in the words of a message."""
    status = status_of(run, who)
    return f"handle {words(ended(run, who)[0])}" if status is None else f"the status is {status}"


def story(run, who):
    """Return how a request's attempts ended, in the words of a message."""
    calls = attempts(run, who)
    if not calls:
        return "no attempt reached fetch"
    seen = {"ok": "worked", "cancelled": "cut off", "pending": "still running"}
    return f"{times(len(calls))} ({', '.join(seen.get(call.outcome) or f'{call.error}' for call in calls)})"


def times(number):
    return "one attempt" if number == 1 else f"{number} attempts"


def few(number):
    return {0: "none", 1: "one"}.get(number, f"{number}")


def _instead(run):
    first = next(iter(run.marks("ask")), None)
    marks = run.marks(first.value[0]) if first else []
    return f": handle {words(marks[-1].value)}" if marks else ""


def check_calls(run, who, calls):
    """Fail unless this request made this many calls of fetch."""
    number = len(attempts(run, who))
    assert number == calls, f"{who}: {story(run, who)}; expected {few(calls)}; {told(run, who)}"


def went(run, who, well, calls=None):
    """Fail unless this request made this many calls of fetch, and its status is 200 exactly if it went well.

    Other tests judge which other status it has.
    """
    if calls is not None:
        check_calls(run, who, calls)
    end, _ = ended(run, who)
    status = status_of(run, who)
    if status is not None or end["how"] != "returned":  # what is no pair is for `test_answers`
        why = "the last attempt worked" if well else "no attempt worked"
        assert (status == 200) == well, f"{who}: {story(run, who)}; {told(run, who)}, but {why}"
    if well and status == 200:
        values, body = [call.value for call in attempts(run, who)], pair_of(run, who)[1]
        other = [one for one in re.findall(r"fetch-[0-9a-f]{10}", f"{body}") if one not in values]
        assert not other, f"{who}: fetch answered {said(values[-1])}, but the body has {other[0]}"


def check(run, who, status, calls=None):
    """Fail unless this request was answered with this status, after this many calls of fetch."""
    if calls is not None:
        check_calls(run, who, calls)
    pair_of(run, who)
    found = status_of(run, who)
    assert found == status, f"{who}: {story(run, who)}; {told(run, who)}, not {status}"


def check_at_once(run, who):
    """Fail unless this request was rejected without an attempt and without a wait."""
    went(run, who, well=False, calls=0)
    seconds = took(run, who)
    assert seconds < BLINK, f"{who}: {told(run, who)} without an attempt, but only after {seconds:.2f} s"


def left_at(run, who):
    """Return when this request's caller gave up."""
    mark = next((mark for mark in run.marks("give up") if mark.value[0] == who), None)
    assert mark is not None, f"the run ended before {who} gave up"
    return mark.at


def check_cut(run, who):
    """Fail unless this request and its attempt ended at once when its caller gave up."""
    left = left_at(run, who)
    end, at = ended(run, who)
    assert at > left - BLINK, (
        f"{who}: {story(run, who)}, then handle {words(end)}: it had ended before it was cancelled"
    )
    assert end["how"] == "cancelled", f"{who} was cancelled, but handle {words(end)}"
    assert at - left < BLINK, f"{who} was cancelled, and handle kept running for {at - left:.2f} s"
    for call in attempts(run, who):
        over = call.end is not None and call.end < left + BLINK
        assert over, f"{who} was cancelled, and its attempt kept running"


def check_users(run):
    """Fail unless every call of fetch got the number of a requested user, and nothing else."""
    users = [mark.value[1] for mark in run.marks("ask")]
    for call in run.calls("fetch"):
        right = len(call.args) == 1 and call.args[0] in users
        assert right, f"fetch was called with {said(list(call.args))}, not with a user_id"


def at_once(run):
    """Return how many attempts ran at the same time, at most."""
    changes = [(call.start, 1) for call in run.calls("fetch")]
    changes += [(call.end, -1) for call in run.calls("fetch") if call.end is not None]
    return max(accumulate(change for _, change in sorted(changes)), default=0)


@pytest.mark.points(0.25)
@pytest.mark.scenario(
    "requests",
    script=[
        "A then: works",
        "B then: missing",
        "C then: empty",
        "D then: nothing",
        "6 x E at 3: works or missing",
        "F then: fails, missing",
    ],
)
def test_answers(run):
    """200 with the value that fetch returned, 404 for NotFound

    Hint: `return 200, value` when the outermost layer returns. Write one `except` for each error that it raises.
    """
    everybody(run)
    check_users(run)
    for who in everybody(run):
        calls = attempts(run, who)
        assert calls, f"{who}: fetch was never called for it"
        if calls[-1].error == "ConnectionError":
            continue  # it wasn't tried again, which `test_retries` judges
        check(run, who, 200 if calls[-1].outcome == "ok" else 404)
        status, body = pair_of(run, who)
        assert type(status) is int, f"{who}: the status is {said(status)}, which is no int"
        value = calls[-1].value
        if status == 200:
            same = body == value and type(body) is type(value)
            assert same, f"{who}: fetch answered {said(value)}, the body is {said(body)}"


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
    deadline=0.9,
    max_attempts=2,
    failure_threshold=7,
)
@pytest.mark.scenario(
    "requests", script=["4 x A at 0: works after 0.4", "B then: works"], max_concurrent=1, max_queue=1
)
def test_recorded(runs, expected=(("A", "B", "C", "D", "E", "F", "G", "H"), ("A1", "A2", "A3", "A4", "B"))):
    """Each request is recorded once: the seconds of the whole request, and whether its status is below 500

    Hint: read the clock when `handle` begins, and record in a place that every answer passes, even a rejection.
    """
    for run, names in zip(runs, expected, strict=True):
        everybody(run)
        answered = [who for who in names if ended(run, who)[0]["how"] == "returned"]
        found = {who: [mark.value[1:] for mark in run.marks("record") if mark.value[0] == who] for who in answered}
        for who, records in found.items():
            seen = f"{who}: {story(run, who)}; {told(run, who)}"
            assert len(records) == 1, f"{seen}; record was {_often(len(records))} for it"
        for who, records in found.items():
            status, seconds = status_of(run, who), took(run, who)
            worked = bool(attempts(run, who)) and attempts(run, who)[-1].outcome == "ok"
            went(run, who, worked)
            seen = f"{who} was answered {'' if status is None else f'{status} '}after {seconds:.3f} s"
            latency, good = records[0]
            near = type(latency) in (int, float) and abs(latency - seconds) < NEAR
            assert near, f"{seen}; recorded were {_number(latency)} s"
            if status is not None:
                assert good == (status < 500), f"{seen}; recorded was {said(good)}"
        number = len(run.marks("record"))
        assert number <= len(names), f"{len(names)} requests, and record was {_often(number)}"


def _often(number):
    return "never called" if not number else f"called {number} times"


def _number(value):
    return f"{value:.3f}" if type(value) in (int, float) else said(value)


@pytest.mark.points(0.25)
@pytest.mark.scenario("requests", script=RETRIES, max_attempts=3, base=0.2, cap=0.3, failure_threshold=50, seed=5)
@pytest.mark.scenario("requests", script=RETRIES, max_attempts=3, base=0.2, cap=0.3, failure_threshold=50, seed=6)
@pytest.mark.scenario(
    "requests",
    script=[*RETRIES, "E then: works"],
    max_attempts=3,
    base=0.2,
    cap=0.3,
    failure_threshold=50,
    seed=5,
)
@pytest.mark.scenario(
    "requests",
    script=["10 x A at 0: fails after 0.1, fails after 0.1, fails after 0.1, works after 0.1"],
    failure_threshold=50,
    seed=12,
)
@pytest.mark.scenario(
    "requests", script=["10 x A at 0: fails after 0.1, works after 0.1"], base=4.0, failure_threshold=50, seed=7
)
def test_retries(
    runs,
    expected=({"A": (200, 3), "B": (502, 3), "C": (200, 1), "D": (200, 2)},) * 3,
    ceilings=(0.2, 0.3),
    crowds=(("base=0.1", (0.1, 0.2, 0.4)), ("base=4 and cap=1", (1.0,))),
):
    """A failed attempt is tried again, at most max_attempts in all; 502 when the connection stays broken

    Hint: use the toolkit's `retry`, and pass it max_attempts, base, cap and rng.
    """
    for run, table in zip(runs, expected, strict=False):
        everybody(run)
        for who, (status, calls) in table.items():
            if status == 200:
                went(run, who, well=True, calls=calls)
            else:
                check(run, who, status, calls)
            for number, (pause, ceiling) in enumerate(zip(pauses(run, who), ceilings, strict=False), 1):
                seen = f"{who}: a pause of {pause:.2f} s after attempt {number}"
                assert pause <= ceiling + BLINK, f"{seen}, where base and cap allow {ceiling:g} s"
    first, other, again = ([round(one, 6) for who in expected[0] for one in pauses(run, who)] for run in runs[:3])
    where = next((number for number, pair in enumerate(zip(first, again, strict=False)) if pair[0] != pair[1]), None)
    if where is not None:
        seen = f"{first[where]:.4f} s in one run and {again[where]:.4f} s in the other"
        raise AssertionError(f"two runs with the same seed in rng: pause {where + 1} was {seen}")
    assert first != other, f"another seed in rng gave the same pauses: {', '.join(f'{one:.2f}' for one in first)} s"
    for run, (given, tops) in zip(runs[3:], crowds, strict=True):
        found = [pauses(run, who) for who in crowd(run, "A")]
        for number, top in enumerate(tops, 1):
            these = [one[number - 1] for one in found if len(one) >= number]
            assert len(these) == len(found), f"{given}: {len(these)} of {len(found)} requests made {times(number + 1)}"
            least, most = min(these), max(these)
            seen = f"{given}: {len(these)} requests made pauses of {least:.2f} to {most:.2f} s after attempt {number}"
            assert most - least > BLINK, f"{given}: {len(these)} pauses after attempt {number} were all the same"
            drawn = least < 0.4 * top and 0.6 * top < most <= top + BLINK
            assert drawn, f"{seen}; each is drawn from 0 to {top:g} s"


def pauses(run, who):
    calls = attempts(run, who)
    return [later.start - call.end for call, later in pairwise(calls) if call.end is not None]


@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "requests",
    script=[
        "A then: hangs",
        "B then: hangs, works",
        "C then: works after 0.8",
        "D then: fails, hangs",
        "E then: hangs, fails",
    ],
    max_attempts=2,
    failure_threshold=50,
)
@pytest.mark.scenario(
    "requests",
    script=["A then: hangs", "B then: fails after 0.9", "C then: works after 1.6"],
    max_attempts=9,
    attempt_timeout=1.8,
    deadline=2.5,
    base=0.01,
    cap=0.01,
    failure_threshold=50,
)
@pytest.mark.scenario(
    "requests",
    script=["A at 0: hangs", "B at 0.5: hangs", "C then: works after 1.8"],
    max_attempts=7,
    attempt_timeout=2.0,
    base=0.01,
    cap=0.01,
    max_concurrent=1,
    max_queue=1,
    failure_threshold=50,
)
def test_timeouts(
    runs,
    limits=(1.0, 1.8, 2.0),
    deadlines=(5.0, 2.5, 5.0),
    late=((), ("A", "B"), ("A", "B")),
    expected=(
        {"A": (504, 2), "B": (200, 2), "C": (200, 1), "D": (504, 2), "E": (502, 2)},
        {"A": (504, 2), "B": (504, 3), "C": (200, 1)},
        {"A": (504, None), "B": (504, None), "C": (200, 1)},
    ),
):
    """504 when the last attempt takes longer than attempt_timeout, or when the deadline ends the request

    Hint: use two `asyncio.timeout`: one around a single call of fetch, one around everything. Which one is retried?
    """
    for run, limit, deadline, over, table in zip(runs, limits, deadlines, late, expected, strict=True):
        everybody(run)
        for who, (status, calls) in table.items():
            for call in attempts(run, who):
                lasted = (call.end or run.duration) - call.start
                seen = f"{who}: an attempt ran for {lasted:.2f} s, attempt_timeout is {limit:g} s"
                assert lasted < limit + BLINK, seen
                left = asked(run, who)[0] + deadline - call.start - lasted
                early = call.outcome == "cancelled" and lasted < limit - BLINK and left > BLINK and calls is not None
                assert not early, f"{seen}; it was cancelled {left:.2f} s before the deadline"
            seconds = took(run, who)
            seen = f"{who}: the request took {seconds:.2f} s, the deadline is {deadline:g} s"
            after = [call for call in attempts(run, who) if call.start > asked(run, who)[0] + deadline]
            seen += f"; {times(len(after))} began after it" if after else ""
            assert seconds < deadline + BLINK, seen
            if calls is None and not attempts(run, who):
                continue  # no place in the queue, which `test_unavailable` judges
            if who in over:
                assert seconds > deadline - BLINK, f"{seen}, and there were attempts left; {told(run, who)}"
            if status == 504:
                check(run, who, 504, calls)
            else:
                went(run, who, status == 200, calls)
                assert status_of(run, who) != 504, (
                    f"{who}: {story(run, who)}; the status is 504, but the last attempt wasn't too slow"
                )


@pytest.mark.points(0.5)
@pytest.mark.scenario("requests", script=["12 x A at 0: works after 0.5", "B at 2: works"], failure_threshold=50)
@pytest.mark.scenario(
    "requests",
    script=["7 x A at 0: works after 0.3", "B at 2: works"],
    max_concurrent=2,
    max_queue=3,
    failure_threshold=50,
)
@pytest.mark.scenario(
    "requests",
    script=["A then: fails", "B then: fails", "C then: works", "D at 5: works", "3 x E at 32: works after 0.3"],
    max_attempts=1,
    failure_threshold=2,
)
def test_unavailable(
    runs, served=(10, 5), full=(2, 2), slots=(10, 2), queues=(0, 3), failing=("A", "B"), rejected=("C", "D"), probes="E"
):
    """503 with retry_after >= 0 in a dict, when the bulkhead is full and when the circuit is open

    Hint: `CircuitOpenError` has a `retry_after`. `BulkheadFull` has none, so choose a number yourself.
    """
    for run, well, turned_away, most, queue in zip(runs, served, full, slots, queues, strict=False):
        names = crowd(run, "A")
        through = [who for who in names if attempts(run, who)]
        seen = f"max_concurrent={most} and max_queue={queue}: {len(names)} came at once"
        assert at_once(run) <= most, f"{seen}, and {times(at_once(run))} ran at the same time"
        assert len(through) == well, f"{seen}, {len(through)} got through to fetch, but there was room for {well}"
        for who in names:
            if who in through:
                went(run, who, well=True)
            else:
                check_unavailable(run, who)
        assert len(names) - len(through) == turned_away
        came = len(attempts(run, "B"))
        assert came == 1, f"{seen}; B came when they had left: {story(run, 'B')}; {told(run, 'B')}"
    run = runs[-1]
    everybody(run)
    for who in failing:
        went(run, who, well=False, calls=1)
    for who in rejected:
        check_calls(run, who, 0)
        check_unavailable(run, who)
    for who in crowd(run, probes):
        if not attempts(run, who):
            check_unavailable(run, who)


def check_unavailable(run, who):
    """Fail unless the status is 503 and the body is a dict with a `retry_after`."""
    check(run, who, 503)
    body = pair_of(run, who)[1]
    after = body.get("retry_after") if type(body) is dict else None
    good = type(after) in (int, float) and after >= 0
    assert good, f"{who}: 503 with the body {said(body)}, not a dict with a number retry_after >= 0"


@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "requests", script=["A then: fails", "B then: fails", "C then: fails", "D at 5: fails", "E at 20: fails"]
)
@pytest.mark.scenario(
    "requests", script=["A then: fails", "B then: works", "C then: fails", "D then: works", "E at 20: works"]
)
@pytest.mark.scenario(
    "requests",
    script=[f"A{number} at {number / 20:g}: fails after 0.17" for number in range(40)],
    max_attempts=1,
    max_concurrent=1,
)
def test_counts_attempts(
    runs,
    expected=(
        {"A": (502, 4), "B": (503, 1), "C": (503, 0), "D": (503, 0), "E": (503, 0)},
        {"A": (502, 4), "B": (200, 1), "C": (502, 4), "D": (200, 1), "E": (200, 1)},
    ),
    threshold=5,
):
    """failure_threshold counts failed attempts: exactly that many reach a dead backend, then requests fail in 0 s

    Hint: what does the breaker see, each attempt or each request? Which one is outside, the retry or the breaker? Does
    the breaker hear of requests that the bulkhead rejected?
    """
    for run, table in zip(runs, expected, strict=False):
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
                went(run, who, status == 200, calls)
            else:
                check_at_once(run, who)
        turned_away = {who: status_of(run, who) for who, (status, _) in table.items() if status == 503}
        assert len(set(turned_away.values())) < 2, "the open circuit rejected an attempt of each: " + ", ".join(
            f"the status of {who} is {status}" for who, status in turned_away.items()
        )
    for run in runs[len(expected) :]:
        names = everybody(run)
        if at_once(run) > 1:
            continue  # no request was rejected, which `test_unavailable` judges
        reached = len(run.calls("fetch"))
        seen = f"{len(names)} requests, one every 0.05 s, one slot and a dead backend; failure_threshold={threshold}"
        assert reached >= threshold, f"{seen}: only {times(reached)} reached it; a full bulkhead is no failure"
        assert reached == threshold, f"{seen}: {times(reached)} reached it; a full bulkhead is no success either"


@pytest.mark.points(0.25)
@pytest.mark.scenario("requests", script=["A then: hangs", "B then: hangs", "C then: hangs"])
def test_hanging(run, expected=(("A", 4), ("B", 1), ("C", 0)), threshold=5, timeout=1.0):
    """A backend that hangs opens the circuit too

    Hint: an attempt that is cancelled from outside the breaker is no verdict. A timeout inside it is a TimeoutError.
    """
    everybody(run)
    reached = len(run.calls("fetch"))
    assert reached == threshold, f"failure_threshold={threshold}, and {times(reached)} reached a backend that hangs"
    answered = [call for call in run.calls("fetch") if call.outcome in ("ok", "error")]
    assert not answered, f"fetch was called with {said(list(answered[0].args))}, not with the user_id of the request"
    for call in run.calls("fetch"):
        lasted = timeout if call.end is None else call.end - call.start
        assert lasted > timeout - BLINK, f"attempt_timeout={timeout:g}, and an attempt was cancelled at {lasted:.2f} s"
    for who, calls in expected:
        went(run, who, well=False, calls=calls)


@pytest.mark.points(0.25)
@pytest.mark.scenario(
    "requests",
    script=["A then: fails, works", "B then: works"],
    failure_threshold=1,
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
        {"A": (503, 1), "B": (503, 0)},
        {"A": (200, 1), "B": (503, 0), "C": (200, 1)},
        {"A": (404, 1), "B": (404, 1), "C": (404, 1), "D": (404, 1), "E": (404, 1), "F": (404, 1), "G": (200, 1)},
    ),
):
    """An open circuit, a full bulkhead and NotFound are not tried again, and NotFound is no failure

    Hint: `retry_on` says which errors are worth another attempt, `is_failure` which errors are the backend's failures.
    """
    for run, table in zip(runs, expected, strict=True):
        everybody(run)
        for who, (status, calls) in table.items():
            if calls:
                went(run, who, status == 200, calls)
            else:
                check_rejected(run, who)


def check_rejected(run, who):
    """Fail unless this request was rejected at once, and say what happened to it instead."""
    came, calls = asked(run, who)[0], attempts(run, who)
    if calls:
        wait = calls[0].start - came
        freed = [call for call in run.calls("fetch") if call.end is not None and abs(call.end - calls[0].start) < BLINK]
        how = f"waited {wait:.2f} s for a slot" if freed else f"was tried again, and got through after {wait:.2f} s"
        how = "got through at once" if wait < BLINK else how
        raise AssertionError(f"{who} should be rejected, but it {how}: {story(run, who)}; {told(run, who)}")
    check_at_once(run, who)


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

    Hint: the slot protects the backend. Is it busy while a request sleeps? Put the bulkhead around each attempt.
    """
    everybody(run)
    for who in waiting:
        calls = attempts(run, who)
        assert len(calls) == 1, f"{who}: {story(run, who)}; expected one, and then a long pause"
        at, gave_up = ended(run, who)[1], left_at(run, who)
        assert at > gave_up - BLINK, f"{who}: {story(run, who)}, and then no pause; {told(run, who)}"
    for who in served:
        seen = f"all requests that had come before {who} were in their pauses"
        assert attempts(run, who), f"{seen}, and {who} got no slot; {told(run, who)}"
        late = attempts(run, who)[0].start - asked(run, who)[0]
        assert late < BLINK, f"{seen}, and {who} waited {late:.2f} s for a slot"
        went(run, who, well=True, calls=1)


@pytest.mark.points(0.25)
@pytest.mark.scenario(
    "requests",
    script=["A then: fails", "B then: fails", "C at 29.5: works", "8 x D at 30.5: works after 0.4", "E then: works"],
    max_attempts=1,
    failure_threshold=2,
)
@pytest.mark.scenario(
    "requests",
    script=["A then: fails", "C at 9.5: works", "8 x D at 10.5: works after 0.4", "E then: works"],
    max_attempts=1,
    failure_threshold=1,
    recovery_time=10.0,
)
def test_half_open(
    runs,
    recovery=(30.0, 10.0),
    rejected=(("C",), ("C",)),
    crowds=((("D", True),), (("D", True),)),
    after=((("E", True, 1),), (("E", True, 1),)),
):
    """When recovery_time is over, one request of eight goes through as a probe, and the others get a 503

    Hint: make one breaker for the whole service, in `__init__`. Its half-open state lets one request through by itself.
    """
    for run, seconds, early, crowded, later in zip(runs, recovery, rejected, crowds, after, strict=True):
        everybody(run)
        for who in early:
            seen = f"recovery_time={seconds:g} wasn't over when {who} came"
            assert not attempts(run, who), f"{seen}: {story(run, who)}; {told(run, who)}"
            check_at_once(run, who)
        for name, well in crowded:
            names = crowd(run, name)
            probes = [who for who in names if attempts(run, who)]
            seen = f"{len(names)} came when recovery_time={seconds:g} was over"
            assert len(probes) == 1, f"{seen}, {len(probes)} got through to fetch"
            went(run, probes[0], well, calls=1)
            for who in names:
                if who not in probes:
                    check_at_once(run, who)
        for who, well, calls in later:
            went(run, who, well, calls)


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
    """A cancelled request ends at once: its slot is free, and the breaker counts neither a success nor a failure

    Hint: a cancellation raises CancelledError at the `await`. It is no `Exception`: let it pass all layers.
    """
    for run, gone, table in zip(runs, leaving, expected, strict=True):
        everybody(run)
        for who in gone:
            check_cut(run, who)
        for who, (status, calls) in table.items():
            came = len(attempts(run, who))
            seen = f"after {_listed(gone)} had been cancelled {who} came"
            assert came == calls, f"{seen}: {story(run, who)}; expected {few(calls)}; {told(run, who)}"
            went(run, who, status == 200)


def _listed(names):
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
