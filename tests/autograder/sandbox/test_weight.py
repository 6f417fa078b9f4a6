"""What a message weighs is at least what it costs the grader to keep it, whatever it is made of."""

from __future__ import annotations

import gc
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from autograder.sandbox import wire
from autograder.sandbox.limits import Budget
from autograder.sandbox.runner import ROOM
from autograder.sandbox.session import EVENTS, MESSAGES, WEIGHT, Session, Task
from faultlab import scenario
from faultlab.world import error

SIZE = 48 * 1024


@scenario.scenario
def failing(world):
    """A service that always fails: an error costs more than an answer."""
    world.service("op", lambda asked: error(), latency=0.05)
    return {}


@scenario.scenario
def held(world):
    """A service whose answers come too late to be heard."""
    world.service("op", latency=1e6)
    return {}


BIGGEST = 2**63 - 1
VALUES: dict[str, Any] = {
    "nothing": None,
    "yes": True,
    "a digit": 1,
    "a number": 257,
    "a long number": BIGGEST,
    "a fraction": 1.5,
    "an empty string": "",
    "a letter": "a",
    "two letters": "ab",
    "a letter beyond ASCII": "é",
    "two of those": "éé",
    "a picture": "\U0001f600",
    "letters and a picture": "x" * 60 + "\U0001f600",
    "a long string": "x" * 3900,
    "a long string with a picture": "x" * 3900 + "\U0001f600",
    "a long string with a sign of money": "x" * 3900 + "€",
    "an empty list": [],
    "a list of one": [1],
    "a list in a list": [[]],
    "eight lists": [[[[[[[[1]]]]]]]],
    "a list of five": [1, 2, 3, 4, 5],
    "an empty dict": {},
    "a dict of one": {"a": 1},
    "a dict of one, without a name": {"": 1},
    "a dict in a dict": {"a": {}},
    "four dicts": {"": {"": {"": {}}}},
    "a dict of five": dict.fromkeys("abcde", 1),
    "a dict of six": dict.fromkeys("abcdef", 1),
    "a dict of eleven": dict.fromkeys("abcdefghijk", 1),
    "a dict of thousands": {f"{n:x}": 1 for n in range(4_500)},
    "a dict of thousands of words": {f"key{n:05d}": 1.5 for n in range(2_600)},
}
EVENT: dict[str, list[Any]] = {
    "an empty mark": ["mark", 0, "", "", 0],
    "a mark": ["mark", 0, "c", "m", None],
    "a mark with a dict": ["mark", 0, "c", "m", {}],
    "an empty note": ["note", 0, "warning", ""],
    "a note": ["note", 0, "warning", "ab"],
    "a sleep": ["sleep", 0, "", 1, 0, "sleep"],
    "a long sleep": ["sleep", 0, "c", 2**52, 10**17, "sleep"],
    "a wake": ["wake", 0, "", 2000, "fired"],
    "a block": ["blocked", 0, "", 1.5],
}
ESCAPED = {
    "escaped letters": rb'"\u00e9"',
    "escaped pictures": rb'"\ud83d\ude00"',
    "a key again and again": b'{"a":1,"a":2,"a":3}',
    "commas in a string": b'"' + b"," * 3000 + b'"',
}


def compact(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def many(item: bytes) -> bytes:
    """As many of them as fit into one value of one mark."""
    return b'[["mark",0,"c","m",[%s]]]' % b",".join([item] * max(1, SIZE // (len(item) + 1)))


def texts() -> Iterator[Any]:
    """Lists of events, as bytes, by what they are made of."""
    for name, value in VALUES.items():
        yield pytest.param(many(compact(value)), id=name)
    for name, item in ESCAPED.items():
        yield pytest.param(many(item), id=name)
    for name, event in EVENT.items():
        data = compact(event)
        yield pytest.param(b"[%s]" % b",".join([data] * min(SIZE // (len(data) + 1), 4_000)), id=name)


def begun(one: Any) -> Session:
    session = Session([Task(one, {}, 1, 0)])
    session.receive(compact(["cells", session.token, []]))
    return session


class Scales:
    """Measures what the code inside leaves behind in memory, and what of the budget it took."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def __enter__(self) -> Scales:
        gc.collect()
        gc.disable()
        tracemalloc.start()
        self.taken, self.weight = tracemalloc.get_traced_memory()[0], self.session.budget.weight
        return self

    def __exit__(self, *_: object) -> None:
        self.taken = tracemalloc.get_traced_memory()[0] - self.taken
        self.weight -= self.session.budget.weight
        tracemalloc.stop()
        gc.enable()


@pytest.mark.parametrize("events", list(texts()))
def test_weight_is_no_less_than_memory(events: bytes) -> None:
    """Of messages full of one thing, whatever it is, each weighs what it makes the grader keep, or more."""
    session = begun(failing)
    session.receive(b'["part",0,"%s",%s]' % (session.token.encode(), events))  # what is made once isn't counted
    with Scales(session) as scales:
        for _ in range(4):
            session.receive(b'["part",0,"%s",%s]' % (session.token.encode(), events))
    assert scales.taken <= scales.weight


@pytest.mark.parametrize("args", [[], ["x"], [["a"] * 40]], ids=["alone", "with a letter", "with forty"])
@pytest.mark.parametrize("one", [failing, held], ids=lambda one: one.name)
def test_calls_weigh_their_answers(one: Any, args: list[Any]) -> None:
    """A call makes the world keep an answer, its tokens and a receipt, and tell it all on the timeline."""
    session = begun(one)
    with Scales(session) as scales:
        for start in range(0, 1_500, 100):
            calls = [["call", 0, start + n, "op", "c", args] for n in range(100)]
            session.receive(compact(["part", 0, session.token, calls]))
        session.receive(compact(["batch", 0, session.token, [], 10**9]))
    assert scales.taken <= scales.weight


def test_an_honest_child_never_weighs_too_much() -> None:
    """Values that fill its room and as many events without one as its clock allows: less than one scenario's part."""
    event = ["mark", 10**15, "the name of a caller", "the name of a mark", [{"$more": 10**5}]]
    assert ROOM + scenario.EVENTS * wire.weight(compact(event)) <= WEIGHT
    assert scenario.EVENTS < EVENTS and scenario.QUESTIONS < MESSAGES
    assert Budget().weight > 2 * WEIGHT
