"""What must be true of `CircuitBreaker`: each test reads the timeline of one or more scripts (see scenarios.py)."""

from types import SimpleNamespace

import pytest

BLINK = 0.001
"""Seconds that "at once" may take."""
ROUNDING = 0.05
"""Seconds by which a `retry_after` may be off."""


def seen(run, who):
    """One caller: its call of op, if there was one, and how its own call ended."""
    assert run.calls("op"), "op was never called"
    call = next(iter(run.calls("op", lane=who)), None)
    outcome = next(iter(run.marks("outcome", lane=who)), None)
    ended = outcome.value if outcome else {"how": "never ended"}
    refused = ended["how"] == "raised" and "CircuitOpenError" in ended["names"]
    return SimpleNamespace(
        call=call,
        ended=ended,
        at=outcome.at if outcome else None,
        rejected=call is None and refused,
        words=f"op {'was' if call else 'was not'} called, the call {_how(ended)}",
    )


def _how(ended):
    words = {"returned": f"returned {ended.get('value')!r}", "raised": f"raised {ended.get('error')}"}
    return words.get(ended["how"], "was cancelled" if ended["how"] == "cancelled" else "never ended")


def own(one):
    """Whether what came out is what op answered to this very call."""
    if one.call is None or one.call.outcome == "error":
        return one.call is not None and one.ended["how"] == "raised" and one.ended["call"] == one.call.id
    value = one.ended.get("value")
    return one.ended["how"] == "returned" and value == one.call.value and type(value) is type(one.call.value)


def passes(run, who, about):
    """The caller comes through to op. What comes back is another question."""
    one = seen(run, who)
    assert one.call is not None, f"{about}: the next call should come through, but {one.words}"
    return one


def blocked(run, who, about):
    """The caller doesn't come through. What it is told is another question."""
    one = seen(run, who)
    assert one.call is None, f"{about}: the next call should be rejected, but op was called"
    return one


def opened(run, who):
    """The instant at which this caller's failure came in, which opens the circuit."""
    one = passes(run, who, "failure_threshold isn't reached")
    assert one.call.end is not None, f"op never answered {who}"
    return one.call.end


def crowd(run, name, number, expected, about):
    """Of the callers name1, name2, ... exactly so many reach op, in the same instant. Returns those who don't."""
    calls = [call for call in run.calls("op") if call.lane.startswith(name) and call.lane[len(name) :].isdigit()]
    assert run.calls("op"), "op was never called"
    words = f"{about}: of {number} calls at once {len(calls) or 'none'} reached op, not {expected or 'none'}"
    assert len(calls) == expected, words
    starts = [call.start for call in calls]
    assert not starts or max(starts) - min(starts) < BLINK, f"{about}: calls ran one after the other"
    return [one for one in (seen(run, f"{name}{index}") for index in range(1, number + 1)) if one.call is None]


def looks(run, *expected, about):
    """The state as it was read, in order."""
    assert run.calls("op"), "op was never called"
    found = [mark.value for mark in run.marks("look")]
    for state, wanted in zip(found, expected, strict=True):
        assert state == wanted, f"{about}: state was {state!r}, not {wanted!r}"


# --- Closed ----------------------------------------------------------------------------------------------------------


