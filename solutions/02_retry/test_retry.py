"""What must be true of `retry`: each test reads the timeline of one or more scenarios (see scenarios.py)."""

from itertools import pairwise

import pytest

BLINK = 0.001
"""Seconds that "at once" may take."""
ROUNDING = 1e-6


def outcome(run, who="caller"):
    """How the call of this caller ended, and when; says so when it didn't."""
    assert run.calls(), "op was never called"
    marks = run.marks(who)
    assert marks, f"{who}: the call never came to an end"
    return marks[-1].value, marks[-1].at


def words(ended, calls):
    """How a call ended, as a person would say it."""
    if ended["how"] != "raised":
        return f"returned {ended['value']!r}" if ended["how"] == "returned" else "was cancelled"
    places = [number for number, call in enumerate(calls, 1) if call.id == ended["call"]]
    return f"raised {ended['error']}" + (f", the one of call {places[0]}" if places else ", which op never raised")


def returned(ended, call):
    """Whether what came out is what the service answered to this call."""
    value = ended.get("value")
    return ended["how"] == "returned" and value == call.value and type(value) is type(call.value)


def pauses(run, lane=None):
    """Seconds from the end of each call to the start of the caller's next one."""
    calls = run.calls(lane=lane)
    return [later.start - call.end for call, later in pairwise(calls) if call.end is not None]


def all_pauses(run):
    """The pauses of each client, by its lane."""
    assert run.calls(), "op was never called"
    lanes = {}
    for call in run.calls():
        lanes.setdefault(call.lane, []).append(call)
    found = [[later.start - call.end for call, later in pairwise(calls) if call.end] for calls in lanes.values()]
    assert all(found), "some clients called op only once, so they never paused"
    return found


def times(number):
    return "once" if number == 1 else f"{number} times"


@pytest.mark.points(0.5)
@pytest.mark.scenario("some_attempts", numbers=[1, 0, 3, -1, 9, -2, 2, -7])
def test_at_least_one_attempt(run):
    """Fewer than one attempt is a ValueError, before any call

    Hint: what should max_attempts=0 do? Decide before the first attempt; 1 is the smallest number that makes sense.
    """
    assert run.calls(), "op was never called"
    for mark in run.marks():
        calls, ended, number = run.calls(lane=mark.lane), mark.value, int(mark.lane.partition("=")[2])
        if number < 1:
            assert not calls, f"{mark.lane}: op was called {times(len(calls))}"
            assert ended["how"] == "raised" and "ValueError" in ended["builtins"], f"{mark.lane}: {words(ended, calls)}"
        else:
            assert len(calls) == 1 and returned(ended, calls[0]), f"{mark.lane} and op works: {words(ended, calls)}"


@pytest.mark.points(0.5)
@pytest.mark.scenario("one_caller", failures=2)
def test_recovers(run, failures=2):
    """When a later attempt works, its result comes back

    Hint: an attempt that works ends the loop; one that fails leads to the next. Each attempt needs a fresh `op()`.
    """
    ended, _ = outcome(run)
    calls = run.calls()
    assert len(calls) > 1, f"op failed once and wasn't called again: {words(ended, calls)}"
    assert returned(ended, calls[-1]), f"after {len(calls)} calls, {failures} of them failed: {words(ended, calls)}"
    assert len(calls) == failures + 1, f"op fails {times(failures)} and then works, but was called {times(len(calls))}"


@pytest.mark.points(0.5)
@pytest.mark.scenario("one_caller", attempts=1)
@pytest.mark.scenario("one_caller", attempts=2)
@pytest.mark.scenario("one_caller", attempts=5)
def test_exact_calls(runs, attempts=(1, 2, 5)):
    """When nothing helps, op is called exactly max_attempts times

    Hint: count calls of op, the first one included. Retries are one fewer than attempts.
    """
    for run, number in zip(runs, attempts, strict=True):
        seen = len(run.calls())
        assert seen, "op was never called"
        assert seen == number, f"max_attempts={number}: op was called {times(seen)}"


