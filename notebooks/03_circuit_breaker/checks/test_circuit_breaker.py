"""What must be true of `CircuitBreaker`: each test reads the timelines of one or more scripts (see scenarios.py)."""

from itertools import groupby, pairwise
from math import inf
from types import SimpleNamespace

import pytest

from faultlab.plain import worded

BLINK = 0.001
"""The longest that "at once" may take, in seconds."""
ROUNDING = 0.05
"""By how many seconds `retry_after` may be off."""


class Round:
    """One round of a script: the calls of its op and its marks, until the next round begins."""

    def __init__(self, run, number=1, rounds=1):
        self._number = number
        over = next((call.start for call in run.calls(f"op {number + 1} of {rounds}")), inf)
        self._calls = [_until(over, call) for call in run.calls(f"op {number} of {rounds}") if call.start < over]
        self._marks = [mark for mark in run.marks() if mark.name.endswith(f" {number}") and mark.at < over]

    def calls(self, lane=None):
        return [call for call in self._calls if lane in (None, call.lane)]

    def marks(self, name, lane=None):
        return [mark for mark in self._marks if mark.name == f"{name} {self._number}" and lane in (None, mark.lane)]


def _until(over, call):
    """The call as it looked before this instant: pending, unless it had ended."""
    return call if call.end is None or call.end < over else call._replace(end=None, outcome="pending")


def told(*runs):
    """All rounds of these runs, in an order that doesn't depend on the drawn one: the same mistake is always reported
    first."""
    return [one for run in runs for one in sorted(_rounds(run), key=_went)]


def _rounds(run):
    assert run.calls(), "op was never called"
    rounds = int(run.calls()[0].service.rpartition(" of ")[2])
    return [Round(run, number, rounds) for number in range(1, rounds + 1)]


def _went(one):
    return [(call.lane, call.outcome, call.error or "", _lasted(call)) for call in one.calls()]


def _lasted(call):
    return 0 if call.end is None else round(call.end - call.start, 3)


def seen(one, who):
    """What happened to one caller: its call of op, if there was one, and how its call of the breaker ended."""
    assert one.calls(), "op was never called"
    call = next(iter(one.calls(lane=who)), None)
    outcome = next(iter(one.marks("outcome", lane=who)), None)
    ended = outcome.value if outcome else {"how": "never ended"}
    refused = ended["how"] == "raised" and "CircuitOpenError" in ended["names"]
    return SimpleNamespace(
        who=who,
        call=call,
        ended=ended,
        at=outcome.at if outcome else None,
        rejected=call is None and refused,
        words=f"op {'was' if call else 'was not'} called and the call {_how(ended)}",
    )


def _how(ended):
    words = {"returned": f"returned {worded(ended.get('value'))}", "raised": f"raised {ended.get('error')}"}
    return words.get(ended["how"], "was cancelled" if ended["how"] == "cancelled" else "never ended")


def _did(call):
    words = {"ok": f"returned {worded(call.value)}", "error": f"raised {call.error}", "cancelled": "was cancelled"}
    return words.get(call.outcome, "never ended")


def own(one):
    """Whether the caller got exactly what op returned or raised for this call."""
    if one.call is None or one.call.outcome == "error":
        return one.call is not None and one.ended["how"] == "raised" and one.ended["call"] == one.call.id
    value = one.ended.get("value")
    return one.ended["how"] == "returned" and value == one.call.value and type(value) is type(one.call.value)


def passes(one, who, about):
    """Assert that this caller's call reaches op and ends as soon as op does. Other tests check its result."""
    found = seen(one, who)
    assert found.call is not None, f"{about}: the next call should be let through, but {found.words}"
    if found.call.outcome in ("ok", "error"):
        took = f"op ended after {found.call.end - found.call.start:.1f} s"
        assert found.at is not None, f"{about}: {took}, but the call never ended"
        late = found.at - found.call.end
        assert late < BLINK, f"{about}: {took}, but the call ended {late:.1f} s later"
        assert late > -BLINK, f"{about}: {took}, but the call ended {-late:.1f} s earlier"
    return found


def blocked(one, who, about):
    """Assert that this caller's call doesn't reach op. Other tests check what the caller is told."""
    found = seen(one, who)
    assert found.call is None, f"{about}: the next call should be rejected, but op was called"
    return found


def works(one, who, about):
    """Assert that this caller's call reaches op; return whether op then worked, as the world drew it."""
    return passes(one, who, about).call.outcome == "ok"


def opened(one, who):
    """The instant at which this caller's failure ended, which opens the circuit."""
    found = passes(one, who, "failure_threshold isn't reached")
    assert found.call.end is not None, f"op never answered {who}"
    return found.call.end


def instant(one, at):
    """The instant at which this round's script reaches second `at`; its first call comes at second 0."""
    return one.calls()[0].start + at


