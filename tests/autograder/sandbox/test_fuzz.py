"""What honest children say, with something wrong in it: each message is answered or a verdict, never another exception,
and every log that is kept is in order and can be judged."""

from __future__ import annotations

import json
import random
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from autograder.authoring.worked import solution_notebook
from autograder.course import Section
from autograder.judging.judge import Judge
from autograder.notebook.answer import find_answer, read_cells
from autograder.notebook.execution import run_notebook
from autograder.sandbox import session as trusted
from autograder.sandbox import wire
from autograder.sandbox.limits import TooMuch
from autograder.sandbox.runner import _Far, _Talk
from autograder.sandbox.session import Session, Task
from autograder.sandbox.wire import Tampered
from faultlab.scenario import Played, asked, load, perform
from faultlab.timeline import Timeline
from faultlab.world import LEASE
from tests.sections.conftest import SECTIONS

QUICK, HEAVY = 500, 10_000
"""Messages with something wrong in them, for each section."""
LONGEST = 200
"""Messages of the longest transcripts that are used: each attempt begins with honest ones."""


class Said(NamedTuple):
    """One honest message, and the token in it."""

    data: bytes
    token: str


class Transcript(NamedTuple):
    """All that an honest child says in two scenarios."""

    names: tuple[Played, ...]
    tasks: list[Task]
    messages: list[Said]


class Ear:
    """The child's end of a socket whose other end is a session; keeps what is said."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.said: list[Said] = []

    def send(self, data: bytes) -> None:
        self.said.append(Said(bytes(data), self.session.token))
        self.reply = self.session.receive(data)

    def recv(self, _: int) -> bytes:
        return self.reply


@cache
def transcripts(section: Section) -> list[Transcript]:
    """The worked answer's, in every scenario of a section and the one after it."""
    assert section.exercise is not None
    scenarios = load(section.scenarios)
    released = read_cells((section.released / f"{section.notebook}.ipynb").read_bytes())
    cells = find_answer(read_cells(solution_notebook(section)), released, section.exercise).cells
    namespace, _ = run_notebook(cells, asked(section.scenarios.read_text(encoding="utf-8")))
    wanted = Judge(section.tests, section.hidden).scenarios
    numbers = {name: number for number, name in enumerate(scenarios)}
    found = []
    for names in zip(wanted, [*wanted[1:], wanted[0]], strict=True):
        tasks = [Task(scenarios[one.name], one.options, 7, numbers[one.name]) for one in names]
        ear = Ear(Session(tasks))
        talk = _Talk(ear, ear.session.token)
        reply = talk.ask(wire.Cells("", [], [(3, "shell", "pip")]))
        while isinstance(reply, wire.Play):
            world = _Far(talk, reply, namespace)
            perform(tasks[reply.number].scenario, reply.brief, namespace, world, seed=reply.seed)
            reply = world.finish()
        assert ear.session.over
        if len(ear.said) <= LONGEST:
            found.append(Transcript(names, tasks, ear.said))
    return found