@pytest.mark.step("Closed")
@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 50},
    script=[
        "A at 0: works or fails after 0.2",
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
    for who in "ABCDEFGH"[:number]:
        one = passes(run, who, "closed")
        gave = f"returned {one.call.value!r}" if one.call.outcome == "ok" else f"raised {one.call.error}"
        another = ", another object" if one.ended.get("error") == one.call.error else ""
        assert own(one), f"op {gave}: the call {_how(one.ended)}{another}"


@pytest.mark.step("Closed")
@pytest.mark.points(1)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 3},
    script=[
        "A at 0: fails after 0.1",
        "B at 1: fails after 0.1",
        "C at 2: fails after 0.1",
        "look at 2.5",
        "D at 3: works after 0.1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 3},
    script=[
        "A at 0: fails after 0.1",
        "B at 1: fails after 0.1",
        "look at 2.5",
        "D at 3: works after 0.1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 2},
    script=[
        "A at 0: fails after 5",
        "B at 1: works after 1",
        "C at 2.5: fails after 1",
        "look at 5.5",
        "D at 6: works after 0.1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 2},
    script=[
        "A at 0: fails after 1",
        "B at 2: fails after 5",
        "C at 3: works after 1",
        "look at 7.5",
        "D at 8: works after 0.1",
    ],
)
def test_opens(
    runs,
    expected=(
        ("failure_threshold=3, after 3 failures", "ABC", True),
        ("failure_threshold=3, after 2 failures", "AB", False),
        ("failure_threshold=2, calls came back in the order worked, failed, failed", "ABC", True),
        ("failure_threshold=2, calls came back in the order failed, worked, failed", "ABC", False),
    ),
):
    """failure_threshold failures in a row open the circuit, counted in the order in which calls come back

    Hint: add one where a call has just failed, and compare at once. What counts is when calls end, not when they begin.
    """
    for run, (about, before, opens) in zip(runs, expected, strict=True):
        for who in before:
            passes(run, who, f"{about.partition(',')[0]}, which isn't reached yet")
        (blocked if opens else passes)(run, "D", about)
        looks(run, "open" if opens else "closed", about=about)


@pytest.mark.step("Closed")
@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 4},
    script=[
        "A at 0: fails after 0.1",
        "B at 1: fails after 0.1",
        "C at 2: works after 0.1",
        "D at 3: fails after 0.1",
        "E at 4: fails after 0.1",
        "F at 5: works after 0.1",
        "5 x G at 6: fails after 0.1",
        "H at 7: works after 0.1",
    ],
)
def test_success_resets(run, free="ABCDEF"):
    """A success in between starts the count anew

    Hint: failures *in a row*: what does a success do to the number so far?
    """
    for who in free:
        passes(run, who, "failure_threshold=4, never more than 2 failures in a row")
    blocked(run, "H", "failure_threshold=4, after 5 failures in a row")


@pytest.mark.step("Closed")
@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 4},
    ignored=["KeyError"],
    script=[
        "2 x A at 0: fails after 0.1",
        "B at 1: fails with KeyError after 0.1",
        "2 x C at 2: fails after 0.1",
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
        "2 x B at 11: fails with KeyError after 0.1",
        "C at 12: fails with KeyError after 0.1",
        "D at 13: fails after 0.1",
        "E at 14: works after 0.1",
    ],
)
def test_is_failure(runs):
    """An exception that is no failure for is_failure counts as a success

    Hint: ask `is_failure(exc)` before you count, and do the same as for a result if it says no. The exception goes on.
    """
    closed, probed = runs
    passes(closed, "B", "failure_threshold=4, after 2 failures")
    passes(closed, "C1", "failure_threshold=4, after 2 failures and an error to which is_failure says no")
    passes(closed, "D", "failure_threshold=4: 2 failures, an error to which is_failure says no, 2 failures")
    blocked(closed, "F", "failure_threshold=4, after 5 failures in a row")
    about = "half-open, and is_failure says no to the probe's error"
    passes(probed, "B1", "recovery_time is over")
    passes(probed, "C", about)
    passes(probed, "D", about)
    passes(probed, "E", f"{about}, so it closes; one failure since")


@pytest.mark.step("Closed")
@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 3},
    script=[
        "A at 0: raises at once",
        "B at 1: raises at once",
        "C at 2: raises at once",
        "E at 2.5: raises at once",
        "D at 3: works after 0.1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 3},
    script=[
        "A at 0: raises at once",
        "D at 3: works after 0.1",
    ],
)
def test_sync_raise(runs):
    """An op that raises before there is anything to await has failed like any other

    Hint: `op()` itself may raise. Is it inside your `try`, together with its `await`?
    """
    for run, opens in zip(runs, (True, False), strict=True):
        assert run.marks("raised at once", lane="A"), "op was never called"
        made, ended = run.calls(lane="A, asked before")[0], seen(run, "A").ended
        unchanged = ended["how"] == "raised" and ended["call"] == made.id
        assert unchanged, f"op() raised {made.error} at once, the call {_how(ended)}"
        about = f"failure_threshold=3, op() raised at once {'3 times and more' if opens else 'once'}"
        (blocked if opens else passes)(run, "D", about)


@pytest.mark.step("Closed")
@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 3},
    script=[
        "A at 0: hangs",
        "8 x B at 1: works after 2",
        "C at 2: fails after 4",
    ],
)
def test_concurrent(run):
    """Calls run side by side: none waits for another one's op

    Hint: a lock may guard the few lines that count, never the `await op()` between them.
    """
    passes(run, "A", "closed")
    crowd(run, "B", 8, 8, "closed, while another call waits for its answer")
    for who, at in (("B1", 1), ("B8", 1), ("C", 2)):
        one = passes(run, who, "closed, while other calls wait for their answers")
        waited = one.call.start - seen(run, "A").call.start - at
        assert waited < BLINK, f"closed, while other calls wait for their answers: the next one waited {waited:.2f} s"


