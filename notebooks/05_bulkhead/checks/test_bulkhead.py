"""Tests of a `Bulkhead`: each reads the timelines of one or more scenarios (see scenarios.py)."""

import pytest

BLINK = 0.001
"""Seconds that "at once" may take."""


def outcome(run, who):
    """Return how this caller's `run` ended, and when; fail if it never ended."""
    marks = run.marks(who, lane=who)
    assert marks, f"{who}: run never ended"
    return marks[-1].value, marks[-1].at


def arrived(run, who):
    return run.marks("arrives", lane=who)[-1].at


def words(ended, calls=()):
    """Say in words how a run ended."""
    if ended["how"] == "cancelled":
        return "was cancelled"
    if ended["how"] == "returned":
        return f"returned {shown(ended['value'])}"
    own = ", the error of op itself" if ended["call"] in [call.id for call in calls] else ""
    return f"raised {ended['error']}{own}"


def shown(value):
    """Write a value as a person would."""
    kind = value.get("$object") if isinstance(value, dict) else None
    return f"an object of class {kind}" if kind else repr(value)


def check_served(run, who, value=False):
    """Check that op was called once for this caller, and that run returned when op answered.

    With `value`, run must also have returned what op answered.
    """
    ended, at = outcome(run, who)
    calls = run.calls(lane=who)
    assert calls, f"{who}: run {words(ended)}, and op was never called"
    assert calls[0].end is not None, f"{who}: run {words(ended)}, but op never ended"
    assert len(calls) == 1, f"{who}: op was called {len(calls)} times, run {words(ended, calls)}"
    good = ended["how"] == "returned" and (ended["value"] == calls[0].value or not value)
    assert good and calls[0].outcome == "ok", f"{who}: op {answer(calls[0])}, run {words(ended, calls)}"
    check_prompt(who, calls[0], at)


def answer(call):
    """Say in words what op did for this call."""
    if call.outcome == "ok":
        return f"answered {call.value!r}"
    return f"raised {call.error}" if call.outcome == "error" else f"was cut off after {call.end - call.start:.2f} s"


def check_prompt(who, call, at):
    """Check that run ended when op answered."""
    told = f"{who}: op took {call.end - call.start:.2f} s, run ended"
    assert at - call.end < BLINK, f"{told} {at - call.end:.2f} s later"
    assert call.end - at < BLINK, f"{told} {call.end - at:.2f} s earlier"


def check_full(run, who, after=0.0):
    """Check that this caller got BulkheadFull `after` seconds from its arrival, without a call of op."""
    took = check_away(run, who, after)
    ended, _ = outcome(run, who)
    full = ended["how"] == "raised" and "BulkheadFull" in ended["names"]
    assert full, f"{who} should have got BulkheadFull; after {took:.3g} s run {words(ended)}"


def check_away(run, who, after=0.0):
    """Check that this caller was rejected, with whatever error, `after` seconds from its arrival.

    Returns the seconds that it took.
    """
    calls = run.calls(lane=who)
    assert not calls, f"{who} should have got BulkheadFull, but op was called for it"
    ended, at = outcome(run, who)
    took = at - arrived(run, who)
    wanted = f"after {after:g} s" if after else "at once"
    late = f"{who} should have got BulkheadFull {wanted}; after {took:.3g} s run {words(ended)}"
    assert abs(took - after) < BLINK, late
    return took


def check_called(run, service=None):
    """Check that some caller got through to op."""
    ended = next((mark.value for mark in run.marks() if mark.name == mark.lane), None)
    seen = f"; run {words(ended)}" if ended else ""
    assert run.calls(service), f"op was never called{seen}"


def check_limit(run, limit, service=None):
    """Check that there were never more calls at once than permits."""
    check_called(run, service)
    most, at = crowd(run, service)
    says = [look.value["active"] for look in run.marks("says", lane="bulkhead")][:1]
    seen = f", and active says {shown(says[0])}" if says and says[0] != most else ""
    assert most <= limit, f"max_concurrent={limit}, and at {at:.2f} s {most} calls were running{seen}"


def crowd(run, service=None):
    """Return the most calls that ever ran at once, and the first second at which that many ran."""
    changes = []
    for call in run.calls(service):
        changes.append((call.start, 1))
        if call.end is not None:
            changes.append((call.end, -1))
    level, most, when = 0, 0, 0.0
    for at, change in sorted(changes):
        level += change
        if level > most:
            most, when = level, at
    return most, when


