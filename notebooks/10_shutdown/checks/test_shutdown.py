"""Tests of `GracefulServer`: each reads the timeline of one or more scenarios (see scenarios.py)."""

from itertools import pairwise
from typing import NamedTuple

import pytest

SOON = 0.03
"""Seconds that "as soon as" may take: a server may look every 10 ms."""
BLINK = 0.005
"""Seconds that "at once" may take."""


REPORT = ("completed", "cancelled", "duration", "close_errors")
"""The fields of a report."""


class Request(NamedTuple):
    """A request as its client saw it, and its handler's call as the world saw it."""

    name: str
    asked: float
    call: object
    ended: dict | None
    at: float | None

    def __str__(self):
        return f"{self.name} (asked at {self.asked:.2f} s)"


def requests(run, since=0.0, before=1e9):
    """Return the requests that were made in this span of time, in order."""
    found = []
    for mark in run.marks("asks"):
        if since <= mark.at < before:
            calls = run.calls("handler", lane=mark.lane)
            ends = run.marks(mark.lane, lane=mark.lane)
            ended, at = (ends[-1].value, ends[-1].at) if ends else (None, None)
            found.append(Request(mark.lane, mark.at, calls[0] if calls else None, ended, at))
    return found


def everybody(run):
    """Return all requests; fail if there were none."""
    found = requests(run)
    assert found, "the run ended before any request was asked"
    return found


def words(ended):
    """Say in words how something ended."""
    if ended is None:
        return "has no end"
    if ended["how"] == "returned":
        return f"got {said(ended['value'])}"
    if ended["how"] == "cancelled":
        return "was cancelled"
    return f"got {ended['error']}({ended['message']})" if ended["message"] else f"got {ended['error']}"


def said(value):
    """Write a value for people."""
    if type(value) is dict and "$object" in value:
        return f"a {value['$object']} as its answer"
    return f"{value:.2f}" if type(value) is float else repr(value)


def accepted(run, asked):
    """Assert that all of these requests reached the handler at once, and name one that didn't."""
    assert run.calls("handler"), "the handler was never called"
    for one in asked:
        assert one.call, f"{one} never reached the handler; its client {words(one.ended)}"
        waited = one.call.start - one.asked
        assert waited < BLINK, f"{one} reached the handler {waited:.2f} s later"
    return asked


def served(run, asked):
    """Assert that each of these handlers ended by itself and its client got an answer; name one that didn't.

    `test_concurrent` checks which answer it was.
    """
    for one in accepted(run, asked):
        cut = one.call.end if one.call.end is not None else run.duration
        assert one.call.outcome == "ok", f"{one} was {_cut(one.call)} after {cut - one.call.start:.2f} s of work"
        assert one.ended, f"{one} was answered by the handler, but its client got nothing"
        got = f"{one.ended['value']}" if one.ended["how"] == "returned" else ""
        right = one.ended["how"] == "returned" and not (got.startswith("handler-") and got != one.call.value)
        assert right, f"{one}: the handler answered {one.call.value!r}, its client {words(one.ended)}"
        assert one.at - one.call.end < SOON, f"{one}: its client got the answer {one.at - one.call.end:.2f} s late"
    return asked


def _cut(call):
    return {"cancelled": "cancelled", "error": f"ended by {call.error}", "pending": "still unanswered"}[call.outcome]


def rejected(asked, when):
    """Assert that all of these requests were rejected at once, and name one that wasn't."""
    for one in asked:
        assert one.ended, f"{one} {when} neither got an answer nor was rejected"
        told = one.ended["how"] == "raised" and "Rejected" in one.ended["names"]
        assert told, f"{one} {when} should be Rejected: its client {words(one.ended)}"
        waited = one.at - one.asked
        assert waited < BLINK, f"{one} {when} was rejected only {waited:.2f} s later"