@pytest.mark.step("Closed")
@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 4},
    script=[
        "2 x A on other at 0: fails after 0.1",
        "2 x B at 1: fails after 0.1",
        "C on other at 2: works after 0.1",
        "D at 3: works after 0.1",
        "5 x E on other at 4: fails after 0.1",
        "F on other at 5: works after 0.1",
        "G at 6: works after 0.1",
    ],
)
def test_instances(run):
    """Two breakers share nothing

    Hint: what a breaker remembers belongs to `self`, set in `__init__`; a class attribute is one for all.
    """
    passes(run, "C", "failure_threshold=4, 2 failures on this breaker and 2 on another one")
    passes(run, "D", "failure_threshold=4, 2 failures on this breaker and 2 on another one")
    blocked(run, "F", "failure_threshold=4, 5 failures in a row on this breaker")
    passes(run, "G", "failure_threshold=4, 2 failures on this breaker; another one is open")


# --- Open ------------------------------------------------------------------------------------------------------------


@pytest.mark.step("Open")
@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 4},
    script=[
        "2 x A at 0: fails after 0.3",
        "3 x B at 1: fails after 0.7",
        "C at 2: works after 0.1",
        "D at 9.1: works after 0.1",
        "E at 26.6: works after 0.1",
    ],
)
def test_rejects(run, asks=(("C", 2), ("D", 9.1), ("E", 26.6)), recovery=30.0):
    """While open every call is rejected at once; retry_after says how many seconds are left

    Hint: remember when it opened. What is left is that instant plus recovery_time minus now.
    """
    since, first = opened(run, "B1"), run.calls("op")[0].start
    for who, at in asks:
        about = f"recovery_time={recovery:g}, open for {first + at - since:.1f} s"
        one = blocked(run, who, about)
        assert one.rejected, f"{about}: the next call should raise CircuitOpenError, but {one.words}"
        waited = one.at - first - at
        assert waited < BLINK, f"{about}: the next call waited {waited:.1f} s for its rejection"
        said, left = run.marks("retry_after", lane=who)[-1].value, since + recovery - one.at
        number = isinstance(said, int | float) and not isinstance(said, bool)
        assert number, f"{about}: retry_after was {said!r}, not a number of seconds"
        assert abs(said - left) < ROUNDING, f"{about}: retry_after was {said:.1f} s, not {left:.1f} s"


@pytest.mark.step("Open")
@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    script=[
        "3 x A at 0: fails after 0.5",
        "3 x B at 1: fails after 1",
        "C at 31.9: works after 0.1",
        "D at 32.1: works after 0.1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 1, "recovery_time": 4.0},
    script=[
        "2 x B at 1: fails after 2",
        "C at 6.9: works after 0.1",
        "D at 7.1: works after 0.1",
    ],
)
def test_recovery_time(runs, times=(30.0, 4.0)):
    """Until recovery_time is over calls are rejected, after it one is let through

    Hint: nobody has to wake the breaker: the next call that comes looks at the clock.
    """
    for run, recovery in zip(runs, times, strict=True):
        since = opened(run, "B1")
        blocked(run, "C", f"recovery_time={recovery:g}, open for {recovery - 0.1:g} s")
        one = passes(run, "D", f"recovery_time={recovery:g}, open for {recovery + 0.1:g} s")
        waited = one.call.start - since - recovery - 0.1
        assert waited < BLINK, f"recovery_time={recovery:g}: the first call after it waited {waited:.1f} s"


# --- Half-open -------------------------------------------------------------------------------------------------------


