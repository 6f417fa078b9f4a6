"""What the world promises: seeded services, faults that begin and end, answers that come no sooner than leased."""

from __future__ import annotations

import asyncio

import pytest

from faultlab import World, error, hang, ok, simulate
from faultlab.timeline import NS
from faultlab.world import LEASE, WorldError


def called(world, at=0.0, number=0, service="op", args=()):
    """A call at an instant, in seconds."""
    world.call(round(at * NS), number, service, "me", args)


def outcomes(world, starts, service="op", patience=100.0):
    """What callers that start at these instants get: (when it came, value or error's name)."""
    op = world.service(service, latency=1.0) if service not in world.services else None
    assert op is None or op.name == service

    async def one(start):
        from faultlab import Service

        await asyncio.sleep(start)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(patience):
                await Service(service)()
            return loop.time(), "ok"
        except Exception as seen:
            return loop.time(), type(seen).__name__

    async def main():
        return await asyncio.gather(*(one(start) for start in starts))

    return simulate(main, world=world).value


@pytest.fixture
def world():
    """A world whose service "op" takes a second."""
    world = World(seed=1)
    world.service("op", latency=1.0)
    return world


class TestScripts:
    def test_a_script_is_played_in_order_and_then_the_rest(self):
        """Replies in order, `then` forever after."""
        world = World()
        world.service("op", [error("KeyError"), ok("x", after=2), hang()], then=error("ValueError"))
        assert outcomes(world, [0, 1, 2, 3, 4], patience=10) == [
            (0, "KeyError"),
            (3, "ok"),
            (12, "TimeoutError"),
            (3, "ValueError"),
            (4, "ValueError"),
        ]

    def test_latencies_are_drawn_from_the_services_own_stream(self):
        """The same for the same seed and name, whatever other services and the code draw."""

        def starts(seed, extra):
            world = World(seed)
            world.service("op", latency=lambda random: random.uniform(1, 2))
            if extra:
                world.service("other", latency=lambda random: random.uniform(1, 2))
            return outcomes(world, [0, 0, 0])

        assert starts(1, False) == starts(1, True) != starts(2, False)
        assert len({when for when, _ in starts(1, False)}) == 3

    def test_a_script_function_sees_the_call(self):
        """Its index, its arguments, its instant and a random stream."""
        seen = []
        world = World()

        def script(asked):
            seen.append((asked.index, asked.args, asked.at))
            return ok(after=1)

        op = world.service("op", script)

        async def main():
            await op("a")
            await op("b", 2)

        simulate(main, world=world)
        assert seen == [(0, ("a",), 0.0), (1, ("b", 2), 1.0)]

    @pytest.mark.parametrize("args", [(), ("x",), (None,), ([],), ({},), (0,), (object(),), (10**30,), (float("nan"),)])
    def test_strange_arguments_are_the_callers_mistake(self, args):
        """What a script can't read comes back as a TypeError that names the service."""
        world = World()
        op = world.service("op", lambda asked: ok(1 / asked.args[0]["key"] if asked.args[0] else 1 / asked.args[0]))

        async def main():
            with pytest.raises(TypeError, match="op can't be called with these arguments"):
                await op(*args)

        simulate(main, world=world)

    def test_a_script_that_returns_no_reply_is_its_authors_mistake(self):
        """The error names the service and what a script returns."""
        world = World()
        op = world.service("op", lambda asked: None)  # type: ignore[arg-type,return-value]
        with pytest.raises(WorldError, match="script of 'op' must return ok"):
            simulate(lambda: op(), world=world)

    def test_tokens_are_fresh(self):
        """Nobody can know one before it is shown: each differs, another seed gives others."""
        first, again, other = World(1), World(1), World(2)
        tokens = [first.token("a") for _ in range(100)]
        assert len(set(tokens)) == 100 and all(token.startswith("a-") for token in tokens)
        assert tokens == [again.token("a") for _ in range(100)]
        assert not set(tokens) & {other.token("a") for _ in range(100)}

    def test_answers_carry_tokens_unless_told_otherwise(self):
        """Successes and errors alike."""
        world = World()
        op = world.service("op", [ok(), ok(5), error(), error("KeyError", "k", status=503)])

        async def main():
            seen = [await op(), await op()]
            for kind in (ConnectionError, KeyError):
                try:
                    await op()
                except kind as failed:
                    seen.append((failed.args, getattr(failed, "status", None)))
            return seen

        token, five, (drawn, _), last = simulate(main, world=world).value
        assert token.startswith("op-") and drawn[0].startswith("op-") and token != drawn[0]
        assert (five, last) == (5, (("k",), 503))