def recovers(one, asks, since, recovery, about):
    """Assert that calls (caller, second) are rejected until `recovery` s after `since`, and later ones let through."""
    time = f"recovery_time={recovery:g}" if recovery else without("recovery_time", 30)
    for who, at in asks:
        open_for = instant(one, at) - since
        ready = open_for > (recovery or 30)
        found = (passes if ready else blocked)(one, who, f"{time}, {open_for:.1f} s {about}")
        waited = found.call.start - since - open_for if ready else 0
        assert waited < BLINK, f"{time}: a call after that time waited {waited:.1f} s"


def crowd(one, name, number, expected, about, and_later=lambda one: ""):
    """Assert that exactly `expected` of the callers name1, name2, ... reach op, at the same instant.

    Returns the callers that don't reach it.
    """
    calls = [call for call in one.calls() if call.lane.startswith(name) and call.lane[len(name) :].isdigit()]
    assert one.calls(), "op was never called"
    words = f"{about}: of {number} calls at once {len(calls) or 'none'} reached op, not {expected or 'none'}"
    assert len(calls) == expected, words + and_later(one)
    starts = [call.start for call in calls]
    assert not starts or max(starts) - min(starts) < BLINK, f"{about}: calls ran one after the other"
    return [one for one in (seen(one, f"{name}{index}") for index in range(1, number + 1)) if one.call is None]


def later(name, after):
    """How many callers of this name reach op while the crowd's calls, `after` s old, are still in flight, in words."""

    def words(one):
        crowded = [call for call in one.calls() if call.lane.startswith("B")]
        count = sum(call.lane.startswith(name) for call in one.calls())
        busy = all(call.end is None or call.end > call.start + after for call in crowded)
        return f"; while those were in flight, {count or 'none'} of the later calls reached it" if busy else ""

    return words


def looks(one, expected, about):
    """Assert that each look at the state saw this one."""
    assert one.calls(), "op was never called"
    for mark in one.marks("look"):
        assert mark.value == expected, f"{about}: state was {worded(mark.value)}, not {expected!r}"


def without(option, default):
    """Words for a breaker that was made without this option."""
    return f"no {option} given (so it is {default:g})"


def history(calls):
    """The results in the order in which calls finished, in words, and how many consecutive failures ended them."""
    back = sorted((call for call in calls if call.end is not None), key=lambda call: call.end)
    parts = [(good, len(list(same))) for good, same in groupby(call.outcome == "ok" for call in back)]
    words = [_counted(number, "success" if good else "failure") for good, number in parts]
    return ", then ".join(words) or "nothing", 0 if not parts or parts[-1][0] else parts[-1][1]


def _counted(number, what):
    return f"{number} {what}{('es' if what.endswith('s') else 's') * (number > 1)}"


# --- Closed ----------------------------------------------------------------------------------------------------------


@pytest.mark.step("Closed")
@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 50},
    rounds=1,
    script=[
        "A at 0: works or fails after 0.1 to 0.9",
        "B at 1: works after 0.2",
        "C at 2: fails with KeyError after 0.2",
        "D at 3: works with None after 0.2",
        "E at 4: works or fails after 0.2",
        "F at 5: fails with TimeoutError after 0.2",
        "G at 6: works with zero after 0.2",
    ],
)
def test_unchanged(run, number=7):
    """What op returns or raises comes out unchanged

    Hint: return op's own result. A bare `raise` in the `except` block passes op's own exception on.
    """
    found = [passes(Round(run), who, "closed") for who in "ABCDEFGH"[:number]]
    for one in sorted(found, key=lambda one: (one.call.error or "", str(one.call.value)), reverse=True):
        gave = f"returned {one.call.value!r}" if one.call.outcome == "ok" else f"raised {one.call.error}"
        another = ", another object" if one.call.error and one.ended.get("error") == one.call.error else ""
        assert own(one), f"op {gave}, but the call {_how(one.ended)}{another}"


@pytest.mark.step("Closed")
@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 3},
    script=[
        "A at 0: hangs",
        "8 x B at 1: works or fails after 1.4 to 2.6",
        "C at 2: works or fails after 4",
    ],
)
def test_concurrent(run):
    """Calls run concurrently: none waits for another call's op

    Hint: a lock may guard the few lines that count, but never the `await op()` between them.
    """
    about = "closed, while other calls are in flight"
    for one in told(run):
        passes(one, "A", "closed")
        crowd(one, "B", 8, 8, "closed, while another call is in flight")
        for who, at in (("B1", 1), ("B8", 1), ("C", 2)):
            found = passes(one, who, about)
            waited = found.call.start - instant(one, at)
            assert waited < BLINK, f"{about}: the next one waited {waited:.2f} s"
            assert own(found), f"{about}: {who}'s op {_did(found.call)}, but the call {_how(found.ended)}"