@pytest.mark.points(0.5)
@pytest.mark.scenario("one_caller", attempts=1)
@pytest.mark.scenario("one_caller", attempts=5)
def test_last_error(runs):
    """When all attempts fail, the last one's exception itself comes out

    Hint: whoever calls retry wants to catch what op raised. Which statement lets an exception that was caught go on?
    """
    most = max(len(run.calls()) for run in runs)
    for run in runs:
        ended, _ = outcome(run)
        calls = run.calls()
        seen = f"after {times(len(calls))} failing, retry {words(ended, calls)}"
        assert ended["how"] == "raised" and ended["call"] == calls[-1].id, seen
    assert most > 1, "op was called only once, whatever max_attempts said"


@pytest.mark.points(0.5)
@pytest.mark.scenario("one_caller", attempts=3, base=1.0, cap=8.0, seed=3)
def test_no_pause_after_last(run):
    """After the last attempt there is no pause

    Hint: a pause is only worth its time when another attempt follows. Check that before you sleep.
    """
    ended, at = outcome(run)
    calls = run.calls()
    assert len(calls) > 1, "op was called only once, so there is nothing to see"
    waited = at - calls[-1].end
    assert waited < BLINK, f"slept {waited:.1f} s after the last attempt, then {words(ended, calls)}"


@pytest.mark.points(0.5)
@pytest.mark.scenario("many", clients=100, failures=4, base=0.1, cap=0.5, seed=1)
def test_in_range(run, base=0.1, cap=0.5):
    """No pause is longer than its ceiling, min(cap, base * 2**(n-1)) after attempt n

    Hint: after the first failure n is 1, so the first ceiling is `base` itself. Write down the first four.
    """
    for found in all_pauses(run):
        for number, pause in enumerate(found, 1):
            ceiling = min(cap, base * 2 ** (number - 1))
            assert pause <= ceiling + ROUNDING, (
                f"base={base:g}, cap={cap:g}: a pause of {pause:.3f} s after attempt {number}, "
                f"where the ceiling is {ceiling:g} s"
            )


