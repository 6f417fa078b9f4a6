"""Check `Logger`, `bind` and `serve`: each test reads the timeline of a scenario (see scenarios.py)."""

import json

import pytest

BLINK = 0.001
"""How many seconds still count as "at once"."""
NEAR = 0.011
"""By how many seconds a duration may be rounded."""
BELOW_ERROR = ("debug", "info", "notice", "warning")
ODD = {
    "a number": ["7"],
    "an object": ["something odd"],
    "a datetime": ["2026"],
    "bytes": ["raw"],
    "a set": ["1", "2"],
    "a Decimal": ["0.1"],
    "an exception": ["odd"],
}
"""Kinds of values, most of which JSON can't represent, and the parts that the text written for each must contain."""


def parsed(line):
    """Return what the sink got, as a dict. `test_line` judges whether it is a string of one line."""
    found = line
    if type(line) is str:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
    good = type(found) is dict and "$object" not in found
    assert good, f"the sink got {said(line)[:14]}..., which is no JSON object"
    return found


def written(run):
    """Return all lines as dicts, in order, each with the instant at which it was written."""
    found = [(mark.at, parsed(mark.value)) for mark in run.marks("line")]
    assert found, "the sink never got a line"
    return found


def lines(run):
    """Return all lines as dicts, in order."""
    return [line for _, line in written(run)]


def only(found, what, **wanted):
    """Return the only line that has these fields."""
    fitting = [line for line in found if all(line.get(key) == value for key, value in wanted.items())]
    number = "no line" if not fitting else f"{len(fitting)} lines"
    assert len(fitting) == 1, f"{what}: {number} with {words(wanted)}"
    return fitting[0]


def answered(run, service):
    """Return the calls to this service that ended."""
    return [call for call in run.calls(service) if call.outcome in ("ok", "error")]


def said(value):
    """Return a value in the words of a message."""
    if type(value) is dict and "$object" in value:
        return f"a {value['$object']}"
    return f"{value:g}" if type(value) is float else repr(value)


def words(fields):
    """Return fields in the words of a message, without the time."""
    return " ".join(f"{key}={value}" for key, value in fields.items() if key != "ts")


def raised(run, name):
    """Fail if a call to the logger raised."""
    for mark in run.marks(name):
        what = "with bind(...)" if name == "bind" else "logger.log"
        raise AssertionError(f"{what} raised {mark.value['error']}: {mark.value['message']}")


def complete(run, service, number):
    """Fail if fewer than `number` calls ended, so that no fact goes unjudged."""
    came = len(answered(run, service))
    assert came == number, f"your code ended after {came} of {number} calls" if came else "your code never ran"


@pytest.mark.points(0.25)
@pytest.mark.scenario("facts", levels=["debug", "info", "warning", "error", "info", "warning"], keys=["a", "n", "b"])
def test_line(run, keys=("a", "n", "b")):
    """Each call writes one line of JSON: ts, level, event, the bound fields and the call's fields

    Hint: `self.sink(json.dumps({"ts": ..., "level": level, "event": event, **context, **fields}))`.
    """
    raised(run, "log")
    raised(run, "bind")
    for mark in run.marks("line"):
        if type(mark.value) is not str:
            kind = said(mark.value) if "$object" in f"{mark.value}" else f"a {type(mark.value).__name__}"
            raise AssertionError(f"the sink got {kind}, it takes a string")
        assert "\n" not in mark.value.strip(), f"one call wrote {len(mark.value.splitlines())} lines"
    calls, found = answered(run, "facts"), lines(run)
    assert len(found) == len(calls), f"{len(calls)} calls of logger.log, {len(found)} lines"
    told = sorted(zip(calls, found, range(len(calls)), strict=True), key=lambda one: one[0].value[0])
    for call, line, number in told:
        level, event, value = call.value
        wanted = {"level": level, "event": event, keys[0]: value, keys[1]: number}
        if number >= len(calls) / 2:
            wanted[keys[2]] = value[::-1]
        for key, right in wanted.items():
            both = " (the call's value, not the bound one)" if keys[2] in wanted and key == keys[1] else ""
            bound = " (bound)" if key == keys[2] else both
            assert line.get(key) == right, (
                f"line {number + 1} should have {key}={right!r}{bound}, it says {words(line)}"
            )
        assert line.get("ts") is not None, f"line {number + 1} has no ts: {words(line)}"
        made_up = sorted({"password", "token", "email"} & {key for key in line if line[key] is not None})
        assert not made_up, f"line {number + 1} has {', '.join(made_up)}, which nobody gave: {words(line)}"