@pytest.mark.step("Closed")
@pytest.mark.points(1)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 3},
    script=[
        "A at 0: fails after 0.1 to 0.9",
        "B at 1: fails after 0.1",
        "C at 2: works or fails after 0.1",
        "look at 2.5",
        "D at 3: works after 0.1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 2},
    script=[
        "A at 0: fails after 2.2 to 3.4",
        "B at 0.5: works after 1 or 4",
        "C at 1: fails after 5",
        "look at 6.5",
        "D at 7: works after 0.1",
    ],
)
@pytest.mark.scenario(
    "story",
    without="failure_threshold",
    script=[
        "4 x A at 0: fails after 0.1 to 0.9",
        "B at 1: works or fails after 0.1",
        "look at 2.5",
        "D at 3: works after 0.1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 2},
    script=[
        "A at 0: fails with CircuitOpenError after 0.1 to 0.9",
        "B at 1: works or fails with CircuitOpenError after 0.1",
        "D at 3: works after 0.1",
    ],
)
def test_opens(runs, settings=((3, "ABC"), (2, "ABC"), (None, ("A1", "A2", "A3", "A4", "B")), (2, "AB"))):
    """failure_threshold consecutive failures open the circuit, counted in the order in which calls finish

    Hint: when a call has failed, add one and compare at once. Count calls when they finish, not when they start.
    """
    for run, (threshold, before) in zip(runs, settings, strict=True):
        for one in told(run):
            about = f"failure_threshold={threshold}" if threshold else without("failure_threshold", 5)
            calls = [passes(one, who, f"{about}, fewer consecutive failures so far").call for who in before]
            words, row = history(calls)
            nested = any(call.error == "CircuitOpenError" for call in calls)
            about = f"{about}, {words} so far" + (" (a failure here is another breaker's CircuitOpenError)" * nested)
            opens = row >= (threshold or 5)
            (blocked if opens else passes)(one, "D", about)
            looks(one, "open" if opens else "closed", about)


@pytest.mark.step("Closed")
@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 4},
    script=[
        "A at 0: fails after 0.1 to 0.9",
        "B at 1: fails after 0.1",
        "C at 2: works or fails after 0.1",
        "D at 3: fails after 0.1",
        "E at 4: fails after 0.1",
        "F at 5: works after 0.1",
        "5 x G at 6: fails after 0.1",
        "H at 7: works after 0.1",
    ],
)
def test_success_resets(run, callers="ABCDEF"):
    """A success in between resets the count

    Hint: only *consecutive* failures count. What does a success do to the count so far?
    """
    for one in told(run):
        calls = []
        for who in callers:
            words, row = history(calls)
            about = f"failure_threshold=4, {words} so far"
            if row >= 4:
                blocked(one, who, about)
            else:
                calls.append(passes(one, who, about).call)
        blocked(one, "H", "failure_threshold=4, after 5 consecutive failures")


@pytest.mark.step("Closed")
@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 4},
    ignored=["KeyError"],
    script=[
        "2 x A at 0: fails after 0.1",
        "B at 1: fails with KeyError or OSError after 0.1 to 0.9",
        "C1 at 2: fails after 0.1",
        "C2 at 2.5: fails after 0.1",
        "D at 3: works after 0.1",
        "5 x E at 4: fails after 0.1",
        "F at 5: works after 0.1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 3, "recovery_time": 10.0},
    ignored=["KeyError"],
    script=[
        "4 x A at 0: fails after 0.1",
        "2 x B at 11: fails with KeyError or OSError after 0.1 to 0.9",
        "C at 12: fails with KeyError after 0.1",
        "D at 13: fails after 0.1",
        "E at 14: works after 0.1",
    ],
)
def test_is_failure(runs, ignored=("KeyError",)):
    """An exception for which is_failure returns False counts as a success

    Hint: ask `is_failure(exc)` before you count. If it says no, count a success; raise the exception in either case.
    """
    closed, probed = runs
    for one in told(closed):
        good = passes(one, "B", "failure_threshold=4, after 2 failures").call.error in ignored
        between = f"an error to which is_failure says {'no' if good else 'yes'}"
        passes(one, "C1", f"failure_threshold=4, after 2 failures and {between}")
        (passes if good else blocked)(one, "C2", f"failure_threshold=4: 2 failures, {between}, 1 failure")
        about = f"failure_threshold=4: 2 failures, {between}, 2 failures"
        (passes if good else blocked)(one, "D", about)
        blocked(one, "F", "failure_threshold=4, after 5 consecutive failures")
    for one in told(probed):
        good = passes(one, "B1", "recovery_time is over").call.error in ignored
        about = f"half-open, and is_failure says {'no' if good else 'yes'} to the probe's error"
        let = passes if good else blocked
        let(one, "C", about)
        let(one, "D", about)
        let(one, "E", f"{about}, so it closes; then one failure" if good else about)


@pytest.mark.step("Closed")
@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 3},
    script=[
        "4 x A at 0: raises or works at once",
        "D at 3: works after 0.1 to 0.9",
    ],
)
def test_sync_raise(run):
    """An op that raises before there is anything to await counts as a failure like any other

    Hint: the call `op()` may raise by itself. Is it inside your `try`, together with its `await`?
    """
    for one in told(run):
        assert one.marks("at once", lane="A1"), "op was never called"
        made, ended = one.calls(lane="A1, asked before")[0], seen(one, "A1").ended
        if made.outcome == "error":
            unchanged = ended["how"] == "raised" and ended["call"] == made.id
            assert unchanged, f"op() raised {made.error} at once, but the call {_how(ended)}"
            blocked(one, "D", "failure_threshold=3, op() raised at once 3 times or more")
        else:
            passes(one, "D", "failure_threshold=3, op() answered at once")


