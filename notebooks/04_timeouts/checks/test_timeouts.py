"""What must be true of `run_with_deadline`: each test reads the timelines of scenarios (scenarios.py)."""

import pytest

BLINK = 0.001
"""The longest that "at once" may take, in seconds."""


def outcome(run, who="caller"):
    """How this caller's call ended, and when. Raises AssertionError if it never ended."""
    marks = run.marks(who)
    assert not run.marks("out of patience", lane=who), f"{who}: run_with_deadline hadn't ended after 60 s"
    assert marks, f"{who}: run_with_deadline never ended"
    assert run.calls("work", lane=who), f"{who}: work was never called, and run_with_deadline {words(marks[-1].value)}"
    return marks[-1].value, marks[-1].at


def words(ended):
    """How a call ended, in words."""
    if ended["how"] == "returned":
        return f"returned {shown(ended['value'])}"
    return f"raised {ended['error']}" if ended["how"] == "raised" else "was cancelled"


def shown(value):
    """A value in words."""
    kind = value.get("$object") if isinstance(value, dict) else None
    return f"an object of class {kind}" if kind else repr(value)


def raised(ended, name):
    """Whether the call raised an exception of the notebook's class `name`."""
    return ended["how"] == "raised" and name in ended["names"]


def times(number):
    return "once" if number == 1 else f"{number} times"


def left_alone(run, who, told):
    """Assert that this caller's work was called once, never stopped, and not cleaned up; return its call.

    told: how a message about cleanup begins.
    """
    calls = run.calls("work", lane=who)
    assert len(calls) == 1, f"{who}: work was called {len(calls)} times"
    ended, at = outcome(run, who)
    stopped = f"{who}: work would have ended in time, but it was stopped, and run_with_deadline {words(ended)}"
    assert calls[0].outcome in ("ok", "error"), stopped
    tidied = run.calls("cleanup", lane=who)
    assert not tidied, f"{told}, but cleanup was called {times(len(tidied))}, and run_with_deadline {words(ended)}"
    late = run.marks("cancelled afterwards", lane=who)
    assert not late, f"{who}: {late[0].at - at:.1f} s after run_with_deadline had ended, its caller was cancelled"
    return calls[0]


@pytest.mark.points(0.5)
@pytest.mark.scenario("in_time", takes=0.3, timeout=2.0)
def test_in_time(run):
    """When work ends in time, its result comes back unchanged and at once, and cleanup isn't called

    Hint: write `return await work()` inside a timeout. Any value is a result, None and 0 too.
    """
    calls = sorted(run.calls("work"), key=lambda call: str(call.value))  # so the same mistake is always reported first
    if not calls:
        outcome(run, "caller 1")
    for call in calls:
        who = call.lane
        ended, at = outcome(run, who)
        left_alone(run, who, f"work returned {call.value!r} in time")
        value = ended.get("value")
        same = ended["how"] == "returned" and value == call.value and type(value) is type(call.value)
        assert same, f"work returned {call.value!r} in time, but run_with_deadline {words(ended)}"
        late = at - call.end
        assert late < BLINK, f"{who}: work was done, but run_with_deadline came back {late:.1f} s later"
    begun, done = max(call.start for call in calls), min(call.end for call in calls)
    assert begun < done, (
        f"five calls came together, but the last one's work began {begun - done:.1f} s after the first one's had ended"
    )


def stopped(run):
    """Assert that the work was stopped after the time that the world drew, before any cleanup; return its unwinding."""
    calls = run.calls("work", lane="caller")
    if not calls:
        outcome(run)
    assert len(calls) == 1, f"work was called {len(calls)} times"
    after, began, end = run.calls("seconds")[0].value, calls[0].start, calls[0].end
    assert calls[0].outcome == "cancelled" and end is not None, (
        f"{after:g} s had passed, but the work was never stopped"
    )
    told = f"the work should stop after {after:g} s, but it "
    assert not run.marks("out of patience"), f"{told}was still running 60 s later"
    early = [call for call in run.calls("cleanup") if call.start < end - BLINK]
    assert not early, f"cleanup began {end - early[0].start:.1f} s before the work was stopped" if early else ""
    assert end - began < after + BLINK, f"{told}ran until {end - began:.1f} s"
    assert end - began > after - BLINK, f"the work was stopped after {end - began:.3f} s, not after {after:g} s"
    unwound = run.calls("unwinding", lane="caller")
    assert unwound and unwound[0].end is not None, "the work was stopped, but its unwinding never ended"
    return unwound[0]


