"""Tests of `Fallback`: each reads the timeline of a scenario (see scenarios.py)."""

import pytest

BLINK = 0.05
"""Seconds that don't matter where an answer may count from one moment or from the next."""
INSTANT = 0.001
"""Seconds that "at once" may take."""


def asks(run):
    """List the gets in order: (lane, second, key)."""
    return [(mark.lane, mark.at, mark.value) for mark in run.marks("asks")]


def asked_at(run, number):
    """Return the second at which the get of this number began."""
    marks = run.marks("asks", lane=f"get {number}")
    assert marks, f"get {number} never began"
    return marks[0].at


def ended(run, number):
    """Return how the get of this number ended, and when; fail if it never ended."""
    marks = run.marks(f"get {number}")
    assert marks, f"get {number} never ended"
    return marks[-1].value, marks[-1].at


def words(seen):
    """Say in words how a get ended."""
    if seen["how"] != "returned":
        return f"raised {seen['error']}" if seen["how"] == "raised" else "was cancelled"
    got = seen["value"]
    if "bare" in got:
        return f"got {shown(got['bare'])}, which isn't a Served"
    return "got " + ", ".join(f"{name} {shown(got[name])}" for name in ("value", "source", "age", "degraded"))


def shown(value):
    """Write a value as a person would."""
    if isinstance(value, dict) and len(value) == 1:
        ((kind, what),) = value.items()
        if str(kind).startswith("$"):
            return f"an object of class {what}" if kind == "$object" else str(what)
    return f"{value:.4g}" if isinstance(value, float) else repr(value)


def value_of(seen):
    """Return the value that a get returned, in a Served or bare; None if it returned nothing."""
    got = seen["value"] if seen["how"] == "returned" else {}
    return got.get("bare", got.get("value"))


def call_of(run, number, total):
    """Return the primary's call of this number; check that there were `total` calls."""
    calls = run.calls("primary")
    assert calls, f"the primary was never called; get 1 {words(ended(run, 1)[0])}"
    times = "once" if len(calls) == 1 else f"{len(calls)} times"
    assert len(calls) == total, f"{len(asks(run))} gets, and the primary was called {times}, not {total}"
    return calls[number - 1]


def at_once(run, number):
    """Check that the get ended as soon as the primary answered, whatever the get did with the answer."""
    _, at = ended(run, number)
    key = next(mark.value for mark in run.marks("asks", lane=f"get {number}"))
    calls = [call for call in run.calls("primary") if list(call.args) == [key] and call.start <= at]
    if calls and calls[-1].outcome in ("ok", "error"):
        call = calls[-1]
        told = f"get {number}: the primary took {call.end - call.start:.2f} s, and the get ended "
        assert at - call.end < INSTANT, f"{told}{at - call.end:.2f} s later"
        assert call.end - at < INSTANT, f"{told}{call.end - at:.2f} s earlier"


def is_age(age, least, most):
    """Return whether this is a number of seconds between these two, give or take a blink."""
    return isinstance(age, int | float) and not isinstance(age, bool) and least - BLINK <= age <= most + BLINK


def fresh(run, number, call, labels=False):
    """Check that the get returned what this call to the primary answered; with `labels`, also source, age and so on."""
    seen, at = ended(run, number)
    told = f"get {number}: the primary answered {call.value!r}, and the get {words(seen)}"
    assert call.outcome == "ok" and seen["how"] == "returned" and value_of(seen) == call.value, told
    if labels:
        got = seen["value"]
        right = got.get("source") == "primary" and got.get("degraded") is False
        assert right and is_age(got["age"], 0, at - call.start), told
    at_once(run, number)


def stale(run, number, call, labels=False):
    """Check that the get returned what this earlier call answered; with `labels`, also source and age."""
    seen, at = ended(run, number)
    old = asked_at(run, number) - call.end
    told = f"get {number}: the primary failed, {call.value!r} is {old:.4g} s old, and the get {words(seen)}"
    assert seen["how"] == "returned" and value_of(seen) == call.value, told
    if labels:
        got = seen["value"]
        assert got.get("source") == "cache" and got.get("degraded") is True, told
        assert is_age(got["age"], old, at - call.start), f"{told}{mistaken_age(got['age'], old, at, call)}"
    at_once(run, number)