def stopped(run, who=1):
    """Return when shutdown() was first called, the report that this caller got, and when it got it."""
    calls, ends = run.marks("stop"), run.marks(f"shutdown {who}")
    assert calls, "shutdown() was never called"
    assert ends, f"shutdown() called {calls[0].at:.2f} s into the run: it hadn't returned at {run.duration:.1f} s"
    ended, at = ends[-1].value, ends[-1].at
    assert ended["how"] == "returned", f"shutdown() gave no report: its caller {words(ended)}"
    assert type(ended["value"]) is dict, f"shutdown() gave no report: its caller {words(ended)}"
    return calls[0].at, dict.fromkeys(REPORT) | ended["value"], at


def failures(report):
    """Return the failed calls that the report lists, with their texts; None if it has no list of errors."""
    errors = report["close_errors"]
    if type(errors) is not list:
        return None
    return [(one.get("call"), one.get("message")) if type(one) is dict else (None, said(one)) for one in errors]


def begun(run):
    """Return when shutdown() was first called."""
    calls = run.marks("stop")
    assert calls, "shutdown() was never called: the run had ended before"
    return calls[0].at


def in_flight(run):
    """Return the requests that were in flight when shutdown() was called."""
    began = begun(run)
    asked = requests(run, before=began)
    return [one for one in asked if one.call is None or one.call.end is None or one.call.end > began]


def over(run, service=None):
    """Return when the last call of the named service ended; without a name, the last of handler and cleanup."""
    calls = run.calls(service) if service else [*run.calls("handler"), *run.calls("cleanup")]
    return max((call.end if call.end is not None else run.duration for call in calls), default=0.0)


def drained(run):
    """Assert that what was in flight was served to its end before shutdown() returned; return what `stopped` does."""
    began = begun(run)
    flying = in_flight(run)
    accepted(run, flying)
    ends = [(mark.at, mark.value) for mark in run.marks("shutdown 1")]
    open_then = [one for one in flying if ends and (one.call.end or run.duration) > ends[0][0]]
    seen = f"shutdown() returned {ends[0][0] - began:.2f} s after its call" if ends else ""
    assert not open_then, f"{seen}, with {len(open_then)} of {len(flying)} requests still in flight"
    served(run, [one for one in flying if one.call.outcome != "error"])
    return stopped(run)


def counted(report, name, number, what):
    """Assert that one of the report's two numbers is right."""
    assert report[name] == number, f"{number} {what}, but the report says {name}={said(report[name])}"


def looks(run, asked):
    """Yield for each look at `in_flight`: when, how many requests were in flight, and what it said."""
    for look in run.marks("look"):
        true = sum(bool(one.call) and one.call.start < look.at < (one.call.end or run.duration) for one in asked)
        yield look.at, true, look.value["in_flight"]


@pytest.mark.step("Serving")
@pytest.mark.points(0.5)
@pytest.mark.scenario("serving")
def test_concurrent(run):
    """Requests are served side by side, and each gets its handler's answer

    Hint: `handle` awaits `handler(request)`; nothing in it waits for another request.
    """
    for one in served(run, everybody(run)):
        right = one.ended["value"] == one.call.value
        assert right, f"{one}: the handler answered {one.call.value!r}, its client {words(one.ended)}"


@pytest.mark.step("Serving")
@pytest.mark.points(0.5)
@pytest.mark.scenario("deploy", fails=["ValueError", "TimeoutError", "KeyError"], looks=[-0.01, 6.0])
def test_handler_errors(run):
    """A handler's error goes to its own caller, and its request counts as completed

    Hint: let the error through, and keep the count right however `handler` ends: with `finally`, or a callback.
    """
    flying = accepted(run, in_flight(run))
    failing = [one for one in flying if one.call.outcome == "error"]
    assert failing, "no handler reached its error: all were cancelled before"
    for one in failing:
        assert one.ended, f"{one.name}: its handler raised {one.call.error}, but its client heard nothing"
        same = one.ended["how"] == "raised" and one.ended["call"] == one.call.id
        assert same, f"{one.name}: its handler raised {one.call.error}, its client {words(one.ended)}"
    well = len(flying) - len(failing)
    for at, true, told in looks(run, everybody(run)):
        leaks = told == true + len(failing) and at > begun(run)  # `test_disconnect` checks what else it may say
        assert not leaks, f"{len(failing)} requests failed and {well} were answered, and then in_flight said {told}"
    _, report, _ = drained(run)
    told = report["completed"]
    seen = f"{well} requests were answered and {len(failing)} failed, but the report says completed={said(told)}"
    assert told == len(flying), seen


