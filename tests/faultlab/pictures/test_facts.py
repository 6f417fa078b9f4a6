"""What a picture's table promises: the same facts in words, and no field names."""

from __future__ import annotations

import asyncio

from faultlab import World, error, mark, ok, simulate, waiting
from faultlab.pictures.facts import facts, table_html
from faultlab.timeline import Timeline


def evening() -> Timeline:
    """A call that fails, a pause, one that is answered, a timeout, states, a wait, an outage."""
    world = World()
    payments = world.service("payments", [error("ConnectionError", "no route"), ok({"paid": 7})], latency=0.1)
    world.outage("payments", 2, 3)

    async def main() -> None:
        try:
            await payments("user 7")
        except ConnectionError:
            await asyncio.sleep(0.5)
        await payments("user 7")
        mark("state", "open", lane="circuit breaker")
        mark("state", "half_open", lane="circuit breaker")
        mark("slot taken", 3)
        with waiting("a permit"):
            await asyncio.sleep(0)
        try:
            async with asyncio.timeout(1):
                with waiting("a permit"):
                    await asyncio.sleep(4)
        except TimeoutError:
            await asyncio.sleep(2)

    return simulate(main, world=world).timeline


def test_facts_in_words():
    """Calls, waits, states, faults and the end, each in a sentence; a wait that takes no time isn't told."""
    assert [(round(fact.at, 3), fact.who, fact.words) for fact in facts(evening())] == [
        (0.0, "main", "call 1 to payments begins, with user 7"),
        (0.1, "main", "call 1 to payments fails: ConnectionError (no route)"),
        (0.1, "main", "waits 0.5 s"),
        (0.6, "main", "call 2 to payments begins, with user 7"),
        (0.7, "main", "call 2 to payments is answered: paid 7"),
        (0.7, "circuit breaker", "opens"),
        (0.7, "circuit breaker", "becomes half-open"),
        (0.7, "main", "slot taken 3"),
        (0.7, "main", "waits for a permit"),
        (0.7, "main", "waits 4 s"),
        (1.7, "main", "its timeout of 1 s is over"),
        (1.7, "main", "its wait is cancelled"),
        (1.7, "main", "its wait for a permit is cancelled"),
        (1.7, "main", "waits 2 s"),
        (2.0, "", "the outage of payments begins"),
        (3.0, "", "the outage of payments ends"),
        (3.7, "", "the run ends"),
    ]


def test_the_first_state_is_no_change():
    """A breaker that hasn't been open yet is closed; it doesn't close."""

    async def main():
        for state in ("closed", "open", "closed"):
            await asyncio.sleep(1)
            mark("state", state, lane="breaker")

    told = [fact.words for fact in facts(simulate(main).timeline) if fact.who == "breaker"]
    assert told == ["is closed", "opens", "closes"]


def test_every_kind_of_event_has_words(busy):
    """No event is told by the names of its fields."""
    fields = ("timer", "what ", "until", "how ", "args", "service ", "value ", "None", "{", "[")
    words = [fact.words for fact in facts(busy)]
    assert words and not [one for one in words for field in fields if field in one]


def test_table(pen, busy):
    """The table has a row for each fact, up to its limit, and names can't break out of it."""
    rows = len(facts(busy))
    assert table_html(busy).count("<tr>") == rows + 1
    assert "and 9 more events" in table_html(busy, limit=rows - 9)
    assert "<script" not in table_html(pen.call("<script>alert(1)</script>", 0, 1).timeline)