@pytest.mark.points(0.25)
@pytest.mark.scenario("failures", kinds=["ConnectionError", "", "KeyError", "TimeoutError", "", "ConnectionError", ""])
def test_failure(run):
    """With `exc` the line also has `error`, the error's class, and `error_msg`, its text; without it, neither

    Hint: `type(exc).__name__` and `str(exc)`. `exc` is a separate argument, not one of the fields.
    """
    raised(run, "log")
    found = lines(run)
    ended = enumerate(answered(run, "backend"))
    for number, call in sorted(ended, key=lambda one: one[1].error or "~"):
        line = only(found, f"call {number}", number=number)
        if call.outcome == "ok":
            assert line.get("error") is None and line.get("error_msg") is None, (
                f"there was no exc, and the line says {words(line)}"
            )
            continue
        name = str(line.get("error")).rpartition(".")[2]
        assert name == call.error, f"exc was a {call.error}, the line's error is {line.get('error')!r}"
        text = str(line.get("error_msg"))
        assert call.value[0] in text, f"exc said {call.value[0]!r}, the line's error_msg is {line.get('error_msg')!r}"
    complete(run, "backend", 7)


@pytest.mark.points(0.5)
@pytest.mark.scenario("requests", ends=[200, 404, 200, 503, 200, 0, 422, 200], latency=[0.35, 1.2, 0.08, 2.4])
def test_serve(run):
    """`serve` returns the result or raises the error, binds request_id, and logs outcome and duration in one line

    Hint: put try, except and else around `await handler()`, all of it inside `with bind(request_id=request_id):`.
    Re-raise with a bare `raise`. The duration is the difference of two readings of the loop's clock, in seconds.
    """
    for who, request_id, call, ended, _ in served(run):
        handled = len(run.calls("backend", lane=who))
        assert handled == 1, f"{who}: its handler was called {handled} times"
        if call.outcome == "ok":
            same = ended["how"] == "returned" and ended["value"] == call.value
        else:
            same = ended["how"] == "raised" and ended["call"] == call.id
        right = f"returned {call.value!r}" if call.outcome == "ok" else f"raised {call.error}"
        assert same, f"{who}: its handler {right}, serve {came_out(ended, call.error)}"
        inside = only(lines(run), who, event="handling", who=who)
        assert inside.get("request_id") == request_id, f"{who}: a line of its handler says {words(inside)}"
        outside = only(lines(run), who, event="afterwards", who=who)
        assert outside.get("request_id") is None, f"{who}: a line after serve has request_id={outside['request_id']}"
        done = done_lines(run, request_id)
        assert done, f"{who} {ending(call)}: there is no request_done line with its request_id"
        assert len(done) == 1, f"{who} {ending(call)}: there are {len(done)} request_done lines with its request_id"
        outcome = done[0].get("outcome")
        assert outcome == call.outcome, f"{who} {ending(call)}: its request_done line has outcome={outcome!r}"
        took, duration = call.end - call.start, done[0].get("duration")
        near = type(duration) in (int, float) and abs(duration - took) < NEAR
        seen = f"{who} took {took:.2f} s, its request_done line says duration={said(duration)}"
        if type(duration) in (int, float) and abs(duration - 1000 * took) < 1000 * NEAR:
            seen += ", which are milliseconds"
        assert near, seen


def served(run):
    """Return for each request: its name, its id, its last call to the backend, how `serve` ended and when.

    Requests that went well come first, then the others by status.
    """
    arrivals = answered(run, "arrivals")
    assert run.calls("backend"), "serve never called a handler"
    found = []
    for arrival in arrivals:
        who = arrival.lane
        calls, marks = run.calls("backend", lane=who), run.marks(who)
        assert calls, f"{who}: its handler was never called"
        assert marks, f"{who}: serve never came to an end"
        found.append((who, arrival.value, calls[-1], marks[-1].value, marks[-1].at))
    return sorted(found, key=lambda one: status_of(one[2]))


def came_out(ended, error=""):
    """Return how `serve` ended, in the words of a message."""
    if ended["how"] == "returned":
        return f"returned {said(ended['value'])}"
    if ended["how"] == "cancelled":
        return "was cancelled"
    return f"raised {'another ' if ended['error'] == error else ''}{ended['error']}"


def status_of(call):
    """Return the status of a handler's error, 0 if it has none, and -1 for a handler that went well."""
    if call.outcome == "ok":
        return -1
    return call.value[1] if call.outcome == "error" else 0


def ending(call):
    """Return how a handler ended, in words."""
    return {"ok": "went well", "error": "failed", "cancelled": "was cancelled"}.get(call.outcome, "never ended")


def done_lines(run, request_id):
    """Return the request_done lines of a request."""
    return [line for line in lines(run) if line.get("event") == "request_done" and line.get("request_id") == request_id]