def mistaken_age(age, old, at, call):
    """Say what a wrong age is instead, if that can be told."""
    if age == 0:
        return ": no age at all"
    if is_age(age, call.start, call.end):
        return ": that is when it came"
    if is_age(age, at - BLINK, at):
        return ": that is the time now"
    isnt = isinstance(age, bool) or not isinstance(age, int | float)
    return ": that is milliseconds" if not isnt and is_age(age / 1000, old, at - call.start) else ""


def unavailable(run, number, call, cause=True):
    """Check that the get raised Unavailable; with `cause`, from this call's error."""
    seen, _ = ended(run, number)
    told = f"get {number}: the primary failed with nothing usable in the cache, and the get {words(seen)}"
    assert seen["how"] == "raised" and "Unavailable" in seen["names"], told
    why = seen.get("cause") or {}
    same = why.get("call") == call.id if call.outcome == "error" else "TimeoutError" in why.get("builtins", [])
    told = f"get {number}: Unavailable was raised from {why.get('error') or 'nothing'}, not from the primary's failure"
    assert same or not cause, told
    at_once(run, number)


@pytest.mark.step("Old answers")
@pytest.mark.points(0.25)
@pytest.mark.scenario(
    "asked",
    replies={"ada": ["ok", "ok", "ConnectionError"], "bob": ["ok"]},
    asks=[[0, "ada"], [5, "bob"], [9, "ada"], [12, "ada"]],
)
def test_primary(run):
    """Each get asks the primary first, returns its answer and keeps it

    Hint: return `Served(value, "primary", 0.0, False)`, and keep the value with the current second in a dict.
    """
    call_of(run, 1, 4)
    for number, call in enumerate(run.calls("primary")[:3], 1):
        key = asks(run)[number - 1][2]
        assert list(call.args) == [key], f"get {number} asked for {key!r}, the primary was asked for {call.args}"
        fresh(run, number, call, labels=True)
    seen, _ = ended(run, 4)
    latest = run.calls("primary")[2]
    kept = seen["how"] == "returned" and value_of(seen) == latest.value
    assert kept, f"the primary's last answer was {latest.value!r}, then it failed, and get 4 {words(seen)}"
    at_once(run, 4)


@pytest.mark.step("Old answers")
@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "asked",
    replies={"ada": ["ok", "ConnectionError", "hang", "KeyError"]},
    asks=[[0, "ada"], [10, "ada"], [40, "ada"], [290, "ada"]],
)
@pytest.mark.scenario(
    "asked",
    replies={"bob": [["zero", 0.55, 0.75], "hang", ["OSError", 0.55, 0.75]]},
    asks=[[1, "bob"], [30, "bob"], [50, "bob"]],
    options={"primary_timeout": 0.8},
)
def test_cached(runs, timeouts=(0.5, 0.8)):
    """When the primary fails or takes too long, the cached answer comes, with its source and its true age

    Hint: use `async with asyncio.timeout(self.primary_timeout)` and `except Exception`; a TimeoutError is one too.
    """
    for run, timeout in zip(runs, timeouts, strict=True):
        call_of(run, 1, len(asks(run)))
        first = run.calls("primary")[0]
        fresh(run, 1, first)
        for number in range(2, len(asks(run)) + 1):
            stale(run, number, first, labels=True)
            took = ended(run, number)[1] - asked_at(run, number)
            assert took <= timeout + BLINK, f"get {number} took {took:.2f} s, primary_timeout is {timeout:g} s"


@pytest.mark.step("Old answers")
@pytest.mark.points(0.25)
@pytest.mark.scenario(
    "asked",
    replies={"ada": ["ok", "OSError", "ok", "hang"], "bob": ["ValueError"]},
    asks=[[0, "ada"], [20, "ada"], [25, "ada"], [30, "bob"], [70, "ada"]],
)
@pytest.mark.scenario("asked", replies={"ada": ["ok", "OSError"]}, asks=[[0, "ada"], [20, "ada"]], listens=False)
def test_reported(runs, degraded=(2, 5)):
    """Each answer from the cache is reported through on_degraded, and no other answer is

    Hint: call `self.on_degraded(served)`, without await, just before you return a stale answer: the same Served.
    """
    run, *unheard = runs
    reports = run.marks("on_degraded")
    for number in degraded:
        seen, at = ended(run, number)
        assert seen["how"] == "returned", f"get {number} {words(seen)}"
        assert value_of(seen) in [call.value for call in run.calls("primary")], f"get {number} {words(seen)}"
        near = [report.value for report in reports if at - 1 < report.at <= at + BLINK]
        heard = (
            f"on_degraded was told {shown(near[0].get('bare', near[0]))}" if near else "on_degraded wasn't told of it"
        )
        told = seen["value"] in near or (
            "bare" in seen["value"] and value_of(seen) in [one.get("value") for one in near]
        )
        assert told, f"get {number} {words(seen)}, and {heard}"
    for number in range(1, degraded[-1] + 1):
        at_once(run, number)
    much = f"{len(degraded)} answers came from the cache, on_degraded was called {len(reports)} times"
    assert len(reports) == len(degraded), much
    for run in unheard:
        seen, _ = ended(run, 2)
        first = run.calls("primary")[0].value if run.calls("primary") else None
        assert value_of(seen) == first, f"no on_degraded= was given: get 2 {words(seen)}"