class TestFaults:
    def test_outage(self, world):
        """New calls fail at once; one that began before is answered."""
        world.outage("op", 1, 3, error("OSError", after=0.25))
        assert outcomes(world, [0.5, 1, 2.9, 3]) == [(1.5, "ok"), (1.25, "OSError"), (3.15, "OSError"), (4, "ok")]

    def test_faults_are_on_the_timeline(self, world):
        """Their beginning and their end, at their instants."""
        world.outage("op", 1, 3)
        run = simulate(lambda: asyncio.sleep(10), world=world)
        assert [(event.seconds, event.data["what"], event.data["on"]) for event in run.timeline.of("world")] == [
            (1.0, "outage", True),
            (3.0, "outage", False),
        ]

    def test_faults_need_their_service(self, world):
        """An unknown name says so."""
        with pytest.raises(WorldError, match="create it before its outages"):
            world.outage("nobody", 1)
        with pytest.raises(WorldError, match="there is no service 'nobody'; there are: op"):
            called(world, service="nobody")


class TestLeases:
    def test_a_horizon_is_finite(self):
        """At most a minute ahead, whether or not anything is due."""
        world = World()
        assert world.horizon == LEASE == 60 * NS
        world.service("op", latency=1000)
        called(world)
        assert world.horizon == 60 * NS
        world.ask(50 * NS)
        assert world.horizon == 110 * NS

    def test_nothing_is_due_before_the_horizon(self):
        """Whatever is pending: asking for an instant before the horizon gives nothing."""
        world = World(3)
        world.service("op", latency=lambda random: random.uniform(0, 200))
        for number in range(50):
            called(world, number=number)
        got, asked = 0, 0
        while got < 50:
            before = world.horizon
            if before > world.now + 1:
                assert world.ask(before - 1) == (before - 1, [])
            news = world.ask(before)
            assert news is not None
            at, answers = news
            got += len(answers)
            asked += 1
            assert at == before and asked < 500

    def test_rounds(self):
        """Every answer waits for the next common instant, and calls leave the lease as it is."""
        world = World()
        world.service("op", latency=0.3)
        world.rounds(2)
        assert world.leases_through_calls
        assert outcomes(world, [0, 1.5, 1.8, 2]) == [(2, "ok"), (2, "ok"), (4, "ok"), (4, "ok")]

    def test_nothing_ever_comes(self):
        """No timer and nothing due: there is no next instant."""
        assert World().ask(None) is None


class TestReceipts:
    def test_an_error_comes_with_a_receipt(self):
        """Unpredictable, the same for the same seed, and another one for each call; values need none."""

        def receipts(seed):
            world = World(seed)
            world.service("op", [error(), error(), ok()])
            for number in range(3):
                called(world, number=number)
            return [answer.receipt for answer in (world.ask(None) or (0, []))[1]]

        first, second, none = receipts(1)
        assert none is None
        assert receipts(1) == [first, second, None]
        assert len({first, second, *receipts(2)[:2]}) == 4 and min(first, second) > 1000

    @pytest.mark.parametrize("claim", [0, 1, 0.0, True, -1, 2**62, "another world's"])
    def test_who_has_not_heard_an_error_names_no_call(self, claim):
        """A mark's `call` is a receipt of this very world; whatever else stands there says nothing."""
        worlds = World(1), World(2)
        for world in worlds:
            world.service("op", then=error())
            called(world)
        own, other = ((world.ask(None) or (0, []))[1][0].receipt for world in worlds)
        claim = other if isinstance(claim, str) else claim
        said = {"how": "raised", "call": own, "cause": {"call": claim}, "exceptions": [{"call": own}, {"call": claim}]}
        worlds[0].write(0, "mark", "", {"name": "told", "value": said})
        (told,) = worlds[0].timeline().marks()
        assert told.value["call"] == told.value["exceptions"][0]["call"] == 0
        assert told.value["cause"]["call"] is told.value["exceptions"][1]["call"] is None


class TestCancelling:
    def test_a_cancelled_call_is_not_answered(self, world):
        """Its answer is gone, and the timeline has who gave up and when."""
        called(world)
        world.cancel(NS // 2, 0)
        assert world.ask(5 * NS) == (5 * NS, [])
        assert world.timeline().calls()[0].outcome == "cancelled"

    def test_cancelling_what_was_just_answered_changes_nothing(self, world):
        """Both at one instant is honest."""
        called(world)
        assert len(world.ask(None)[1]) == 1
        before = world.timeline()
        world.cancel(NS, 0)
        world.cancel(NS, 0)
        assert world.timeline() == before

    def test_giving_up_a_call_that_hangs(self):
        """Is written down, once."""
        world = World()
        world.service("op", [hang()])
        called(world)
        world.cancel(NS, 0)
        world.cancel(NS, 0)
        assert [event.kind for event in world.timeline()] == ["call", "cancel"]


def test_one_run_a_world():
    """A world whose script is used up is refused, instead of a timeline that begins in the middle."""
    world = World()
    simulate(lambda: asyncio.sleep(1), world=world)
    with pytest.raises(WorldError, match="make a new World"):
        simulate(lambda: asyncio.sleep(1), world=world)
