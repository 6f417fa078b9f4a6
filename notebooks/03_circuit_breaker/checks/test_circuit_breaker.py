"""What must be true of `CircuitBreaker`: each test reads the timeline of one or more scripts (see scenarios.py)."""

from itertools import groupby, pairwise
from math import inf
from types import SimpleNamespace

import pytest

from faultlab.plain import worded

BLINK = 0.001
"""Seconds that "at once" may take."""
ROUNDING = 0.05
"""Seconds by which a `retry_after` may be off."""


class Round:
    """One of the times that a script was played: the calls of its op and its marks, until the next round begins."""

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
    """The call as it was seen before that instant."""
    return call if call.end is None or call.end < over else call._replace(end=None, outcome="pending")


def told(*runs):
    """Every round of these runs, in an order that doesn't depend on the one that was drawn: so it is always the same
    mistake that is told first."""
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
    """One caller: its call of op, if there was one, and how its own call ended."""
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
        words=f"op {'was' if call else 'was not'} called, the call {_how(ended)}",
    )


def _how(ended):
    words = {"returned": f"returned {worded(ended.get('value'))}", "raised": f"raised {ended.get('error')}"}
    return words.get(ended["how"], "was cancelled" if ended["how"] == "cancelled" else "never ended")


def own(one):
    """Whether what came out is what op answered to this very call."""
    if one.call is None or one.call.outcome == "error":
        return one.call is not None and one.ended["how"] == "raised" and one.ended["call"] == one.call.id
    value = one.ended.get("value")
    return one.ended["how"] == "returned" and value == one.call.value and type(value) is type(one.call.value)


def passes(one, who, about):
    """The caller comes through to op, and is back as soon as op has answered. With what is another question."""
    found = seen(one, who)
    assert found.call is not None, f"{about}: the next call should come through, but {found.words}"
    if found.call.outcome in ("ok", "error"):
        took = f"op answered after {found.call.end - found.call.start:.1f} s"
        assert found.at is not None, f"{about}: {took}, and the call never ended"
        late = found.at - found.call.end
        assert late < BLINK, f"{about}: {took}, the call ended {late:.1f} s later"
        assert late > -BLINK, f"{about}: {took}, the call ended {-late:.1f} s earlier"
    return found


def blocked(one, who, about):
    """The caller doesn't come through. What it is told is another question."""
    found = seen(one, who)
    assert found.call is None, f"{about}: the next call should be rejected, but op was called"
    return found


def works(one, who, about):
    """The caller comes through. Whether op then worked, as the world drew it."""
    return passes(one, who, about).call.outcome == "ok"


def opened(one, who):
    """The instant at which this caller's failure came in, which opens the circuit."""
    found = passes(one, who, "failure_threshold isn't reached")
    assert found.call.end is not None, f"op never answered {who}"
    return found.call.end


def instant(one, at):
    """When the script is at `at` s: its first call comes at 0."""
    return one.calls()[0].start + at


def recovers(one, asks, since, recovery, about):
    """Who asks (name and second) within `recovery` s since `since` is rejected, and let through after it."""
    time = f"recovery_time={recovery:g}" if recovery else without("recovery_time", 30)
    for who, at in asks:
        open_for = instant(one, at) - since
        ready = open_for > (recovery or 30)
        found = (passes if ready else blocked)(one, who, f"{time}, {open_for:.1f} s {about}")
        waited = found.call.start - since - open_for if ready else 0
        assert waited < BLINK, f"{time}: a call after it waited {waited:.1f} s"


def crowd(one, name, number, expected, about, and_later=lambda one: ""):
    """Of the callers name1, name2, ... exactly so many reach op, in the same instant. Returns those who don't."""
    calls = [call for call in one.calls() if call.lane.startswith(name) and call.lane[len(name) :].isdigit()]
    assert one.calls(), "op was never called"
    words = f"{about}: of {number} calls at once {len(calls) or 'none'} reached op, not {expected or 'none'}"
    assert len(calls) == expected, words + and_later(one)
    starts = [call.start for call in calls]
    assert not starts or max(starts) - min(starts) < BLINK, f"{about}: calls ran one after the other"
    return [one for one in (seen(one, f"{name}{index}") for index in range(1, number + 1)) if one.call is None]