@pytest.mark.points(0.5)
@pytest.mark.scenario("too_slow", timeout=2.0, unwinding=0.4, cleanup=0.2)
@pytest.mark.scenario("too_slow", timeout=0.7, unwinding=2.3, cleanup=0.2)
def test_stops_work(runs):
    """When the time is up, the work is stopped and its unwinding awaited, however long that takes

    Hint: cancelling only asks. Await the cancelled work to learn when it is over; `asyncio.timeout` does this.
    """
    for run in runs:
        unwinding = stopped(run)
        took = unwinding.end - unwinding.start
        assert unwinding.outcome == "ok", f"the work's unwinding was interrupted after {took:.1f} s"
        early = unwinding.end - outcome(run)[1]
        assert early < BLINK, f"run_with_deadline came back {early:.1f} s before the work had unwound"


def unawaited(run):
    """Whether Python warned that a coroutine was never awaited."""
    return any("never awaited" in str(event.data["text"]) for event in run.of("note"))


def tidied(run, since):
    """Assert that cleanup ran once and began when the work had unwound; return its call."""
    calls = run.calls("cleanup", lane="caller")
    ran = "cleanup() was never awaited" if unawaited(run) else "cleanup never ran"
    assert calls, f"the work was stopped, but {ran}, and run_with_deadline {words(outcome(run)[0])}"
    assert len(calls) == 1, f"cleanup ran {len(calls)} times"
    early, late = since - calls[0].start, calls[0].start - since
    assert early < BLINK, f"cleanup began {early:.1f} s before the work had unwound"
    assert late < BLINK, f"cleanup began {late:.1f} s after the work had unwound"
    return calls[0]


@pytest.mark.points(0.75)
@pytest.mark.scenario("too_slow", timeout=2.0, unwinding=0.4, cleanup=0.3)
@pytest.mark.scenario("too_slow", timeout=0.5, unwinding=0.1, cleanup=0.8)
def test_cleanup(runs):
    """Then cleanup runs exactly once and to its end, and after it DeadlineExceeded is raised

    Hint: three steps, in this order: the work has unwound, `await cleanup()`, `raise DeadlineExceeded(...)`.
    """
    for run in runs:
        call = tidied(run, stopped(run).end)
        ended, at = outcome(run)
        assert call.outcome == "ok", "cleanup was cut off, well within its grace"
        assert call.end - at < BLINK, f"run_with_deadline came back {call.end - at:.1f} s before cleanup had ended"
        assert raised(ended, "DeadlineExceeded"), f"the time was up, but run_with_deadline {words(ended)}"
        assert at - call.end < BLINK, f"cleanup had ended, but DeadlineExceeded came {at - call.end:.1f} s later"
        late = run.marks("cancelled afterwards")
        assert not late, "after DeadlineExceeded, when all had ended, the caller was cancelled"


def propagated(ended, outer):
    """Whether the cancellation propagated: as itself, or as the TimeoutError of the timeout around the call."""
    return ended["how"] == "cancelled" if not outer else ended["how"] == "raised" and ended["error"] == "TimeoutError"


@pytest.mark.points(0.75)
@pytest.mark.scenario("given_up", at=1.3, unwinding=0.4, cleanup=0.3)
@pytest.mark.scenario("given_up", at=0.6, unwinding=0.2, cleanup=0.5, outer=True)
@pytest.mark.scenario("too_slow", timeout=1.3, unwinding=0.4, cleanup=0.3)
def test_cancelled(runs):
    """Cancelled from outside or by an outer timeout, it takes the same steps, and then the cancellation propagates

    Hint: a cancellation arrives as CancelledError. An `except` block may await cleanup; then `raise`.
    """
    *given_up, ours = runs
    for run, outer in zip(given_up, (False, True), strict=True):
        about = "an outer timeout expired" if outer else "cancelled"
        call = tidied(run, stopped(run).end)
        ended, end = outcome(run)
        assert call.outcome == "ok", f"{about}: cleanup was cut off, well within its grace"
        assert call.end - end < BLINK, f"{about}: run_with_deadline ended {call.end - end:.1f} s before cleanup had"
        assert propagated(ended, outer), f"{about}, but run_with_deadline {words(ended)}"
        assert end - call.end < BLINK, (
            f"{about}: cleanup had ended, but run_with_deadline ended only {end - call.end:.1f} s later"
        )
    stopped(ours)
    ended, _ = outcome(ours)
    assert ended["how"] != "cancelled", (
        "the time was up and the caller wasn't cancelled, but run_with_deadline was cancelled"
    )