def done_of(run, who, request_id, at):
    """Return the request_done line of a request that ended at `at`. `test_serve` judges whether it has the id."""
    done = [(when, line) for when, line in written(run) if line.get("event") == "request_done"]
    here = [line for when, line in done if abs(when - at) < BLINK]
    found = [line for line in here if line.get("request_id") == request_id] or here or done_lines(run, request_id)
    assert found, f"{who} has no request_done line"
    return found[0]


@pytest.mark.points(0.25)
@pytest.mark.scenario("requests", ends=[200, 404, 503, 0, 500, 429, 302, 200, 0, 400, 503], latency=[0.1, 0.3])
def test_level(run):
    """The level of request_done is info; after an error it is warning for a `status` below 500, otherwise error

    Hint: `getattr(exc, "status", 500)`: most errors have no status at all. The error's class doesn't matter.
    """
    wrong = {}
    for who, request_id, call, _, at in served(run):
        status = status_of(call)
        wanted = "info" if status < 0 else "warning" if 0 < status < 500 else "error"
        level = level_of(done_of(run, who, request_id, at))
        if level != wanted:
            wrong.setdefault(f"the level is {level!r}, not {wanted!r}", []).append(status)
    assert not wrong, "; ".join(f"{_ends(statuses)}: {what}" for what, statuses in wrong.items())


def _ends(statuses):
    names = [{-1: "a success", 0: "an error without a status"}.get(one, f"status {one}") for one in statuses]
    return ", ".join(dict.fromkeys(names))


def level_of(line):
    """Return a line's level in lower case. `test_line` judges whether it was written in lower case."""
    level = line.get("level")
    return level.lower() if type(level) is str else level


@pytest.mark.points(0.25)
@pytest.mark.scenario("given_up", leave=[0.7, 2.3, 1.1], ends=[503, 500])
def test_cancelled(run):
    """A cancelled request has its line too, with a level below error, and the cancellation propagates

    Hint: write a separate `except asyncio.CancelledError:` with `raise` in it. `except Exception` doesn't see it.
    """
    for who, request_id, call, ended, at in served(run):
        left = [mark.at for mark in run.marks("left") if mark.value == who]
        if not left:
            assert call.outcome == "error", f"{who}: its handler was cut off, though its caller hadn't left"
            lasted(done_of(run, who, request_id, at), call, f"{who} failed")
            continue
        assert ended["how"] == "cancelled", f"{who} was cancelled, and serve {came_out(ended)}"
        assert at - left[0] < BLINK, f"{who} was cancelled, and serve kept running for {at - left[0]:.2f} s"
        assert call.outcome == "cancelled", f"{who} was cancelled, and its handler kept running"
        done = done_of(run, who, request_id, at)
        assert done.get("outcome") == "cancelled", f"{who} was cancelled, its line has outcome={done.get('outcome')!r}"
        level = level_of(done)
        assert level in BELOW_ERROR, f"{who} was cancelled: the level is {level!r}, which isn't below error"
        lasted(done, call, f"{who} was cancelled")


def lasted(line, call, what):
    """Fail if the line's duration isn't that of the call. `test_serve` judges the unit and the rounding."""
    took, duration = call.end - call.start, line.get("duration")
    right = type(duration) in (int, float) and (
        abs(duration - took) < NEAR or abs(duration / 1000 - took) < NEAR or duration in (int(took), round(took))
    )
    assert right, f"{what} after {took:.2f} s, its line says duration={said(duration)}"


@pytest.mark.points(0.25)
@pytest.mark.scenario("nested", outer="tenant", inner="job")
def test_nests(run, outer="tenant", inner="job"):
    """Contexts nest, and each is gone after its block, even after an error

    Hint: `token = context.set({**context.get(), **fields})`, and `context.reset(token)` in a `finally`.
    """
    found, out = lines(run), [mark.value for mark in run.marks("came out")]
    for call in sorted(answered(run, "facts"), key=lambda call: (list(LEFT).index(call.value[0]), call.value[1])):
        (turn,), (how, anew, first, second, third) = call.args, call.value
        wanted = {
            "outer": {outer: first},
            "inner": {outer: third if anew else first, inner: second},
            "outer again": {outer: first},
            "after": {},
        }
        if how != "calm":
            assert turn in out, f"{LEFT[how][1]} in a block didn't propagate out of it"
        if how in ("error", "cancelled"):
            del wanted["outer again"]
        for where, context in wanted.items():
            line = only(found, f"turn {turn}, {where}", event=f"turn {turn}, {where}")
            bound = {key: line[key] for key in (outer, inner) if line.get(key) is not None}
            place = PLACES[where].format(outer=outer, inner=inner, again=f" and {outer} anew" if anew else "")
            place += f", left by {LEFT[how][1]}" if where == LEFT[how][0] else ""
            assert bound == context, f"{place}: the line has {told(bound)}, not {told(context)}"
    complete(run, "facts", 8)


