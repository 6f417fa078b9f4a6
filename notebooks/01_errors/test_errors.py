"""What must be true of `get_user` and `get_users`: each test reads the timeline of a scenario (see scenarios.py)."""

import pytest

BLINK = 0.001
"""Seconds that "at once" may take."""


def outcome(run, who):
    """How the call for `who` ended; says so when it didn't."""
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
        return f"returned {ended['value']!r}"
    return f"raised {ended['error']}" if ended["how"] == "raised" else "was cancelled"


def raised(ended, name):
    """Whether an error of the notebook's class `name` came out."""
    return ended["how"] == "raised" and name in ended["names"]


@pytest.mark.points(0.5)
@pytest.mark.scenario("one_by_one", ids=[3, 41, 12, 500, 7, 86, 230, 64], known=4)
def test_row(run, ids=(3, 41, 12, 500, 7, 86, 230, 64)):
    """A user comes as a dict, asked for with a parameter; who isn't there is NotFound

    Hint: `fetch_one(sql, (user_id,))` gives a tuple or None. Write `?` where the id belongs, never the id itself.
    """
    for number in ids:
        call = call_of(run, f"user {number}")
        sql, params = call.args
        assert params == [number], f"user {number}: asked {sql!r} with the parameters {params}"
        assert "?" in sql and str(number) not in sql, f"user {number}: the SQL is {sql!r}, the id stands in it"
        ended = outcome(run, f"user {number}")
        if call.value is not None:
            row = {"id": number, "name": call.value[1]}
            seen = f"user {number}: the row is {tuple(call.value)}, get_user {words(ended)}"
            assert ended["how"] == "returned" and ended["value"] == row, seen
        else:
            assert raised(ended, "NotFound"), f"user {number} isn't in the database, get_user {words(ended)}"


@pytest.mark.points(0.5)
@pytest.mark.scenario("odd_ids", kinds=["a string", "True", "zero", "negative"], known=[7, 1, 52, 318])
def test_validates(run, kinds=("a string", "True", "zero", "negative")):
    """An id that is no positive whole number is InvalidInput, before the database is asked

    Hint: check first, ask then. In Python `isinstance(True, int)` is true: a bool needs a line of its own.
    """
    callers = {call.value: f"caller {place}" for place, call in enumerate(run.calls("ids"), 1)}
    assert len(callers) == 8, f"caller {len(callers)}: the call never came to an end"
    for number, who in callers.items():
        ended = outcome(run, who)
        assert number in kinds or ended["how"] == "returned", f"the id {number} is a good one, get_user {words(ended)}"
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
        seen = f"{ended['error']} doesn't come from the {kind} (its __cause__ is {cause.get('error')})"
        assert cause.get("call") == call.id, seen


@pytest.mark.points(0.25)
@pytest.mark.scenario("failing", kinds=["TimeoutError"])
def test_timeout(run, kinds=("TimeoutError",)):
    """A TimeoutError of the database becomes DeadlineExceeded, raised from it

    Hint: `raise DeadlineExceeded(...) from error`. A TimeoutError is an OSError too: which `except` stands first?
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

    Hint: `error.add_note(...)` before you raise; whoever reads the log at night wants to know which user it was.
    """
    for place, kind in enumerate(kinds, 1):
        ended, number = outcome(run, kind), run.calls("ids")[place].value
        call_of(run, kind)
        assert ended["how"] == "raised", f"the database raised {kind}, get_user {words(ended)}"
        notes = [*ended["notes"], *(ended.get("cause") or {}).get("notes", [])]
        assert any(str(number) in str(note) for note in notes), f"user {number}, {kind}: the notes are {notes}"