@pytest.mark.step("Closed")
@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 4},
    script=[
        "2 x A on other at 0: fails after 0.1",
        "2 x B at 1: fails after 0.1",
        "3 x C on other at 2: works or fails after 0.1",
        "3 x D at 3: works or fails after 0.1 to 0.9",
        "E on other at 4: works after 0.1",
        "F at 5: works after 0.1",
    ],
)
def test_instances(run):
    """Two breakers share nothing

    Hint: set what a breaker remembers on `self`, in `__init__`. All breakers share a class attribute.
    """
    about = "failure_threshold=4, 2 failures on this breaker"
    for one in told(run):
        for first, who in (("C1", "E"), ("D1", "F")):
            good = works(one, first, f"{about}; another breaker has failures of its own")
            since = "successes" if good else "failures"
            (passes if good else blocked)(one, who, f"{about}, then 3 {since}; another breaker has calls of its own")


# --- Open ------------------------------------------------------------------------------------------------------------


@pytest.mark.step("Open")
@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 4},
    script=[
        "2 x A at 0: fails after 0.3",
        "3 x B at 1: fails after 0.4 to 0.9 or 3.2 to 3.9",
        "C at 5.5: works after 0.1",
        "D at 9.1: works after 0.1",
        "E at 26.6: works after 0.1",
        "P at 37: fails after 2.4 to 3.4",
        "F at 45.2: works after 0.1",
    ],
)
def test_rejects(run, asks=(("C", 5.5), ("D", 9.1), ("E", 26.6)), again=("F", 45.2), recovery=30.0):
    """While open, every call is rejected at once, and retry_after is the number of seconds left

    Hint: remember when the circuit opened. What is left is that instant plus recovery_time minus now.
    """
    for one in told(run):
        since = opened(one, "B1")
        for who, at in asks:
            turned_down(one, who, instant(one, at), since, recovery, "open", "B1")
        if passes(one, "P", f"recovery_time={recovery:g} is over").call.outcome == "error":
            who, at = again
            turned_down(one, who, instant(one, at), opened(one, "P"), recovery, "open again", "P")


def turned_down(one, who, asked, since, recovery, state, opener):
    """Assert that the caller is rejected at once and told how long the circuit, opened by `opener`, stays open."""
    about = f"recovery_time={recovery:g}, {state} for {asked - since:.1f} s"
    found = blocked(one, who, about)
    assert found.rejected, f"{about}: the next call should raise CircuitOpenError, but {found.words}"
    waited = found.at - asked
    assert waited < BLINK, f"{about}: the next call was rejected only after {waited:.1f} s"
    said, left = said_by(one, who), since + recovery - found.at
    assert isinstance(said, float), f"{about}: retry_after was {worded(said)}, not a number of seconds"
    looks_like = {
        "all of recovery_time": recovery,
        "which an instant would be": since + recovery,
        "counted from the start of the call that failed": left - since + one.calls(lane=opener)[0].start,
    }
    why = next((f", {words}" for words, value in looks_like.items() if abs(said - value) < ROUNDING), "")
    assert abs(said - left) < ROUNDING, f"{about}: retry_after was {said:.1f} s{why}, not {left:.1f} s"


def said_by(one, who):
    """The `retry_after` of this caller's rejection: a float if it is a number, otherwise whatever it is."""
    said = next((mark.value for mark in one.marks("retry_after", lane=who)), None)
    return float(said) if isinstance(said, int | float) and not isinstance(said, bool) else said


@pytest.mark.step("Open")
@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    script=[
        "3 x A at 0: fails after 0.5",
        "3 x B at 1: fails after 1 or 2",
        "C at 31.9: works after 0.3 to 0.7",
        "D at 32.1: works after 0.3 to 0.7",
        "E at 32.9: works after 0.3 to 0.7",
        "F at 33.1: works after 0.3 to 0.7",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 1},
    without="recovery_time",
    script=[
        "2 x A at 0: fails after 1 or 2",
        "C at 30.9: works after 0.3 to 0.7",
        "D at 31.1: works after 0.3 to 0.7",
        "E at 31.9: works after 0.3 to 0.7",
        "F at 32.1: works after 0.3 to 0.7",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 1, "recovery_time": 4.0},
    script=[
        "2 x A at 0: fails after 1 or 2",
        "C at 4.9: works after 0.3 to 0.7",
        "D at 5.1: works after 0.3 to 0.7",
        "E at 5.9: works after 0.3 to 0.7",
        "F at 6.1: works after 0.3 to 0.7",
    ],
)
def test_recovery_time(
    runs,
    settings=(
        (30.0, "B1", (31.9, 32.1, 32.9, 33.1)),
        (None, "A1", (30.9, 31.1, 31.9, 32.1)),
        (4.0, "A1", (4.9, 5.1, 5.9, 6.1)),
    ),
):
    """Calls are rejected until recovery_time is over; after it, one is let through

    Hint: the breaker needs no timer: the next call looks at the clock.
    """
    for run, (recovery, last, asks) in zip(runs, settings, strict=True):
        for one in told(run):
            recovers(one, zip("CDEF", asks, strict=True), opened(one, last), recovery, "after it opened")