@pytest.mark.step("Serving")
@pytest.mark.points(0.5)
@pytest.mark.scenario("leaving")
def test_disconnect(run):
    """A client that disconnects cancels its handler, and in_flight forgets it

    Hint: the cancellation of the client's task lands at the `await` in `handle`. What must be cancelled then, and which
    line takes the request off the count however it ends?
    """
    asked = accepted(run, everybody(run))
    gone = {mark.lane: mark.at for mark in run.marks("disconnects")}
    for one in asked:
        if one.name in gone:
            what = f"{one.name}: its client disconnected at {gone[one.name]:.2f} s, its handler"
            assert one.call.outcome == "cancelled", f"{what} was never cancelled"
            assert one.call.end - gone[one.name] < BLINK, (
                f"{what} was cancelled {one.call.end - gone[one.name]:.2f} s late"
            )
            cleanup = run.calls("cleanup", lane=one.name)
            assert cleanup and cleanup[0].outcome == "ok", f"{what} was cancelled, and its cleanup was disturbed"
            assert one.ended, f"{one.name}: its client disconnected, and its call of handle() never ended"
    served(run, [one for one in asked if one.name not in gone])
    for at, true, told in reversed(list(looks(run, asked))):
        ended = [one for one in asked if one.call.end is not None and one.call.end < at]
        left = [one for one in ended if one.name in gone]
        seen = f"at {at:.1f} s {true} requests were in flight, but in_flight said {said(told)}"
        if ended and told == true + len(ended):
            seen += ": it still counts all requests that were over"
        elif left and told == true + len(left):
            seen += ": it still counts requests whose clients had disconnected"
        assert told == true, seen


@pytest.mark.step("Draining")
@pytest.mark.points(1)
@pytest.mark.scenario("deploy", early=[1, 3], looks=[0.3, 6.0])
@pytest.mark.scenario("deploy", requests=[0, 0], early=[2, 3], looks=[-0.01, 3.0])
def test_drains(runs):
    """Requests in flight are served to their end, and only then shutdown() returns

    Hint: keep the running requests in a set; shutdown() waits until it is empty. `asyncio.wait` waits for many.
    """
    for run in runs:
        began, report, _ = drained(run)
        flying = len(in_flight(run))
        early = len(requests(run, before=began)) - flying
        before = f", {early} had ended before" if early else ""
        counted(report, "completed", flying, f"requests were in flight and ended by themselves{before}")
        counted(report, "cancelled", 0, "requests had to be cancelled")
        for at, true, told in looks(run, everybody(run)):
            low = type(told) is int and told >= true  # `test_disconnect` checks that it forgets those that ended
            when = f"{at - began:.1f} s after shutdown()" if at > began else "before shutdown()"
            assert low, f"{when} {true} requests were in flight, but in_flight said {said(told)}"


