"""What must be true of `retry`: each test reads the timeline of one or more scenarios (see scenarios.py)."""

from itertools import pairwise, zip_longest
from math import inf

import pytest

from faultlab.pictures.spread import spread, under
from faultlab.plain import worded

BLINK = 0.001
"""Seconds that "at once" may take."""
ROUNDING = 1e-6


def asked(run, lane=None):
    """The calls of op. The driver's own questions to the world have no lane, and don't count."""
    return [call for call in run.calls(lane=lane) if call.lane]


def outcome(run, who="caller"):
    """How this caller's call ended, and when. Fails if the call never ended."""
    assert asked(run), "op was never called"
    marks = run.marks(who)
    assert marks, f"{who}: the call never came to an end"
    return marks[-1].value, marks[-1].at


def callers(run, number):
    """Each caller's name, its max_attempts and its calls; callers with the fewest attempts come first."""
    assert asked(run), "op was never called"
    given = [call.value for call in run.calls("max_attempts")]
    assert len(given) >= number, f"caller {len(given)}: the call never came to an end"
    found = [(f"caller {place}", given[place - 1], run.calls(f"op {place}")) for place in range(1, number + 1)]
    return sorted(found, key=lambda one: inf if one[1] is None else one[1])


def words(ended, calls):
    """How a call ended, as a person would say it."""
    if ended["how"] != "raised":
        return f"returned {worded(ended['value'])}" if ended["how"] == "returned" else "was cancelled"
    places = [number for number, call in enumerate(calls, 1) if call.id == ended["call"]]
    return f"raised {ended['error']}" + (f", the one of call {places[0]}" if places else ", which op never raised")


def returned(ended, call):
    """Whether retry returned what the service answered to this call."""
    value = ended.get("value")
    same = ended["how"] == "returned" and value == call.value and type(value) is type(call.value)
    return same and call.outcome == "ok"


def strange(ended, calls):
    """Whether retry ended with something other than the last call's own error."""
    return not calls or ended.get("call") != calls[-1].id


def waited(call, at, ended, calls):
    """Seconds from the end of this call to the end of retry."""
    assert call.end is not None, f"op was still under way when retry {words(ended, calls)}"
    return at - call.end


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
    found = [
        [later.start - call.end for call, later in pairwise(calls) if call.end is not None] for calls in lanes.values()
    ]
    assert all(found), "some clients called op only once, so they never paused"
    return found


def drawn(run, seen, base, cap):
    """What was seen, over a picture of all pauses and their ceilings."""
    groups = [[pause for pause in group if pause is not None] for group in zip_longest(*all_pauses(run))]
    ceilings = [min(cap, base * 2**number) for number in range(len(groups))]
    return under(seen, groups, ceilings, of="seconds of each pause", each="after attempt")


def times(number):
    return "once" if number == 1 else f"{number:,} times"


@pytest.mark.step("Attempts")
@pytest.mark.points(0.5)
@pytest.mark.scenario("in_turn", attempts=[8], failures=[2])
def test_recovers(run, number=1):
    """When a later attempt works, its result comes back

    Hint: an attempt that works ends the loop; one that fails leads to the next. Each attempt needs a fresh `op()`.
    """
    for who, _, calls in sorted(callers(run, number), key=lambda one: len(one[2])):
        ended, at = outcome(run, who)
        assert len(calls) > 1, f"op failed once and wasn't called again: {words(ended, calls)}"
        failed = sum(call.outcome == "error" for call in calls)
        assert returned(ended, calls[-1]), f"after {len(calls)} calls, {failed} of them failed: {words(ended, calls)}"
        assert len(calls) == failed + 1, f"op fails {times(failed)} and then works, but was called {times(len(calls))}"
        late = waited(calls[-1], at, ended, calls)
        assert late < BLINK, f"call {len(calls)} of op worked, its result came back {late:.2f} s later"


@pytest.mark.step("Attempts")
@pytest.mark.points(0.5)
@pytest.mark.scenario("in_turn", attempts=[1, 2, 3, 5, None])
def test_exact_calls(run, number=5):
    """When nothing helps, op is called exactly max_attempts times

    Hint: count calls of op, the first one included. Retries are one fewer than attempts.
    """
    for _, most, calls in callers(run, number):
        about = "without max_attempts, so it is 4" if most is None else f"max_attempts={most}"
        assert len(calls) == (most or 4), f"{about}: op was called {times(len(calls))}"


