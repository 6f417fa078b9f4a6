"""What must be true of `get_user` and `get_users`: each test reads the timeline of a scenario (see scenarios.py)."""

import re

import pytest

from faultlab.plain import worded

BLINK = 0.001
"""Seconds that "at once" may take."""
SELECT = re.compile(r"\s*select\b.*\bfrom\b.*\busers\b.*\bwhere\b.*\bid\b", re.IGNORECASE | re.DOTALL)


def outcome(run, who):
    """How the call for `who` ended. Fails if it never ended."""
    marks = run.marks(who)
    assert marks, f"{who}: the call never came to an end"
    return marks[-1].value


def call_of(run, who):
    """The call that the answer made to the database for `who`, in a lane of its own."""
    calls = run.calls("db", lane=who)
    assert calls, f"{who}: the database was never asked"
    return calls[0]


def words(ended):
    """How a call ended, as a person would say it."""
    if ended["how"] == "returned":
        return f"returned {worded(ended['value'])}"
    return f"raised {ended['error']}" if ended["how"] == "raised" else "was cancelled"


def raised(ended, name):
    """Whether an error of the notebook's class `name` came out."""
    return ended["how"] == "raised" and name in ended["names"]


def told(run, who):
    """What the error for `who` carries, and the notes on what the database raised."""
    return next((mark.value for mark in run.marks(f"{who} tells")), {"key": None, "hides": False, "notes": []})


@pytest.mark.points(0.5)
@pytest.mark.scenario("one_by_one", ids=[3, 41, 12, 500, 7, 86, 230, 64], known=4)
def test_row(run, ids=(3, 41, 12, 500, 7, 86, 230, 64)):
    """A user comes as a dict, asked for with a parameter; a missing user is NotFound

    Hint: `fetch_one(sql, (user_id,))` returns a tuple or None. Write `?` where the id belongs, never the id itself.
    """
    calls = {number: call_of(run, f"user {number}") for number in ids}
    for number, call in sorted(calls.items(), key=lambda one: one[1].value is None):  # users that exist come first
        sql, params = call.args
        assert SELECT.match(str(sql)), f"user {number}: the SQL is {worded(sql)}, which is no SELECT from users by id"
        assert str(number) not in sql, f"user {number}: the SQL is {sql!r}, which contains the id"
        right = params == [number] and "?" in sql
        assert right, f"user {number}: asked {sql!r} with the parameters {worded(params)}"
        ended = outcome(run, f"user {number}")
        if call.value is not None:
            row = {"id": number, "name": call.value[1]}
            seen = f"user {number}: the row is {tuple(call.value)}, get_user {words(ended)}"
            assert ended["how"] == "returned" and ended["value"] == row, seen
        else:
            assert raised(ended, "NotFound"), f"user {number} isn't in the database, get_user {words(ended)}"
            key = told(run, f"user {number}")["key"]
            named = key == number or (key is None and str(number) in ended["message"])
            assert named, f"user {number} isn't in the database: the key of NotFound is {worded(key)}"


@pytest.mark.points(0.5)
@pytest.mark.scenario("odd_ids", kinds=["a string", "True", "zero", "negative"], known=[7, 1, 52, 318])
def test_validates(run, kinds=("a string", "True", "zero", "negative")):
    """An id that isn't a positive int is InvalidInput, before the database is asked

    Hint: check first, then ask. In Python `isinstance(True, int)` is true: a bool needs a check of its own.
    """
    callers = {call.value: f"caller {place}" for place, call in enumerate(run.calls("ids"), 1)}
    assert len(callers) == 8, f"caller {len(callers)}: the call never came to an end"
    for number, who in callers.items():
        ended = outcome(run, who)
        assert number in kinds or ended["how"] == "returned", f"the id {number} is valid, get_user {words(ended)}"
    for kind in kinds:
        ended, calls = outcome(run, callers[kind]), run.calls("db", lane=callers[kind])
        assert not calls, f"{kind} as an id: the database was asked, and then get_user {words(ended)}"
        assert raised(ended, "InvalidInput"), f"{kind} as an id: get_user {words(ended)}"


