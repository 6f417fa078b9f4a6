"""What may cross the socket: these shapes, bounded, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from autograder.sandbox import wire
from autograder.sandbox.wire import Tampered


def batch(*events: object, upcoming: object = None) -> bytes:
    return json.dumps(["batch", 0, "token", list(events), upcoming]).encode()


def mark(value: object) -> list[object]:
    return ["mark", 0, "lane", "name", value]


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


def test_honest_messages_are_read():
    """One of each kind."""
    events = [
        ["call", 0, 0, "op", "caller", [1, "two", None]],
        ["cancel", 1, 0],
        ["sleep", 2, "caller", 7, 9, "sleep"],
        ["wake", 9, "caller", 7, "fired"],
        ["blocked", 9, "caller", 1.5],
        mark({"how": "returned", "value": [1.5, True, "x"]}),
        ["note", 9, "warning", "a warning"],
        ["end", 9, "returned", "", ""],
    ]
    message = wire.decode(batch(*events, upcoming=10))
    assert isinstance(message, wire.Batch)
    assert [type(event).__name__ for event in message.events] == [
        *("CallEvent", "CancelEvent", "SleepEvent", "WakeEvent"),
        *("BlockedEvent", "MarkEvent", "NoteEvent", "EndEvent"),
    ]
    assert isinstance(wire.decode(b'["cells","t",[[3,"NameError","x"]]]'), wire.Cells)
    assert isinstance(wire.decode(b'["part",0,"t",[]]'), wire.Part)
    assert isinstance(wire.decode(b'["done",0,"t",[]]'), wire.Done)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"[]",
        b"{}",
        b"null",
        b'["batch"]',
        b'["batch",0,"t",[],null,"more"]',
        b'["nonsense",0,"t",[],null]',
        b'["cells","t",[]] ["cells","t",[]]',
        b'["batch",-1,"t",[],null]',
        b'["batch",true,"t",[],null]',
        b'["batch",0,"t",[],-1]',
        b'["cells","\xff",[]]',
        b"[" * 60_000,
        b'["cells","t",[' + b'[0,"a","b"],' * 50 + b'[0,"a","b"]]]',
        b'["cells","t",[]]' + b" " * wire.MESSAGE_BYTES,
        batch(*[["cancel", 0, 0]] * (wire.ITEMS + 1)),
    ],
    ids=lambda data: repr(data[:30]),
)
def test_other_messages_are_tampering(data):
    """Empty, oversized, misshapen, too many, not UTF-8, too deep."""
    with pytest.raises(Tampered):
        wire.decode(data)


@pytest.mark.parametrize("at", ["1.5", "1e3", "true", "NaN", "Infinity", str(2**70), "-1", '"0"', "null", "10" * 2500])
def test_stamps_are_whole_nanoseconds(at):
    """Not a float, a bool, no number, nor one out of range."""
    with pytest.raises(Tampered):
        wire.decode(b'["batch",0,"t",[["cancel",%s,0]],null]' % at.encode())


@pytest.mark.parametrize(
    "event",
    [
        ["call", 0, 0, "op", "caller", [1] * 51],
        ["call", 0, 2**60, "op", "caller", []],
        ["call", 0, 0, "o" * 201, "caller", []],
        ["call", 0, 0, "op", "caller", {}],
        ["sleep", 0, "caller", 0, 0, "nap"],
        ["wake", 0, "caller", 0, "eaten"],
        ["blocked", 0, "caller", -1.0],
        ["blocked", 0, "caller", 1e10],
        ["note", 0, "praise", ""],
        ["note", 0, "warning", "x" * (wire.STRING + 1)],
        ["end", 0, "passed", "", ""],
        ["ok", 0, "caller", 0],
        ["world", 0, "outage"],
        ["cancel", 0, 0, 0],
    ],
    ids=repr,
)
def test_other_events_are_tampering(event):
    """Also those that only the world writes."""
    with pytest.raises(Tampered):
        wire.decode(batch(event))


@pytest.mark.parametrize(
    "value", [2**63, -(2**63) - 1, "x" * (wire.STRING + 1), nested(wire.DEPTH + 1)], ids=lambda value: repr(value)[:12]
)
def test_claims_are_bounded(value):
    """In numbers, letters and depth; the same holds for the arguments of a call."""
    with pytest.raises(Tampered):
        wire.decode(batch(mark(value)))
    with pytest.raises(Tampered):
        wire.decode(batch(["call", 0, 0, "op", "caller", [value]]))


@pytest.mark.parametrize("text", [b"NaN", b"Infinity", b"1e999", b'"\\ud800"', b"9" * 4000])
def test_no_strange_values(text):
    """What `json.loads` would let in."""
    with pytest.raises(Tampered):
        wire.decode(b'["batch",0,"t",[["mark",0,"l","n",' + text + b"]],null]")


def test_bounded_claims_are_kept():
    """The deepest value and the largest numbers come through unchanged."""
    for value in (nested(wire.DEPTH), 2**63 - 1, -(2**63), "x" * wire.STRING, {"a": [None, 1.5]}):
        event: Any = wire.decode(batch(mark(value))).events[0]  # type: ignore[union-attr]
        assert event.value == value