@pytest.mark.step("Attempts")
@pytest.mark.points(0.5)
@pytest.mark.scenario("in_turn", attempts=[1, 2, 3, 5, 8], callers=3)
def test_last_error(run, number=3):
    """When all attempts fail, the last attempt's own exception comes out

    Hint: the caller of retry wants to catch what op raised. Which statement raises a caught exception again?
    """
    found = callers(run, number)
    for who, _, calls in found:
        ended, _ = outcome(run, who)
        seen = f"op was called {times(len(calls))}, and failed each time: retry {words(ended, calls)}"
        assert calls and ended["how"] == "raised" and ended["call"] == calls[-1].id, seen
    assert max(len(calls) for *_, calls in found) > 1, "op was called only once, whatever max_attempts said"


@pytest.mark.step("Errors")
@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "some_errors",
    kinds=["TimeoutError", "KeyError", "ConnectionResetError", "RuntimeError", "ConnectionError", "OSError"],
)
@pytest.mark.scenario(
    "some_errors", kinds=["KeyError", "ConnectionError", "IndexError", "TimeoutError"], retry_on=["LookupError"]
)
def test_retry_on(
    runs,
    retried=("TimeoutError", "ConnectionResetError", "ConnectionError"),
    custom=("KeyError", "IndexError"),
    each=(6, 4),
):
    """Only the errors in retry_on lead to another attempt, subclasses included

    Hint: `except` accepts a tuple of classes. Which tuple belongs there? Let all other errors pass.
    """
    for run, again, number in zip(runs, (retried, custom), each, strict=True):
        found = []
        for name in (f"op {place}" for place in range(1, number + 1)):
            ended, _ = outcome(run, name)
            assert run.calls(name), f"{name} was never called"
            kind = run.calls(name)[0].error
            assert kind, f"{name} was still under way when retry {words(ended, run.calls(name))}"
            found.append((kind, ended, run.calls(name)))
        for kind, ended, calls in sorted(found, key=lambda one: (one[0] not in again, one[0])):
            wanted = "the default retry_on" if again is retried else "retry_on=(LookupError,)"
            seen = f"{wanted} and {kind}: op was called {times(len(calls))}, retry {words(ended, calls)}"
            if kind in again:
                assert len(calls) == 2 and returned(ended, calls[-1]), seen
            else:
                assert len(calls) == 1 and ended["how"] == "raised" and ended["call"] == calls[0].id, seen


@pytest.mark.step("Attempts")
@pytest.mark.points(0.5)
@pytest.mark.scenario("in_turn", attempts=[3], base=1.0, cap=8.0, seed=3)
def test_no_pause_after_last(run, number=1):
    """After the last attempt there is no pause

    Hint: a pause makes sense only if another attempt follows. Check that before you sleep.
    """
    for who, _, calls in callers(run, number):
        ended, at = outcome(run, who)
        assert len(calls) > 1, "op was called only once, so there is nothing to see"
        slept = waited(calls[-1], at, ended, calls)
        assert abs(slept) < BLINK, f"slept {slept:.1f} s after the last attempt, then {words(ended, calls)}"


@pytest.mark.step("Pauses")
@pytest.mark.points(0.5)
@pytest.mark.scenario("many", clients=100, failures=4, base=0.1, cap=0.5, seed=1)
@pytest.mark.scenario("many", clients=25, failures=1, cap=60.0, seed=2)
def test_in_range(runs, settings=((0.1, 0.5), (None, 60.0))):
    """No pause is longer than its ceiling, min(cap, base * 2**(n-1)) after attempt n

    Hint: after the first failure n is 1, so the first ceiling is `base` itself. Write down the first four.
    """
    firsts = []
    for run, (base, cap) in zip(runs, settings, strict=True):
        about = f"base={base:g}, cap={cap:g}" if base else "without base, so it is 0.1"
        found = all_pauses(run)
        for number, pause in ((number, pause) for these in found for number, pause in enumerate(these, 1)):
            ceiling = min(cap, (base or 0.1) * 2 ** (number - 1))
            seen = f"{about}: a pause of {pause:.3f} s after attempt {number}, where the ceiling is {ceiling:g} s"
            assert pause <= ceiling + ROUNDING, drawn(run, seen, base or 0.1, cap)
        firsts.append(max(these[0] for these in found) / (base or 0.1))
    usual, *default = firsts  # pauses that are too short are another behaviour, unless the default is to blame
    short = (
        f"without base, so it is 0.1: no pause after attempt 1 was longer than {default[0]:.0%} of it"
        if default
        else ""
    )
    assert not default or default[0] > 0.8 * usual, short