def translated(run, wanted, kinds):
    """Each kind of failure comes out as the class `wanted`, with the original one as its cause."""
    found = outcome(run, "found")
    assert found["how"] == "returned", f"when the database answers, get_user {words(found)}"
    for kind in kinds:
        call, ended = call_of(run, kind), outcome(run, kind)
        assert raised(ended, wanted), f"the database raised {kind}, get_user {words(ended)}"
        cause = ended.get("cause") or {}
        also = ", and its __context__ is hidden" if told(run, kind)["hides"] and not cause else ""
        seen = f"{ended['error']} doesn't come from the {kind} (its __cause__ is {cause.get('error')}{also})"
        assert cause.get("call") == call.id, seen


@pytest.mark.points(0.25)
@pytest.mark.scenario("failing", kinds=["TimeoutError"])
def test_timeout(run, kinds=("TimeoutError",)):
    """A TimeoutError of the database becomes DeadlineExceeded, raised from it

    Hint: `raise DeadlineExceeded(...) from error`. A TimeoutError is an OSError too: which `except` must come first?
    """
    translated(run, "DeadlineExceeded", kinds)


@pytest.mark.points(0.25)
@pytest.mark.scenario("failing", kinds=["ConnectionError", "OperationalError"])
def test_unavailable(run, kinds=("ConnectionError", "OperationalError")):
    """ConnectionError and sqlite3.OperationalError become Unavailable, raised from them

    Hint: one `except` may name both classes, in a tuple. Their subclasses are caught with them.
    """
    translated(run, "Unavailable", kinds)


@pytest.mark.points(0.25)
@pytest.mark.scenario("failing", kinds=["TimeoutError", "OperationalError"])
def test_note(run, kinds=("TimeoutError", "OperationalError")):
    """A note on the error, or on its cause, carries the id

    Hint: `error.add_note(...)` before you raise. At night, the reader of the log wants to know which user it was.
    """
    noted, lacking = [], ""
    for place, kind in enumerate(kinds, 1):
        call, ended, ids = call_of(run, kind), outcome(run, kind), run.calls("ids")
        assert len(ids) > place, f"{kind}: the call never came to an end"
        number = ids[place].value
        assert ended["how"] == "raised", f"the database raised {kind}, get_user {words(ended)}"
        notes = [*ended["notes"], *told(run, kind)["notes"]]
        if any(str(number) in str(note) for note in notes):
            noted.append(kind)
        else:  # an error that isn't translated needs no note, and is another behaviour
            lacking = f"user {number}, {kind}: the notes are {worded(notes)}"
            assert ended["call"] == call.id, lacking
    assert noted, lacking


@pytest.mark.points(0.25)
@pytest.mark.scenario("failing", kinds=["KeyError", "IntegrityError", "PermissionError"])
@pytest.mark.scenario("given_up", at=0.7, known=5)
def test_untouched(runs, kinds=("KeyError", "IntegrityError", "PermissionError"), at=0.7):
    """Bugs (KeyError, IntegrityError) and a cancellation propagate as they are

    Hint: translate the failures that you know, and no others. `except Exception` hides bugs.
    """
    failures, cancelled = runs
    assert outcome(failures, "found")["how"] == outcome(cancelled, "found")["how"] == "returned", "no user was found"
    call = call_of(cancelled, "cancelled")
    marks = cancelled.marks("cancelled")
    assert marks, "a cancelled get_user was still running a second later"
    assert marks[-1].value["how"] == "cancelled", f"cancelled while it waited, get_user {words(marks[-1].value)}"
    assert call.end is not None and marks[-1].at - (call.start + at) < BLINK, (
        "a cancelled get_user kept running for a while"
    )
    marks = cancelled.marks("users")
    assert marks, "a cancelled get_users was still running a second later"
    assert marks[-1].value["how"] == "cancelled", f"cancelled while it waited, get_users {words(marks[-1].value)}"
    for kind in kinds:
        call, ended = call_of(failures, kind), outcome(failures, kind)
        same = ended["how"] == "raised" and ended["call"] == call.id
        assert same, (
            f"the database raised {kind}, get_user {words(ended)}{'' if ended['how'] != 'raised' else ', another error'}"
        )


