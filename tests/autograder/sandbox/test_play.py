"""Sockets and exits around a session: what becomes of a child that hangs up, says too much, or is stopped."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import time
from types import SimpleNamespace

import pytest

from autograder.sandbox import play
from autograder.sandbox.child import Exit
from autograder.sandbox.host import Box, Socketed
from autograder.sandbox.limits import Budget, Limits
from autograder.sandbox.play import PATIENCE, _died, _listen
from autograder.sandbox.session import Session, Task
from autograder.sandbox.tiers import SandboxUnavailable
from autograder.sandbox.wire import Given
from faultlab.scenario import Played, scenario
from tests.autograder.sandbox.test_session import alone


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def one_task() -> Session:
    return Session([Task(alone, {}, 1, 0)])


def cells(session: Session) -> bytes:
    return json.dumps(["cells", session.token, []]).encode()


def test_read_to_the_end(ends):
    """Messages of a child that is gone already count: a result said in advance is tampering, not a crash."""
    ours, theirs = ends
    session = one_task()
    theirs.send(cells(session))
    theirs.send(b'["done",0,"guess",[]]')
    theirs.close()
    mishap = _listen(Socketed(1, ours), session, PATIENCE, 60)
    assert mishap == ("tampered", "a message out of turn") and session.cell_errors == []


def test_hanging_up_isn_t_a_message(ends):
    """The end of the stream is left to the exit to explain; an empty message is tampering."""
    ours, theirs = ends
    theirs.send(b"")
    mishap = _listen(Socketed(1, ours), one_task(), PATIENCE, 60)
    assert mishap is not None and mishap[0] == "tampered"
    theirs.close()
    assert _listen(Socketed(1, ours), one_task(), PATIENCE, 60) is None


def test_descriptors_go_nowhere(ends):
    """What is passed over the socket is passed to nobody, and no honest child does it."""
    ours, theirs = ends
    before = len(os.listdir("/proc/self/fd"))
    socket.send_fds(theirs, [cells(session := one_task())], [0] * 10)
    mishap = _listen(Socketed(1, ours), session, PATIENCE, 60)
    assert mishap is not None and mishap[0] == "tampered"
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_grader_s_own_failure(ends, monkeypatch):
    """It is this child's verdict, not the batch's end."""
    ours, theirs = ends
    monkeypatch.setattr(Session, "receive", lambda *given: 1 / 0)
    theirs.send(b"x")
    mishap = _listen(Socketed(1, ours), one_task(), PATIENCE, 60)
    assert mishap is not None and mishap[0] == "crashed" and "ZeroDivisionError" in mishap[1]


def test_keeping_the_grader_busy(ends, monkeypatch):
    """Our own processor time ends it far later than any limit that repeats; then a person looks at it."""
    ours, theirs = ends

    def slow(session: Session, data: bytes) -> bytes:
        until = time.thread_time() + 0.02
        while time.thread_time() < until:
            pass
        theirs.send(b"another")
        return b"go on"

    monkeypatch.setattr(Session, "receive", slow)
    theirs.send(b"one")
    session = Session([Task(alone, {}, 1, 0)], Budget(trusted=0.05))
    assert _listen(Socketed(1, ours), session, PATIENCE, 60) == ("timeout", "what it did takes too long to follow")
    assert "took the grader too long" in session.budget.needs


def test_who_does_not_end(ends):
    """Though its limits should have ended it: nobody waits forever, and what it said before counts."""
    ours, theirs = ends
    theirs.send(cells(session := one_task()))
    assert _listen(Socketed(1, ours), session, PATIENCE, 0.05) == ("timeout", "it used up its time (120 s in all)")
    assert "wall-clock limit of 120 s" in session.budget.needs
    assert session.cell_errors == []


def test_time_is_used_up_twice_at_most(monkeypatch):
    """After a time limit not every remaining scenario and group gets a fresh child."""
    started = []

    @scenario
    def nothing(world, n):
        return {}

    def converse(box, session, payload, *, patience):
        started.append(session)
        session.receive(cells(session))
        session.give_up("timeout")
        return ("timeout", "it used up its time (20 s of waiting)")

    monkeypatch.setattr(play, "converse", converse)
    known = {"nothing": nothing, "other": dataclasses.replace(nothing, name="other", group="other")}
    wanted = [(Played(name, (("n", n),)), n) for n in range(5) for name in known]
    outcome = play.play_all(None, Given([], [], ""), known, wanted)  # type: ignore[arg-type]
    assert len(started) == PATIENCE == len(outcome.timelines)


@pytest.mark.parametrize(
    ("status", "cpu", "late", "spent"),
    [
        (-9, 10.0, False, "cpu"),
        (-9, 5.5, False, "cpu"),
        (-9, 0.9, False, ""),
        (-9, 0.9, True, "idle"),
        (-9, 2.0, True, "total"),
        (-9, 8.0, True, "total"),
        (-11, 10.0, False, ""),
    ],
)
def test_who_was_killed_for_the_time_it_took(status, cpu, late, spent):
    """Also when a busy machine's statistics say less than its limit; a child that crashes after a long time has
    crashed."""
    box = SimpleNamespace(_limits={1: Limits()})
    said = {"exit": 1, "status": status, "cpu": cpu, "late": late, "failure": "", "starved": False}
    assert Box._exit(box, said).spent == spent  # type: ignore[arg-type]


def test_exits():
    """A time limit, a signal, an exit; a child that couldn't be locked in is nobody's answer."""
    budget = Budget()
    assert _died(Exit(1, -9, 0.1, "cpu"), budget) == ("timeout", "it used up its time (10 s of CPU time)")
    assert _died(Exit(1, -11, 0.1), budget) == ("crashed", "its process was killed by signal 11")
    assert _died(Exit(1, 0, 0.1), budget)[0] == "crashed"
    assert _died(Exit(1, -9, 0.1, starved=True), budget) == ("crashed", "it used up its memory")
    assert not budget.needs
    assert _died(Exit(1, -9, 0.1, "idle"), budget) == ("timeout", "it used up its time (20 s of waiting)")
    assert "a wall-clock limit (20 s of waiting)" in budget.needs
    with pytest.raises(SandboxUnavailable, match="doctor"):
        _died(Exit(1, 1, 0.0, failure="unshare: no"), budget)