def check_said(run, looks=slice(None), names=("active", "waiting")):
    """Check that `active` and `waiting` say what the world saw, at all of the looks or at some."""
    marks = run.marks("says", lane="bulkhead")[looks]
    assert marks, "the run ended before the test could look at active and waiting"
    for look in marks:
        here = [call for call in run.calls() if call.start <= look.at]
        seen = {"active": sum(call.end is None or call.end > look.at for call in here)}
        inside = sum(mark.at <= look.at for mark in run.marks("arrives"))
        over = sum(mark.at <= look.at for mark in run.marks() if mark.name == mark.lane)
        seen["waiting"] = inside - over - seen["active"]
        told = f"at {look.at:.2f} s {seen['active']} ran and {seen['waiting']} waited"
        for name in names:
            said = look.value[name]
            missing = looks is LAST and not isinstance(said, int)  # which another test judges
            assert said == seen[name] or missing, f"{told}, but {name} was {shown(said)}"


LAST = slice(-1, None)
"""The last look, when no caller uses the bulkhead any more: is anything left over?"""


def callers(run):
    """List the callers that came, in order, and after them any others for which op was called."""
    return list(dict.fromkeys(one.lane for one in (*run.marks("arrives"), *run.calls())))


def times(number):
    return "one call" if number == 1 else f"{number} calls"


@pytest.mark.points(0.5)
@pytest.mark.scenario("in_line", concurrent=2, callers=7)
@pytest.mark.scenario("in_line", concurrent=3, callers=8, every=0)
def test_limit(runs, limits=(2, 3)):
    """At most max_concurrent calls run; the others wait until a permit is free

    Hint: which caller gets the permit when a call ends? Count running calls in `active`, waiting callers in `waiting`.
    """
    for run, limit in zip(runs, limits, strict=True):
        check_limit(run, limit)
        most, _ = crowd(run)
        assert most == limit, f"max_concurrent={limit}, but never more than {times(most)} ran at once"
        for who in callers(run):
            check_served(run, who, value=True)
        ends = sorted(call.end for call in run.calls())
        for call, free in zip(run.calls()[limit:], ends, strict=False):
            late = call.start - free
            assert late < BLINK, f"{call.lane} waited {late:.3f} s longer than it had to: a permit was free"
        check_said(run)


@pytest.mark.points(0.5)
@pytest.mark.scenario("in_line", concurrent=2, callers=6)
@pytest.mark.scenario("comes_again", concurrent=1, callers=4, again=3)
@pytest.mark.scenario("comes_again", concurrent=2, callers=5, again=3)
def test_fifo(runs, limits=(2, 1, 2)):
    """Callers run in the order in which they came; a later caller never overtakes

    Hint: a permit that comes back belongs to the first in the queue, even if a newcomer asks before that one wakes.
    """
    for run, limit in zip(runs, limits, strict=True):
        check_limit(run, limit)
        came = [mark.lane for mark in run.marks("arrives")]
        ran = [call.lane for call in run.calls()]
        for first, instead in zip(came, ran, strict=False):
            assert first == instead, f"{first} came before {instead}, but {instead} ran first: {', '.join(ran)}"
        assert len(ran) == len(came), f"{len(came)} calls came, and {len(ran)} of them ran"


@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "visits", concurrent=2, max_queue=2, arrivals=[0, 0.1, 0.2, 0.3, 0.4, 0.5, 1.2, 1.3, 1.4], takes=[[0.8, 1.05]] * 9
)
@pytest.mark.scenario("visits", concurrent=2, arrivals=[0, 0.1, 0.3, 1.2, 1.3, 1.4, 2.6], takes=[[0.8, 1.05]] * 5)
def test_full(runs, rooms=((2, 2), (2, 0)), rejected=((5, 6, 9), (3, 6))):
    """When max_queue callers wait, the next gets BulkheadFull at once; with 0, the default, no caller waits

    Hint: ask two questions at the very start of `run`: is a permit free? If not, is there room in the queue?
    """
    for run, (permits, places), full in zip(runs, rooms, rejected, strict=True):
        check_called(run)
        names = [f"caller {number}" for number in full]
        told = f"max_concurrent={permits}, max_queue={places}: "
        admitted = ", ".join(who for who in names if run.calls(lane=who))
        assert not admitted, f"{told}no place was free for {admitted}, but op was called"
        refused = ", ".join(who for who in callers(run) if who not in names and not run.calls(lane=who))
        assert not refused, f"{told}there was a place for {refused}, but op was never called"
        for who in callers(run):
            if who in names:
                check_full(run, who)
            else:
                check_served(run, who)


