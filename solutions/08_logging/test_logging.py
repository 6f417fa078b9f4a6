"""What must be true of `Logger`, `bind` and `serve`: each test reads the timeline of a scenario (see scenarios.py)."""

import json

import pytest

BLINK = 0.001
"""Seconds that "at once" may take."""
NEAR = 0.011
"""Seconds by which a duration may be rounded."""
BELOW_ERROR = ("debug", "info", "notice", "warning")
ODD = ["a number", "an object", "a datetime", "bytes", "a set", "a Decimal", "an exception"]
"""Kinds of values; most of them JSON knows nothing of."""


def parsed(line):
    """What the sink got, as a dict; whether it is a string of one line is for `test_line` to say."""
    found = line
    if isinstance(line, str):
        try:
            found = json.loads(line)
        except ValueError:
            found = None
    assert isinstance(found, dict), f"the sink got {str(line)[:12]!r}..., which is no JSON object"
    return found


def lines(run):
    """All lines as dicts, in order."""
    found = [parsed(mark.value) for mark in run.marks("line")]
    assert found, "the sink never got a line"
    return found


def only(found, what, **wanted):
    """The one line that has these fields."""
    fitting = [line for line in found if all(line.get(key) == value for key, value in wanted.items())]
    assert len(fitting) == 1, f"{what}: {len(fitting)} lines with {words(wanted)}"
    return fitting[0]


def words(fields):
    """Fields as a person would write them, without the time."""
    return " ".join(f"{key}={value}" for key, value in fields.items() if key != "ts")


def raised(run, name):
    """Says so when a call to the logger raised."""
    for mark in run.marks(name):
        what = "with bind(...)" if name == "bind" else "logger.log"
        raise AssertionError(f"{what} raised {mark.value['error']}: {mark.value['message']}")


def complete(run, service, number):
    """All so many facts came, and none is left out of the judgement."""
    came = len(run.calls(service))
    assert came == number, f"your code ended after {came} of {number} calls" if came else "your code never ran"


@pytest.mark.points(0.25)
@pytest.mark.scenario("facts", levels=["debug", "info", "warning", "error", "info", "warning"], keys=["a", "n", "b"])
def test_line(run, keys=("a", "n", "b")):
    """Each call writes one line of JSON: ts, level, event, the bound context and the fields

    Hint: `self.sink(json.dumps({"ts": ..., "level": level, "event": event, **context, **fields}))`.
    """
    raised(run, "log")
    raised(run, "bind")
    for mark in run.marks("line"):
        kind = type(mark.value).__name__
        assert kind == "str", f"the sink got a {kind}, it takes a string"
        assert "\n" not in mark.value.strip(), f"one call wrote {len(mark.value.splitlines())} lines"
    calls, found = run.calls("facts"), lines(run)
    assert len(found) == len(calls), f"{len(calls)} calls of logger.log, {len(found)} lines"
    for number, (call, line) in enumerate(zip(calls, found, strict=True)):
        level, event, value = call.value
        wanted = {"level": level, "event": event, keys[0]: value, keys[1]: number}
        if number >= len(calls) / 2:
            wanted[keys[2]] = value[::-1]
        for key, said in wanted.items():
            assert line.get(key) == said, f"line {number + 1} should have {key}={said!r}, it says {words(line)}"
        assert line.get("ts"), f"line {number + 1} has no ts: {words(line)}"


@pytest.mark.points(0.25)
@pytest.mark.scenario("failures", kinds=["ConnectionError", "", "KeyError", "TimeoutError", "", "ConnectionError", ""])
def test_failure(run):
    """With `exc` the line also has `error`, the error's class, and `error_msg`, its text; without it, neither

    Hint: `type(exc).__name__` and `str(exc)`. `exc` is an argument of its own, not one of the fields.
    """
    raised(run, "log")
    found = lines(run)
    for number, call in enumerate(run.calls("backend")):
        line = only(found, f"call {number}", number=number)
        if call.outcome == "ok":
            assert line.get("error") is None and line.get("error_msg") is None, (
                f"no exc, and the line says {words(line)}"
            )
            continue
        name = str(line.get("error")).rpartition(".")[2]
        assert name == call.error, f"exc was a {call.error}, the line's error is {line.get('error')!r}"
        said = str(line.get("error_msg"))
        assert call.value[0] in said, f"exc said {call.value[0]!r}, the line's error_msg is {line.get('error_msg')!r}"
    complete(run, "backend", 7)


