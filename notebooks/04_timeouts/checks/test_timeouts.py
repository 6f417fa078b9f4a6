"""What must be true of `run_with_deadline`: each test reads the timelines of scenarios (scenarios.py)."""

import pytest

BLINK = 0.001
"""Seconds that "at once" may take."""


def outcome(run, who="caller"):
    """How the call of this caller ended, and when; says so when it didn't."""
    marks = run.marks(who)
    assert not run.marks("out of patience", lane=who), f"{who}: run_with_deadline hadn't come to an end after 60 s"
    assert marks, f"{who}: run_with_deadline never came to an end"
    assert run.calls("work", lane=who), f"{who}: work was never called; run_with_deadline {words(marks[-1].value)}"
    return marks[-1].value, marks[-1].at


def words(ended):
    """How a call ended, as a person would say it."""
    if ended["how"] == "returned":
        return f"returned {shown(ended['value'])}"
    return f"raised {ended['error']}" if ended["how"] == "raised" else "was cancelled"


def shown(value):
    """A value as a person would write it."""
    kind = value.get("$object") if isinstance(value, dict) else None
    return f"an object of class {kind}" if kind else repr(value)


def raised(ended, name):
    """Whether an error of the notebook's class `name` came out."""
    return ended["how"] == "raised" and name in ended["names"]


def times(number):
    return "once" if number == 1 else f"{number} times"


def left_alone(run, who, told):
    """Work that ended by itself: called once, never stopped, nothing cleaned up. `told` begins the sentence."""
    calls = run.calls("work", lane=who)
    assert len(calls) == 1, f"{who}: work was called {len(calls)} times"
    ended, at = outcome(run, who)
    stopped = f"{who}: work would have ended in time, but it was stopped; run_with_deadline {words(ended)}"
    assert calls[0].outcome in ("ok", "error"), stopped
    tidied = run.calls("cleanup", lane=who)
    assert not tidied, f"{told}; cleanup was called {times(len(tidied))}, and run_with_deadline {words(ended)}"
    late = run.marks("cancelled afterwards", lane=who)
    assert not late, f"{who}: {late[0].at - at:.1f} s after run_with_deadline was over, its caller was cancelled"
    return calls[0]


@pytest.mark.points(0.5)
@pytest.mark.scenario("in_time", takes=0.3, timeout=2.0)
def test_in_time(run):
    """Work that ends in time: its result comes back unchanged, at once, and nothing is cleaned up

    Hint: `return await work()` under a timeout. Any result is a result, None and 0 too.
    """
    calls = sorted(run.calls("work"), key=lambda call: str(call.value))  # the same mistake comes first in any order
    if not calls:
        outcome(run, "caller 1")
    for call in calls:
        who = call.lane
        ended, at = outcome(run, who)
        left_alone(run, who, f"work returned {call.value!r}, in time")
        value = ended.get("value")
        same = ended["how"] == "returned" and value == call.value and type(value) is type(call.value)
        assert same, f"work returned {call.value!r}, in time; run_with_deadline {words(ended)}"
        late = at - call.end
        assert late < BLINK, f"{who}: work was done, run_with_deadline came back {late:.1f} s later"
    begun, done = max(call.start for call in calls), min(call.end for call in calls)
    assert begun < done, (
        f"five calls came together, and work of the last one began {begun - done:.1f} s after the first's end"
    )


def stopped(run):
    """The work was stopped after the seconds that the world drew, before any cleanup. Returns its unwinding."""
    calls = run.calls("work", lane="caller")
    if not calls:
        outcome(run)
    assert len(calls) == 1, f"work was called {len(calls)} times"
    after, began, end = run.calls("seconds")[0].value, calls[0].start, calls[0].end
    assert calls[0].outcome == "cancelled" and end is not None, f"{after:g} s are over, but the work was never stopped"
    told = f"the work should stop after {after:g} s and "
    assert not run.marks("out of patience"), f"{told}was still running 60 s later"
    early = [call for call in run.calls("cleanup") if call.start < end - BLINK]
    assert not early, f"cleanup began {end - early[0].start:.1f} s before the work was stopped" if early else ""
    assert end - began < after + BLINK, f"{told}went on until {end - began:.1f} s"
    assert end - began > after - BLINK, f"the work was stopped after {end - began:.3f} s, not after {after:g} s"
    unwound = run.calls("unwinding", lane="caller")
    assert unwound and unwound[0].end is not None, "the work was stopped, but its unwinding never ended"
    return unwound[0]