@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "visits",
    concurrent=1,
    max_queue=5,
    max_wait=0.5,
    arrivals=[0, 0.1, 0.3, 0.9, 3.0],
    takes=[[1.05, 1.3], [4.5, 6], [0.5, 1.5], [0.5, 1.5]],
)
@pytest.mark.scenario(
    "visits", concurrent=1, max_queue=5, arrivals=[0, 1, 2], takes=[[250, 350], [350, 450], [0.5, 1.5]]
)
def test_max_wait(runs, waits=(0.5, None), given_up=((2, 3, 5), ())):
    """A caller that waits longer than max_wait gets BulkheadFull; None means no limit; op itself isn't limited

    Hint: the time limit ends when the permit is there. What stands inside the `async with asyncio.timeout(...)`?
    """
    for run, wait, gone in zip(runs, waits, given_up, strict=True):
        check_called(run)
        names = [f"caller {number}" for number in gone]
        for who in callers(run):
            if who in names:
                check_full(run, who, wait)
                continue
            cut = [call for call in run.calls(lane=who) if call.outcome == "cancelled"]
            lasted = cut[0].end - cut[0].start if cut else 0
            assert not cut, f"{who} had its permit, and op was cut off after {lasted:.2f} s (max_wait={wait})"
            check_served(run, who)
        check_said(run, LAST, ["waiting"])


@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "visits",
    concurrent=2,
    max_queue=1,
    arrivals=[0, 0.1, 0.2, 2.0, 2.1],
    takes=[[0.3, 0.5], [0.3, 0.5], [0.2, 0.4], [0.5, 1.5], [0.5, 1.5]],
    failing={"1": "ConnectionError", "2": "ValueError"},
)
@pytest.mark.scenario(
    "visits",
    concurrent=2,
    max_queue=1,
    arrivals=[0, 0.1, 0.2, 2.0, 2.1],
    takes=[[8, 9], [8, 9], [0.2, 0.5], [0.5, 1.5], [0.5, 1.5]],
    cancelled={"1": 0.4, "2": 0.6},
)
def test_permit_returns(runs, limits=(2, 2), failing=((1, 2), ()), cancelled=((), (1, 2))):
    """The permit comes back when op fails, and when the caller is cancelled

    Hint: which statement runs its block on a result, on an error and on a cancellation alike?
    """
    for run, limit, errors, leaving in zip(runs, limits, failing, cancelled, strict=True):
        check_limit(run, limit)
        for who in callers(run):
            number = int(who.removeprefix("caller "))
            calls = run.calls(lane=who)
            if number in errors:
                ended, at = outcome(run, who)
                own = ended["how"] == "raised" and bool(calls) and ended["call"] == calls[-1].id
                assert calls, f"{who}: run {words(ended)}, and op was never called"
                assert own, f"{who}: op {answer(calls[-1])}, run {words(ended, calls)}"
                check_prompt(who, calls[-1], at)
            elif number in leaving:
                check_left(run, who)
                assert calls and calls[-1].outcome == "cancelled", f"{who} was cancelled, but op was not"
            else:
                what = "failed" if errors else "was cancelled"
                lost = not calls or calls[0].start - arrived(run, who) > 1
                assert not lost, f"after a call that {what}, {who} got no permit: {_instead(run, who)}"
                check_served(run, who)
        check_said(run, LAST)


def check_left(run, who):
    """Check that this caller's cancellation propagated at once."""
    ended, at = outcome(run, who)
    assert ended["how"] == "cancelled", f"{who} was cancelled, but run {words(ended, run.calls(lane=who))}"
    leaving = run.marks("gives up", lane=who)
    assert leaving, f"{who} was cancelled, although the test didn't cancel it"
    late = at - leaving[-1].at
    assert late < BLINK, f"{who} was cancelled, but run continued for {late:.2f} s"


def _instead(run, who):
    marks = run.marks(who, lane=who)
    return f"run {words(marks[-1].value)}" if marks else "it waits forever"