@pytest.mark.points(0.25)
@pytest.mark.scenario("failing", kinds=["KeyError", "IntegrityError"])
@pytest.mark.scenario("given_up", at=0.7, known=5)
def test_untouched(runs, kinds=("KeyError", "IntegrityError"), at=0.7):
    """Bugs (KeyError, IntegrityError) and a cancellation pass through as they are

    Hint: translate the two or three failures that you know, no others. Who catches `Exception` hides bugs.
    """
    failures, cancelled = runs
    assert outcome(failures, "found")["how"] == outcome(cancelled, "found")["how"] == "returned", "no user was found"
    for kind in kinds:
        call, ended = call_of(failures, kind), outcome(failures, kind)
        same = ended["how"] == "raised" and ended["call"] == call.id
        assert same, (
            f"the database raised {kind}, get_user {words(ended)}{'' if ended['how'] != 'raised' else ', another error'}"
        )
    call = call_of(cancelled, "cancelled")
    marks = cancelled.marks("cancelled")
    assert marks, "a cancelled get_user was still running a second later"
    assert marks[-1].value["how"] == "cancelled", f"cancelled while it waited, get_user {words(marks[-1].value)}"
    assert call.end is not None and marks[-1].at - (call.start + at) < BLINK, "a cancelled get_user went on for a while"


@pytest.mark.points(0.25)
@pytest.mark.scenario("together", ids=[4, 2, 9], latency={"4": 0.9, "2": 0.2, "9": 0.5}, known=[2, 4, 9])
def test_concurrent(run, ids=(4, 2, 9)):
    """get_users asks for all at once, and gives them in the order of the ids

    Hint: a task for each id, in an `asyncio.TaskGroup`; their results in the order in which you made them.
    """
    calls = run.calls("db")
    assert calls, "the database was never asked"
    ended = outcome(run, "users")
    late = [call for call in calls if call.start > calls[0].start + BLINK]
    assert not late, (
        f"user {late[0].args[1][0]} was asked for {late[0].start - calls[0].start:.1f} s after the first"
        if late
        else ""
    )
    assert ended["how"] == "returned", f"get_users {words(ended)}"
    by_id = {call.value[0]: call.value[1] for call in calls if call.outcome == "ok"}
    rows = [{"id": number, "name": by_id.get(number)} for number in ids]
    assert ended["value"] == rows, f"asked for {list(ids)}, get_users returned {ended['value']!r}"
    took, longest = (end - calls[0].start for end in (run.marks("users")[-1].at, max(call.end for call in calls)))
    assert took < longest + BLINK, f"the slowest takes {longest:.1f} s, get_users took {took:.1f} s"


@pytest.mark.points(0.25)
@pytest.mark.scenario("together", ids=[4, 8, 9], latency={"4": 1.5, "8": 0.2, "9": 1.1}, known=[4, 9])
@pytest.mark.scenario("together", ids=[8], latency={"8": 0.9}, known=[4])
@pytest.mark.scenario("together", ids=[4, 9], latency={}, known=[4, 9])
def test_group(runs, inside=("NotFound", "NotFound")):
    """When one fails, an ExceptionGroup comes out, even around one error, and the others are cancelled

    Hint: a TaskGroup does both by itself. `gather` cancels nobody, and raises the first error bare.
    """
    for run, name in zip(runs, inside, strict=False):
        ended = outcome(run, "users")
        seen = f"one of {len(run.calls('db'))} isn't there, get_users {words(ended)}"
        assert ended["how"] == "raised" and "ExceptionGroup" in ended["builtins"], seen
        assert any(name in one["names"] for one in ended["exceptions"]), f"{seen} without the {name} in it"
        failed = min(call.end for call in run.calls("db") if call.outcome in ("ok", "error"))
        left = [call for call in run.calls("db") if call.end is None or abs(call.end - failed) > BLINK]
        assert not left, f"after the failure at {failed:.1f} s {len(left)} call(s) went on"
        late = run.marks("users")[-1].at - failed
        assert abs(late) < BLINK, f"one failed at {failed:.1f} s, get_users raised {late:.1f} s later"
    asked = len(runs[0].calls("db"))
    assert asked == 3, f"one of three isn't there, {asked} were asked for"
    good = outcome(runs[2], "users")
    assert good["how"] == "returned", f"when all are there, get_users {words(good)}"
