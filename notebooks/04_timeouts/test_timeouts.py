"""What must be true of `run_with_deadline`: each test reads the timelines of scenarios (scenarios.py)."""

import pytest

BLINK = 0.001
"""Seconds that "at once" may take."""


def outcome(run, who="caller"):
    """How the call of this caller ended, and when; says so when it didn't."""
    assert run.calls("work", lane=who), f"{who}: work was never called"
    marks = run.marks(who)
    assert marks, f"{who}: run_with_deadline never came to an end"
    return marks[-1].value, marks[-1].at


def words(ended):
    """How a call ended, as a person would say it."""
    if ended["how"] == "returned":
        return f"returned {ended['value']!r}"
    return f"raised {ended['error']}" if ended["how"] == "raised" else "was cancelled"


def raised(ended, name):
    """Whether an error of the notebook's class `name` came out."""
    return ended["how"] == "raised" and name in ended["names"]


def left_alone(run, who):
    """Work that ended by itself: called once, never stopped, nothing cleaned up."""
    calls = run.calls("work", lane=who)
    assert len(calls) == 1, f"{who}: work was called {len(calls)} times"
    assert calls[0].outcome in ("ok", "error"), f"{who}: work would have ended in time, but it was stopped"
    tidied = run.calls("cleanup", lane=who)
    assert not tidied, f"{who}: work ended in time, yet cleanup was called"
    return calls[0]


@pytest.mark.points(0.5)
@pytest.mark.scenario("in_time", takes=0.3, timeout=2.0)
def test_in_time(run):
    """Work that ends in time: its result comes back unchanged, at once, and nothing is cleaned up

    Hint: `return await work()` under a timeout. Any result is a result, None and 0 too.
    """
    calls = sorted(run.calls("work"), key=lambda call: str(call.value))  # the same mistake comes first in any order
    assert calls, "work was never called"
    for who in dict.fromkeys(call.lane for call in calls):
        ended, at = outcome(run, who)
        call = left_alone(run, who)
        value = ended.get("value")
        same = ended["how"] == "returned" and value == call.value and type(value) is type(call.value)
        assert same, f"{who}: work returned {call.value!r}, run_with_deadline {words(ended)}"
        late = at - call.end
        assert late < BLINK, f"{who}: work was done, run_with_deadline came back {late:.1f} s later"


@pytest.mark.points(0.5)
@pytest.mark.scenario("failing", kinds=["ConnectionError", "TimeoutError", "KeyError"], takes=0.3, timeout=2.0)
def test_own_errors(run, kinds=("ConnectionError", "TimeoutError", "KeyError")):
    """What the work itself raises in time comes out unchanged, a TimeoutError too, and nothing is cleaned up

    Hint: two timeouts may end in the same class. `asyncio.timeout(...) as limit` knows: `limit.expired()`.
    """
    well, _ = outcome(run, "all is well")
    assert well["how"] == "returned", f"when nothing fails, run_with_deadline {words(well)}"
    for kind in kinds:
        ended, at = outcome(run, kind)
        call = left_alone(run, kind)
        same = ended["how"] == "raised" and ended["call"] == call.id
        seen = f"work raised a {kind} of its own, in time; run_with_deadline {words(ended)}"
        assert same, seen + (", another object" if ended.get("error") == kind else "")
        assert at - call.end < BLINK, f"{kind}: it came out {at - call.end:.1f} s later"


def stopped(run):
    """The work was stopped after the seconds that the world drew and could unwind to the end: when that was."""
    calls = run.calls("work", lane="caller")
    assert len(calls) == 1, f"work was called {len(calls)} times"
    after = run.calls("seconds")[0].value
    began, end = calls[0].start, calls[0].end
    assert calls[0].outcome == "cancelled" and end is not None, f"{after:g} s are over, but the work was never stopped"
    assert end - began < after + BLINK, f"the work should stop after {after:g} s and went on until {end - began:.1f} s"
    assert end - began > after - BLINK, f"the work was stopped after {end - began:.1f} s, not after {after:g} s"
    unwound = run.calls("unwinding", lane="caller")
    assert unwound and unwound[0].outcome != "pending", "the work was stopped, but never got to its unwinding"
    assert unwound[0].outcome == "ok", (
        f"the work's unwinding was interrupted after {unwound[0].end - unwound[0].start:.1f} s"
    )
    return unwound[0].end


@pytest.mark.points(0.5)
@pytest.mark.scenario("too_slow", timeout=2.0, unwinding=0.4, cleanup=0.2)
@pytest.mark.scenario("too_slow", timeout=0.7, unwinding=2.3, cleanup=0.2)
def test_stops_work(runs):
    """When the time is up, the work is stopped, and its unwinding awaited, however long that takes

    Hint: cancelling only asks. Who awaits the cancelled work learns when it is over; `asyncio.timeout` does so.
    """
    for run in runs:
        _, at = outcome(run)
        unwound = stopped(run)
        early = unwound - at
        assert early < BLINK, f"run_with_deadline came back {early:.1f} s before the work had unwound"


def tidied(run, since):
    """The one call of cleanup, which began when the work had unwound."""
    calls = run.calls("cleanup", lane="caller")
    assert calls, "the work was stopped, but cleanup never ran"
    assert len(calls) == 1, f"cleanup ran {len(calls)} times"
    early, late = since - calls[0].start, calls[0].start - since
    assert early < BLINK, f"cleanup began {early:.1f} s before the work had unwound"
    assert late < BLINK, f"cleanup began {late:.1f} s after the work had unwound"
    return calls[0]