@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "visits",
    concurrent=1,
    max_queue=2,
    arrivals=[0, 0.1, 0.2, 0.7, 0.8, 8.0, 8.1],
    takes=[[1.5, 2.5]] + [[0.5, 1.5]] * 5,
    cancelled={"2": 0.5},
    looks=[0.3, 0.6],
)
def test_cancelled_waiter(run, leaving=(2,), rejected=(5,), limit=1):
    """A cancelled waiter leaves the queue: its place is free, and it takes no permit and gives none back

    Hint: what was counted up before the wait must be counted down, however the wait ends. A permit that was never
    taken must not be released.
    """
    check_limit(run, limit)
    for who in callers(run):
        number = int(who.removeprefix("caller "))
        if number in leaving:
            check_left(run, who)
            assert not run.calls(lane=who), f"{who} was cancelled while it waited, but op was called for it"
        elif number in rejected:
            check_away(run, who)
        else:
            check_served(run, who)
    check_said(run, LAST)


@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "visits",
    concurrent=1,
    max_queue=5,
    max_wait=0.5,
    arrivals=[0, 0.2, 0.9, 3.0, 7.0],
    takes=[[1.05, 1.35], [0.05, 0.4], [1.5, 2.5], [0.1, 0.4]],
    failing={"2": "TimeoutError", "3": "TimeoutError"},
)
def test_op_timeout(run):
    """A TimeoutError that op raises comes out as it is, and doesn't become BulkheadFull

    Hint: `except TimeoutError` also catches op's. Put the wait for the permit into its `try`, and nothing else.
    """
    check_called(run)
    failed = [call for call in run.calls() if call.outcome == "error"]
    assert failed, "no call of op ended"
    for call in failed:
        ended, at = outcome(run, call.lane)
        own = ended["how"] == "raised" and ended["call"] == call.id
        assert own, f"{call.lane}: op raised a TimeoutError of its own, run {words(ended, [call])}"
        check_prompt(call.lane, call, at)
    for who in callers(run):
        if all(call.outcome == "ok" for call in run.calls(lane=who)) and run.calls(lane=who):
            check_served(run, who)


@pytest.mark.points(0.5)
@pytest.mark.scenario("two_bulkheads", left=1, right=3, max_queue=1, max_wait=0.4, callers=5)
def test_independent(run, limits=(1, 3), given_up=("orders 2",), wait=0.4):
    """Each bulkhead has permits and a queue of its own

    Hint: what is assigned in the class body is shared by all instances; what `self` gets in `__init__` isn't.
    """
    for service, limit in zip(("orders", "payments"), limits, strict=True):
        check_limit(run, limit, service)
        for who in callers(run):
            if not who.startswith(service):
                continue
            if int(who.split()[1]) > limit:
                check_away(run, who, wait if who in given_up else 0.0)
                continue
            check_served(run, who)
            late = run.calls(lane=who)[0].start - arrived(run, who)
            assert late < BLINK, f"{who} had to wait {late:.2f} s, though its own bulkhead had permits"
        look = run.marks("says", lane=service)
        said = look[-1].value["active"] if look else 0
        good = not isinstance(said, int) or said <= limit + len(given_up)
        assert good, f"{times(limit)} ran in the bulkhead for {service}, but active was {said!r}"


@pytest.mark.points(0.5)
@pytest.mark.scenario("chaos", calls=300, concurrent=4, queue=6)
def test_chaos(run, limit=4):
    """300 calls, half of them cancelled at random, never exceed the limit, and at the end every permit is back

    Hint: look for a way through `run` on which a permit is lost or given back twice.
    """
    check_limit(run, limit)
    most, _ = crowd(run)
    assert most == limit, f"max_concurrent={limit}, but never more than {times(most)} ran at once"
    looks = run.marks("says")
    assert looks, "the run ended before all callers had come"
    assert len(looks) > 1, "some callers never finished"
    said = looks[-1].value
    quiet = all(said[name] == 0 or not isinstance(said[name], int) for name in ("active", "waiting"))
    assert quiet, f"all callers had left, but active was {shown(said['active'])} and waiting {shown(said['waiting'])}"
    for number in range(1, limit + 1):
        who = f"late {number}"
        calls = run.calls(lane=who)
        late = calls[0].start - looks[-1].at if calls else 0
        assert calls and late < BLINK, f"afterwards only {times(number - 1)} of {limit} got a permit: one was lost"
        check_served(run, who)