@pytest.mark.step("Half-open")
@pytest.mark.points(1.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 1},
    script=[
        "2 x A at 0: fails after 0.5",
        "25 x B at 30.7: works after 3",
        "4 x C at 32: works after 0.1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 1, "recovery_time": 5.0},
    script=[
        "2 x A at 0: fails after 0.5",
        "25 x B at 9: fails after 40",
        "4 x C at 30: works after 0.1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 1, "recovery_time": 5.0},
    script=[
        "3 x L at 0: works after 9.5",
        "2 x A at 0.1: fails after 0.5",
        "25 x B at 9: works after 3",
        "4 x C at 10: works after 0.1",
    ],
)
def test_one_probe(runs):
    """Half-open, one call at a time is let through, however many come at once

    Hint: between the look at the number of probes and its increase there must be no `await`: then nobody slips between.
    """
    for run, more in zip(runs, ("", "", ", and calls from before came back"), strict=True):
        since = opened(run, "A1")
        others = crowd(run, "B", 25, 1, "half_open_max=1, recovery_time is over")
        others += crowd(run, "C", 4, 0, f"half_open_max=1, while a probe waits for its answer{more}")
        for one in others:
            assert one.rejected, f"half_open_max=1, not let through: {one.words}, which isn't CircuitOpenError"
        came = next(call.start for call in run.calls("op") if call.start > since)
        waited = max(one.at for one in others[:24]) - came
        assert waited < BLINK, f"half_open_max=1: a call that may not pass waited {waited:.1f} s for its rejection"


@pytest.mark.step("Half-open")
@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 1, "half_open_max": 3},
    script=[
        "2 x A at 0: fails after 0.5",
        "25 x B at 31: works after 3",
        "4 x C at 32.5: works after 0.1",
    ],
)
def test_some_probes(run, most=3, callers=25):
    """Half-open, half_open_max calls are let through at the same time

    Hint: count the probes that are under way: one more when one is let through, one less when it is back.
    """
    opened(run, "A1")
    crowd(run, "B", callers, most, f"half_open_max={most}, recovery_time is over")
    crowd(run, "C", 4, 0, f"half_open_max={most}, while so many probes wait for their answers")


@pytest.mark.step("Half-open")
@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 3},
    script=[
        "4 x A at 0: fails after 0.5",
        "B at 31: works after 0.5",
        "look at 32",
        "E at 33: fails after 0.1",
        "F at 34: works after 1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 3, "success_threshold": 3},
    script=[
        "4 x A at 0: fails after 0.5",
        "B at 31: works after 0.5",
        "C at 32: works after 0.5",
        "E at 33: fails after 1",
        "look at 33.5",
        "F at 35: works after 1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 3, "success_threshold": 3},
    script=[
        "4 x A at 0: fails after 0.5",
        "B at 31: works after 0.5",
        "C at 32: works after 0.5",
        "D at 33: works after 0.5",
        "look at 34",
        "E at 35: fails after 0.1",
        "F at 36: works after 1",
    ],
)
def test_closes(runs, thresholds=((1, "B"), (3, "BC"), (3, "BCD"))):
    """success_threshold probes that work close the circuit, and no fewer

    Hint: half-open, count the probes that came back well. Reaching success_threshold is one more change of state.
    """
    for run, (threshold, probes) in zip(runs, thresholds, strict=True):
        opened(run, "A1")
        for number, who in enumerate(probes):
            passes(run, who, f"success_threshold={threshold}, recovery_time is over, {number} probes have worked")
        closed = len(probes) == threshold
        about = f"success_threshold={threshold}, {len(probes)} probe{'s' * (len(probes) > 1)} worked"
        looks(run, "closed" if closed else "half_open", about=about)
        passes(run, "E", about)
        (passes if closed else blocked)(run, "F", f"{about}, then one failure")


@pytest.mark.step("Half-open")
@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 4},
    script=[
        "5 x A at 0: fails after 0.5",
        "B at 31: works after 0.5",
        "2 x C at 33: fails after 0.1",
        "D at 34: works or fails after 0.1",
        "5 x E at 35: fails after 0.1",
        "F at 36: works after 0.1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 4, "success_threshold": 3},
    script=[
        "5 x A at 0: fails after 0.5",
        "B at 31: works after 0.5",
        "B0 at 32: works after 0.5",
        "C at 33: fails after 0.5",
        "D at 65: works after 0.5",
        "E at 66: fails after 0.5",
        "F at 67: works after 0.5",
    ],
)
def test_fresh_counters(runs, since=2):
    """Each time it closes or half-opens, counting starts at zero

    Hint: let one small method do every change of state: it sets the new state and all counters.
    """
    failures, successes = runs
    passes(failures, "B", "recovery_time is over")
    passes(failures, "C1", "closed again by a probe")
    passes(failures, "D", f"failure_threshold={since + 2}, closed again by a probe, {since} failures since")
    blocked(failures, "F", f"failure_threshold={since + 2}, closed again by a probe, 5 failures since")
    for who in "BCDE":
        passes(successes, who, "half-open, or recovery_time is over")
    blocked(
        successes, "F", "half-open for the second time, one probe worked (fewer than success_threshold), one failed"
    )