class Wrong:
    """Ways to spoil a message, drawn from one seed: each changes its body, or returns other bytes."""

    def __init__(self, seed: int, known: list[Transcript]) -> None:
        self.random = random.Random(seed)
        self.known = known
        self.last = ""
        names = [name for name in vars(Wrong) if name.startswith("with_")]
        self.ways: list[Callable[[list[Any]], bytes | None]] = [getattr(self, name) for name in names]

    def spoilt(self, said: Said, token: str) -> bytes:
        """This message, with the token that is right now, and something wrong."""
        text = said.data.replace(said.token.encode(), token.encode())
        honest = json.dumps(json.loads(text)).encode()
        while True:
            body = json.loads(text)
            made = self.random.choice(self.ways)(body)
            made = json.dumps(body).encode() if made is None else made
            if made != honest:
                self.last = token
                return made

    # -- in its head

    def with_another_token(self, body: list[Any]) -> None:
        at = 1 if body[0] == "cells" else 2
        body[at] = self.random.choice([self.last, "", "guess", "x" * 199, 7, None, [body[at]]])

    def with_another_scenario(self, body: list[Any]) -> None:
        if body[0] != "cells":
            body[1] = self.random.choice([body[1] + 1, body[1] - 1, 1 - body[1], 2**53, 2**70, True, str(body[1])])

    def with_another_kind(self, body: list[Any]) -> None:
        body[0] = self.random.choice(["batch", "part", "done", "cells", "go", 0, None])
        if body[0] == "batch" and len(body) == 4:
            body.append(None)
        elif body[0] in ("part", "done"):
            del body[4:]

    def with_errors_of_cells(self, body: list[Any]) -> None:
        if body[0] == "cells":
            body[2] = [[self.number(0), self.odd(), "text"] for _ in range(self.random.choice([1, 50, 51]))]

    def with_notes_of_cells(self, body: list[Any]) -> None:
        if body[0] == "cells":
            kind, word = self.random.choice(["magic", "shell", "praise", 1]), self.random.choice(["pip", self.odd()])
            body[3] = [[self.number(0), kind, word] for _ in range(self.random.choice([1, 50, 51]))]

    def with_another_upcoming(self, body: list[Any]) -> None:
        if body[0] == "batch":
            body[4] = self.number(body[4] or 0)

    # -- in its events

    def with_another_stamp(self, body: list[Any]) -> None:
        if event := self.event(body):
            event[1] = self.number(event[1])

    def with_another_number(self, body: list[Any]) -> None:
        event = self.event(body)
        if places := [place for place, one in enumerate(event) if place > 1 and type(one) is int]:
            place = self.random.choice(places)
            event[place] = self.number(event[place])

    def with_another_kind_of_event(self, body: list[Any]) -> None:
        kinds = ["call", "cancel", "sleep", "wake", "blocked", "mark", "note", "end", "ok", "error", "world", 1]
        if event := self.event(body):
            event[0] = self.random.choice(kinds)

    def with_an_event_less(self, body: list[Any]) -> None:
        if events := self.events(body):
            events.pop(self.random.randrange(len(events)))

    def with_an_event_more(self, body: list[Any]) -> None:
        if body[0] == "cells":
            return
        events = self.events(body)
        at = events[-1][1] if events else 0
        said = self.random.choice(self.random.choice(self.known).messages)
        others = self.events(json.loads(said.data))
        new = self.random.choice([*others, ["end", at, "returned", "", ""], ["mark", at, "", "result", self.odd()]])
        if self.random.random() < 0.7:
            new[1] = at
        events.insert(self.random.choice([0, len(events), len(events)]), new)

    def with_an_event_often(self, body: list[Any]) -> None:
        if events := self.events(body):
            events += [self.random.choice(events)] * self.random.choice([1, 1, 2, 500, wire.ITEMS])

    def with_another_order(self, body: list[Any]) -> None:
        self.random.shuffle(self.events(body))

    # -- anywhere

    def with_another_value(self, body: list[Any]) -> None:
        container, key = self.place(body)
        container[key] = self.odd()

    def with_a_value_less(self, body: list[Any]) -> None:
        container, key = self.place(body)
        del container[key]

    def with_a_value_more(self, body: list[Any]) -> None:
        container, key = self.place(body)
        if isinstance(container, list):
            container.insert(key, self.odd())

    def with_a_deep_nest(self, body: list[Any]) -> bytes:
        container, key = self.place(body)
        container[key] = "NEST"
        depth = self.random.choice([3, wire.DEPTH, wire.DEPTH + 1, 500, 20_000])
        return json.dumps(body).encode().replace(b'"NEST"', b"[" * depth + b"]" * depth)

    def with_other_bytes(self, body: list[Any]) -> bytes:
        data = json.dumps(body).encode()
        place = self.random.randrange(len(data))
        return self.random.choice(
            [
                data[:place],
                data[:place] + self.random.randbytes(1) + data[place + 1 :],
                data + data,
                data.ljust(wire.MESSAGE_BYTES + self.random.choice([-1, 0, 1, 4096])),
                data.decode().encode(self.random.choice(["utf-16", "utf-8-sig", "utf-32-be"])),
                json.dumps([body, body]).encode(),
                self.random.choice([b"", b"\0", self.random.randbytes(100)]),
            ]
        )

    # -- what is drawn

    def odd(self) -> Any:
        numbers = [0, 1, -1, 2**53 + 1, 2**63, 2**70, 1.5, 1e308, float("nan"), float("inf"), True]
        texts = ["", "x" * 5000, "\ud800", "\0", "returned", "ConnectionError"]
        return self.random.choice([*numbers, *texts, None, [], {}, [[[[]]]], {"a": {"b": 1}}, ["ok", 0], [1] * 51])

    def number(self, honest: int) -> Any:
        near = [honest + 1, honest - 1, honest + 10**9, honest * 2, 0, honest + LEASE, honest + LEASE + 1]
        return self.random.choice([*near, *near, 10**18, 10**18 + 1, 2**70, honest + 0.5, True, None, str(honest)])

    def events(self, body: list[Any]) -> list[Any]:
        return body[3] if body[0] != "cells" else []

    def event(self, body: list[Any]) -> list[Any]:
        events = self.events(body)
        return self.random.choice(events) if events else []

    def place(self, body: list[Any]) -> tuple[Any, Any]:
        """A place in a message, however deep."""
        container: Any = body
        while True:
            key = self.random.choice([*container] if isinstance(container, dict) else range(len(container)))
            inner = container[key]
            if not isinstance(inner, list | dict) or not inner or self.random.random() < 0.2:
                return container, key
            container = inner