@pytest.mark.points(0.75)
@pytest.mark.scenario("too_slow", timeout=2.0, unwinding=0.4, cleanup=0.3)
@pytest.mark.scenario("too_slow", timeout=0.5, unwinding=0.1, cleanup=0.8)
def test_cleanup(runs):
    """Then cleanup runs, exactly once and to its end, and after it DeadlineExceeded comes out

    Hint: three steps in this order: the work has unwound, `await cleanup()`, `raise DeadlineExceeded(...)`.
    """
    for run in runs:
        ended, at = outcome(run)
        call = tidied(run, stopped(run))
        assert call.outcome == "ok", "cleanup was cut off, well within its grace"
        assert call.end - at < BLINK, f"run_with_deadline came back {call.end - at:.1f} s before cleanup was over"
        assert raised(ended, "DeadlineExceeded"), f"the time was up, run_with_deadline {words(ended)}"
        assert at - call.end < BLINK, f"cleanup was over, DeadlineExceeded came {at - call.end:.1f} s later"


def went_on(ended, outer):
    """Whether the cancellation came out: as itself, or as the TimeoutError of the timeout around the call."""
    return ended["how"] == "cancelled" if not outer else ended["how"] == "raised" and ended["error"] == "TimeoutError"


@pytest.mark.points(0.75)
@pytest.mark.scenario("given_up", at=1.3, unwinding=0.4, cleanup=0.3)
@pytest.mark.scenario("given_up", at=0.6, unwinding=0.2, cleanup=0.5, outer=True)
@pytest.mark.scenario("too_slow", timeout=1.3, unwinding=0.4, cleanup=0.3)
def test_cancelled(runs):
    """Cancelled from outside, by a timeout around it too: the same steps, and then the cancellation goes on

    Hint: a cancellation arrives as CancelledError. An `except` or `finally` may await cleanup; then `raise`.
    """
    *given_up, ours = runs
    for run, outer in zip(given_up, (False, True), strict=True):
        about = "a timeout around it went off" if outer else "cancelled"
        ended, end = outcome(run)
        call = tidied(run, stopped(run))
        assert call.outcome == "ok", f"{about}: cleanup was cut off, well within its grace"
        assert call.end - end < BLINK, f"{about}: it was gone {call.end - end:.1f} s before cleanup was over"
        assert went_on(ended, outer), f"{about}: run_with_deadline {words(ended)}"
        assert end - call.end < BLINK, f"{about}: cleanup was over, it went on for {end - call.end:.1f} s"
    ended, _ = outcome(ours)
    assert raised(ended, "DeadlineExceeded"), f"not cancelled, and the time was up: {words(ended)}"


def within_grace(run, grace, *, cancelled=False):
    """Cleanup that hangs is cut off after `grace` s, and what was to come out does."""
    about = "cancelled" if cancelled else "the time was up"
    unwound = stopped(run)
    call = tidied(run, unwound)
    took = None if call.end is None else call.end - call.start
    assert took is not None and took < grace + BLINK, f"{about}: cleanup hangs, grace={grace:g}, and it was not cut off"
    assert took > grace - BLINK, f"{about}: cleanup was cut off after {took:.1f} s, grace={grace:g}"
    ended, end = outcome(run)
    good = ended["how"] == "cancelled" if cancelled else raised(ended, "DeadlineExceeded")
    assert good, f"{about}, and cleanup took longer than its grace: run_with_deadline {words(ended)}"
    assert abs(end - call.end) < BLINK, f"{about}: it ended {end - call.end:.1f} s after cleanup was cut off"


@pytest.mark.points(0.25)
@pytest.mark.scenario("too_slow", timeout=1.0, unwinding=0.4, cleanup=None)
@pytest.mark.scenario("too_slow", timeout=0.5, unwinding=0.1, cleanup=None, grace=2.5)
@pytest.mark.scenario("given_up", at=0.7, unwinding=0.2, cleanup=None, grace=0.6)
def test_grace(runs, grace=(1.0, 2.5, 0.6)):
    """Cleanup gets at most `grace` seconds, counted from its own start

    Hint: a timeout of its own around `await cleanup()`; when it goes off, go on with what was to come out.
    """
    for number, (run, limit) in enumerate(zip(runs, grace, strict=True)):
        within_grace(run, limit, cancelled=number == 2)


@pytest.mark.points(0.25)
@pytest.mark.scenario("too_slow", timeout=1.0, unwinding=0.2, cleanup=0.1, fails="ConnectionError")
@pytest.mark.scenario("too_slow", timeout=1.0, unwinding=0.2, cleanup=0.1, fails="TimeoutError")
@pytest.mark.scenario("given_up", at=0.7, unwinding=0.2, cleanup=0.1, fails="KeyError")
def test_masks_nothing(runs, kinds=("ConnectionError", "TimeoutError", "KeyError")):
    """When cleanup fails, DeadlineExceeded or the cancellation still comes out

    Hint: who calls wants to know that the time was up. An error of cleanup may be logged or noted, not raised.
    """
    for number, (run, kind) in enumerate(zip(runs, kinds, strict=True)):
        ended, _ = outcome(run)
        call = tidied(run, stopped(run))
        assert call.outcome == "error", "cleanup was cut off before it could fail"
        cancelled = number == 2
        good = ended["how"] == "cancelled" if cancelled else raised(ended, "DeadlineExceeded")
        about = "cancelled" if cancelled else "the time was up"
        assert good, f"{about}, and cleanup raised {kind}: run_with_deadline {words(ended)}"
