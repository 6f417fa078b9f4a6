"""The messages between the judge and a submission's process, both ways, one struct for each kind.

The child's messages are read strictly: typed, capped, nothing else. They are JSON arrays over a SEQPACKET socket. Each
carries the number of the current scenario and the token of the last reply, so that no message can be sent in advance or
for a scenario that is over. A message of any other shape counts as tampering. Instants are whole nanoseconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from autograder.notebook.cells import CodeCell
from autograder.notebook.notes import NoteKind

MESSAGE_BYTES = 64 * 1024
"""The longest message; a child sends more in parts."""
DEPTH = 12
STRING = 4000
NAME = 200
ITEMS = 5000

Instant = Annotated[int, Meta(ge=0, le=10**18)]
Number = Annotated[int, Meta(ge=0, le=2**53)]
Name = Annotated[str, Meta(max_length=NAME)]
Text = Annotated[str, Meta(max_length=STRING)]


class Tampered(Exception):
    """The child sent something that no honest child sends."""


# --- what a child gets to begin with


class Given(Struct):
    """A submission as a child runs it."""

    cells: list[CodeCell]
    wanted: list[str]
    """The names that the scenarios ask for."""
    scenarios: str
    """Their source."""
    seed: int = 0
    """The seed of all randomness while the cells run."""
    token: str = ""
    """Opens the first message."""


def pack(given: Given) -> bytes:
    """The bytes of it. The standard library's JSON: a notebook may hold half a character, which isn't UTF-8."""
    return json.dumps(msgspec.to_builtins(given)).encode()


def unpack(payload: bytes) -> Given:
    """What `pack` packed."""
    return msgspec.convert(json.loads(payload), Given)


# --- what a child tells: events


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
    """What the driver shows of the student's code: only a claim."""

    lane: Name
    name: Name
    value: Any


class NoteEvent(_Event, tag="note"):
    """A note beside the results: a slip of the answer's own, an interpreter's warning, printed text."""

    what: Literal["slip", "warning", "breakpoint", "printed"]
    text: Text


class EndEvent(_Event, tag="end"):
    """How the driver ended."""

    how: Literal["returned", "raised", "missing", "deadlock", "livelock", "limit", "endless", "error"]
    error: Name
    message: Text


Told = CallEvent | CancelEvent | SleepEvent | WakeEvent | BlockedEvent | MarkEvent | NoteEvent | EndEvent
Events = Annotated[list[Told], Meta(max_length=ITEMS)]
KINDS = ("call", "cancel", "sleep", "wake", "blocked", "mark", "note", "end")
"""The kinds of events that a child tells; the others are the world's."""


def to_wire(at: int, kind: str, lane: str, data: Mapping[str, Any]) -> Told:
    """An event of a timeline as a child tells it, its texts cut to what may cross. Raises KeyError for another kind."""
    lane = lane[:NAME]
    match kind:
        case "call":
            return CallEvent(at, data["call"], data["service"][:NAME], lane, data["args"])
        case "cancel":
            return CancelEvent(at, data["call"])
        case "sleep":
            return SleepEvent(at, lane, data["timer"], data["until"], data["what"])
        case "wake":
            return WakeEvent(at, lane, data["timer"], data["how"])
        case "blocked":
            return BlockedEvent(at, lane, float(data["seconds"]))
        case "mark":
            return MarkEvent(at, lane, str(data["name"])[:NAME], data["value"])
        case "note":
            return NoteEvent(at, data["what"], encodable(str(data["text"])))
        case "end":
            error, message = (encodable(str(data.get(key, ""))) for key in ("error", "message"))
            return EndEvent(at, data["how"], error[:NAME], message)
    raise KeyError(kind)


def from_wire(event: SleepEvent | WakeEvent | BlockedEvent | MarkEvent | NoteEvent | EndEvent) -> tuple[str, str, Any]:
    """A child's event in the timeline's form: kind, lane and data."""
    match event:
        case SleepEvent():
            return "sleep", event.lane, {"timer": event.timer, "until": event.until, "what": event.what}
        case WakeEvent():
            return "wake", event.lane, {"timer": event.timer, "how": event.how}
        case BlockedEvent():
            return "blocked", event.lane, {"seconds": event.seconds}
        case MarkEvent():
            return "mark", event.lane, {"name": event.name, "value": event.value}
        case NoteEvent():
            return "note", "", {"what": event.what, "text": event.text}
        case EndEvent():
            told = {"error": event.error, "message": event.message}
            return "end", "", {"how": event.how} | {key: text for key, text in told.items() if text}


def encodable(text: str) -> str:
    """The text without half characters, cut to what may cross."""
    return text[:STRING].encode("utf-8", "backslashreplace").decode()[:STRING]


# --- what a child says: messages


Word = Annotated[str, Meta(max_length=40, pattern=r"\A[A-Za-z0-9_.%!+-]*\Z")]


class Cells(Struct, array_like=True, forbid_unknown_fields=True, tag="cells"):
    """The notebook's cells were run: those that failed, with their errors, and notes on others."""

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
    """Decode a child's message. Raises Tampered for anything else."""
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
    """An upper estimate, in bytes, of the memory that a decoded message takes; about twice the truth for honest ones.

    It counts the characters that create objects. Short things cost most: a list of one-letter strings takes fifteen
    times its text, nested lists forty times. One letter beyond ASCII can make a whole string four times as long.
    """
    letters = len(data) if data.isascii() and b"\\u" not in data else 4 * len(data)
    nests = data.count(b"[") + data.count(b"{")
    return letters * 5 // 4 + 36 * data.count(b",") + 28 * data.count(b'"') + 112 * nests


# --- what it hears: replies


class _Reply(Struct, array_like=True):
    token: str
    """Opens the next message."""


class Play(_Reply, tag="play"):
    """Play this scenario next."""

    number: int
    driver: int
    """The scenario's place among those of the source."""
    brief: dict[str, Any]
    """What its setup hands to its driver."""
    seed: int
    horizon: int
    leases: bool
    """Whether calls leave the horizon where it is."""


class Go(_Reply, tag="go"):
    """It is `now`, these answers arrive, and nothing more before the horizon."""

    now: int
    horizon: int
    answers: list[list[Any]]
    """Each holds the fields of a `world.Answer`."""


class Dead(_Reply, tag="dead"):
    """Nothing can arrive any more."""


class Ack(_Reply, tag="ack"):
    """A part was received."""


class Over(_Reply, tag="over"):
    """There is nothing more to play."""


Reply = Play | Go | Dead | Ack | Over
_replies = msgspec.json.Decoder(Reply)


def hear(data: bytes) -> Reply:
    """Decode a reply of the trusted side. No reply, as when the judge is gone, means the end."""
    return _replies.decode(data) if data else Over("")


encode = msgspec.json.encode


def check_plain(value: Any, depth: int = 0) -> None:
    """Raises Tampered unless `value` is plain data of bounded depth and size."""
    if depth > DEPTH:
        raise Tampered("a value nested too deep")
    if isinstance(value, list):
        for item in value:
            check_plain(item, depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            check_plain(key, depth + 1)
            check_plain(item, depth + 1)
    elif problem := _problem_of(value):
        raise Tampered(problem)


def _problem_of(value: Any) -> str:
    """Why a scalar is refused; "" if it is fine."""
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, int):
        return "" if -(2**63) <= value < 2**63 else "a number out of range"
    if isinstance(value, float):
        return "" if value - value == 0 else "a number that is none"
    if isinstance(value, str):
        return "" if len(value) <= STRING else "a string too long"
    return f"a {type(value).__name__}"