@pytest.mark.points(0.25)
@pytest.mark.scenario("odd_values", kinds=ODD)
def test_odd(run, kinds=ODD):
    """A field that JSON knows nothing of doesn't break the line, nor the program

    Hint: `json.dumps(..., default=str)` asks `str` for what it can't write itself.
    """
    values = dict(call.value for call in run.calls("facts"))
    for kind in sorted(values, key=kinds.index):
        raised(run, kind)
        line = only(lines(run), f"a field is {kind}", event=kind)
        assert line.get("value") == values[kind], f"beside {kind}: value={line.get('value')!r}, not {values[kind]!r}"
        assert "odd" in line, f"the field with {kind} was left out"
    complete(run, "facts", len(kinds))


@pytest.mark.points(0.25)
@pytest.mark.scenario("nested", outer="tenant", inner="job")
def test_nests(run, outer="tenant", inner="job"):
    """Contexts nest, and each is gone after its block, after an error too

    Hint: `token = context.set({**context.get(), **fields})`, and `context.reset(token)` in a `finally`.
    """
    found, out = lines(run), [mark.value for mark in run.marks("came out")]
    for call in run.calls("facts"):
        (turn,), (how, anew, first, second, third) = call.args, call.value
        wanted = {
            "outer": {outer: first},
            "inner": {outer: third if anew else first, inner: second},
            "outer again": {outer: first},
            "after": {},
        }
        if how == "error":
            assert turn in out, "an error in a block of bind didn't come out of it"
            del wanted["outer again"]
        for where, context in wanted.items():
            place = f"turn {turn}, {where}" + (" an error" if (how, where) == ("error", "after") else "")
            line = only(found, place, event=f"turn {turn}, {where}")
            bound = {key: line[key] for key in (outer, inner) if line.get(key) is not None}
            assert bound == context, f"{place}: the context is {words(bound)!r}, not {words(context)!r}"
    complete(run, "facts", 7)


@pytest.mark.points(0.5)
@pytest.mark.scenario("side_by_side", gaps=[0.05, 0.21, 0.12], children=2)
def test_tasks(run):
    """The context reaches child tasks, and those of concurrent callers never mix

    Hint: a `contextvars.ContextVar`: each task starts with a copy. Never change the dict in it; set a new one.
    """
    found = lines(run)
    arrived = {call.lane: call.value for call in run.calls("arrivals")}
    for who, caller in arrived.items():
        for event, bound in (("waits", True), ("goes on", True), ("is done", False), ("leaves", False)):
            line = only(found, who, event=f"caller {event}", who=who)
            same_context(line, f"{who} {event}", {"caller": caller} if bound else {})
    steps = {call.lane: call.value for call in run.calls("work") if "child" in call.lane and "again" not in call.lane}
    assert steps, "no child task ever came to its work"
    for who, (step, binds) in steps.items():
        caller = arrived[who.partition(",")[0]]
        same_context(only(found, who, event="child begins", who=who), f"{who} begins", {"caller": caller})
        bound = {"caller": caller} | ({"step": step} if binds else {})
        same_context(only(found, who, event="child ends", who=who), f"{who} ends", bound)


def same_context(line, where, wanted):
    """The line has what was bound there, and nothing that others bound."""
    bound = {key: line[key] for key in ("caller", "step") if line.get(key) is not None}
    assert bound == wanted, f"{where}: the context is {words(bound)!r}, it should be {words(wanted)!r}"


@pytest.mark.points(0.25)
@pytest.mark.scenario("secrets", keys=["password", "user_id", "email", "token"])
def test_redacts(run, keys=("password", "email", "token"), number=4):
    """The values of password, token and email stand nowhere in a line, as fields or bound

    Hint: replace them just before the line is written: whatever comes in by whichever way passes there.
    """
    written, found, leaks = str([mark.value for mark in run.marks("line")]), lines(run), []
    for key, how, secret, value in sorted(call.value for call in run.calls("facts")):
        raised(run, key)
        event = f"{key} as a field" if how == "field" else f"{key} bound"
        line = only(found, event, event=event)
        assert line.get("user") == value, f"{event}: user={value!r} is no secret, the line says {words(line)}"
        if key in keys:
            leaks += [event] * (secret in written)
        else:
            assert line.get(key) == secret, f"{event}: {key} is no secret, the line says {words(line)}"
    complete(run, "facts", 2 * number)
    assert not leaks, f"the raw value stands in the log: {', '.join(leaks)}"


def done_of(run, request_id):
    """The one request_done line of a request."""
    return only(lines(run), f"request {request_id}", event="request_done", request_id=request_id)


