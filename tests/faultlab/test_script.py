"""Scripts: lines of text -> calls, and what is to be done when."""

from __future__ import annotations

import asyncio

import pytest

from faultlab import simulate
from faultlab.scenario import Lab
from faultlab.script import Call, End, in_order, read_script

WORKS = End("works", "", None)


class TestReadScript:
    @pytest.mark.parametrize(
        ("line", "call"),
        [
            ("A at 0: works", Call("A", "", 0.0, [WORKS], None)),
            ("A at 1.5: works after 0.2", Call("A", "", 1.5, [End("works", "", 0.2)], None)),
            ("B then: fails, works", Call("B", "", None, [End("fails", "", None), WORKS], None)),
            ("C at 2: hangs, cancelled at 2.5", Call("C", "", 2.0, [End("hangs", "", None)], 2.5)),
            ("F on other at 4: works", Call("F", "other", 4.0, [WORKS], None)),
            ("A at 0: fails with KeyError after 0.2", Call("A", "", 0.0, [End("fails", "KeyError", 0.2)], None)),
            ("D at 3: raises at once", Call("D", "", 3.0, [End("raises at once", "", None)], None)),
            ("E then: works or missing", Call("E", "", None, [End("works or missing", "", None)], None)),
            ("look at 6", Call("look", "", 6.0, [], None)),
        ],
    )
    def test_one_line(self, line: str, call: Call) -> None:
        """Says which caller comes when and to which service, how each attempt ends, and when its caller gives up."""
        assert read_script([line]) == [call]

    def test_many(self) -> None:
        """Callers of the same instant are told apart by numbers."""
        assert [call.who for call in read_script(["3 x A at 0: works", "A at 1: works"])] == ["A1", "A2", "A3", "A"]

    @pytest.mark.parametrize("line", ["", "A: works", "A at noon: works", "A at 0:", "A at 0: works,", "x A at 0: ok"])
    def test_what_cant_be_read(self, line: str) -> None:
        """Is named."""
        with pytest.raises(ValueError, match=r"the script's line .* can't be read"):
            read_script([line])


class TestInOrder:
    def test_by_instants(self) -> None:
        """Calls, cancellations and what else there is to do; what has the same instant stays in its order."""
        script = ["B at 2: hangs, cancelled at 5", "A at 0: works", "look at 2", "C on other at 2: works"]
        assert in_order(read_script(script)) == [
            [0.0, "call", "A", ""],
            [2.0, "call", "B", ""],
            [2.0, "look", "", ""],
            [2.0, "call", "C", "other"],
            [5.0, "cancel", "B", ""],
        ]

    def test_when_all_are_over(self) -> None:
        """A call without an instant stays behind those that stand before it."""
        script = ["A at 3: works, cancelled at 4", "B then: works", "C at 1: works", "D then: works"]
        steps = in_order(read_script(script))
        assert [who for _, what, who, _ in steps if what == "call"] == ["C", "A", "B", "D"]
        assert [at for at, *_ in steps] == [1.0, 3.0, None, None, 4.0]


def test_until() -> None:
    """A driver waits for an instant, and for none that has come."""
    seen: list[float] = []

    async def main() -> None:
        lab, clock = Lab({}), asyncio.get_running_loop().time
        for instant in (1.0, 1.0, 0.5, 2.5):
            await lab.until(instant)
            seen.append(clock())

    simulate(main())
    assert seen == [1.0, 1.0, 1.0, 2.5]