# --- Half-open -------------------------------------------------------------------------------------------------------


@pytest.mark.step("Half-open")
@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 3},
    script=[
        "4 x A at 0: fails after 0.1 to 0.9",
        "B at 31: works or fails after 0.5",
        "look at 32",
        "E at 33: fails after 0.1",
        "F at 34: works after 1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 3, "success_threshold": 3, "half_open_max": 2},
    script=[
        "4 x A at 0: fails after 0.1 to 0.9",
        "B at 31: works after 0.5",
        "C at 32: works after 0.5",
        "D at 33: works after 0.5 or 9",
        "look at 34",
        "E at 35: fails after 0.1",
        "F at 36: works after 1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 3},
    without="success_threshold",
    script=[
        "4 x A at 0: fails after 0.1 to 0.9",
        "B at 31: works or fails after 0.5",
        "look at 32",
        "E at 33: fails after 0.1",
        "F at 34: works after 1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 3, "half_open_max": 3},
    script=[
        "4 x A at 0: fails after 0.1 to 0.9",
        "L at 31: hangs",
        "B at 31.5: works or fails after 0.5",
        "look at 33",
        "5 x E at 34: works after 0.1",
    ],
)
def test_closes(runs, settings=((1, "B", 2), (3, "BCD", 2), (None, "B", 2)), most=3):
    """success_threshold successful probes close the circuit, and no fewer

    Hint: while half-open, count the successful probes. When they reach success_threshold, the state changes once more.
    """
    *alone, beside = runs
    for run, (threshold, probes, after) in zip(alone, settings, strict=True):
        for one in told(run):
            opened(one, "A1")
            enough = f"success_threshold={threshold}" if threshold else without("success_threshold", 1)
            for number, who in enumerate(probes):
                about = f"{enough}, recovery_time is over, {number} probes have worked"
                last = passes(one, who, about).call
            back = last.end is not None and last.end < last.start + after
            good = len(probes) - (not back or last.outcome == "error")
            about = f"{enough}, {_counted(good, 'probe')} worked"
            if good == (threshold or 1):
                looks(one, "closed", about)
                passes(one, "E", about)
                passes(one, "F", f"{about}, then one failure")
            elif back:
                looks(one, "open", f"{about}, one failed")
                blocked(one, "E", f"{about}, one failed")
                blocked(one, "F", f"{about}, one failed")
            else:
                looks(one, "half_open", about)
                if seen(one, "E").call is not None:  # another test checks how many probes pass
                    blocked(one, "F", f"{about}, then one failed")
    for one in told(beside):
        if seen(one, "B").call is not None:
            good = works(one, "B", "recovery_time is over")
            about = f"half_open_max={most}, a probe {'worked' if good else 'failed'} while another one was in flight"
            looks(one, "closed" if good else "open", about)
            crowd(one, "E", 5, 5 if good else 0, about)


@pytest.mark.step("Half-open")
@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 3},
    script=[
        "4 x A at 0: fails after 0.5",
        "B at 31: works or fails after 7",
        "C at 40.2: works after 0.3 to 0.7",
        "D at 67.9: works after 0.3 to 0.7",
        "E at 68.1: works after 0.3 to 0.7",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 3, "success_threshold": 3},
    script=[
        "4 x A at 0: fails after 0.5",
        "P at 31: works after 1",
        "B at 33: works or fails after 6",
        "C at 40: works after 0.1",
        "D at 68.9: works after 0.3 to 0.7",
        "E at 69.1: works after 0.3 to 0.7",
    ],
)
def test_reopens(runs, recovery=30.0):
    """A failed probe opens the circuit again, for a full recovery_time from that moment

    Hint: change to open exactly as the first time, at a new instant. failure_threshold plays no part here.
    """
    for one in told(*runs):
        probe = passes(one, "B", "recovery_time is over").call
        good, took = probe.outcome == "ok", opened(one, "B") - probe.start
        let, how = (passes, "worked") if good else (blocked, "failed")
        let(one, "C", f"a probe took {took:g} s and {how}")
        let(one, "D", f"recovery_time={recovery:g}, {recovery - 0.1:g} s after a probe {how}")
        passes(one, "E", f"recovery_time={recovery:g}, {recovery + 0.1:g} s after a probe {how}")