@pytest.mark.step("Draining")
@pytest.mark.points(0.5)
@pytest.mark.scenario("deploy", drain_timeout=20.0)
@pytest.mark.scenario("deploy", lasts=[0.05, 0.1], drain_timeout=5.0)
@pytest.mark.scenario("deploy", lasts=[1.0, 2.0], readiness_delay=0.4, hooks=2)
def test_returns_when_idle(runs, delays=(0.0, 0.0, 0.4)):
    """shutdown() returns as soon as nothing is in flight any more

    Hint: the drain timeout is the longest wait, not a pause. With nothing in flight there is nothing to wait for.
    """
    for run, delay in zip(runs, delays, strict=True):
        began, report, at = drained(run)
        closed = [call.end if call.end is not None else run.duration for call in hooks_of(run)]
        idle = max(began + delay, over(run), *closed)
        what = (
            f"the last request ended {over(run) - began:.2f} s after shutdown() was called"
            if over(run) > began
            else "nothing was in flight"
        )
        if closed:
            what += f", and the last hook {closed[-1] - began:.2f} s after that"
        assert at - idle < SOON, f"{what}; shutdown() returned {at - began:.2f} s after its call"
        took = report["duration"]
        near = type(took) in (float, int) and abs(took - (at - began)) < SOON
        about = f" (with readiness_delay={delay:g} and {len(closed)} hooks)" if closed else ""
        seen = f"shutdown() took {at - began:.2f} s{about}, but the report says duration={said(took)}"
        if type(took) is float and abs(took - (at - began - delay)) < SOON:
            seen += ", which leaves the delay out"
        elif type(took) is float and abs(took - (over(run) - began)) < SOON:
            seen += ", which leaves the hooks out"
        assert near, seen


def hooks_of(run):
    """Return the calls of `on_close`, in order."""
    return [call for call in run.calls() if call.service.startswith("hook")]


@pytest.mark.step("Draining")
@pytest.mark.points(1)
@pytest.mark.scenario(
    "deploy", requests=[7, 11], lasts=[1.0, 1.2], hooks=2, asks=[0.02, 0.3, 0.8, 1.0, 1.2, 6.0], looks=[9.0]
)
def test_rejects(run):
    """New work is rejected at once: while draining, while closing, and after

    Hint: `raise Rejected` as the first thing in `handle`, before anything is awaited.
    """
    served(run, in_flight(run))
    began, _, at = stopped(run)
    end = max((one.call.end for one in in_flight(run)), default=began)
    phases = {
        "while the server drained": requests(run, began, end),
        "while it closed": requests(run, end, at),
        "after the shutdown": requests(run, at),
    }
    taken = [phase for phase, asked in phases.items() if any(one.call for one in asked)]
    assert not taken, f"new work was given to the handler {' and '.join(taken)}"
    for phase, asked in phases.items():
        rejected(asked, phase)
    number = sum(map(len, phases.values()))
    for _, _, told in looks(run, ()):
        seen = f"{number} requests had been rejected and all others were over, but in_flight said {said(told)}"
        assert told != number or number == len(in_flight(run)), seen


@pytest.mark.step("Deadline")
@pytest.mark.points(1)
@pytest.mark.scenario("deploy", stuck=[3, 4], lasts=[0.6, 1.4], drain_timeout=3.0)
def test_cancels_and_awaits(run, timeout=3.0):
    """At drain_timeout the remaining requests are cancelled, and shutdown() waits for their cleanup

    Hint: `task.cancel()` only asks. Which line then awaits the tasks, until their `finally` and `except` blocks are over?
    """
    began = begun(run)
    flying = accepted(run, in_flight(run))
    late = [one for one in flying if run.calls("cleanup", lane=one.name)]
    stuck = [one for one in flying if one.call.outcome not in ("ok", "error")]
    served(run, [one for one in flying if one not in stuck])
    for one in stuck:
        assert one.call.outcome == "cancelled", (
            f"{one.name}: {timeout:g} s after shutdown() it wasn't cancelled, nor later"
        )
        after = one.call.end - began
        right = timeout - BLINK < after < timeout + SOON
        assert right, f"{one.name}: cancelled {after:.2f} s after shutdown(), but drain_timeout is {timeout:g}"
        cleanups = run.calls("cleanup", lane=one.name)
        assert len(cleanups) == 1 and cleanups[0].outcome == "ok", f"{one.name}: its cleanup was disturbed"
    assert late == stuck, "some handlers were cancelled that weren't late"
    _, report, at = stopped(run)
    cleaned = over(run, "cleanup")
    left = [call for call in run.calls("cleanup") if call.end is None or call.end > at + BLINK]
    seen = f"shutdown() returned {at - began:.2f} s after its call"
    assert not left, (
        f"{seen}, {len(left)} of {len(late)} cleanups ended only after that, the last at {cleaned - began:.2f} s"
    )
    assert at - cleaned < SOON, f"{seen}, the last cleanup had ended at {cleaned - began:.2f} s"
    counted(report, "cancelled", len(late), "requests were cancelled")
    well, told = len(flying) - len(late), report["completed"]
    more = type(told) is int and told > well  # `test_drains` checks whether it is too few
    assert not more, (
        f"{well} requests ended by themselves and {len(late)} were cancelled, but the report says completed={told}"
    )


