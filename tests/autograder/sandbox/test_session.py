"""The trusted side of a child's conversation, as the pure function that it is."""

from __future__ import annotations

import json
import multiprocessing
import random
import socket
from typing import Any

import pytest
from msgspec.structs import replace

from autograder.authoring.worked import solution_notebook
from autograder.course import Course
from autograder.judging.judge import Judge
from autograder.notebook.answer import find_answer, read_cells
from autograder.notebook.execution import run_notebook
from autograder.sandbox import runner, session, wire
from autograder.sandbox.limits import TooMuch
from autograder.sandbox.session import Session, Task
from autograder.sandbox.wire import Tampered
from faultlab.clock.loop import VirtualLoop
from faultlab.scenario import asked, load, play, scenario
from faultlab.timeline import NS, Timeline
from faultlab.world import LEASE, error, ok

COURSE = Course.find(__file__)
SECTIONS = [section for section in COURSE.sections if section.exercise is not None and section.tests.is_file()]
MS = NS // 1000


@scenario
def one_service(world, latency=0.05):
    world.service("op", [error(), ok("fine")], latency=latency)
    return {"hello": "you"}


@scenario
def in_rounds(world):
    world.service("op", latency=0.3)
    world.rounds(1.0)
    return {}


@scenario
def alone(world):
    return {}


class Talk:
    """An honest or a dishonest child, one message at a time."""

    def __init__(self, *scenarios: Any, seed: int = 1) -> None:
        tasks = [Task(one, {}, seed, number) for number, one in enumerate(scenarios)]
        self.session = Session(tasks)
        self.token = self.session.token
        self.number = 0

    def raw(self, *message: Any) -> list[Any]:
        reply: list[Any] = json.loads(self.session.receive(json.dumps(message).encode()))
        self.token = reply[1]
        return reply

    def cells(self) -> list[Any]:
        return self.raw("cells", self.token, [])

    def batch(self, *events: Any, upcoming: int | None = None) -> list[Any]:
        return self.raw("batch", self.number, self.token, list(events), upcoming)

    def done(self, *events: Any) -> list[Any]:
        reply = self.raw("done", self.number, self.token, list(events))
        self.number += 1
        return reply


def begun(*scenarios: Any) -> Talk:
    talk = Talk(*(scenarios or (one_service,)))
    assert talk.cells()[0] == "play"
    return talk


def call(at: int, number: int = 0, service: str = "op") -> list[Any]:
    return ["call", at, number, service, "caller", []]


def mark(at: Any, value: Any = None) -> list[Any]:
    return ["mark", at, "caller", "result", value]


def end(at: int) -> list[Any]:
    return ["end", at, "returned", "", ""]