@pytest.mark.step("Half-open")
@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 3},
    script=[
        "4 x A at 0: fails after 0.5",
        "B at 31: fails after 7",
        "C at 40.2: works after 0.1",
        "D at 67.9: works after 0.1",
        "E at 68.1: works after 0.1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 3, "success_threshold": 3},
    script=[
        "4 x A at 0: fails after 0.5",
        "P at 31: works after 1",
        "B at 33: fails after 6",
        "C at 40: works after 0.1",
        "D at 68.9: works after 0.1",
        "E at 69.1: works after 0.1",
    ],
)
def test_reopens(runs, recovery=30.0):
    """A probe that fails opens the circuit again, for a full recovery_time from that moment

    Hint: the same change to open as the first time, with a new instant; failure_threshold plays no part here.
    """
    for run in runs:
        since = opened(run, "B")
        took = since - seen(run, "B").call.start
        blocked(run, "C", f"a probe took {took:g} s and has just failed")
        blocked(run, "D", f"recovery_time={recovery:g}, {recovery - 0.1:g} s after a probe failed")
        passes(run, "E", f"recovery_time={recovery:g}, {recovery + 0.1:g} s after a probe failed")


@pytest.mark.step("Half-open")
@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 1, "recovery_time": 10.0},
    watched=True,
    script=[
        "A at 0: fails after 0.1",
        "B at 10.6: fails after 0.1",
        "C at 21.3: works after 0.1",
        "D at 32: works or fails after 0.1",
        "E at 43: works or fails after 0.1",
        "F at 54: works or fails after 0.1",
        "G at 65: works or fails after 0.1",
        "H at 76: works or fails after 0.1",
        "I at 87: works or fails after 0.1",
    ],
)
def test_on_state_change(run):
    """on_state_change(old, new) hears of each change of state once, in order

    Hint: call it in the one place where the state changes, and only if there is one.
    """
    state, expected = "closed", []
    for call in run.calls("op"):
        good = call.outcome == "ok"
        if state == "open":
            expected.append(["open", "half_open"])
            state = "half_open"
        after = {"closed": "closed" if good else "open", "half_open": "closed" if good else "open"}[state]
        if after != state:
            expected.append([state, after])
            state = after
    assert run.calls("op"), "op was never called"
    assert len(run.calls("op")) == 9, (
        f"of 9 calls, each more than recovery_time apart, {len(run.calls('op'))} reached op"
    )
    heard = [mark.value for mark in run.marks("change")]
    differ = next((n for n, pair in enumerate(zip(heard, expected, strict=False)) if pair[0] != pair[1]), None)
    if differ is None and len(heard) != len(expected):
        raise AssertionError(f"there were {len(expected)} changes of state, on_state_change was called {_times(heard)}")
    assert differ is None, (
        f"change {differ + 1} was {_arrow(expected[differ])}, on_state_change heard {_arrow(heard[differ])}"
    )


def _times(heard):
    return "once" if len(heard) == 1 else f"{len(heard)} times"


def _arrow(change):
    return " -> ".join(map(str, change))


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
    for number in range(1, 6):
        crowd(run, f"P{number}_", 5, 1, f"half-open for the {number}. time")
    passes(run, "Q", "half-open for the 6. time")
    crowd(run, "R", 9, 9, "the 6. probe worked")


# --- Cancellation ----------------------------------------------------------------------------------------------------


def given_up(run, who, after, about):
    """The caller comes through, and its cancellation goes on at once, so many seconds after its start."""
    one = passes(run, who, about)
    assert one.ended["how"] == "cancelled", f"{about}: the caller was cancelled, but {one.words}"
    late = one.at - one.call.start - after
    assert abs(late) < BLINK, f"{about}: a cancelled call went on for {late:.1f} s"


@pytest.mark.step("Cancellation")
@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 5},
    script=[
        "2 x A at 0: fails after 0.1",
        "3 x C at 2: hangs, cancelled at 4",
        "D at 5: fails after 0.1",
        "3 x E at 6: fails after 0.1",
        "F at 7: works after 0.1",
    ],
)
def test_cancelled_closed(run, before=2, cancelled=("C1", "C2", "C3"), after=2, threshold=5):
    """A cancelled call is neither a failure nor a success

    Hint: whoever cancels says nothing about the service. `CancelledError` is no `Exception`: which clause catches it?
    """
    for who in cancelled:
        given_up(run, who, after, "closed")
    about = f"failure_threshold={threshold}: {before} failures, {len(cancelled)} cancelled calls"
    passes(run, "D", about)
    blocked(run, "F", f"{about}, 4 more failures")


