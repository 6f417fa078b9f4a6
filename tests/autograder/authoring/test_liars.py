"""Liars: an answer that does no work earns no more than the exercise declares, and the course's author is told."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager

import pytest

from autograder.authoring import parrot
from autograder.authoring.liars import claimants, declared, lies, overpaid_liars, pretending
from autograder.sandbox.session import Task
from faultlab.scenario import play, scenario
from faultlab.world import error, ok
from tests.autograder.conftest import SECTION


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


class TestCeilings:
    def test_every_exercise_is_told(self, pristine):
        """One line: the most that a liar earned, which one, and what is declared; nothing of sections without one."""
        told: list[str] = []
        sections = [pristine.section(name) for name in (SECTION, "91_plain")]
        assert [overpaid_liars(section, told.append) for section in sections] == [[], []]
        (line,) = told
        assert line == f"{SECTION}: most points that a liar earned: 3 (transcript under another seed); declared: 3"

    def test_who_earns_more_is_named(self, course):
        """Which liar, for which behaviours, and where to declare it."""
        section = course.section(SECTION)
        edit(section.hidden, "LIARS = 3\n", "LIARS = 2.5\n")
        (problem,) = overpaid_liars(section, print)
        for words in (
            "(transcript under another seed)",
            "3 points",
            "small 2",
            "zero 1",
            "2.5 are declared",
            section.hidden.name,
        ):
            assert words in problem

    def test_silence_declares_nothing(self, course):
        """A ceiling that isn't there is 0."""
        section = course.section(SECTION)
        edit(section.hidden, "LIARS = 3\n", "")
        assert declared(section) == 0
        assert overpaid_liars(section, print)

    def test_who_earns_what(self, pristine):
        """Silence, a constant or a coin earns nothing for sums; 0 earns the one sum that is 0."""
        earned = {lie.liar: lie.earned for lie in lies(pristine.section(SECTION))}
        assert earned["mute"] == earned["always None"] == earned["echo"] == earned["calls without claims"] == {}
        assert earned["always 0"] == earned["always False"] == {"zero": 1}
        assert set(earned) >= {"coin 0", "last input", "everything at t = 0", "everything at the horizon"}


@scenario
def asks(world):
    """A service that fails first; what it answers, the world draws."""
    world.service("op", [error(), ok()], latency=0.5)


@asks.driver
async def _(lab):
    await lab.outcome("first", lab.answer("ask"), lab.service("op", "caller"))
    await lab.outcome("second", lab.answer("ask"), lab.service("op", "caller"))


class TestParrots:
    @pytest.fixture
    def tell(self):
        """What the trusted side writes of a transcript under another seed."""

        async def ask(op):
            return await op()

        known = play(asks, {}, {"ask": ask}, seed=1)
        scripts = {**parrot.SCRIPTS, "the whole": parrot.whole}
        return lambda script, **options: parrot.retell(Task(asks, {}, 2, 0), known, scripts[script], **options)

    def test_a_transcript_has_the_old_answers(self, tell):
        """It calls at its instants, and shows neither what came back nor which call's error came out."""
        run = tell("the whole")
        failed, answered = run.calls()
        first, second = (mark.value for mark in run.marks())
        assert [call.start for call in (failed, answered)] == [0, 0.5]
        assert first["call"] is None and second["value"] != answered.value

    def test_tokens_and_receipts_swapped(self, tell):
        """It shows what came back, and that it heard this run's error."""
        run = tell("the whole", swap=True)
        failed, answered = run.calls()
        first, second = (mark.value for mark in run.marks())
        assert second["value"] == answered.value
        assert first["call"] == failed.id and first["args"] == list(run.of("error")[0].data["args"])

    def test_answers_in_the_same_instant(self):
        """What a call is answered in the very instant in which it is made, the parrot hears before it tells on."""

        @scenario
        def at_once(world):
            world.service("op", [error(), ok()])

        @at_once.driver
        async def _(lab):
            for name in ("first", "second"):
                await lab.outcome(name, lab.answer("ask"), lab.service("op", "caller"))

        async def ask(op):
            return await op()

        known = play(at_once, {}, {"ask": ask}, seed=1)
        run = parrot.retell(Task(at_once, {}, 2, 0), known, parrot.whole, swap=True)
        failed, answered = run.calls()
        first, second = (mark.value for mark in run.marks())
        assert (first["call"], second["value"]) == (failed.id, answered.value)

    def test_receipts_of_what_it_never_heard(self, tell):
        """Told at the first instant, before anything came back, neither answer nor error is believed."""
        run = tell("everything at t = 0", swap=True)
        first, second = (mark.value for mark in run.marks())
        assert first["call"] is None and second["value"] != run.calls()[1].value

    def test_receipts_inside(self):
        """A cause's receipt is swapped too, and nothing else that looks like a call's number."""
        value = {"call": 7, "cause": {"call": 8, "n": 7}, "list": [{"call": 9}, 7], "value": {"call": None}}
        assert parrot._receipted(value, {7: 70, 8: 80}) == {
            "call": 70,
            "cause": {"call": 80, "n": 7},
            "list": [{"call": 9}, 7],
            "value": {"call": None},
        }

    @pytest.mark.parametrize(
        ("script", "calls", "marks"),
        [("mute", 0, 0), ("claims without calls", 0, 2), ("calls without claims", 2, 0)],
    )
    def test_halves_of_it(self, tell, script, calls, marks):
        """Calls without claims, claims without calls, and neither."""
        run = tell(script)
        assert (len(run.calls()), len(run.marks()), run.ending.data["how"]) == (calls, marks, "returned")

    @pytest.mark.parametrize(("script", "at"), [("everything at t = 0", 0), ("everything at the horizon", 60)])
    def test_at_one_instant(self, tell, script, at):
        """All of it, at the first instant or at the last that is allowed."""
        run = tell(script)
        assert {event.seconds for event in run} == {at}
        assert len(run.calls()) == len(run.marks()) == 2


class TestClaimants:
    @pytest.fixture
    def pretended(self):
        """Makes a liar of a function or a class, by what it says."""
        return lambda value, liar="always 0": pretending(value, claimants()[liar])

    def test_functions(self, pretended):
        """Coroutine functions are awaited, context managers entered, plain functions called."""

        async def later(a):
            raise AssertionError

        @contextmanager
        def around():
            raise AssertionError
            yield

        assert asyncio.run(pretended(later)(1)) == pretended(len)("abc") == 0
        with pretended(around)() as value:
            assert value == 0

    def test_classes(self, pretended):
        """Whatever it is made with, its methods, properties and attributes say the same."""

        class Answer:
            def __init__(self, size):
                self.size = size

            @property
            def ready(self):
                raise AssertionError

            async def run(self, op):
                raise AssertionError

            async def __aenter__(self):
                raise AssertionError

            async def __aexit__(self, *error):
                raise AssertionError

        async def main():
            async with pretended(Answer)(size=3) as entered:
                assert entered == 0
            return await pretended(Answer)(3).run(None)

        answer = pretended(Answer)(size=3)
        assert answer.ready == answer.size == asyncio.run(main()) == 0

    def test_errors_stay(self, pretended):
        """A liar may know which errors there are."""
        assert pretended(KeyError) is KeyError

    def test_what_they_say(self, pretended):
        """Echo says what it is told, the last input what was told before; a coin says yes and no."""
        echo, last, coin = (pretended(len, liar) for liar in ("echo", "last input", "coin 0"))
        assert [echo(number) for number in (1, 2)] == [1, 2]
        assert [last(number) for number in (1, 2, 3)] == [None, 1, 2]
        assert {coin() for _ in range(20)} == {True, False}