class TestHonest:
    def test_a_conversation(self):
        """Cells, a call, its error, a pause, another call, its answer, claims, the end; the next scenario; over."""
        talk = Talk(one_service, alone)
        kind, _, number, driver, brief, _, horizon, leases = talk.cells()
        assert (kind, number, driver, brief, horizon, leases) == ("play", 0, 0, {"hello": "you"}, LEASE, False)
        kind, _, now, horizon, [[number, how, _, name, _, _, receipt]] = talk.batch(call(0))
        assert (kind, now, number, how, name) == ("go", 50 * MS, 0, "error", "ConnectionError")
        assert horizon == now + LEASE
        _, _, now, _, answers = talk.batch(["sleep", now, "caller", 1, now + NS, "sleep"], upcoming=now + NS)
        assert (now, answers) == (1050 * MS, [])
        _, _, now, _, [[number, how, value, *_]] = talk.batch(call(now, 1), upcoming=None)
        assert (number, how, value) == (1, "ok", "fine")
        told = [mark(now, "fine"), mark(now, {"call": receipt}), mark(now, {"call": 0}), mark(now, {"call": True})]
        assert talk.done(*told, end(now))[0] == "play"
        assert talk.done(end(0))[0] == "over"
        assert talk.session.over
        first, second = talk.session.timelines
        assert [one.outcome for one in first.calls()] == ["error", "ok"]
        assert [one.value for one in first.marks()] == ["fine", {"call": 0}, {"call": None}, {"call": None}]
        assert second.ending is not None

    def test_time_is_leased(self):
        """Up to the horizon a child runs its own timers, and stamps what it does; there it has to ask."""
        talk = begun(alone)
        talk.batch(mark(0), mark(LEASE // 2), mark(LEASE - 1), upcoming=LEASE)
        assert talk.done(mark(LEASE), end(LEASE))[0] == "over"

    def test_calls_in_rounds_leave_the_lease(self):
        """Where results come at announced instants only, a batch may go on after a call."""
        talk = begun(in_rounds)
        _, _, now, horizon, answers = talk.batch(call(0), mark(NS // 2), call(NS - 1, 1), upcoming=None)
        assert (now, horizon, len(answers)) == (NS, 2 * NS, 1)

    def test_cancelling_what_has_just_finished(self):
        """Is honest, ignored, and may be said twice."""
        talk = begun()
        now = talk.batch(call(0))[2]
        talk.done(["cancel", now, 0], ["cancel", now, 0], end(now))
        assert [event.kind for event in talk.session.timelines[0]] == ["call", "error", "end"]

    def test_deadlock(self):
        """Nothing is due and nothing will be: the child is told so, and may say how it ended."""
        talk = begun(alone)
        assert talk.batch(mark(5))[0] == "dead"
        assert talk.done(["end", 5, "deadlock", "", "waits"])[0] == "over"

    def test_parts(self):
        """A long batch comes in pieces."""
        talk = begun(alone)
        for at in range(10):
            assert talk.raw("part", 0, talk.token, [mark(at)])[0] == "ack"
        talk.done(end(10))
        assert len(talk.session.timelines[0]) == 11


def after_a_result(*events: Any) -> tuple[Talk, list[Any]]:
    """A child that was shown the result of its call at 50 ms."""
    talk = begun()
    assert talk.batch(call(0))[2] == 50 * MS
    return talk, list(events)


DISHONEST = {
    "stamp under what was shown": [mark(50 * MS - 1)],
    "stamps that fall": [mark(60 * MS), mark(59 * MS)],
    "call, and a later event": [call(60 * MS, 1), mark(60 * MS + 1)],
    "stamp at the horizon": [mark(50 * MS + LEASE)],
    "one nanosecond after the horizon": [mark(50 * MS + LEASE + 1)],
    "float": [mark(60e6)],
    "bool": [mark(True)],
    "NaN": [mark(float("nan"))],
    "2^70": [mark(2**70)],
    "negative": [mark(-1)],
    "call id used again": [call(60 * MS, 0)],
    "call id left out": [call(60 * MS, 2)],
    "unknown service": [call(60 * MS, 1, "backdoor")],
    "cancel of a call that never was": [["cancel", 60 * MS, 1]],
    "event after the end": [end(60 * MS), mark(60 * MS)],
    "the world's own event": [["ok", 60 * MS, "caller", {"call": 0}]],
    "too many events": [mark(50 * MS)] * (wire.ITEMS + 1),
}


class TestDishonest:
    @pytest.mark.parametrize("case", DISHONEST)
    def test_events(self, case: str):
        """What an honest child never says is tampering, whichever message brings it."""
        for kind in ("batch", "part", "done"):
            talk, events = after_a_result(*DISHONEST[case])
            rest = [None] if kind == "batch" else []
            with pytest.raises(Tampered):
                talk.raw(kind, 0, talk.token, events, *rest)

    @pytest.mark.parametrize("token", ["", "guess", "last"])
    def test_tokens(self, token: str):
        """Only the token of the last reply opens the next question."""
        talk = Talk(one_service)
        last = talk.token
        talk.cells()
        with pytest.raises(Tampered):
            talk.raw("batch", 0, last if token == "last" else token, [], None)

    def test_pipelining(self):
        """A message prepared before the reply to the one before it is never taken, the same each time."""
        for _ in range(100):
            talk = begun()
            early = talk.token
            talk.raw("batch", 0, early, [call(0)], None)
            with pytest.raises(Tampered):
                talk.raw("done", 0, early, [mark(50 * MS, "fine"), end(50 * MS)])
            assert talk.session.timelines == []

    @pytest.mark.parametrize("number", [1, 2**53])
    def test_scenario_number(self, number: int):
        """A message for another scenario."""
        talk = begun(one_service, alone)
        with pytest.raises(Tampered):
            talk.raw("batch", number, talk.token, [], None)

    def test_the_last_scenario_is_over(self):
        """A child that sends such a message in the next scenario tampers with that one; the earlier result stays."""
        talk = begun(alone, one_service)
        talk.done(mark(0, "mine"), end(0))
        with pytest.raises(Tampered):
            talk.raw("done", 0, talk.token, [mark(0, "better"), end(0)])
        talk.session.give_up("tampered", "spoke for another")
        first, second = talk.session.timelines
        assert first.marks()[0].value == "mine" and [event.data.get("how") for event in second] == ["tampered"]

    def test_after_everything(self):
        """A message after the end, and cells that were run twice."""
        talk = begun(alone)
        talk.done(end(0))
        for message in (["batch", 1, talk.token, [], None], ["cells", talk.token, []]):
            with pytest.raises(Tampered):
                Talk.raw(talk, *message)
            talk.token = talk.session.token

    def test_before_the_cells(self):
        """No scenario is under way yet."""
        talk = Talk(alone)
        with pytest.raises(Tampered):
            talk.batch()

    def test_done_without_an_end(self):
        """Nobody leaves a scenario without saying how it ended."""
        with pytest.raises(Tampered):
            begun(alone).done(mark(0))

    @pytest.mark.parametrize("upcoming", [0, 49 * MS])
    def test_questions_about_the_past(self, upcoming: int):
        """Time doesn't go back, nor on after the end."""
        talk, _ = after_a_result()
        with pytest.raises(Tampered):
            talk.batch(upcoming=upcoming)
        talk = begun(alone)
        with pytest.raises(Tampered):
            talk.batch(end(0), upcoming=5)

    def test_cap_on_messages(self):
        """Pings without progress."""
        talk = begun(alone)
        for _ in range(session.MESSAGES):
            talk.batch(upcoming=1)
        with pytest.raises(TooMuch, match="more than 5,000 instants"):
            talk.batch(upcoming=1)

    def test_cap_on_events(self):
        """However many messages they come in."""
        talk = begun(alone)
        piece = [["note", 0, "warning", ""]] * 1_000
        for _ in range(session.EVENTS // 1_000):
            talk.raw("part", 0, talk.token, piece)
        with pytest.raises(TooMuch, match="more than 20,000 things happened"):
            talk.raw("part", 0, talk.token, piece[:1])

    @pytest.mark.parametrize("value", [["x" * 3_900] * 15, [[]] * 15_000], ids=["letters", "lists"])
    def test_cap_on_memory(self, value: Any):
        """What a child says is kept until it is judged: not for hundreds of megabytes."""
        talk = begun(alone)

        def go_on() -> None:
            for _ in range(session.MESSAGES - 1):
                talk.raw("part", 0, talk.token, [mark(0, value)])

        with pytest.raises(TooMuch, match="more than 40 MB"):
            go_on()
        assert len(talk.session._stage.world.timeline()) < 700  # type: ignore[union-attr]

    def test_cap_on_answers_at_once(self):
        """What a socket can't carry is too much, on every system, and no failure of the grader's."""
        talk = begun()
        for start in range(0, 10_000, 1_000):
            calls = [call(0, start + n) for n in range(1_000)]
            talk.raw("part", 0, talk.token, calls)
        with pytest.raises(TooMuch, match="10,000 answers come at the same instant"):
            talk.batch()

    def test_a_lease_renewed_for_ever(self):
        """Virtual time has an end, and each message moves it by one lease at most."""
        talk = begun(alone)
        for turn in range(session.MESSAGES):
            talk.batch(upcoming=turn * LEASE)
        with pytest.raises(TooMuch):
            talk.batch(upcoming=session.MESSAGES * LEASE)
        with pytest.raises(TooMuch, match="simulated seconds"):
            begun(alone).batch(upcoming=session.TIME_LIMIT + 1)

    def test_an_honest_clock_ends_before(self):
        """The own clock's limit comes first, and says so."""
        loop = VirtualLoop()
        longest = loop.max_ns + 1
        loop.close()
        assert longest < session.TIME_LIMIT
        assert begun(alone).batch(upcoming=longest)[0] == "go"

    def test_size(self):
        """A message longer than the longest."""
        talk = begun(alone)
        with pytest.raises(Tampered):
            talk.session.receive(json.dumps(["batch", 0, talk.token, [], None]).encode().ljust(300_000))


class Fuzz:
    """Messages that are honest, a little wrong or nonsense, drawn from one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def message(self, talk: Talk, floor: int) -> bytes:
        draw = self.random
        token = talk.session.token if draw.random() < 0.97 else draw.choice(["", "x", 7, None])
        number = len(talk.session.timelines) if draw.random() < 0.97 else draw.choice([0, 1, -1, 2**53, "0"])
        events = [self.event(floor) for _ in range(draw.choice([0, 0, 1, 1, 2, 5]))]
        if draw.random() < 0.2:
            events.append(["end", floor, draw.choice(["returned", "raised", "deadlock"]), "", ""])
        upcoming = draw.choice([None, floor, floor + draw.randrange(10**10), self.odd()])
        body: Any = draw.choice(
            [
                ["batch", number, token, events, upcoming],
                ["batch", number, token, events, upcoming],
                ["part", number, token, events],
                ["done", number, token, events],
                ["cells", token, [] if draw.random() < 0.9 else [[1, "E", self.odd()]]],
            ]
        )
        data = bytearray(json.dumps(body).encode())
        if draw.random() < 0.03:
            data[draw.randrange(len(data))] = draw.randrange(256)
        return bytes(data)

    def event(self, floor: int) -> Any:
        draw = self.random
        at = floor if draw.random() < 0.8 else draw.choice([floor + draw.randrange(10**9), self.odd()])
        number = draw.choice([0, 0, 1, 2, self.odd()]) if draw.random() < 0.3 else 0
        return draw.choice(
            [
                ["call", at, number, "op", "caller", [self.odd()]],
                ["cancel", at, number],
                ["sleep", at, "caller", 1, floor + 5, "sleep"],
                ["wake", at, "caller", 1, "fired"],
                ["blocked", at, "caller", 1.0],
                ["mark", at, "caller", "result", self.odd()],
                ["note", at, "warning", "text"],
                self.odd(),
            ]
        )

    def odd(self) -> Any:
        return self.random.choice(
            [0, 1, -1, 2**63, 2**70, 1.5, True, None, "", "x" * 5000, "\ud800", [], [[[[]]]], {"a": {"b": 1}}, 10**17]
        )


FUZZED, SEEDS = 5_000, 4
"""Messages from each of so many seeds."""


@pytest.mark.parametrize("seed", range(SEEDS))
def test_fuzz(seed: int, record_property):
    """Of so many messages each is answered, tampering or too much, no other exception; timelines are in order."""
    fuzz, sent, answered, tampered = Fuzz(seed), 0, 0, 0
    timelines: list[Timeline] = []
    while sent < FUZZED:
        talk, floor = Talk(one_service, in_rounds, alone, seed=sent), 0
        try:
            talk.cells()
            while not talk.session.over and sent < FUZZED:
                sent += 1
                reply = json.loads(talk.session.receive(fuzz.message(talk, floor)))
                answered += 1
                floor = reply[2] if reply[0] == "go" else 0 if reply[0] == "play" else floor
        except Tampered as reason:
            tampered += 1
            talk.session.give_up("tampered", str(reason))
        except TooMuch as reason:
            talk.session.give_up("limit", str(reason))
        timelines += talk.session.timelines
    record_property("messages fuzzed", sent)
    assert answered > 1_000 and tampered > 100, "the messages reach too little"
    assert any(timeline.ending and timeline.ending.data["how"] == "returned" for timeline in timelines)
    for timeline in timelines:
        stamps = [event.at for event in timeline]
        assert stamps == sorted(stamps)


def through_session(tasks: list[Task], given: wire.Given) -> list[Timeline]:
    """Play with the very code that runs in the sandbox, in a plain process at the other end of a socket."""
    talk = Session(tasks)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    data = wire.pack(replace(given, token=talk.token))
    child = multiprocessing.get_context("spawn").Process(target=runner.main, args=(theirs, data))
    child.start()
    with ours:
        theirs.close()
        while not talk.over and (message := ours.recv(wire.MESSAGE_BYTES)):
            ours.send(talk.receive(message))
    child.join(60)
    assert child.exitcode == 0
    return talk.timelines


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name)
def test_both_transports(section):
    """The world in the same process and the world across a socket: one timeline for one seed, in every scenario."""
    assert section.exercise is not None
    source = section.scenarios.read_text(encoding="utf-8")
    scenarios = load(section.scenarios)
    released = read_cells((section.released / f"{section.notebook}.ipynb").read_bytes())
    cells = find_answer(read_cells(solution_notebook(section)), released, section.exercise).cells
    wanted = Judge(section.tests, section.hidden if section.hidden.exists() else None).scenarios
    numbers = {name: number for number, name in enumerate(scenarios)}
    tasks = [Task(scenarios[one.name], one.options, seed, numbers[one.name]) for seed, one in enumerate(wanted, 7)]
    far = through_session(tasks, wire.Given(cells, asked(source), source))
    namespace, errors = run_notebook(cells, asked(source))
    assert not errors
    assert len(far) == len(wanted)
    for task, one, timeline in zip(tasks, wanted, far, strict=True):
        near = play(task.scenario, task.parameters, namespace, seed=task.seed)
        assert near.to_json() == timeline.to_json(), one