@pytest.mark.step("Deadline")
@pytest.mark.points(0.5)
@pytest.mark.scenario("deploy", requests=[4, 6], lasts=[0.6, 2.4], stuck=[2, 3], drain_timeout=2.9)
@pytest.mark.scenario(
    "deploy", lasts=[0.6, 1.2], stuck=[1, 2], drain_timeout=2.0, readiness_delay=1.3, asks=[0.4, 0.9], hangs=[0.7]
)
@pytest.mark.scenario("deploy", requests=[1, 2], stuck=[1, 2])
@pytest.mark.scenario("deploy", requests=[1, 2], drain_timeout=0.0)
def test_one_deadline(runs, timeouts=(2.9, 2.0, 10.0, 0.0), delays=(0.0, 1.3, 0.0, 0.0)):
    """There is one deadline for all, and it starts when the readiness delay ends

    Hint: one `asyncio.wait` over all tasks has one timeout; one `wait_for` per task starts the clock anew each time.
    """
    for run, timeout, delay in zip(runs, timeouts, delays, strict=True):
        began = begun(run)
        served(run, [one for one in requests(run) if one.call and one.call.outcome == "ok"])
        ended = [call for call in run.calls("handler") if call.outcome == "ok" and call.end > began]
        about = f"readiness_delay={delay:g} and drain_timeout={timeout:g}"
        for call in ended:
            after = call.end - began
            assert after < delay + timeout + SOON, (
                f"{about}: {call.lane} was served until {after:.2f} s after shutdown()"
            )
        late = [call for call in run.calls("handler") if call.outcome in ("cancelled", "pending")]
        assert late, "nothing was late, so there was nothing to cancel"
        for call in late:
            after = (call.end if call.end is not None else run.duration) - began
            assert call.outcome == "cancelled", f"{about}: {call.lane} wasn't cancelled, {after:.1f} s after shutdown()"
        first, *_, last = sorted(call.end - began for call in [*late, *late])
        when = f"{first:.2f} s after shutdown()"
        others = max((call.end - began for call in ended), default=0.0)
        if last - first > SOON:
            when = f"one after the other, the first {when}"
        elif abs(first - others - timeout) < SOON:
            when += ", which is drain_timeout after the last of the others had ended"
        right = abs(first - delay - timeout) < SOON and last - first < SOON
        assert right, f"{about}: the late requests were cancelled {when}"