@pytest.mark.points(0.5)
@pytest.mark.scenario("too_slow", timeout=2.0, unwinding=0.4, cleanup=0.2)
@pytest.mark.scenario("too_slow", timeout=0.7, unwinding=2.3, cleanup=0.2)
def test_stops_work(runs):
    """When the time is up, the work is stopped, and its unwinding awaited, however long that takes

    Hint: cancelling only asks. Who awaits the cancelled work learns when it is over; `asyncio.timeout` does so.
    """
    for run in runs:
        unwinding = stopped(run)
        took = unwinding.end - unwinding.start
        assert unwinding.outcome == "ok", f"the work's unwinding was interrupted after {took:.1f} s"
        early = unwinding.end - outcome(run)[1]
        assert early < BLINK, f"run_with_deadline came back {early:.1f} s before the work had unwound"


def unawaited(run):
    """Whether Python says that something was called and never awaited."""
    return any("never awaited" in str(event.data["text"]) for event in run.of("note"))


def tidied(run, since):
    """The one call of cleanup, which began when the work had unwound."""
    calls = run.calls("cleanup", lane="caller")
    ran = "nobody awaited cleanup()" if unawaited(run) else "cleanup never ran"
    assert calls, f"the work was stopped, but {ran}; run_with_deadline {words(outcome(run)[0])}"
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
        call = tidied(run, stopped(run).end)
        ended, at = outcome(run)
        assert call.outcome == "ok", "cleanup was cut off, well within its grace"
        assert call.end - at < BLINK, f"run_with_deadline came back {call.end - at:.1f} s before cleanup was over"
        assert raised(ended, "DeadlineExceeded"), f"the time was up, run_with_deadline {words(ended)}"
        assert at - call.end < BLINK, f"cleanup was over, DeadlineExceeded came {at - call.end:.1f} s later"
        late = run.marks("cancelled afterwards")
        assert not late, "after DeadlineExceeded, when all was over, the caller was cancelled"


def propagated(ended, outer):
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
        call = tidied(run, stopped(run).end)
        ended, end = outcome(run)
        assert call.outcome == "ok", f"{about}: cleanup was cut off, well within its grace"
        assert call.end - end < BLINK, f"{about}: it was gone {call.end - end:.1f} s before cleanup was over"
        assert propagated(ended, outer), f"{about}: run_with_deadline {words(ended)}"
        assert end - call.end < BLINK, f"{about}: cleanup was over, it went on for {end - call.end:.1f} s"
    stopped(ours)
    ended, _ = outcome(ours)
    assert ended["how"] != "cancelled", "not cancelled, but the time was up: run_with_deadline was cancelled"


KINDS = ("ConnectionError", "TimeoutError", "KeyError", "DeadlineExceeded")


@pytest.mark.points(0.5)
@pytest.mark.scenario("failing", kinds=list(KINDS), takes=0.3, timeout=2.0)
def test_own_errors(run, kinds=KINDS):
    """What the work itself raises in time comes out unchanged, a TimeoutError too, and nothing is cleaned up

    Hint: two timeouts may end in the same class. `asyncio.timeout(...) as limit` knows: `limit.expired()`.
    """
    well, _ = outcome(run, "all is well")
    assert well["how"] == "returned", f"when nothing fails, run_with_deadline {words(well)}"
    for kind in kinds:
        ended, at = outcome(run, kind)
        seen = f"work raised a {kind} of its own, in time"
        call = left_alone(run, kind, seen)
        same = ended["how"] == "raised" and ended["call"] == call.id
        other = ", another object" if ended.get("error") == kind else ""
        assert same, f"{seen}; run_with_deadline {words(ended)}{other}"
        assert at - call.end < BLINK, f"{kind}: it came out {at - call.end:.1f} s later"