PLACES = {
    "outer": "in a block that binds {outer}",
    "inner": "inside it, in a block that binds {inner}{again}",
    "outer again": "back in the block that binds {outer}, after an inner one",
    "after": "after the blocks",
}
"""Where a line was logged, in the words of a message."""
LEFT = {
    "calm": ("", ""),
    "error": ("after", "an error"),
    "inner error": ("outer again", "an error"),
    "cancelled": ("after", "a cancellation"),
}
"""For each kind of turn: the line that is logged after a block was left early, and what ended the block."""


def told(context):
    """Return the bound fields in the words of a message."""
    return words(context) or "nothing bound"


@pytest.mark.points(0.5)
@pytest.mark.scenario("side_by_side", gaps=[0.05, 0.21, 0.12], children=2)
def test_tasks(run):
    """The context reaches child tasks, and those of concurrent callers never mix

    Hint: use a `contextvars.ContextVar`: each task starts with a copy. Never change the dict in it; set a new one.
    """
    found = lines(run)
    arrived = {call.lane: call.value for call in answered(run, "arrivals")}
    for who, caller in arrived.items():
        for event, gone in (("waits", False), ("goes on", False), ("is done", True), ("leaves", True)):
            line = only(found, who, event=f"caller {event}", who=who)
            same_context(line, f"{who} {event}", {"caller": caller}, also={} if gone else None)
    steps = {
        call.lane: call.value for call in answered(run, "work") if "child" in call.lane and "again" not in call.lane
    }
    assert steps, "no child task ever came to its work"
    for who, (step, binds) in steps.items():
        caller = arrived[who.partition(",")[0]]
        same_context(only(found, who, event="child begins", who=who), f"{who} begins", {"caller": caller})
        bound = {"caller": caller} | ({"step": step} if binds else {})
        line = only(found, who, event="child ends", who=who)
        same_context(line, f"{who} ends", bound, also={"step": step} if binds else None)


def same_context(line, where, wanted, also=None):
    """Fail if the line's bound fields are neither `wanted` nor `also`.

    So a line must have no field that another task bound. `test_nests` judges whether each block nests and ends.
    """
    bound = {key: line[key] for key in ("caller", "step") if line.get(key) is not None}
    assert bound in (wanted, also), f"{where}: the line has {told(bound)}, not {told(wanted if also != {} else {})}"


@pytest.mark.points(0.25)
@pytest.mark.scenario("secrets", keys=["password", "user_id", "email", "token", "tokens"])
def test_redacts(run, keys=("password", "email", "token"), number=5):
    """The values of password, token and email are redacted, whether they are fields of the call or bound

    Hint: replace them just before the line is written: every field passes there, however it came in.
    """
    text, found, leaks = str([mark.value for mark in run.marks("line")]), lines(run), {}
    for key, how, kind, secret, value in sorted(call.value for call in answered(run, "facts")):
        raised(run, key)
        event = f"{key} ({kind}, {how})"
        line = only(found, event, event=event)
        assert line.get("user") == value, f"{event}: user={value!r} is no secret, the line says {words(line)}"
        if key in keys:
            if str(secret) in text:
                whole = line.get(key) in (secret, [secret], {"is": secret})
                leaks.setdefault("the raw value" if whole else "the raw value, inside a longer text,", []).append(event)
        elif line.get(key) is not None or how == "field":  # that what is bound is there at all, `test_line` asks
            assert str(secret) in f"{line.get(key)}", f"{event}: {key} is no secret, the line says {words(line)}"
    complete(run, "facts", 4 * number)
    assert not leaks, "; ".join(f"{what} is in the log: {', '.join(events)}" for what, events in leaks.items())


@pytest.mark.points(0.25)
@pytest.mark.scenario("odd_values", kinds=list(ODD))
def test_odd(run, kinds=tuple(ODD)):
    """A value that JSON can't represent breaks neither the line nor the program

    Hint: `json.dumps(..., default=str)` calls `str` on what it can't write itself.
    """
    values = dict(call.value for call in answered(run, "facts"))
    for kind in sorted(values, key=kinds.index):
        raised(run, kind)
        line = only(lines(run), f"a field is {kind}", event=kind)
        assert line.get("value") == values[kind], f"beside {kind}: value={line.get('value')!r}, not {values[kind]!r}"
        assert "odd" in line, f"the field with {kind} was left out"
        text = f"{line['odd']}"
        assert all(part in text for part in ODD[kind]), (
            f"a field is {kind} ({' '.join(ODD[kind])}), the line says {words({'odd': line['odd']})}"
        )
    complete(run, "facts", len(kinds))