@pytest.mark.step("Half-open")
@pytest.mark.points(1.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 1},
    script=[
        "2 x A at 0: fails after 0.1 to 0.5",
        "20 x B at 30.7: works after 1 or 3",
        "4 x C at 32: works after 0.1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 1, "recovery_time": 5.0},
    without="half_open_max",
    script=[
        "2 x A at 0: fails after 0.1 to 0.5",
        "20 x B at 9: fails after 10 or 40",
        "4 x C at 30: works after 0.1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 1, "recovery_time": 5.0},
    script=[
        "3 x L at 0: works after 9.5",
        "2 x A at 0.1: fails after 0.2 to 0.9",
        "20 x B at 9: works after 0.7 or 3",
        "4 x C at 10: works after 0.1",
    ],
)
def test_one_probe(runs, callers=20, settings=((1.3, 4), (21, 1), (1, 4)), default=1):
    """Half-open, one call at a time is let through, however many come at once

    Hint: check the number of probes and increase it with no `await` in between: then no other call can slip in.
    """
    beside = ("", "", ", and calls from before the outage ended")
    for number, (run, (after, expected), more) in enumerate(zip(runs, settings, beside, strict=True)):
        most = without("half_open_max", 1) if number == default else "half_open_max=1"
        for one in reversed(told(run)):  # the longest first: later calls meet probes in flight
            opened(one, "A1")
            others = crowd(one, "B", callers, 1, f"{most}, recovery_time is over", later("C", after))
            probe = next(call for call in one.calls() if call.lane.startswith("B"))
            waited = max((other.at for other in others if other.at is not None), default=0) - probe.start
            assert waited < BLINK, f"{most}: a call that may not pass was rejected only after {waited:.1f} s"
            if probe.end is not None and probe.end < probe.start + after:
                closes = "worked" if probe.outcome == "ok" else "failed, and recovery_time is over again"
                others += crowd(one, "C", 4, expected, f"{most}, the probe {closes}")
            else:
                others += crowd(one, "C", 4, 0, f"{most}, while a probe is in flight{more}")
            for other in others:
                words = f"{most}: a call that may not pass should raise CircuitOpenError, but {other.words}"
                assert other.rejected, words
                said = said_by(one, other.who)
                words = f"{most}: retry_after of a rejected call was {worded(said)}, not a number from 0 up"
                assert not isinstance(said, float) or said > -ROUNDING, words  # another test checks that it is a number


@pytest.mark.step("Half-open")
@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 1, "half_open_max": 3},
    script=[
        "2 x A at 0: fails after 0.1 to 0.9",
        "20 x B at 31: works after 1 or 3",
        "4 x C at 32.5: works after 0.1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 1, "half_open_max": 3, "success_threshold": 9},
    script=[
        "2 x A at 0: fails after 0.1 to 0.9",
        "P at 31: works after 1",
        "Q at 31: hangs, cancelled at 34",
        "R at 31: hangs",
        "4 x C at 33: hangs",
        "4 x D at 35: hangs",
    ],
)
def test_some_probes(runs, most=(3, 3), callers=20, after=1.5):
    """Half-open, half_open_max calls are let through at the same time

    Hint: count the probes in flight: add one when you let a call through, and subtract one when it ends.
    """
    run, in_turn = runs
    for one in reversed(told(run)):  # the longest first: later calls meet probes in flight
        opened(one, "A1")
        crowd(one, "B", callers, most[0], f"half_open_max={most[0]}, recovery_time is over", later("C", after))
        probe = next(call for call in one.calls() if call.lane.startswith("B"))
        back = probe.end is not None and probe.end < probe.start + after
        about = "the probes worked" if back else "while that many probes are in flight"
        crowd(one, "C", 4, 4 if back else 0, f"half_open_max={most[0]}, {about}")
    for one in told(in_turn):
        for who in "PQR":
            passes(one, who, f"half_open_max={most[1]}, recovery_time is over")
        crowd(one, "C", 4, 1, f"half_open_max={most[1]}, one of three probes has ended")
        if any(call.lane.startswith("D") for call in one.calls()):  # another test checks that at least one passes
            crowd(one, "D", 4, 1, f"half_open_max={most[1]}, one of three probes was cancelled")


@pytest.mark.step("Half-open")
@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 4},
    script=[
        "5 x A at 0: fails after 0.5",
        "B at 31: works after 0.1 to 0.9",
        "2 x C at 33: fails after 0.1",
        "D at 34: works or fails after 0.1",
        "2 x E at 35: fails after 0.1",
        "F at 36: works after 0.1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 4, "success_threshold": 3},
    script=[
        "5 x A at 0: fails after 0.5",
        "B at 31: works after 0.1 to 0.9",
        "B0 at 32: works after 0.5",
        "C at 33: fails after 0.5",
        "D at 65: works after 0.5",
        "E at 66: works or fails after 0.5",
        "F at 67: works after 0.5",
    ],
)
def test_fresh_counters(runs, since=2, later=2):
    """Each time the circuit closes or half-opens, counting starts at zero

    Hint: let one small method make every change of state. It sets the new state and resets all counters.
    """
    failures, successes = runs
    for one in told(failures):
        passes(one, "B", "recovery_time is over")
        passes(one, "C1", "closed again by a probe")
        about = f"failure_threshold={since + 2}, closed again by a probe, {_counted(since, 'failure')} since"
        good = works(one, "D", about)
        about += f", then {'a success' if good else 'one more'} and {_counted(later, 'failure')}"
        (passes if good else blocked)(one, "F", about)
    for one in told(successes):
        for who in "BCD":
            passes(one, who, "half-open, or recovery_time is over")
        good = works(one, "E", "half-open for the second time, one probe worked (fewer than success_threshold)")
        about = "half-open for the second time, one probe worked (fewer than success_threshold), then one {}"
        (passes if good else blocked)(one, "F", about.format("more worked" if good else "failed"))