@pytest.mark.step("No answer")
@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "asked",
    replies={"ada": ["ok", "ConnectionError", "OSError"], "bob": ["KeyError"], "eve": ["hang"]},
    asks=[[0, "ada"], [3, "bob"], [6, "eve"], [59, "ada"], [70, "ada"]],
    options={"max_stale": 60.0},
)
def test_unavailable(run, none=(2, 3, 5), still=(4,)):
    """Without an answer that is fresh enough, Unavailable is raised from the failure; nothing is invented

    Hint: `raise Unavailable(...) from error` when the key isn't in the cache, and when its age is above max_stale.
    """
    call_of(run, 1, len(asks(run)))
    calls = run.calls("primary")
    fresh(run, 1, calls[0])
    for number in still:
        stale(run, number, calls[0])
    for number in none:
        unavailable(run, number, calls[number - 1])


@pytest.mark.step("No answer")
@pytest.mark.points(0.25)
@pytest.mark.scenario(
    "asked",
    replies={"ada": ["ok", "NotFound", "ConnectionError"], "bob": ["ok", "OSError"]},
    asks=[[0, "ada"], [1, "bob"], [10, "ada"], [20, "ada"], [21, "bob"]],
)
def test_not_found(run):
    """NotFound is an answer: it is raised, and the cached value is gone forever

    Hint: put an `except NotFound` above `except Exception`, with `self.cache.pop(key, None)` and `raise`.
    """
    call_of(run, 1, 5)
    calls = run.calls("primary")
    fresh(run, 1, calls[0])
    seen, _ = ended(run, 3)
    gone = seen["how"] == "raised" and "NotFound" in seen["names"]
    assert gone, f"get 3: the primary said NotFound, and the get {words(seen)}"
    at_once(run, 3)
    seen, _ = ended(run, 4)
    told = f"get 4: the primary failed, 10 s after it had said NotFound, and the get {words(seen)}"
    assert seen["how"] == "raised" and "Unavailable" in seen["names"], told
    stale(run, 5, calls[1])  # another key stays in the cache


@pytest.mark.step("No answer")
@pytest.mark.points(0.25)
@pytest.mark.scenario(
    "asked",
    replies={"ada": ["ok", "OSError", "hang", "OSError", "OSError", "ok", "OSError"]},
    asks=[[0, "ada"], [100, "ada"], [200, "ada"], [299, "ada"], [300.6, "ada"], [330, "ada"], [500, "ada"]],
)
def test_recovery(run, old=(2, 3, 4), none=5, back=6):
    """Serving an old answer doesn't make it fresher, and when the primary has recovered, its answers come again

    Hint: write into the cache only what the primary answers. No get may join a call that hung and was given up.
    """
    call_of(run, 1, back + 1)
    calls = run.calls("primary")
    for number in old:
        stale(run, number, calls[0])
    unavailable(run, none, calls[none - 1], cause=False)
    fresh(run, back, calls[back - 1])
    stale(run, back + 1, calls[back - 1])


