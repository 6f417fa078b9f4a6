"""Which names a cell binds and uses, which cells an answer needs, and how they are run."""

from __future__ import annotations

import importlib
import sys

import pytest

from autograder import cells
from autograder.cells import names, needed, run_notebook


def cell(source: str, *, own: bool = False, number: int = 0) -> dict:
    return {"source": source, "own": own, "number": number}


class TestNames:
    @pytest.mark.parametrize(
        ("source", "defines", "uses"),
        [
            ("x = y", ["x"], ["y"]),
            ("import a.b, c as d", ["a", "d"], []),
            ("def f(p):\n    local = p\n    return g(local)", ["f"], ["g"]),
            ("def f():\n    global x\n    x = 1", ["f", "x"], []),
            ("class A(B):\n    y = z", ["A"], ["B", "z"]),
            ("[i for i in data]", [], ["data"]),
            ("def f():\n    x = 1\n    def g():\n        return x\n    return g", ["f"], []),
            ("if (n := thing): pass", ["n"], ["thing"]),
            ("async with a as b:\n    await c(b)", ["b"], ["a", "b", "c"]),
            ("%matplotlib inline\n!ls\nx = 1", ["x"], []),
        ],
    )
    def test_of_a_cell(self, source, defines, uses):
        """Bound and read where they aren't local; magics count as nothing."""
        found = names(source)
        assert found.defines == defines
        assert found.uses == uses

    def test_of_a_long_cell(self):
        """Reading takes as long as the cell is, not its square: a million empty lines are no attack."""
        assert names("\n" * 1_000_000 + "x = 1").defines == ["x"]

    @pytest.mark.parametrize("source", ["def (:", "x = '\0'", "(" * 5_000], ids=["syntax", "NUL", "deep"])
    def test_no_python(self, source):
        """Whatever is wrong with it."""
        with pytest.raises(SyntaxError):
            names(source)


class TestNeeded:
    def test_own_and_what_they_use(self):
        """The student's cells, and of the others those that define what a cell to run uses, and so on."""
        found = [cell("a = 1"), cell("b = a"), cell("plot = 1"), cell("c = b", own=True), cell("d = c")]
        assert needed(found) == {0, 1, 3}

    def test_wanted_names(self):
        """Released cells that define what the scenarios ask for."""
        assert needed([cell("def add(): pass"), cell("other = 1")], ["add"]) == {0}

    def test_broken_ones_are_run(self):
        """The student's, whatever is in it: its error is what they have to hear."""
        assert needed([cell("def (:", own=True)]) == {0}


class TestRun:
    def test_in_order(self):
        """A cell that isn't needed isn't run; errors carry the cell's number."""
        namespace, errors = run_notebook(
            [
                cell("x = 1", number=3),
                cell("1 / 0", number=5),
                cell("y = x + 1", own=True),
                cell("1 / 0", own=True, number=9),
            ]
        )
        assert namespace["y"] == 2 and errors == [(9, "ZeroDivisionError", "division by zero")]

    def test_a_syntax_error_names_the_cell_once(self):
        """The file that Python names has the number by which people are told of the cell, which counts from 1."""
        _, [(number, kind, text)] = run_notebook([cell("x = 1"), cell("def (:", own=True, number=80)])
        assert (number, kind) == (80, "SyntaxError") and "<cell 81>" in text

    def test_a_missing_name_runs_everything(self):
        """What no symbol table shows, like a name that is set through globals()."""
        namespace, errors = run_notebook([cell("globals()['x'] = 1"), cell("y = eval('x')", own=True)])
        assert namespace["y"] == 1 and errors == []

    def test_top_level_await_and_magics(self):
        """As in a notebook; magics do nothing and the shell is refused."""
        source = "%matplotlib inline\nimport asyncio\nawait asyncio.sleep(0)\nx = 1"
        assert run_notebook([cell(source, own=True)])[0]["x"] == 1
        _, [(_, kind, _)] = run_notebook([cell("!echo hello", own=True)])
        assert kind == "PermissionError"

    def test_checks_do_nothing(self):
        """And the modules that stand in are gone afterwards, also when a cell fails."""
        real = importlib.import_module("autograder.check")
        main = sys.modules["__main__"]
        source = "from autograder.check import check\nx = check('retry')\nassert __name__ == '__main__'\n1 / 0"
        namespace, errors = run_notebook([cell(source, own=True)])
        assert namespace["x"] is None and errors[0][1] == "ZeroDivisionError"
        assert sys.modules["autograder.check"] is real and sys.modules["__main__"] is main

    def test_nobody_has_an_answer_of_their_own(self):
        """A notebook that takes a learner's other answers gets none, and fills the gaps."""
        source = "from autograder import own_answer\nown = own_answer('retry')"
        namespace, errors = run_notebook([cell(source, own=True)])
        assert errors == [] and namespace["own"].names is None

    def test_background_tasks_are_ended(self):
        """Only names go on."""
        source = "import asyncio\nask = asyncio.create_task(asyncio.sleep(3600))\nawait asyncio.sleep(0)"
        namespace, errors = run_notebook([cell(source, own=True)])
        assert errors == [] and namespace["ask"].cancelled()

    def test_an_endless_cell_is_stopped(self, monkeypatch):
        """By its CPU time; the next ones are run."""
        monkeypatch.setattr(cells, "CPU_SECONDS", 0.2)
        namespace, errors = run_notebook([cell("while True: pass", own=True, number=1), cell("x = 1", own=True)])
        assert [(number, kind) for number, kind, _ in errors] == [(1, "TooLong")] and namespace["x"] == 1

    def test_nothing_is_printed(self, capsys):
        """Neither on stdout nor on stderr."""
        run_notebook([cell("import sys\nprint('out')\nprint('err', file=sys.stderr)", own=True)])
        assert capsys.readouterr() == ("", "")