@pytest.mark.step("Half-open")
@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 1, "recovery_time": 10.0},
    watched=True,
    rounds=1,
    script=[
        "A at 0: fails after 0.1 to 0.4",
        "B at 10.6: fails after 0.1",
        "C at 21.3: works after 0.1",
        "D at 32: fails after 0.1",
        "E at 43: works or fails after 0.1",
        "F at 54: works or fails after 0.1",
        "G at 65: works or fails after 0.1",
        "H at 76: works or fails after 0.1",
        "I at 87: works or fails after 0.1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 3, "recovery_time": 10.0, "half_open_max": 4},
    watched=True,
    rounds=1,
    script=[
        "5 x A at 0: fails after 0.1 to 0.4",
        "2 x B at 11: fails after 0.3",
        "C at 11: fails after 0.6",
        "2 x D at 22: works after 0.3",
        "E at 22: works after 0.6",
    ],
)
def test_on_state_change(runs):
    """on_state_change(old, new) is called once for each change of state, in order

    Hint: call it in the one place where the state changes, and only if a function was given.
    """
    state, expected = "closed", []
    run, crowded = runs
    calls = Round(run).calls()
    for call in calls:
        good = call.outcome == "ok"
        if state == "open":
            expected.append([state, "half_open"])
            state = "half_open"
        after = "closed" if good else "open"
        if after != state:
            expected.append([state, after])
            state = after
    assert calls, "op was never called"
    passes(Round(run), "A", "closed")
    assert len(calls) == 9, f"9 calls came, each more than recovery_time apart, and {len(calls)} reached op"
    _hears(run, expected, "")
    passes(Round(crowded), "A1", "closed")
    states = ["closed", "open", "half_open", "open", "half_open", "closed"]
    if all(seen(Round(crowded), who).call for who in ("B2", "C", "D2", "E")):
        _hears(crowded, [list(pair) for pair in pairwise(states)], "several calls at once: ")


def _hears(run, expected, about):
    """Assert that on_state_change was called for exactly these changes."""
    heard = [mark.value for mark in run.marks("change")]
    differ = next((n for n, pair in enumerate(zip(heard, expected, strict=False)) if pair[0] != pair[1]), None)
    counted = f"{about}there were {len(expected)} changes of state, but on_state_change was called {_times(heard)}"
    assert differ is not None or len(heard) == len(expected), counted
    if differ is not None:
        change, told_of = _arrow(expected[differ]), _arrow(heard[differ])
        raise AssertionError(f"{about}change {differ + 1} was {change}, but on_state_change was told {told_of}")


def _times(heard):
    return "once" if len(heard) == 1 else f"{len(heard)} times"


def _arrow(change):
    return " -> ".join(one if isinstance(one, str) else worded(one) for one in change)


@pytest.mark.step("Half-open")
@pytest.mark.points(0)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 1, "recovery_time": 10.0},
    script=[
        "A at 0: fails after 0.1",
        *(f"5 x P{n}_ at {11 * n}: fails after 0.5" for n in range(1, 6)),
        "Q at 66: works after 0.5",
        "9 x R at 67: works after 1",
    ],
)
def test_five_cycles(run):
    """Advice: the fifth recovery works like the first

    Hint: does each change of state reset everything that belongs to the period?
    """
    one = Round(run)
    for number in range(1, 6):
        crowd(one, f"P{number}_", 5, 1, f"half-open, recovery {number}")
    passes(one, "Q", "half-open, recovery 6")
    crowd(one, "R", 9, 9, "the probe of recovery 6 worked")


# --- Cancellation ----------------------------------------------------------------------------------------------------


def given_up(one, who, after, about):
    """Assert that the call reaches op, and that its cancellation, `after` s later, propagates at once."""
    found = passes(one, who, about)
    assert found.ended["how"] == "cancelled", f"{about}: the caller was cancelled, but {found.words}"
    late = found.at - found.call.start - after
    assert late < BLINK, f"{about}: the caller was cancelled, but its call ended {late:.1f} s later"
    assert late > -BLINK, f"{about}: the call was cancelled {-late:.1f} s before its caller was"


@pytest.mark.step("Cancellation")
@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 5},
    script=[
        "2 x A at 0: fails after 0.1",
        "3 x C at 2: hangs, cancelled at 4",
        "D at 5: works or fails after 0.1 to 0.9",
        "3 x E at 6: fails after 0.1",
        "F at 7: works after 0.1",
    ],
)
def test_cancelled_closed(run, before=2, cancelled=("C1", "C2", "C3"), after=2, threshold=5):
    """A cancelled call is neither a failure nor a success

    Hint: a cancellation says nothing about the service. `CancelledError` is no `Exception`: which clause catches it?
    """
    for one in told(run):
        for who in cancelled:
            given_up(one, who, after, "closed")
        about = f"failure_threshold={threshold}: {before} failures, {len(cancelled)} cancelled calls"
        if works(one, "D", about):
            passes(one, "F", f"{about}, a success, 3 failures")
        else:
            blocked(one, "F", f"{about}, 4 more failures")


