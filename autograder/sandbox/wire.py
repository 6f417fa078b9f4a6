"""What may cross the socket from a submission's process, and how it is read: typed, capped, nothing else.

The child speaks JSON arrays over a SEQPACKET socket. Each message carries the number of the scenario that is being
played and the token of the last reply, so that nothing can be said in advance or for a scenario that is over. What
isn't exactly of these shapes is tampering. Instants are whole nanoseconds.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

MESSAGE_BYTES = 64 * 1024
"""The longest message; a child sends more in parts."""
DEPTH = 12
STRING = 4000
ITEMS = 5000

Instant = Annotated[int, Meta(ge=0, le=10**18)]
Number = Annotated[int, Meta(ge=0, le=2**53)]
Name = Annotated[str, Meta(max_length=200)]
Text = Annotated[str, Meta(max_length=STRING)]


class Tampered(Exception):
    """The child said something that an honest one never says."""


class _Event(Struct, array_like=True, forbid_unknown_fields=True):
    at: Instant


class CallEvent(_Event, tag="call"):
    """The student's code calls a service."""

    number: Number
    service: Name
    lane: Name
    args: Annotated[list[Any], Meta(max_length=50)]


class CancelEvent(_Event, tag="cancel"):
    """It no longer waits for the answer."""

    number: Number


class SleepEvent(_Event, tag="sleep"):
    """It armed a timer."""

    lane: Name
    timer: Number
    until: Instant
    what: Literal["sleep", "timeout", "timer"]


class WakeEvent(_Event, tag="wake"):
    """A timer's end."""

    lane: Name
    timer: Number
    how: Literal["fired", "cancelled"]


class BlockedEvent(_Event, tag="blocked"):
    """A `time.sleep`."""

    lane: Name
    seconds: Annotated[float, Meta(ge=0, le=1e9)]


class MarkEvent(_Event, tag="mark"):
    """What the driver shows of the student's code: a claim."""

    lane: Name
    name: Name
    value: Any


class NoteEvent(_Event, tag="note"):
    """A warning of the interpreter's."""

    text: Text


class EndEvent(_Event, tag="end"):
    """How the driver ended."""

    how: Literal["returned", "raised", "missing", "deadlock", "livelock", "limit", "endless", "error"]
    error: Name
    message: Text


Event = CallEvent | CancelEvent | SleepEvent | WakeEvent | BlockedEvent | MarkEvent | NoteEvent | EndEvent
Events = Annotated[list[Event], Meta(max_length=ITEMS)]


NoteKind = Literal["magic", "shell", "file", "exit", "breakpoint", "failed", "stopped", "cut", "late", "stub"]
"""What a notebook's author should know of a cell; `notes.worded` makes sentences of them."""
Word = Annotated[str, Meta(max_length=40, pattern=r"\A[A-Za-z0-9_.%!+-]*\Z")]


class Cells(Struct, array_like=True, forbid_unknown_fields=True, tag="cells"):
    """The notebook's cells were run; which of them failed, and how; and what is to be known of others."""

    token: Name
    errors: Annotated[list[tuple[Number, Name, Text]], Meta(max_length=50)]
    notes: Annotated[list[tuple[Number, NoteKind, Word]], Meta(max_length=50)] = []


class Batch(Struct, array_like=True, forbid_unknown_fields=True, tag="batch"):
    """Nothing more happens before `upcoming` (nothing at all when null): what comes next?"""

    scenario: Number
    token: Name
    events: Events
    upcoming: Instant | None


class Part(Struct, array_like=True, forbid_unknown_fields=True, tag="part"):
    """A piece of a batch that is too long for one message."""

    scenario: Number
    token: Name
    events: Events


class Done(Struct, array_like=True, forbid_unknown_fields=True, tag="done"):
    """The scenario is over."""

    scenario: Number
    token: Name
    events: Events


Message = Cells | Batch | Part | Done
_decoder = msgspec.json.Decoder(Message, strict=True)


def decode(data: bytes) -> Message:
    """One message of a child's. Raises Tampered when it is anything else."""
    if not data or len(data) > MESSAGE_BYTES:
        raise Tampered("an empty or an oversized message")
    try:
        message: Message = _decoder.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, ValueError) as error:
        raise Tampered(f"not a message ({str(error)[:80]})") from None
    if not isinstance(message, Cells):
        for event in message.events:
            if isinstance(event, MarkEvent):
                check_plain(event.value)
            elif isinstance(event, CallEvent):
                check_plain(event.args)
    return message


def weight(data: bytes) -> int:
    """At least how much memory a message takes once it is read and kept, in bytes; about twice that of honest ones.

    Counted are the signs that make objects: what costs most is short, a list of strings of a letter takes fifteen times
    its text, nested lists forty times. A letter beyond ASCII may make a whole string four times as long.
    """
    letters = len(data) if data.isascii() and b"\\u" not in data else 4 * len(data)
    nests = data.count(b"[") + data.count(b"{")
    return letters * 5 // 4 + 36 * data.count(b",") + 28 * data.count(b'"') + 112 * nests


def encode(*parts: Any) -> bytes:
    """A reply of the trusted side's."""
    return msgspec.json.encode(parts)


def check_plain(value: Any, depth: int = 0) -> None:
    """Raises Tampered unless `value` is plain data of bounded depth and size."""
    if depth > DEPTH:
        raise Tampered("a value nested too deep")
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise Tampered("a number out of range")
    elif isinstance(value, float):
        if value - value != 0:
            raise Tampered("a number that is none")
    elif isinstance(value, str):
        if len(value) > STRING:
            raise Tampered("a string too long")
    elif isinstance(value, list):
        for item in value:
            check_plain(item, depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            check_plain(key, depth + 1)
            check_plain(item, depth + 1)
    else:
        raise Tampered(f"a {type(value).__name__}")