@pytest.mark.step("Single flight")
@pytest.mark.points(0.75)
@pytest.mark.scenario(
    "asked",
    replies={"ada": [["ok", 0.25, 0.45], ["OSError", 0.25, 0.45], ["ok", 0.25, 0.45]], "bob": [["ok", 0.25, 0.45]]},
    asks=[
        *[[at, key] for at in (0, 0.1, 0.2) for key in ("ada", "bob")],
        *[[at, "ada"] for at in (5, 5.1, 5.2, 9)],
    ],
)
@pytest.mark.scenario(
    "asked",
    replies={"eve": [["OSError", 0.25, 0.45], ["NotFound", 0.25, 0.45], ["ok", 0.25, 0.45]]},
    asks=[[0, "eve"], [0.1, "eve"], [3, "eve"], [3.2, "eve"], [6, "eve"], [6.1, "eve"]],
)
def test_shared(runs):
    """Gets of one key share the call that is already in flight, however it ends

    Hint: keep a dict from key to the task in flight. A get that finds one awaits it. The finished task leaves the dict.
    """
    first, second = runs
    for run in runs:
        spans = {}
        for call in run.calls("primary"):
            key = call.args[0] if call.args else None
            beside = spans.get(key)
            alone = beside is None or (beside.end is not None and beside.end <= call.start)
            assert alone, (
                f"at {call.start:.1f} s the primary was asked for {key!r} while a call for {key!r} was in flight"
            )
            spans[key] = call
    call_of(first, 1, 4)
    ada, bob = ([call for call in first.calls("primary") if list(call.args) == [key]] for key in ("ada", "bob"))
    assert (len(ada), len(bob)) == (3, 1), f"{len(ada)} calls for 'ada' and {len(bob)} for 'bob', not 3 and 1"
    late = bob[0].start - asked_at(first, 2)
    assert late < INSTANT, f"the primary was asked for 'bob' {late:.2f} s late, after the call for 'ada' was over"
    for number in (1, 3, 5):
        fresh(first, number, ada[0])
        fresh(first, number + 1, bob[0])
    for number in (7, 8, 9):
        stale(first, number, ada[0])
    fresh(first, 10, ada[2])
    call_of(second, 1, 3)
    failed, _, answered = second.calls("primary")
    for number in (1, 2):
        unavailable(second, number, failed, cause=False)
    for number in (3, 4):
        seen, _ = ended(second, number)
        assert seen["how"] == "raised" and "NotFound" in seen["names"], f"get {number} of a NotFound: {words(seen)}"
        at_once(second, number)
    for number in (5, 6):
        fresh(second, number, answered)


@pytest.mark.step("Single flight")
@pytest.mark.points(0.25)
@pytest.mark.scenario(
    "asked",
    replies={"ada": [["ok", 0.33, 0.47]]},
    asks=[[0, "ada"], [0.1, "ada"], [0.15, "ada"], [0.3, "ada"]],
    cancel={"1": 0.2},
)
@pytest.mark.scenario(
    "asked",
    replies={"ada": [["ok", 0.33, 0.47]]},
    asks=[[0, "ada"], [0.1, "ada"], [0.15, "ada"], [0.3, "ada"]],
    cancel={"2": 0.2},
)
def test_cancelled(runs, leave=(1, 2), at=0.2):
    """A cancelled caller leaves at once, and the others get the answer of the same call

    Hint: run the call in a task of its own, and let each caller await `asyncio.shield(task)`.
    """
    told = "; ".join(filter(None, (hurt(run, left, at) for run, left in zip(runs, leave, strict=True))))
    assert not told, told
    for run, left in zip(runs, leave, strict=True):
        call = call_of(run, 1, 1)
        for number in range(1, len(asks(run)) + 1):
            if number != left:
                seen, back = ended(run, number)
                told = f"get {left} was cancelled at {at:g} s, the call continued to its answer, and get {number} "
                answered = call.outcome == "ok" and seen["how"] == "returned" and value_of(seen) == call.value
                assert answered and abs(back - call.end) < INSTANT, f"{told}{words(seen)} at {back:.2f} s"
        seen, when = ended(run, left)
        assert seen["how"] == "cancelled", f"get {left} was cancelled at {at:g} s, but {words(seen)}"
        assert when < at + BLINK, f"get {left} was cancelled at {at:g} s and left at {when:.2f} s"


def hurt(run, left, at):
    """Say in a sentence which other gets were cancelled when this one left, if any."""
    others = [number for number in range(1, len(asks(run)) + 1) if number != left]
    also = [n for n in others if run.marks(f"get {n}") and ended(run, n)[0]["how"] == "cancelled"]
    soon = ", ".join(f"get {number}" for number in also if ended(run, number)[1] < at + BLINK)
    return f"get {left} was cancelled, and with it {soon}" if soon else ""