@pytest.mark.step("Cancellation")
@pytest.mark.points(1)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 3},
    script=[
        "4 x A at 0: fails after 0.5",
        "B at 31: hangs, cancelled at 33",
        "C at 34: works after 3",
        "S at 37.5: works after 0.2",
        "E at 38: fails after 1",
        "F at 40: works after 1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 3},
    script=[
        "4 x A at 0: fails after 0.5",
        "B at 31: hangs, cancelled at 33",
        "C at 34: fails after 3",
        "F at 40: works after 1",
    ],
)
def test_cancelled_probe(runs):
    """A cancelled probe gives its place to the next one, and proves nothing

    Hint: the place must be given back however `await op()` ends: `finally` runs in every case.
    """
    good, bad = runs
    for run in runs:
        given_up(run, "B", 2, "half-open")
        passes(run, "C", "the only probe was cancelled")
    passes(good, "E", "a probe was cancelled, the next one worked")
    passes(good, "F", "a probe was cancelled, the next one worked and closed the circuit, then one call failed")
    blocked(bad, "F", "a probe was cancelled, the next one failed")


# --- Late results ----------------------------------------------------------------------------------------------------


@pytest.mark.step("Late results")
@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 3},
    script=[
        "A at 0: fails after 20",
        "B at 0.5: fails after 0.2",
        "3 x C at 1: fails after 1",
        "D at 21: works after 0.1",
        "E at 31.9: works after 0.1",
        "F at 32.1: works after 0.1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 1},
    script=[
        "6 x A at 0: fails after 9",
        "3 x C at 1: fails after 1",
        "D at 12: works after 0.1",
        "E at 31.9: works after 0.1",
        "F at 32.1: works after 0.1",
    ],
)
def test_late_failure(runs, recovery=30.0):
    """A failure that comes in while the circuit is open doesn't prolong it

    Hint: that call was let through before the change of state. Give each period a number, and remember it when you
    let a call through.
    """
    for run in runs:
        since = opened(run, "C1")
        late = [call for call in run.calls("op") if call.lane.startswith("A")]
        assert late and all(call.end and call.end > since for call in late), "not all calls reached op while closed"
        blocked(run, "D", "open, and a call from before has failed since")
        blocked(run, "E", f"recovery_time={recovery:g}, {recovery - 0.1:g} s after it opened")
        about = (
            f"recovery_time={recovery:g}, {recovery + 0.1:g} s after it opened, and a call from before has failed since"
        )
        passes(run, "F", about)


@pytest.mark.step("Late results")
@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 4},
    script=[
        "L at 0: works after 33",
        "M at 0: works after 10",
        "5 x A at 1: fails after 0.2",
        "N at 12: works after 0.1",
        "P at 32: fails after 5",
        "R at 38: works after 1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 4},
    script=[
        "L at 0: fails after 33",
        "M at 0: fails after 10",
        "5 x A at 1: fails after 0.2",
        "N at 12: works after 0.1",
        "P at 32: works after 5",
        "S at 37.5: works after 0.2",
        "R at 38: fails after 1",
        "T at 40: works after 1",
    ],
)
@pytest.mark.scenario(
    "story",
    options={"failure_threshold": 4},
    script=[
        "5 x L at 0: fails after 40",
        "5 x A at 1: fails after 0.2",
        "P at 32: works after 1",
        "S at 33.5: works after 0.2",
        "R at 41: works after 1",
    ],
)
def test_late_result(runs):
    """What was let through before the circuit opened decides nothing later: not half-open, not when closed again

    Hint: compare the period in which the call was let through with the present one. If they differ, don't count.
    """
    good, bad, closed = runs
    for run, words in ((good, "worked"), (bad, "failed")):
        passes(run, "L", "closed")
        blocked(run, "N", f"open, while a call from before waits for its answer or has just {words}")
        passes(run, "P", "recovery_time is over")
    blocked(good, "R", "half-open: a call from before worked, then the probe failed")
    passes(bad, "R", "half-open: a call from before failed, then the probe worked")
    passes(bad, "T", "half-open: a call from before failed, then the probe worked and closed it; one failure since")
    passes(closed, "P", "recovery_time is over")
    passes(closed, "R", "closed again by a probe, then calls from before it opened failed")