def tried(run, about):
    """The last call of cleanup, after a call whose time was up. When it should begin, other tests judge.

    None after a cancellation without any cleanup: another test judges that.
    """
    work, calls = run.calls("work", lane="caller"), run.calls("cleanup", lane="caller")
    if not work:
        outcome(run)
    after = run.calls("seconds")[0].value
    first = min([one.end for one in work if one.end is not None] + [one.start for one in calls], default=1e9)
    over = first - work[0].start
    assert over < after + BLINK, f"{after:g} s were over, but neither was the work stopped nor did cleanup begin"
    assert over > after - BLINK, f"the time was up after {after:g} s, not after {over:.3f} s"
    ran = "nobody awaited cleanup()" if unawaited(run) else "cleanup never ran"
    told = f"{about}, but {ran}; run_with_deadline {words(outcome(run)[0])}"
    assert calls or about == "cancelled", told
    return calls[-1] if calls else None


def comes_out(run, about):
    """No error but DeadlineExceeded came out; that it is the right one of both ends, other tests judge."""
    ended, at = outcome(run)
    assert ended["how"] != "raised" or raised(ended, "DeadlineExceeded"), f"{about}: run_with_deadline {words(ended)}"
    return at


def within_grace(run, grace, about):
    """Cleanup that hangs is cut off after `grace` s, and what was to come out does."""
    call = tried(run, about)
    if call is None:
        return
    told = f"{about}, cleanup hangs, and grace is {grace:g} s: "
    hung = call.end is None or run.marks("out of patience")
    assert not hung, f"{told}cleanup wasn't cut off"
    took = call.end - call.start
    assert abs(took - grace) < BLINK, f"{told}cleanup was cut off after {took:.3g} s"
    late = comes_out(run, f"{about}, and cleanup took longer than its grace") - call.end
    assert late < BLINK, f"{told}it was cut off, and run_with_deadline came back {late:.1f} s later"
    assert late > -BLINK, f"{told}it was cut off, and run_with_deadline had come back {-late:.1f} s earlier"


@pytest.mark.points(0.25)
@pytest.mark.scenario("too_slow", timeout=1.0, unwinding=0.4, cleanup=None)
@pytest.mark.scenario("too_slow", timeout=0.5, unwinding=0.1, cleanup=None, grace=2.5)
@pytest.mark.scenario("given_up", at=0.7, unwinding=0.2, cleanup=None, grace=0.6)
def test_grace(runs, grace=(1.0, 2.5, 0.6)):
    """Cleanup gets at most `grace` seconds, counted from its own start

    Hint: a timeout of its own around `await cleanup()`; when it goes off, go on with what was to come out.
    """
    for run, limit, about in zip(runs, grace, ABOUT, strict=True):
        within_grace(run, limit, about)


ABOUT = ("the time was up", "the time was up", "cancelled")


@pytest.mark.points(0.25)
@pytest.mark.scenario("too_slow", timeout=1.0, unwinding=0.2, cleanup=0.1, fails="ConnectionError")
@pytest.mark.scenario("too_slow", timeout=1.0, unwinding=0.2, cleanup=0.1, fails="RuntimeError")
@pytest.mark.scenario("given_up", at=0.7, unwinding=0.2, cleanup=0.1, fails="KeyError")
def test_masks_nothing(runs, kinds=("ConnectionError", "RuntimeError", "KeyError")):
    """When cleanup fails, DeadlineExceeded or the cancellation still comes out

    Hint: who calls wants to know that the time was up. An error of cleanup may be logged or noted, not raised.
    """
    for run, kind, about in zip(runs, kinds, ABOUT, strict=True):
        call = tried(run, about)
        if call is not None:
            assert call.outcome == "error", f"{about}: cleanup was cut off before it could fail"
            comes_out(run, f"{about}, and cleanup raised {kind}")