def served(run):
    """Each request: who, its id, its call to the backend, how `serve` ended."""
    arrivals, handled = run.calls("arrivals"), len(run.calls("backend"))
    assert handled, "serve never called a handler"
    assert handled == len(arrivals), f"{len(arrivals)} requests, handlers called {handled} times"
    for arrival in arrivals:
        who = arrival.lane
        calls = run.calls("backend", lane=who)
        assert len(calls) == 1, f"{who}: its handler was called {len(calls)} times"
        marks = run.marks(who)
        assert marks, f"{who}: serve never came to an end"
        yield who, arrival.value, calls[0], marks[-1].value


@pytest.mark.points(0.5)
@pytest.mark.scenario("requests", ends=[200, 404, 200, 503, 200, 0, 404, 200], latency=[0.35, 1.2, 0.08, 2.4])
def test_serve(run):
    """`serve` passes result and error on; within it request_id is bound; one request_done line says outcome, duration

    Hint: try, except, else around `await handler()`, all of it in `with bind(request_id=request_id):`, and a bare
    `raise`. The duration is a difference of two readings of the loop's clock, in seconds.
    """
    for who, request_id, call, ended in served(run):
        if call.outcome == "ok":
            same = ended["how"] == "returned" and ended["value"] == call.value
        else:
            same = ended["how"] == "raised" and ended["call"] == call.id
        said = call.value if call.outcome == "ok" else f"raised {call.error}"
        assert same, f"{who}: the handler's result is {said!r}, serve's is {ended.get('value', ended.get('error'))!r}"
        done, inside = done_of(run, request_id), only(lines(run), who, event="handling", who=who)
        assert inside.get("request_id") == request_id, f"{who}: a line of its handler says {words(inside)}"
        outside = only(lines(run), who, event="afterwards", who=who)
        assert outside.get("request_id") is None, f"{who}: a line after serve has request_id={outside['request_id']}"
        assert done.get("outcome") == call.outcome, f"{who} ended {call.outcome}, its line says {done.get('outcome')!r}"
        seconds(done, call, who)


def seconds(done, call, who):
    """The line's duration is that of the call."""
    took, said = call.end - call.start, done.get("duration")
    right = isinstance(said, int | float) and abs(said - took) < NEAR
    assert right, f"{who} took {took:.2f} s, its line says duration={said!r}"


@pytest.mark.points(0.25)
@pytest.mark.scenario("requests", ends=[200, 404, 503, 0, 500, 429, 200, 0, 400, 503], latency=[0.1, 0.3])
def test_level(run):
    """request_done is info; after an error warning if its `status` is below 500, else error

    Hint: `getattr(exc, "status", 500)`: most errors have no status at all. Classes don't matter.
    """
    for who, request_id, call, _ in served(run):
        status = 200 if call.outcome == "ok" else call.value[1]
        wanted = {200: "info", 0: "error"}.get(status, "warning" if status < 500 else "error")
        said = done_of(run, request_id).get("level")
        how = "went well" if status == 200 else f"failed with {f'status {status}' if status else 'no status'}"
        assert said == wanted, f"{who} {how}: the level is {said!r}, not {wanted!r}"


@pytest.mark.points(0.25)
@pytest.mark.scenario("given_up", leave=[0.7, 2.3, 1.1], ends=[503, 500])
def test_cancelled(run):
    """A cancelled request has its line too, below error, and the cancellation goes on

    Hint: `except asyncio.CancelledError:` of its own, and `raise` in it. `except Exception` doesn't see it.
    """
    for who, request_id, call, ended in served(run):
        done = done_of(run, request_id)
        left = [mark.at for mark in run.marks("left") if mark.value == who]
        if not left:
            assert done.get("level") == "error", (
                f"{who} failed with {call.value[1]}: the level is {done.get('level')!r}"
            )
            seconds(done, call, who)
            continue
        end = run.marks(who)[-1]
        assert ended["how"] == "cancelled", (
            f"{who} was cancelled, serve {ended['how']} {ended.get('error', 'something')}"
        )
        assert end.at - left[0] < BLINK, f"{who} was cancelled, serve went on for {end.at - left[0]:.2f} s"
        assert done.get("outcome") == "cancelled", f"{who} was cancelled, its line says {done.get('outcome')!r}"
        assert done.get("level") in BELOW_ERROR, f"{who} was cancelled: the level is {done.get('level')!r}"
        seconds(done, call, who)
