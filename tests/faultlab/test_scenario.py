"""Scenarios: what a driver holds, how a run's end is written down, and a limit that can't be caught."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import warnings

import pytest

from faultlab import Service, World, error, ok, simulate
from faultlab import scenario as scenario_module
from faultlab.run import Here
from faultlab.scenario import Lab, ScenarioError, asked, perform, play, played, read, scenario

SOURCE = """
from faultlab import error
from faultlab.scenario import scenario

@scenario(group="slow", fixed=True)
def flaky(world, failures=2):
    world.service("op", [error("ConnectionError")] * failures)
    return {"attempts": failures + 1}

@flaky.driver
async def _(lab, attempts):
    await lab.outcome("result", lab.answer("retry"), lab.service("op", "student"), attempts)
"""


async def retry(op, attempts):
    for _ in range(attempts - 1):
        try:
            return await op()
        except ConnectionError:
            await asyncio.sleep(1)
    return await op()


def ending(answer, **options):
    """How a scenario ends that just awaits the student's `answer()`."""

    @scenario
    def bare(world):
        world.service("op", [error("KeyError", "k")], then=ok("fine"))

    @bare.driver
    async def _(lab):
        await lab.answer("answer")()

    world = World()
    bare.setup(world)
    perform(bare, {}, {"answer": answer} if answer else {}, Here(world), seed=0, **options)
    return world.timeline()


class TestReading:
    def test_a_scenario_has_two_halves(self):
        """Both are played against the notebook's names."""
        (flaky,) = read(SOURCE).values()
        assert (flaky.name, flaky.group, flaky.fixed) == ("flaky", "slow", True)
        timeline = play(flaky, {"failures": 1}, {"retry": retry})
        assert [call.outcome for call in timeline.calls(lane="student")] == ["error", "ok"]
        assert timeline.marks("result")[0].value["how"] == "returned"
        assert timeline[-1].data == {"how": "returned"}

    def test_play_repeats(self):
        """To the byte, for the same seed."""
        flaky = read(SOURCE)["flaky"]
        one, again, other = (play(flaky, {}, {"retry": retry}, seed=seed).to_json() for seed in (1, 1, 2))
        assert one == again != other

    def test_a_scenario_without_a_driver_is_refused(self):
        """With what to add, for its author."""
        with pytest.raises(ScenarioError, match=r"'flaky' has no driver; add one with @flaky.driver"):
            read(SOURCE.partition("@flaky.driver")[0])

    def test_what_the_drivers_ask_for(self):
        """The notebook's names, read from the source."""
        assert asked(SOURCE) == ["retry"]

    def test_parameters_as_a_key(self):
        """Lists and dicts come back; the order of names doesn't matter."""
        parameters = {"b": [1, [2, "x"]], "a": {"k": [None, {"z": 1}]}}
        key = played("x", parameters)
        assert key == played("x", dict(reversed(parameters.items()))) and hash(key)
        assert key.options == parameters


class TestEndings:
    def test_a_missing_answer(self):
        """Says which name the notebook lacks."""
        end = ending(None)[-1].data
        assert end["how"] == "missing" and "defines no `answer`" in end["message"]

    def test_errors_and_limits(self):
        """An error, a deadlock, an exit: each is written down and none comes out."""

        async def fail():
            raise ValueError("no")

        async def leave():
            raise SystemExit(3)

        assert ending(fail)[-1].data == {"how": "raised", "error": "ValueError", "message": "no"}
        assert ending(leave)[-1].data["error"] == "SystemExit"
        assert ending(lambda: asyncio.Event().wait())[-1].data["how"] == "deadlock"

    def test_too_much_happens(self):
        """A run that never stops calling is ended with a message."""

        async def greedy():
            from faultlab import Service

            while True:
                with contextlib.suppress(Exception):
                    await Service("op")()

        end = ending(greedy)[-1].data
        assert end["how"] == "limit" and "more than" in end["message"]

    @pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="Windows has no alarm")
    def test_a_pure_loop_is_stopped(self, monkeypatch):
        """Whatever it catches: the alarm is no Exception, and it comes again (trap 5)."""

        async def endless():
            for _ in range(2):
                try:
                    while True:
                        pass
                except BaseException:
                    pass

        before = signal.getsignal(signal.SIGVTALRM)
        monkeypatch.setattr(scenario_module, "CPU_SECONDS", 0.05)
        end = ending(endless)[-1].data
        assert end["how"] == "endless" and "0.05 s of CPU time" in end["message"]
        assert signal.getsignal(signal.SIGVTALRM) == before

    def test_prints_are_off_the_page_and_warnings_are_noted(self, capsys):
        """nbgrader treats anything on stderr as a failure."""

        async def noisy():
            print("hello")
            warnings.warn("careful", stacklevel=1)
            asyncio.sleep(1)  # type: ignore[unused-coroutine]

        timeline = ending(noisy)
        assert capsys.readouterr() == ("", "")
        notes = [event.data["text"] for event in timeline.of("note")]
        assert "careful" in notes and any("never awaited" in note for note in notes)

    def test_unheard_errors_are_noted(self):
        """A task that failed and wasn't awaited."""

        async def fail():
            raise ValueError("lost")

        async def careless():
            task = asyncio.create_task(fail())
            await asyncio.sleep(1)
            del task

        assert [event.data["text"] for event in ending(careless).of("note")] == ["lost"]