def verdict(error: Exception) -> str:
    """Where a message was refused: `decoding`, or by the name of who refused it later."""
    name = traceback.extract_tb(error.__traceback__)[-1].name
    return "decoding" if name in ("decode", "check_plain") else name


def in_order(timeline: Timeline) -> None:
    """Time never falls; a call is made once, answered or cancelled once at most, and after it was made; the end is
    the last that is said."""
    stamps = [event.at for event in timeline]
    assert stamps == sorted(stamps) and all(type(stamp) is int and stamp >= 0 for stamp in stamps)
    calls = [event.data["call"] for event in timeline.of("call")]
    assert calls == list(range(len(calls)))
    waiting: set[int] = set()
    for event in timeline:
        if event.kind == "call":
            waiting.add(event.data["call"])
        elif event.kind in ("ok", "error", "cancel"):
            waiting.remove(event.data["call"])
    ends = [event.kind for event in timeline]
    assert "end" in ends and not set(ends[ends.index("end") :]) - {"end"}, list(timeline)


def attempts(section: Section, seed: int, messages: int, became: Counter[str]) -> Iterator[tuple[Played, Timeline]]:
    """Send so many messages with something wrong in them; what is kept of each attempt, and how often became what."""
    known = transcripts(section)
    wrong = Wrong(seed, known)
    draw = wrong.random
    while became.total() < messages:
        transcript = draw.choice(known)
        talk = Session(transcript.tasks, token=f"{draw.getrandbits(64):016x}")
        honest = draw.randrange(len(transcript.messages))
        for said in transcript.messages[:honest]:
            wrong.last = talk.token
            talk.receive(said.data.replace(said.token.encode(), talk.token.encode()))
        left = iter(transcript.messages[honest:])
        try:
            while not talk.over and became.total() < messages:
                said = next(left, transcript.messages[-1])
                if draw.random() < 0.05:  # this one is left out, or said twice
                    said = draw.choice(transcript.messages)
                data = wrong.spoilt(said, talk.token)
                try:
                    talk.receive(data)
                    became["answered"] += 1
                except (Tampered, TooMuch) as error:
                    became[verdict(error)] += 1
                    raise
        except Tampered as error:
            talk.give_up("tampered", str(error))
        except TooMuch as error:
            talk.give_up("limit", str(error))
        yield from zip(transcript.names, talk.timelines, strict=False)


def fuzz(section: Section, seed: int, messages: int, patch: pytest.MonkeyPatch) -> Counter[str]:
    """The same each time. Returns how often a message became what."""
    tokens = random.Random(seed)
    patch.setattr(trusted, "secrets", SimpleNamespace(token_hex=lambda _: f"{tokens.getrandbits(64):016x}"))
    became: Counter[str] = Counter()
    kept: dict[Played, Timeline] = {}
    for name, timeline in attempts(section, seed, messages, became):
        in_order(timeline)
        kept[name] = max(timeline, kept.get(name, timeline), key=len)
    judge = Judge(section.tests, section.hidden)
    try:
        assert len(judge.judge(kept)) == len(judge.tests)
    finally:
        judge.close()
    return became


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name)
@pytest.mark.parametrize(
    "messages", [QUICK, pytest.param(HEAVY, marks=[pytest.mark.heavy, pytest.mark.timeout(600)])], ids=str
)
def test_answered_or_a_verdict(section, messages, monkeypatch, record_property):
    """However a message is spoilt; a good part of them gets beyond decoding, to everything that may refuse them."""
    became = fuzz(section, messages, messages, monkeypatch)
    record_property("messages fuzzed", messages)
    assert became.total() == messages
    assert became["decoding"] < 0.65 * messages and became["answered"] > 0.1 * messages, became
    assert set(became) >= {"answered", "decoding", "receive", "_take", "_advance"}, became


def test_the_honest_are_answered():
    """Unspoilt, every transcript comes to its end: what is refused is refused for what is wrong in it."""
    for section in SECTIONS:
        for transcript in transcripts(section):
            talk = Session(transcript.tasks)
            for said in transcript.messages:
                talk.receive(said.data.replace(said.token.encode(), talk.token.encode()))
            assert (
                talk.over and [end.data["how"] for one in talk.timelines for end in one.of("end")] == ["returned"] * 2
            )