@pytest.mark.step("Closing")
@pytest.mark.points(1)
@pytest.mark.scenario("deploy", hooks=4, broken=2)
@pytest.mark.scenario("deploy", stuck=[1, 2], lasts=[0.6, 1.4], drain_timeout=2.0, hooks=3, broken=1)
def test_closes(runs, hooks=(4, 3)):
    """on_close runs after the drain, in reverse order, each hook even if another fails; errors are collected

    Hint: what was opened first is closed last. Put the `try` inside the loop, and keep what it catches in a list.
    """
    for run, number in zip(runs, hooks, strict=True):
        accepted(run, in_flight(run))
        calls = hooks_of(run)
        began = begun(run)
        order = [call.service for call in calls]
        wanted = [f"hook {one}" for one in range(number, 0, -1)]
        ends = run.marks("shutdown 1")
        what = "none of its hooks was called" + (
            "" if ends else f", and shutdown() hadn't returned {run.duration - began:.1f} s after its call"
        )
        if any("never awaited" in f"{note.data.get('text')}" for note in run.of("note")):
            what = "its hooks were called, but what they returned was never awaited"
        assert calls, f"on_close: {what}"
        early = [call for call in calls if call.start < over(run)]
        seen = f"{over(run) - began:.2f} s after shutdown()"
        assert not early, (
            f"{early[0].service} was called {early[0].start - began:.2f} s and the last handler ended {seen}"
        )
        missing = [name for name in wanted if name not in order]
        stopped_by = "failed" if calls[-1].outcome == "error" else "had run"
        assert not missing, f"on_close: after {order[-1]} {stopped_by}, {_listed(missing)} never ran"
        right = list(dict.fromkeys(order)) == wanted  # `test_idempotent` checks whether one ran twice
        assert right, f"on_close of hook 1 to hook {number}: they were called in the order {_listed(order)}"
        for call, following in pairwise(calls):
            closed = call.end is not None and call.end <= following.start
            assert closed, f"{following.service} was called before {call.service} was through"
        assert calls[-1].end is not None, f"{calls[-1].service} was never awaited to its end"
        broken = [call for call in calls if call.outcome == "error"]
        _, report, at = stopped(run)
        assert at >= calls[-1].end, (
            f"shutdown() returned {calls[-1].end - at:.2f} s before {calls[-1].service} was through"
        )
        errors = failures(report)
        failed = _listed([call.service for call in broken])
        assert errors is not None, f"{failed} failed, but close_errors is {said(report['close_errors'])}"
        right = [call for call, _ in errors] == [call.id for call in broken]
        assert right, f"{failed} failed, but close_errors has {_listed(text for _, text in errors)}"


def _listed(names):
    return ", ".join(f"{name}" for name in names) or "nothing"


@pytest.mark.step("Readiness")
@pytest.mark.points(0.5)
@pytest.mark.scenario("deploy", readiness_delay=2.0, asks=[0.05, 0.8, 1.9, 2.1, 2.6], looks=[-0.1, 0.02, 1.5, 2.3, 6.0])
@pytest.mark.scenario("deploy", lasts=[0.02, 0.1], readiness_delay=3.0, asks=[1.1, 2.8, 3.3], looks=[-0.02, 0.02, 3.2])
@pytest.mark.scenario("deploy", asks=[0.05, 0.3], looks=[-0.1, 0.02, 6.0])
def test_readiness(runs, delays=(2.0, 3.0, 0.0)):
    """ready is False at once, but for readiness_delay new work is still accepted and served

    Hint: two questions, two attributes: "should you send me more?" (`ready`) and "do I accept what comes?". The load
    balancer hears the first answer late.
    """
    for run, delay in zip(runs, delays, strict=True):
        began = begun(run)
        in_time = [one for one in requests(run) if one.asked < began + delay or one.asked < began]
        about = f"readiness_delay={delay:g}"
        early = [one for one in in_time if one.asked >= began and one.call is None]
        assert run.calls("handler"), "the handler was never called"
        assert not early, (
            f"{about}: {early[0]} {early[0].asked - began:.2f} s after shutdown(): its client {words(early[0].ended)}"
        )
        served(run, in_time)
        kept = [one for one in requests(run, began + delay) if one.call] if delay else []
        seen = f"{kept[0].asked - began:.2f} s after shutdown()" if kept else ""
        assert not kept, f"{about}: {seen} the handler was still given new work"
        ends = run.marks("shutdown 1")  # `test_returns_when_idle` checks whether it ends at all
        left = [one for one in in_time if ends and one.call.end > ends[0].at]
        assert not left, f"{about}: shutdown() returned with {len(left)} accepted requests still in flight"
        found = [(look.at - began, look.value["ready"]) for look in run.marks("look")]
        wrong = [(after, told) for after, told in found if told is not (after < 0)]
        when = _listed(f"{after:.2f} s after shutdown()" if after > 0 else "before shutdown()" for after, _ in wrong)
        assert not wrong, f"{about}: ready was {said(wrong[0][1])} {when}"