@pytest.mark.step("Pauses")
@pytest.mark.points(0.5)
@pytest.mark.scenario("many", clients=100, failures=4, base=0.1, cap=0.5, seed=1)
def test_full_jitter(runs, settings=((0.1, 0.5),)):
    """Pauses are spread evenly between 0 and the ceiling: full jitter

    Hint: the whole pause is drawn, `rng.uniform(0, ceiling)`; no part of it is fixed.
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
    even = abs(mean - 0.5) < 4 * 0.2887 / len(shares) ** 0.5
    wide = -ROUNDING < low < 0.1 and 0.9 < high < 1 + ROUNDING
    assert even and wide, spread(seen, shares, of="pauses, each as a share of its ceiling")


@pytest.mark.step("Pauses")
@pytest.mark.points(0.5)
@pytest.mark.scenario("many", clients=100, failures=4, base=0.1, cap=0.5, seed=1)
@pytest.mark.scenario("many", clients=25, failures=1, base=60.0, seed=3)
def test_cap(runs, settings=((3, 0.5), (0, None))):
    """Pauses grow up to the cap, and never exceed it

    Hint: the ceiling doubles with every attempt until it reaches the cap; and nothing is added after that.
    """
    for run, (before, cap) in zip(runs, settings, strict=True):
        late = [pause for found in all_pauses(run) for pause in found[before:]]
        assert late, "no client made as many attempts as it was given, so the cap was never reached"
        about = f"cap={cap:g}" if cap else "without cap, so it is 2"
        assert max(late) <= (cap or 2) + ROUNDING, f"{about}: a pause of {max(late):.2f} s"
        longest = f"{about}: the longest of {len(late)} pauses that should reach it was {max(late):.2f} s"
        assert max(late) > (0.9 if cap else 0.8) * (cap or 2), longest


@pytest.mark.step("Pauses")
@pytest.mark.points(0.5)
@pytest.mark.scenario("same_seeds", seeds=[7, 7, 8, 8, 9, 9])
def test_seeded(run):
    """The same seed gives the same pauses, another seed gives others, and each attempt draws anew

    Hint: draw from the `rng` that is passed in, once for each pause. Without one, make one: `random.Random()`.
    """
    assert asked(run), "op was never called"
    found, seeds = {}, run.calls("seed")
    assert len(seeds) == 6, f"caller {len(seeds)}: the call never came to an end"
    for place, given in enumerate(seeds, 1):
        found.setdefault(given.value, []).append(pauses(run, f"caller {place}"))
    assert all(map(all, found.values())), "op was called only once, so there was no pause"
    for seed, (first, again) in sorted(found.items()):
        same = f"seed {seed}: {_listed(first)}: the same pause after every attempt"
        assert len({round(pause, 6) for pause in first}) > 1, same
        digits = next((digits for digits in (2, 4, 6) if _listed(first, digits) != _listed(again, digits)), 6)
        differ = f"seed {seed}: {_listed(first, digits)}; seed {seed} again: {_listed(again, digits)}"
        assert _equal(first, again), differ
    (one, first), (two, other), *_ = ((seed, these) for seed, (these, _) in sorted(found.items()))
    assert not _equal(first, other), f"seeds {one} and {two} gave the same pauses: {_listed(first)}"


def _equal(these, those):
    return len(these) == len(those) and all(abs(a - b) < ROUNDING for a, b in zip(these, those, strict=True))


def _listed(found, digits=2):
    return ", ".join(f"{pause:.{digits}f}" for pause in found) + " s"


@pytest.mark.step("Errors")
@pytest.mark.points(0.5)
@pytest.mark.scenario("given_up", failures=0, after=0.7)
@pytest.mark.scenario("given_up", failures=1, after=0.7, base=1e6, cap=1e6)
def test_cancelled(runs):
    """A cancelled call stops at once, inside op and during a pause

    Hint: cancelling raises CancelledError at the `await`. It isn't an `Exception`: which `except` would catch it all the same?
    """
    for run, where in zip(runs, ("inside op", "during the pause"), strict=True):
        assert run.calls(lane="caller"), "op was never called"
        patience = run.calls("patience")[0]
        instant = patience.end + patience.value
        later = [call for call in run.calls(lane="caller") if call.start > instant]
        assert not later, f"cancelled {where}: op was called again {later[0].start - instant:.2f} s later"
        marks = run.marks("caller")
        assert marks, f"cancelled {where}: retry was still running 3 s later"
        ended, end = marks[-1].value, marks[-1].at
        assert end > instant - BLINK, (
            f"there was nothing to cancel {where}: before that, retry {words(ended, run.calls())}"
        )
        assert ended["how"] == "cancelled", f"cancelled {where}: retry {words(ended, run.calls())}"
        assert end - instant < BLINK, f"cancelled {where}: retry went on for {end - instant:.2f} s"


@pytest.mark.step("Limits")
@pytest.mark.points(0.5)
@pytest.mark.scenario("in_a_hurry", deadline=10.0, base=1000.0, cap=1000.0)
@pytest.mark.scenario("in_a_hurry", deadline=7.0, takes=[1.3, 1.6, 2.1, 2.6, 3.2], base=0.01, cap=0.01)
@pytest.mark.scenario("in_a_hurry", deadline=7.0, takes=[1.3, 1.6, 2.1, 2.6, 3.2], base=0.01, cap=0.01, recovers=True)
@pytest.mark.scenario("in_a_hurry", deadline=9.0, base=0.01, cap=0.01, retry_after=20.0)
def test_deadline(runs, deadline=(10, 7, 7, 9), pause=(1000, 0.01, 0.01, 20)):
    """No attempt starts after the deadline, none is cut off by it, and no caller waits in vain

    Hint: when you know the pause, you know when the next attempt would start. Is that in time, counted from the start?
    """
    for number, (run, limit, longest) in enumerate(zip(runs, deadline, pause, strict=True)):
        ended, at = outcome(run)
        calls = run.calls("op")
        usual, before = outcome(run, "usual")[0], run.calls("usual")
        assert calls, "op was never called"
        about = f"deadline={limit:g}" + (f", retry_after={longest:g}" if number == 3 else "")
        began = calls[0].start
        late = [call.start - began for call in calls if call.start - began >= limit]
        when = f"{late[0]:.2f} s after the first one" if late and late[0] > limit + BLINK else "at the deadline itself"
        assert not late, f"{about}: an attempt started {when}"
        assert all(call.outcome != "cancelled" for call in calls), f"{about}: a running attempt was cut off"
        spent = waited(calls[-1], at, ended, calls)
        assert abs(spent) < BLINK, f"{about}: slept {spent:.2f} s more, and then {words(ended, calls)}"
        left = limit - (calls[-1].end - began)
        worked = calls[-1].outcome == "ok"
        assert worked or left <= longest, f"{about}: another attempt could start in time, {len(calls)} did"
        # Which error comes out in the end is another behaviour, if it is the same without a deadline.
        same = strange(usual, before) and [usual["how"], usual.get("error")] == [ended["how"], ended.get("error")]
        good = returned(ended, calls[-1]) if worked else same or ended.get("call") == calls[-1].id
        assert good, f"{about}, op was called {times(len(calls))}: retry {words(ended, calls)}"
        assert worked or number != 2, f"{about}: the attempt that works could start in time, {len(calls)} did"


@pytest.mark.step("Limits")
@pytest.mark.points(0.5)
@pytest.mark.scenario("told_when", shortest=4.0, longest=24.0)
def test_retry_after(run, ceiling=0.2):
    """An exception's retry_after is the minimum pause, even above the cap

    Hint: take the longer of the drawn pause and the pause that the service asks for. Not every exception asks for one.
    """
    ended, _ = outcome(run)
    found, calls = pauses(run, "caller"), run.calls(lane="caller")
    assert found, f"op was called only once, retry {words(ended, calls)}"
    for number, (pause, call) in enumerate(zip(found, calls, strict=False), 1):
        floor = call.value[1] if call.outcome == "error" and len(call.value) > 1 else 0
        told = f"retry_after={floor:g}" if floor else "no retry_after"
        capped = ", which is the cap" if abs(pause - ceiling) < ROUNDING else ""
        assert pause >= floor - ROUNDING, f"{told}, but the next call came after {pause:.4f} s{capped}"
        assert pause < floor + 1, f"call {number} had {told}, the next one came after {pause:.2f} s"
        longer = floor >= ceiling or pause > floor + ROUNDING
        assert longer, f"{told} took the place of the drawn pause: the next call came after {pause:.4f} s"
    assert len(found) == 3, f"op was called {times(len(found) + 1)}, retry {words(ended, calls)}"
    slept = {name: _slept_after_all(run, name) for name in ("once, not told", "once")}
    (ended, _), once = outcome(run, "once"), run.calls(lane="once")
    seen = f"max_attempts=1: slept {slept['once']:.2f} s for retry_after, and then {words(ended, once)}"
    assert slept["once"] < BLINK or slept["once, not told"] > BLINK, (
        seen
    )  # another behaviour is about an answer that always sleeps


def _slept_after_all(run, who):
    """Seconds from the end of the last call to the end of retry."""
    (ended, at), calls = outcome(run, who), run.calls(lane=who)
    return waited(calls[-1], at, ended, calls) if calls else 0.0


@pytest.mark.step("Attempts")
@pytest.mark.points(0.5)
@pytest.mark.scenario("in_turn", attempts=[1, 0, 3, -1, 9, -2, 2, -7], failures=[0])
def test_at_least_one_attempt(run):
    """Fewer than one attempt is a ValueError, before any call

    Hint: what should max_attempts=0 do? Decide before the first attempt; 1 is the smallest number that makes sense.
    """
    for who, number, calls in callers(run, 8):
        ended, _ = outcome(run, who)
        about = f"max_attempts={number}"
        if number < 1:
            assert not calls, f"{about}: op was called {times(len(calls))}"
            assert ended["how"] == "raised" and "ValueError" in ended["builtins"], f"{about}: {words(ended, calls)}"
        else:
            assert len(calls) == 1 and returned(ended, calls[0]), f"{about} and op works: {words(ended, calls)}"


@pytest.mark.step("Attempts")
@pytest.mark.points(0.5)
@pytest.mark.scenario("some_results")
def test_any_result(run):
    """Any result is a success: None, 0, False and the empty ones too

    Hint: what says that an attempt failed, its result or an exception?
    """
    assert run.calls(), "op was never called"
    for name in dict.fromkeys(call.service for call in sorted(run.calls(), key=lambda call: repr(call.value))):
        ended, _ = outcome(run, name)
        calls = run.calls(name)
        seen = f"op returned {calls[0].value!r}: it was called {times(len(calls))}, retry {words(ended, calls)}"
        assert len(calls) == 1 and returned(ended, calls[0]), seen


@pytest.mark.step("Attempts")
@pytest.mark.points(0.5)
@pytest.mark.scenario("at_once")
def test_independent(run):
    """Twenty calls at once don't disturb each other

    Hint: what one call counts or remembers must live in that call: in local variables.
    """
    assert run.calls(), "op was never called"
    names = [mark.name for mark in run.marks()]
    assert len(names) == 20, f"of 20 calls {len(names)} came to an end"
    for name in names:
        calls = run.calls(name)
        assert calls and calls[0].start < BLINK, f"{name}: its first attempt had to wait for other callers"
    retried = [name for name in names if len(run.calls(name)) > 1]
    assert retried, "no caller called op again"
    for name in names:
        calls = run.calls(name)
        ended, _ = outcome(run, name)
        assert returned(ended, calls[-1]), f"{name}, with 19 others beside it: retry {words(ended, calls)}"


@pytest.mark.step("Pauses")
@pytest.mark.points(0)
@pytest.mark.scenario("long_after", failures=1030, attempts=1200)
def test_no_overflow(run):
    """Advice: 1,200 attempts are no problem either

    Hint: 2.0**1024 is more than a float can hold. Limit the exponent, or double the ceiling only while below the cap.
    """
    marks, calls = run.marks("caller"), run.calls()
    failures = next((mark.value for mark in run.marks("failures")), 0)
    assert marks, f"op failed {times(failures)}, retry never came to an end"
    ended = marks[-1].value
    how = f"raised {ended['error']}" if ended["how"] == "raised" else words(ended, calls)
    assert len(calls) == 1 and returned(ended, calls[0]), f"op failed {times(failures)}, then retry {how}"