@pytest.mark.step("Cancellation")
@pytest.mark.points(1)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 3},
    script=[
        "4 x A at 0: fails after 0.5",
        "B at 31: hangs, cancelled at 33",
        "look at 33.5",
        "C at 34: works or fails after 2.4 to 3.3",
        "S at 37.5: works after 0.2",
        "E at 38: fails after 1",
        "F at 40: works after 1",
    ],
)
def test_cancelled_probe(run):
    """A cancelled probe frees its slot and proves nothing

    Hint: free the slot however `await op()` ends: `finally` runs in every case.
    """
    for one in told(run):
        given_up(one, "B", 2, "half-open")
        looks(one, "half_open", "the only probe was cancelled")
        if works(one, "C", "the only probe was cancelled"):
            passes(one, "E", "a probe was cancelled, the next one worked")
            passes(one, "F", "a probe was cancelled, the next one worked and closed the circuit, then one call failed")
        else:
            blocked(one, "F", "a probe was cancelled, the next one failed")


# --- Late results ----------------------------------------------------------------------------------------------------


@pytest.mark.step("Late results")
@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 3},
    script=[
        "A at 0: fails after 20",
        "B at 0.5: fails after 0.2",
        "3 x C at 1: fails after 1 or 2",
        "D at 21: works after 0.1",
        "E at 31.9: works after 0.3 to 0.7",
        "F at 32.1: works after 0.3 to 0.7",
        "G at 32.9: works after 0.3 to 0.7",
        "H at 33.1: works after 0.3 to 0.7",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 1},
    script=[
        "6 x A at 0: fails after 9",
        "3 x C at 1: fails after 1 or 2",
        "D at 12: works after 0.1",
        "E at 31.9: works after 0.3 to 0.7",
        "F at 32.1: works after 0.3 to 0.7",
        "G at 32.9: works after 0.3 to 0.7",
        "H at 33.1: works after 0.3 to 0.7",
    ],
)
def test_late_failure(runs, recovery=30.0, asks=(31.9, 32.1, 32.9, 33.1)):
    """A failure that arrives while the circuit is open doesn't keep it open longer

    Hint: that call was let through before the state changed. Number the periods, and remember the number when you let
    a call through.
    """
    about = "after it opened, and a call from before has failed since then"
    for one in told(*runs):
        since = opened(one, "C1")
        late = [call for call in one.calls() if call.lane.startswith("A")]
        assert late and all(call.end and call.end > since for call in late), (
            "not all calls reached op while it was closed"
        )
        blocked(one, "D", "open, and a call from before has failed since then")
        recovers(one, zip("EFGH", asks, strict=True), since, recovery, about)


@pytest.mark.step("Late results")
@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 4},
    script=[
        "L at 0: works or fails after 33",
        "M at 0: works or fails after 8 to 11",
        "5 x A at 1: fails after 0.2",
        "N at 12: works after 0.1",
        "P at 32: fails or works after 4.2 to 5.3",
        "S at 37.5: works after 0.2",
        "R at 38: fails after 1",
        "T at 40: works after 1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 4},
    rounds=4,
    script=[
        "5 x L at 0: works or fails after 40",
        "5 x A at 1: fails after 0.2",
        "P at 32: works or fails after 0.6 to 1.3",
        "S at 33.5: works after 0.2",
        "3 x B at 38: fails after 0.2",
        "R at 41: fails after 0.2",
        "T at 42: works after 0.1",
    ],
)
def test_late_result(runs, failures=3):
    """A call let through before the circuit opened decides nothing later, neither half-open nor closed again

    Hint: compare the period in which the call was let through with the current one. If they differ, don't count.
    """
    first, closed = runs
    for one in told(first):
        late = "worked" if works(one, "L", "closed") else "failed"
        early = "worked" if works(one, "M", "closed") else "failed"
        blocked(one, "N", f"open, while a call from before is in flight and another one has {early}")
        good = works(one, "P", "recovery_time is over")
        about = f"half-open: a call from before {late}, then the probe {'worked' if good else 'failed'}"
        let = passes if good else blocked
        let(one, "R", about)
        let(one, "T", f"{about} and closed it; then one failure" if good else about)
    for one in told(closed):
        late = "worked" if works(one, "L1", "closed") else "failed"
        if works(one, "P", "recovery_time is over"):
            about = (
                f"closed again by a probe, {_counted(failures, 'failure')}, then calls from before the outage {late}"
            )
            passes(one, "R", about)
            blocked(one, "T", f"{about}, then one more failure: {failures + 1} consecutive ones")
        else:
            blocked(one, "R", f"opened again by a probe, then calls from before the outage {late}")