@pytest.mark.step("Again")
@pytest.mark.points(0.5)
@pytest.mark.scenario("deploy", hooks=2, broken=1, callers=[0.0, 7.0, 7.5])
def test_idempotent(run, callers=3):
    """Every caller of shutdown() gets the same report, and the hooks run once

    Hint: the first call starts one task and keeps it; every call awaits that task. A second task would close twice.
    """
    served(run, in_flight(run))
    hooks = [call.service for call in hooks_of(run)]
    assert hooks, f"shutdown() was called {callers} times, and no hook of on_close was called and awaited"
    twice = sorted({name for name in hooks if hooks.count(name) > 1})
    assert not twice, f"shutdown() was called {callers} times, {_listed(twice)} ran more than once"
    _same_report(run, callers)
    counted(stopped(run)[1], "completed", len(in_flight(run)), "requests were in flight and ended by themselves")


@pytest.mark.step("Again")
@pytest.mark.points(0.5)
@pytest.mark.scenario(
    "deploy",
    stuck=[1, 2],
    lasts=[0.6, 1.4],
    drain_timeout=2.0,
    readiness_delay=0.5,
    asks=[0.1, 0.3],
    hooks=2,
    callers=[0.0, 0.2, 1.0, 1.0, 3.6],
)
def test_joins_midway(run):
    """A call of shutdown() during a shutdown joins it: same end, same report, same deadline

    Hint: a second caller awaits what the first one started. If a task of its own does the leaving, both can await it.
    """
    began = begun(run)
    served(run, [one for one in accepted(run, in_flight(run)) if one.call.outcome == "ok"])
    about = "drain_timeout=2 and readiness_delay=0.5, further calls of shutdown() after 0.2 s and twice after 1 s"
    during = requests(run, began, began + 0.5)
    assert len(during) == 2, "the run ended before its second request was asked"
    first, second = during
    one = f"{second.name}, asked 0.3 s after the first: its client {words(second.ended)}"
    assert second.call or not first.call, f"{about}: {one}"
    late = [call.end - began for call in run.calls("handler") if call.outcome == "cancelled"]
    earliest = min(late, default=0.0)  # `test_one_deadline` checks whether all are cancelled then
    assert earliest < 2.5 + SOON, f"{about}: the late requests were cancelled {earliest:.2f} s after the first"
    _, _, at = stopped(run)
    hooks = [call.service for call in hooks_of(run)]
    assert len(set(hooks)) == len(hooks), f"five callers, two hooks: these ran: {_listed(sorted(hooks))}"
    for who in (2, 3, 4, 5):
        _, _, end = stopped(run, who)
        called = run.marks("stop")[who - 1].at
        if called < at:
            assert abs(end - at) < SOON, f"caller 1 had its report at {at:.2f} s, caller {who} at {end:.2f} s"
    _same_report(run, 5)


def _same_report(run, callers):
    _, first, _ = stopped(run)
    for who in range(2, callers + 1):
        _, report, _ = stopped(run, who)
        for name in ("completed", "cancelled", "duration"):
            seen = f"caller 1 was told {name}={said(first[name])}, caller {who} {name}={said(report[name])}"
            assert first[name] == report[name], f"{seen}: every caller gets the same report"
        errors = failures(first), failures(report)
        same = [call for call, _ in errors[0] or ()] == [call for call, _ in errors[1] or ()]
        assert same, f"caller 1 was told of {len(errors[0] or ())} close_errors, caller {who} of {len(errors[1] or ())}"