@pytest.mark.points(0.5)
@pytest.mark.scenario("many", clients=100, failures=4, base=0.1, cap=0.5, seed=1)
def test_full_jitter(runs, settings=((0.1, 0.5),)):
    """Pauses are spread evenly between 0 and the ceiling: full jitter

    Hint: the whole pause is drawn, `rng.uniform(0, ceiling)`; nothing of it is fixed.
    """
    shares = sorted(
        pause / min(cap, base * 2**number)
        for run, (base, cap) in zip(runs, settings, strict=True)
        for found in all_pauses(run)
        for number, pause in enumerate(found)
    )
    mean, low, high = sum(shares) / len(shares), shares[len(shares) // 20], shares[-len(shares) // 20]
    seen = f"{len(shares):,} pauses: on average {mean:.0%} of the ceiling, most of them from {low:.0%} to {high:.0%}"
    # the mean of so many even draws lies within four of its standard deviations: 6 % of it for 1,500 pauses
    assert abs(mean - 0.5) < 4 * 0.2887 / len(shares) ** 0.5 and low < 0.1 and high > 0.9, seen


@pytest.mark.points(0.5)
@pytest.mark.scenario("many", clients=100, failures=4, base=0.1, cap=0.5, seed=1)
def test_cap(run, cap=0.5):
    """Pauses grow up to the cap, and never pass it

    Hint: the ceiling doubles with every attempt until it meets the cap; and nothing is added after that.
    """
    late = [pause for found in all_pauses(run) for pause in found[3:]]
    assert late, "no client made as many attempts as it was given, so the cap was never met"
    assert max(late) <= cap + ROUNDING, f"a pause of {max(late):.2f} s, where the cap is {cap:g} s"
    assert max(late) > 0.9 * cap, (
        f"after four and more attempts the longest pause was {max(late):.2f} s, the cap is {cap:g} s"
    )


@pytest.mark.points(0.5)
@pytest.mark.scenario("same_seeds", seeds=[7, 8, 7])
def test_seeded(run):
    """The same seed gives the same pauses, another one others, and each attempt draws anew

    Hint: draw from the `rng` that is handed in, once for each pause. With none, make one: `random.Random()`.
    """
    assert run.calls(), "op was never called"
    lanes = list(dict.fromkeys(call.lane for call in run.calls()))
    first, other, again = ([round(pause, 6) for pause in pauses(run, lane)] for lane in lanes)
    assert first and other and again, "op was called only once, so there was no pause"
    seen = f"{lanes[0]}: {_listed(first)}"
    assert len(set(first)) == len(first) > 1, f"{seen}: the same pause after every attempt"
    assert first == again, f"{seen}; {lanes[2]}: {_listed(again)}"
    assert first != other, f"{seen}; {lanes[1]}: {_listed(other)}"


def _listed(found):
    return ", ".join(f"{pause:.2f}" for pause in found) + " s"


@pytest.mark.points(0.5)
@pytest.mark.scenario("some_errors", kinds=["TimeoutError", "KeyError", "ConnectionResetError", "RuntimeError"])
@pytest.mark.scenario("some_errors", kinds=["KeyError", "ConnectionError"], retry_on=["LookupError"])
def test_retry_on(runs, retried=("TimeoutError", "ConnectionResetError"), custom=("KeyError",)):
    """Only the errors in retry_on lead to another attempt, subclasses included

    Hint: `except` takes a tuple of classes. Which one should it take here, and who handles all the others?
    """
    for run, again in zip(runs, (retried, custom), strict=True):
        for kind in dict.fromkeys(call.service for call in run.calls()):
            ended, _ = outcome(run, kind)
            calls = run.calls(kind)
            wanted = "the default retry_on" if again is retried else "retry_on=(LookupError,)"
            seen = f"{wanted} and {kind}: op was called {times(len(calls))}, retry {words(ended, calls)}"
            if kind in again:
                assert len(calls) == 2 and returned(ended, calls[-1]), seen
            else:
                assert len(calls) == 1 and ended["how"] == "raised" and ended["call"] == calls[0].id, seen
        assert run.calls(), "op was never called"


@pytest.mark.points(0.5)
@pytest.mark.scenario("given_up", failures=0, at=0.7)
@pytest.mark.scenario("given_up", failures=1, at=0.7, base=1e6, cap=1e6)
def test_cancelled(runs, at=(0.7, 0.7)):
    """A cancelled call stops at once, inside op and during a pause

    Hint: cancelling raises CancelledError at the `await`. It is no `Exception`: who mustn't catch it?
    """
    for run, instant, where in zip(runs, at, ("inside op", "during the pause"), strict=True):
        assert run.calls(lane="caller"), "op was never called"
        later = [call for call in run.calls(lane="caller") if call.start > instant]
        assert not later, f"cancelled {where}: op was called again {later[0].start - instant:.2f} s later"
        marks = run.marks("caller")
        assert marks, f"cancelled {where}: retry was still running 3 s later"
        ended, end = marks[-1].value, marks[-1].at
        assert end > instant - BLINK, f"there was nothing to cancel {where}: retry {words(ended, run.calls())} before"
        assert ended["how"] == "cancelled", f"cancelled {where}: retry {words(ended, run.calls())}"
        assert end - instant < BLINK, f"cancelled {where}: retry went on for {end - instant:.2f} s"


@pytest.mark.points(0.5)
@pytest.mark.scenario("in_a_hurry", deadline=10.0, base=1000.0, cap=1000.0)
@pytest.mark.scenario("in_a_hurry", deadline=7.0, takes=3.0, base=0.01, cap=0.01)
@pytest.mark.scenario("in_a_hurry", deadline=7.0, takes=3.0, base=0.01, cap=0.01, failures=2)
def test_deadline(runs, deadline=(10, 7, 7), attempts=(1, 3, 3)):
    """No attempt starts after the deadline, none is cut by it, and nobody waits in vain

    Hint: when you know the pause, you know when the next attempt would start. Is that in time, counted from the start?
    """
    for number, (run, limit, expected) in enumerate(zip(runs, deadline, attempts, strict=True)):
        ended, at = outcome(run)
        calls = run.calls()
        about = f"deadline={limit:g}"
        began = calls[0].start
        late = [call.start - began for call in calls if call.start - began >= limit]
        assert not late, f"{about}: an attempt started {late[0]:.2f} s after the first one"
        assert all(call.outcome != "cancelled" for call in calls), f"{about}: a running attempt was cut off"
        spent = at - calls[-1].end
        assert spent < BLINK, f"{about}: slept {spent:.2f} s more, and then {words(ended, calls)}"
        assert len(calls) == expected, f"{about}: {expected} attempts could start in time, {len(calls)} did"
        good = returned(ended, calls[-1]) if number == 2 else ended.get("call") == calls[-1].id
        assert good, f"{about}, {len(calls)} attempts: retry {words(ended, calls)}"


@pytest.mark.points(0.5)
@pytest.mark.scenario("told_when", retry_after=[5.0, None, 0.0005])
def test_retry_after(run, floors=(5.0, 0, 0.0005), ceiling=0.2):
    """An exception's retry_after is the shortest pause, above the cap too

    Hint: of two waits, the drawn one and the one the service asks for, take the longer. Not every exception has one.
    """
    ended, _ = outcome(run)
    found = pauses(run)
    assert found, f"op was called only once, retry {words(ended, run.calls())}"
    for number, (pause, floor) in enumerate(zip(found, floors, strict=False), 1):
        told = f"retry_after={floor:g}" if floor else "no retry_after"
        assert pause >= floor - ROUNDING, f"{told}, but the next call came after {pause:.4f} s"
        assert pause < floor + 1, f"call {number} had {told}, the next one came after {pause:.2f} s"
        longer = floor >= ceiling or pause > floor + ROUNDING
        assert longer, f"{told} took the place of the drawn pause: the next call came after {pause:.4f} s"
    assert len(found) == len(floors), f"op was called {times(len(found) + 1)}, retry {words(ended, run.calls())}"


@pytest.mark.points(0.5)
@pytest.mark.scenario("some_results")
def test_any_result(run):
    """Any result is a success: None, 0, False and the empty ones too

    Hint: what says that an attempt failed, its result or an exception?
    """
    assert run.calls(), "op was never called"
    for name in dict.fromkeys(call.service for call in run.calls()):
        ended, _ = outcome(run, name)
        calls = run.calls(name)
        seen = f"op returned {calls[0].value!r}: it was called {times(len(calls))}, retry {words(ended, calls)}"
        assert len(calls) == 1 and returned(ended, calls[0]), seen


@pytest.mark.points(0.5)
@pytest.mark.scenario("at_once")
def test_independent(run):
    """Twenty calls at once don't disturb each other

    Hint: what one call counts or remembers must live in that call: in local variables.
    """
    assert run.calls(), "op was never called"
    names = [mark.name for mark in run.marks()]
    assert len(names) == 20, f"of 20 calls {len(names)} came to an end"
    retried = [name for name in names if len(run.calls(name)) > 1]
    assert retried, "nobody called op again"
    for name in names:
        calls = run.calls(name)
        assert calls and calls[0].start < BLINK, f"{name}: its first attempt had to wait for other callers"
        ended, _ = outcome(run, name)
        assert returned(ended, calls[-1]), f"{name}, with 19 others beside it: retry {words(ended, calls)}"


@pytest.mark.points(0)
@pytest.mark.scenario("long_after", failures=1030, attempts=1200)
def test_no_overflow(run):
    """Advice: 1,200 attempts are no problem either

    Hint: 2.0**1024 is more than a float can hold. Limit the exponent, or double the ceiling only while below the cap.
    """
    marks, calls = run.marks("caller"), run.calls()
    failures = next((mark.value for mark in run.marks("failures")), 0)
    assert marks, f"after {failures:,} failures retry never came to an end"
    ended = marks[-1].value
    assert len(calls) == 1 and returned(ended, calls[0]), f"after {failures:,} failures retry {words(ended, calls)}"