def later(name, after):
    """Words for how many of these callers reach op so many seconds after a crowd that is still under way."""

    def words(one):
        crowded = [call for call in one.calls() if call.lane.startswith("B")]
        count = sum(call.lane.startswith(name) for call in one.calls())
        busy = all(call.end is None or call.end > call.start + after for call in crowded)
        return f"; while these wait for their answers, {count or 'none'} of those who come later" if busy else ""

    return words


def looks(one, expected, about):
    """The state as it was read."""
    assert one.calls(), "op was never called"
    for mark in one.marks("look"):
        assert mark.value == expected, f"{about}: state was {worded(mark.value)}, not {expected!r}"


def without(option, default):
    """Of a breaker that was made without this option."""
    return f"without {option}, so it is {default:g}"


def history(calls):
    """How calls came back, in order, in words, and how many consecutive failures there were in the end."""
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

    Hint: return the very result, and let the very exception go on: a bare `raise` in the `except` block does that.
    """
    found = [passes(Round(run), who, "closed") for who in "ABCDEFGH"[:number]]
    for one in sorted(found, key=lambda one: (one.call.error or "", str(one.call.value)), reverse=True):
        gave = f"returned {one.call.value!r}" if one.call.outcome == "ok" else f"raised {one.call.error}"
        another = ", another object" if one.ended.get("error") == one.call.error else ""
        assert own(one), f"op {gave}: the call {_how(one.ended)}{another}"


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
    """Calls run side by side: none waits for another one's op

    Hint: a lock may guard the few lines that count, never the `await op()` between them.
    """
    about = "closed, while other calls wait for their answers"
    for one in told(run):
        passes(one, "A", "closed")
        crowd(one, "B", 8, 8, "closed, while another call waits for its answer")
        for who, at in (("B1", 1), ("B8", 1), ("C", 2)):
            found = passes(one, who, about)
            waited = found.call.start - instant(one, at)
            assert waited < BLINK, f"{about}: the next one waited {waited:.2f} s"
            assert own(found), f"{about}: {who}'s op {found.call.outcome}, the call {_how(found.ended)}"


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
    """failure_threshold consecutive failures open the circuit, counted in the order in which calls come back

    Hint: add one where a call has just failed, and compare at once. What counts is when calls end, not when they begin.
    """
    for run, (threshold, before) in zip(runs, settings, strict=True):
        for one in told(run):
            about = f"failure_threshold={threshold}" if threshold else without("failure_threshold", 5)
            calls = [passes(one, who, f"{about}, not so many failures yet").call for who in before]
            words, row = history(calls)
            nested = any(call.error == "CircuitOpenError" for call in calls)
            about = f"{about}, {words} came back" + (" (a failure is another breaker's CircuitOpenError)" * nested)
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
    """A success in between starts the count anew

    Hint: *consecutive* failures: what does a success do to the number so far?
    """
    for one in told(run):
        calls = []
        for who in callers:
            words, row = history(calls)
            about = f"failure_threshold=4, {words} came back"
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
    """An exception that is no failure for is_failure counts as a success

    Hint: ask `is_failure(exc)` before you count, and do the same as for a result if it says no. The exception goes on.
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
        let(one, "E", f"{about}, so it closes; one failure since" if good else about)


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
    """An op that raises before there is anything to await has failed like any other

    Hint: `op()` itself may raise. Is it inside your `try`, together with its `await`?
    """
    for one in told(run):
        assert one.marks("at once", lane="A1"), "op was never called"
        made, ended = one.calls(lane="A1, asked before")[0], seen(one, "A1").ended
        if made.outcome == "error":
            unchanged = ended["how"] == "raised" and ended["call"] == made.id
            assert unchanged, f"op() raised {made.error} at once, the call {_how(ended)}"
            blocked(one, "D", "failure_threshold=3, op() raised at once 3 times and more")
        else:
            passes(one, "D", "failure_threshold=3, op() gave an answer at once")


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

    Hint: what a breaker remembers belongs to `self`, set in `__init__`; a class attribute is one for all.
    """
    about = "failure_threshold=4, 2 failures on this breaker"
    for one in told(run):
        for first, who in (("C1", "E"), ("D1", "F")):
            good = works(one, first, f"{about}; another one has failures of its own")
            since = "successes" if good else "failures"
            (passes if good else blocked)(one, who, f"{about}, then 3 {since}; another one has calls of its own")


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
    """While open every call is rejected at once; retry_after says how many seconds are left

    Hint: remember when it opened. What is left is that instant plus recovery_time minus now.
    """
    for one in told(run):
        since = opened(one, "B1")
        for who, at in asks:
            turned_down(one, who, instant(one, at), since, recovery, "open", "B1")
        if passes(one, "P", f"recovery_time={recovery:g} is over").call.outcome == "error":
            who, at = again
            turned_down(one, who, instant(one, at), opened(one, "P"), recovery, "open again", "P")


def turned_down(one, who, asked, since, recovery, state, opener):
    """The caller is rejected at once, and told how long the circuit stays open, which a call of `opener` opened."""
    about = f"recovery_time={recovery:g}, {state} for {asked - since:.1f} s"
    found = blocked(one, who, about)
    assert found.rejected, f"{about}: the next call should raise CircuitOpenError, but {found.words}"
    waited = found.at - asked
    assert waited < BLINK, f"{about}: the next call waited {waited:.1f} s for its rejection"
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
    """What the rejection of this caller gives as `retry_after`; a float where it is a number."""
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
    """Until recovery_time is over calls are rejected, after it one is let through

    Hint: nobody has to wake the breaker: the next call that comes looks at the clock.
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
    """success_threshold probes that work close the circuit, and no fewer

    Hint: half-open, count the probes that came back well. Reaching success_threshold is one more change of state.
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
                if seen(one, "E").call is not None:  # how many probes pass is another behaviour
                    blocked(one, "F", f"{about}, then one failed")
    for one in told(beside):
        if seen(one, "B").call is not None:
            good = works(one, "B", "recovery_time is over")
            about = f"half_open_max={most}, a probe {'worked' if good else 'failed'} while another one is under way"
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
    """A probe that fails opens the circuit again, for a full recovery_time from that moment

    Hint: the same change to open as the first time, with a new instant; failure_threshold plays no part here.
    """
    for one in told(*runs):
        probe = passes(one, "B", "recovery_time is over").call
        good, took = probe.outcome == "ok", opened(one, "B") - probe.start
        let, how = (passes, "worked") if good else (blocked, "failed")
        let(one, "C", f"a probe took {took:g} s and has just {how}")
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

    Hint: between the look at the number of probes and its increase there must be no `await`: then nobody slips between.
    """
    beside = ("", "", ", and calls from before came back")
    for number, (run, (after, expected), more) in enumerate(zip(runs, settings, beside, strict=True)):
        most = without("half_open_max", 1) if number == default else "half_open_max=1"
        for one in reversed(told(run)):  # the longest first: those who come later meet probes under way
            opened(one, "A1")
            others = crowd(one, "B", callers, 1, f"{most}, recovery_time is over", later("C", after))
            probe = next(call for call in one.calls() if call.lane.startswith("B"))
            waited = max((other.at for other in others if other.at is not None), default=0) - probe.start
            assert waited < BLINK, f"{most}: a call that may not pass waited {waited:.1f} s for its rejection"
            if probe.end is not None and probe.end < probe.start + after:
                closes = "worked" if probe.outcome == "ok" else "failed, and recovery_time is over again"
                others += crowd(one, "C", 4, expected, f"{most}, the probe {closes}")
            else:
                others += crowd(one, "C", 4, 0, f"{most}, while a probe waits for its answer{more}")
            for other in others:
                words = f"{most}, not let through: {other.words}, which isn't CircuitOpenError"
                assert other.rejected, words
                said = said_by(one, other.who)
                words = f"{most}, not let through: retry_after was {worded(said)}, not a number from 0 up"
                assert not isinstance(said, float) or said > -ROUNDING, words  # no number at all is another behaviour


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

    Hint: count the probes that are under way: one more when one is let through, one less when it is back.
    """
    run, in_turn = runs
    for one in reversed(told(run)):  # the longest first: those who come later meet probes under way
        opened(one, "A1")
        crowd(one, "B", callers, most[0], f"half_open_max={most[0]}, recovery_time is over", later("C", after))
        probe = next(call for call in one.calls() if call.lane.startswith("B"))
        back = probe.end is not None and probe.end < probe.start + after
        about = "the probes worked" if back else "while so many probes wait for their answers"
        crowd(one, "C", 4, 4 if back else 0, f"half_open_max={most[0]}, {about}")
    for one in told(in_turn):
        for who in "PQR":
            passes(one, who, f"half_open_max={most[1]}, recovery_time is over")
        crowd(one, "C", 4, 1, f"half_open_max={most[1]}, one of three probes is back")
        if any(call.lane.startswith("D") for call in one.calls()):  # that nobody passes is another behaviour
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
    """Each time it closes or half-opens, counting starts at zero

    Hint: let one small method do every change of state: it sets the new state and all counters.
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
        about = "half-open for the second time, one probe worked (fewer than success_threshold), one {}"
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
    """on_state_change(old, new) hears of each change of state once, in order

    Hint: call it in the one place where the state changes, and only if there is one.
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
    assert len(calls) == 9, f"of 9 calls, each more than recovery_time apart, {len(calls)} reached op"
    _hears(run, expected, "")
    passes(Round(crowded), "A1", "closed")
    states = ["closed", "open", "half_open", "open", "half_open", "closed"]
    if all(seen(Round(crowded), who).call for who in ("B2", "C", "D2", "E")):
        _hears(crowded, [list(pair) for pair in pairwise(states)], "several calls at once: ")


def _hears(run, expected, about):
    """on_state_change was told these changes, and no others."""
    heard = [mark.value for mark in run.marks("change")]
    differ = next((n for n, pair in enumerate(zip(heard, expected, strict=False)) if pair[0] != pair[1]), None)
    counted = f"{about}there were {len(expected)} changes of state, on_state_change was called {_times(heard)}"
    assert differ is not None or len(heard) == len(expected), counted
    if differ is not None:
        change, told_of = _arrow(expected[differ]), _arrow(heard[differ])
        raise AssertionError(f"{about}change {differ + 1} was {change}, on_state_change heard {told_of}")


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
    """Advice: the fifth recovery works as the first

    Hint: does each change of state set everything that belongs to it?
    """
    one = Round(run)
    for number in range(1, 6):
        crowd(one, f"P{number}_", 5, 1, f"half-open for the {number}. time")
    passes(one, "Q", "half-open for the 6. time")
    crowd(one, "R", 9, 9, "the 6. probe worked")


# --- Cancellation ----------------------------------------------------------------------------------------------------


def given_up(one, who, after, about):
    """The caller comes through, and its cancellation goes on at once, so many seconds after its start."""
    found = passes(one, who, about)
    assert found.ended["how"] == "cancelled", f"{about}: the caller was cancelled, but {found.words}"
    late = found.at - found.call.start - after
    assert abs(late) < BLINK, f"{about}: a cancelled call went on for {late:.1f} s"


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

    Hint: whoever cancels says nothing about the service. `CancelledError` is no `Exception`: which clause catches it?
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
    """A cancelled probe gives its place to the next one, and proves nothing

    Hint: the place must be given back however `await op()` ends: `finally` runs in every case.
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
    """A failure that comes in while the circuit is open doesn't prolong it

    Hint: that call was let through before the change of state. Give each period a number, and remember it when you
    let a call through.
    """
    about = "after it opened, and a call from before has failed since"
    for one in told(*runs):
        since = opened(one, "C1")
        late = [call for call in one.calls() if call.lane.startswith("A")]
        assert late and all(call.end and call.end > since for call in late), "not all calls reached op while closed"
        blocked(one, "D", "open, and a call from before has failed since")
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
    """What was let through before the circuit opened decides nothing later: not half-open, not when closed again

    Hint: compare the period in which the call was let through with the present one. If they differ, don't count.
    """
    first, closed = runs
    for one in told(first):
        late = "worked" if works(one, "L", "closed") else "failed"
        early = "worked" if works(one, "M", "closed") else "failed"
        blocked(one, "N", f"open, while a call from before waits for its answer and another one has {early}")
        good = works(one, "P", "recovery_time is over")
        about = f"half-open: a call from before {late}, then the probe {'worked' if good else 'failed'}"
        let = passes if good else blocked
        let(one, "R", about)
        let(one, "T", f"{about} and closed it; one failure since" if good else about)
    for one in told(closed):
        late = "worked" if works(one, "L1", "closed") else "failed"
        if works(one, "P", "recovery_time is over"):
            about = f"closed again by a probe, {_counted(failures, 'failure')}, then calls from before it opened {late}"
            passes(one, "R", about)
            blocked(one, "T", f"{about}, then one more failure, which makes {failures + 1} consecutive ones")
        else:
            blocked(one, "R", f"opened again by a probe, then calls from before it opened {late}")