KINDS = ("ConnectionError", "TimeoutError", "KeyError", "DeadlineExceeded")


@pytest.mark.points(0.5)
@pytest.mark.scenario("failing", kinds=list(KINDS), takes=0.3, timeout=2.0)
def test_own_errors(run, kinds=KINDS):
    """When work raises in time, that exception comes out unchanged, a TimeoutError too, and cleanup isn't called

    Hint: two timeouts may raise the same class. With `asyncio.timeout(...) as limit`, ask `limit.expired()`.
    """
    well, _ = outcome(run, "all is well")
    assert well["how"] == "returned", f"work returned in time, but run_with_deadline {words(well)}"
    for kind in kinds:
        ended, at = outcome(run, kind)
        seen = f"work raised its own {kind} in time"
        call = left_alone(run, kind, seen)
        same = ended["how"] == "raised" and ended["call"] == call.id
        other = ", another object" if ended.get("error") == kind else ""
        assert same, f"{seen}, but run_with_deadline {words(ended)}{other}"
        assert at - call.end < BLINK, f"{seen}, but run_with_deadline raised it {at - call.end:.1f} s later"


def tried(run, about):
    """The last call of cleanup, once the time was up; other tests check when cleanup begins.

    Returns None if nothing was cleaned up after a cancellation: another test checks that.
    """
    work, calls = run.calls("work", lane="caller"), run.calls("cleanup", lane="caller")
    if not work:
        outcome(run)
    after = run.calls("seconds")[0].value
    first = min([one.end for one in work if one.end is not None] + [one.start for one in calls], default=1e9)
    over = first - work[0].start
    assert over < after + BLINK, f"{after:g} s had passed, but the work wasn't stopped and cleanup didn't begin"
    assert over > after - BLINK, f"the work ended or cleanup began after {over:.3f} s, not after {after:g} s"
    ran = "cleanup() was never awaited" if unawaited(run) else "cleanup never ran"
    told = f"{about}, but {ran}, and run_with_deadline {words(outcome(run)[0])}"
    assert calls or about == "cancelled", told
    return calls[-1] if calls else None


def comes_out(run, about):
    """Assert that no error but DeadlineExceeded came out, and return when; other tests check that it was due."""
    ended, at = outcome(run)
    assert ended["how"] != "raised" or raised(ended, "DeadlineExceeded"), (
        f"{about}, but run_with_deadline {words(ended)}"
    )
    return at


def within_grace(run, grace, about):
    """Assert that cleanup that hangs is cut off after `grace` s, and that the right exception comes out then."""
    call = tried(run, about)
    if call is None:
        return
    told = f"{about}, cleanup hangs and grace is {grace:g} s, but "
    hung = call.end is None or run.marks("out of patience")
    assert not hung, f"{told}cleanup was never cut off"
    took = call.end - call.start
    assert abs(took - grace) < BLINK, f"{told}cleanup was cut off after {took:.3g} s"
    late = comes_out(run, f"{about} and cleanup took longer than its grace") - call.end
    assert late < BLINK, f"{told}run_with_deadline came back {late:.1f} s after cleanup was cut off"
    assert late > -BLINK, f"{told}run_with_deadline came back {-late:.1f} s before cleanup was cut off"


@pytest.mark.points(0.25)
@pytest.mark.scenario("too_slow", timeout=1.0, unwinding=0.4, cleanup=None)
@pytest.mark.scenario("too_slow", timeout=0.5, unwinding=0.1, cleanup=None, grace=2.5)
@pytest.mark.scenario("given_up", at=0.7, unwinding=0.2, cleanup=None, grace=0.6)
def test_grace(runs, grace=(1.0, 2.5, 0.6)):
    """Cleanup gets at most `grace` seconds, counted from its own start

    Hint: put a timeout of its own around `await cleanup()`. When it expires, raise what you would have raised anyway.
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

    Hint: the caller needs to hear that the time was up. You may log an error of cleanup, but don't raise it.
    """
    for run, kind, about in zip(runs, kinds, ABOUT, strict=True):
        call = tried(run, about)
        if call is not None:
            assert call.outcome == "error", f"{about}: cleanup was cut off before it could fail"
            comes_out(run, f"{about} and cleanup raised {kind}")