def asked_together(run):
    """The calls to the database for get_users."""
    return run.calls("db", lane="users")


@pytest.mark.points(0.25)
@pytest.mark.scenario("together", ids=[4, 2, 9, 4], latency={"4": 0.9, "2": 0.2, "9": 0.5}, known=[2, 4, 9], alone=9)
def test_concurrent(run, ids=(4, 2, 9, 4), single=9):
    """get_users asks for all at once, and returns them in the order of the ids

    Hint: make a task for each id, in an `asyncio.TaskGroup`; return the results in the order of the tasks.
    """
    calls = asked_together(run)
    assert calls, "the database was never asked"
    ended = outcome(run, "users")
    late = next((call for call in calls if call.start > calls[0].start + BLINK), None)
    if late is not None:
        (_, params), after = late.args, late.start - calls[0].start
        raise AssertionError(f"user {worded(params[0]) if params else '?'} was asked for {after:.1f} s after the first")
    assert ended["how"] == "returned", f"get_users {words(ended)}"
    by_id = {call.value[0]: call.value[1] for call in calls if call.outcome == "ok" and call.value}
    rows = [{"id": number, "name": by_id.get(number)} for number in ids]
    given = ended["value"]
    if outcome(run, "alone").get("value") != {"id": single, "name": by_id.get(single)} and isinstance(given, list):
        # what get_user returns is another behaviour: here only the names count
        given = [
            row if row["name"] and row["name"] in worded(one) else one for row, one in zip(rows, given, strict=False)
        ]
    assert given == rows, f"asked for {list(ids)}, get_users returned {worded(ended['value'])}"
    longest = max((call.end for call in calls if call.end is not None), default=calls[0].start) - calls[0].start
    took = run.marks("users")[-1].at - calls[0].start
    assert took < longest + BLINK, f"the slowest takes {longest:.1f} s, get_users took {took:.1f} s"
    nobody = outcome(run, "nobody")
    assert nobody["how"] == "returned" and nobody["value"] == [], f"asked for nobody, get_users {words(nobody)}"


@pytest.mark.points(0.25)
@pytest.mark.scenario("together", ids=[4, 8, 9], latency={"4": 1.5, "8": 0.2, "9": 1.1}, known=[4, 9], alone=8)
@pytest.mark.scenario("together", ids=[8], latency={"8": 0.9}, known=[4], failing={"8": "KeyError"}, alone=8)
@pytest.mark.scenario("together", ids=[4, 9], latency={}, known=[4, 9], alone=4)
def test_group(runs):
    """When one fails, an ExceptionGroup comes out, even around one error, and the others are cancelled

    Hint: a TaskGroup does both by itself. `gather` cancels no sibling, and raises the first error bare.
    """
    *failures, good = runs
    for run in failures:
        ended, alone = outcome(run, "users"), outcome(run, "alone")
        calls = asked_together(run)
        if alone["how"] != "raised":
            continue  # get_user raises nothing, which is another behaviour
        failed = min((call.end for call in calls if call.outcome in ("ok", "error")), default=0)
        left = [call for call in calls if call.end is None or abs(call.end - failed) > BLINK]
        seen = f"get_user raises {alone['error']} for one of {len(calls)}, get_users {words(ended)}"
        grouped = ended["how"] == "raised" and "ExceptionGroup" in ended["builtins"]
        assert grouped, seen + (f", and {len(left)} of {len(calls)} calls continued" if left else "")
        assert any(one["error"] == alone["error"] for one in ended["exceptions"]), f"{seen} without it"
        assert not left, f"one failed, and {len(left)} of {len(calls)} calls continued"
        late = run.marks("users")[-1].at - failed
        assert abs(late) < BLINK, f"one failed, get_users raised {late:.1f} s later"
    asked = len(asked_together(runs[0]))
    assert asked == 3, f"one of three fails, and {asked} of them were asked for"
    invalid = outcome(good, "no id")
    grouped = invalid["how"] == "returned" or "ExceptionGroup" in invalid.get("builtins", ())
    assert grouped, f"0 is an invalid id, get_users {words(invalid)}"
    ended = outcome(good, "users")
    assert ended["how"] == "returned", f"when all users exist, get_users {words(ended)}"