class TestLab:
    def test_outcomes(self):
        """What came back, as plain data: a value, the service's own error (by its call's number), a cause."""

        class Gone(Exception):
            pass

        async def answer(lab):
            op = lab.service("op")
            first = await lab.outcome("raised", op)
            value = await lab.outcome("returned", op)

            def wrap():
                try:
                    raise KeyError("inner")
                except KeyError as cause:
                    raise Gone("outer") from cause

            return first, value, await lab.outcome("wrapped", wrap)

        lab = Lab({"Gone": Gone})
        seen = []

        async def main():
            seen.extend(await answer(lab))

        timeline = ending(main)
        raised, returned, wrapped = seen
        assert (raised["error"], raised["args"]) == ("KeyError", ["k"])
        assert timeline.marks("raised")[0].value == raised | {"call": 0}
        assert returned == {"how": "returned", "value": "fine"}
        assert wrapped["names"] == ["Gone"] and wrapped["cause"]["error"] == "KeyError" and wrapped["call"] is None
        assert [item.name for item in timeline.marks()] == ["raised", "returned", "wrapped"]

    def test_errors_within_errors(self):
        """A cause and the members of a group are told by their calls, too."""

        async def main():
            lab, op = Lab({}), Service("op")
            errors = await asyncio.gather(op(), op(), return_exceptions=True)
            group = BaseExceptionGroup("both", [ValueError("own"), errors[1]])
            group.__cause__ = errors[0]
            lab.mark("report", {"errors": [lab.describe(group)]})

        world = World()
        world.service("op", [error("KeyError"), error("OSError")])
        simulate(main, world=world)
        (report,) = world.timeline().marks("report")
        (told,) = report.value["errors"]
        assert (told["call"], told["cause"]["call"]) == (None, 0)
        assert [one["call"] for one in told["exceptions"]] == [None, 1]

    def test_tasks_and_cancellation(self):
        """A task has its name as its lane; being cancelled is an outcome, and goes on."""

        async def main():
            lab = Lab({})
            task = lab.start("client", asyncio.sleep, 60)
            await asyncio.sleep(1)
            task.cancel()
            await lab.settle(task)
            assert task.cancelled()
            await lab.settle()

        (seen,) = ending(main).marks("client")
        assert (seen.lane, seen.value) == ("client", {"how": "cancelled"})


def test_the_driver_has_no_lane_of_its_own():
    """A student's picture shows what the student's code did; the driver's sleeps are nobody's."""
    (item,) = read(
        "import asyncio\n"
        "from faultlab.scenario import scenario\n"
        "@scenario\n"
        "def waits(world):\n    world.service('op')\n"
        "@waits.driver\n"
        "async def _(lab):\n"
        "    lab.start('caller', lab.service('op', 'caller'))\n"
        "    await asyncio.sleep(1)\n"
    ).values()
    assert play(item, {}, {}).lanes == ["caller"]


def test_what_ends_in_a_driver_is_kept_as_a_slip():
    """A driver that lets errors end, because it looks at what happened before, still tells an answer's own error."""

    @scenario
    def asked(world):
        world.service("op", [error("ConnectionError")])

    @asked.driver
    async def _(lab):
        for _ in range(2):
            with lab.whatever_comes():
                await lab.answer("ask")(lab.service("op"))

    names: dict = {}
    exec("async def ask(op):\n    try:\n        await op()\n    except ConnectionError:\n        wrong.name\n", names)
    said = [event.data["text"] for event in play(asked, {}, names).of("note")]
    assert [text.partition(",")[0] for text in said] == ["NameError: name 'wrong' is not defined"]
    exec("async def ask(op):\n    await op()\n", names)
    assert not list(play(asked, {}, names).of("note"))
