"""Which names a cell binds and uses, which cells an answer needs, and how they are run."""

from __future__ import annotations

import asyncio
import builtins
import importlib
import os
import random
import sys
import threading
import time

import IPython
import pytest

from autograder.notebook.cells import CodeCell, names, needed, planned
from autograder.notebook.execution import run_notebook, running


def cell(source: str, *, own: bool = False, number: int = 0, answer: bool | None = None) -> CodeCell:
    return CodeCell(source, own, number, answer=answer)


def answer(source: str) -> CodeCell:
    return CodeCell(source, own=True, answer=True)


def spare(source: str, number: int = 0, *, late: bool = False) -> CodeCell:
    return CodeCell(source, own=True, number=number, answer=False, late=late)


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
            ("def f():\n    async def g():\n        await a\n    return g", ["f"], ["a"]),
            ("[i async for i in stream]", [], ["stream"]),
            ("table = {a: [f(a, b) for b in b_s] for a in a_s}", ["table"], ["a_s", "b_s", "f"]),
            ("print({f'{await x:{w}}' for x in y})", [], ["print", "w", "y"]),
            ("if a:\n    x: T = 1", ["x"], ["T", "a"]),
            ("%matplotlib inline\n!ls\nx = 1", ["x"], []),
            ("x = (5\n  % y)", ["x"], ["y"]),
        ],
    )
    def test_of_a_cell(self, source, defines, uses):
        """Bound and read where they aren't local, the same on every Python; magics count as nothing."""
        found = names(source)
        assert found.defines == defines
        assert found.uses == uses
        assert names(f"{source}\n# __future__") == found  # as the other Pythons read it

    def test_of_a_long_cell(self):
        """Reading takes as long as the cell is, not its square: a million empty lines are no attack."""
        assert names("\n" * 1_000_000 + "x = 1").defines == ["x"]

    @pytest.mark.parametrize("source", ["def (:", "x = '\0'", "(" * 5_000], ids=["syntax", "NUL", "deep"])
    def test_no_python(self, source):
        """Whatever is wrong with it."""
        with pytest.raises(SyntaxError):
            names(source)

    def test_a_name_misused(self):
        """What is wrong, without a line, since that would be one of a text that nobody wrote."""
        with pytest.raises(SyntaxError, match=r"^name 'x' is parameter and global$"):
            names("\n\ndef f(x):\n    global x")


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

    @pytest.mark.parametrize(
        "source",
        [
            "%%time\nx = y",
            "%%capture out\nx = y",
            "%%prun -q\nx = y",
            "%time x = y",
            "%prun -s cumulative x = y",
            "if y:\n    x = 1\n    !ls",
            "get_ipython().run_cell_magic('time', '', 'x = y')",
        ],
    )
    def test_what_a_magic_runs_counts(self, source):
        """The names in it are the cell's."""
        found = [cell("y = 1"), answer(source), cell("y = 2"), cell("plot = 1")]
        assert planned(found, ["x"]).needed == {0, 1, 2}

    def test_timeit_binds_nothing(self):
        """As in IPython."""
        assert planned([answer("%%timeit\nx = 1"), cell("x = 2")], ["x"]).needed == {0, 1}

    def test_the_answer_first(self):
        """All its pieces are needed, and what they use; the student's other cells aren't, and bring theirs along."""
        found = [cell("a = 1"), cell("b = 1"), answer("c = a"), cell("d = b", own=True), answer("e = 1")]
        found[3].answer = False
        assert planned(found)[:2] == ({0, 2, 4}, {1, 3})

    def test_what_stands_below_the_check(self):
        """It counts for a name that nothing above defines, and for no other."""
        found = [cell("a = 1"), answer("c = a + b"), spare("a = 2", late=True), spare("b = 2", late=True)]
        assert planned(found)[:2] == ({0, 1, 3}, {2})

    def test_an_answer_beside_its_stub(self):
        """The cell as it was released doesn't undo what the student's defines."""
        stub = cell("def add(): ...", answer=True)
        found = [spare("def add(): return 1"), stub]
        assert planned(found, ["add"]) == ({0}, set(), {1})
        assert planned([stub], ["add"]) == ({0}, set(), set())


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
        assert namespace["y"] == 2 and errors == [
            (9, "ZeroDivisionError", "division by zero, line 1 of cell 10\n1 / 0")
        ]

    def test_a_syntax_error_names_the_cell_once(self):
        """The file that Python names has the number by which people are told of the cell, which counts from 1."""
        _, [(number, kind, text)] = run_notebook([cell("x = 1"), cell("def (:", own=True, number=80)])
        assert (number, kind) == (80, "SyntaxError") and "line 1 of cell 81" in text

    def test_a_missing_name_runs_everything(self):
        """What no symbol table shows, like a name that is set through globals()."""
        namespace, errors = run_notebook([cell("globals()['x'] = 1"), cell("y = eval('x')", own=True)])
        assert namespace["y"] == 1 and errors == []

    def test_top_level_await_and_magics(self):
        """As in a notebook; what a shell would say is empty."""
        source = "%matplotlib inline\nimport asyncio\nawait asyncio.sleep(0)\nx = !echo hello"
        namespace, errors = run_notebook([cell(source, own=True)])
        assert errors == [] and namespace["x"] == []

    def test_checks_do_nothing(self):
        """And the modules that stand in are gone afterwards, also when a cell fails."""
        real = importlib.import_module("autograder.learner.checking")
        main = sys.modules["__main__"]
        source = "from autograder import check\nx = check('retry')\nassert __name__ == '__main__'\n1 / 0"
        namespace, errors = run_notebook([cell(source, own=True)])
        assert namespace["x"] is None and errors[0][1] == "ZeroDivisionError"
        assert sys.modules["autograder.learner.checking"] is real and sys.modules["__main__"] is main

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
        monkeypatch.setattr("autograder.notebook.execution.CPU_SECONDS", 1.0)
        namespace, errors = run_notebook([cell("while True: pass", own=True, number=1), cell("x = 1", own=True)])
        assert [(number, kind) for number, kind, _ in errors] == [(1, "TooLong")] and namespace["x"] == 1

    def test_nothing_is_printed(self, capsys):
        """Neither on stdout nor on stderr."""
        run_notebook([cell("import sys\nprint('out')\nprint('err', file=sys.stderr)", own=True)])
        assert capsys.readouterr() == ("", "")


class TestSpareCells:
    """The student's cells that the answer doesn't need."""

    def test_their_failures_are_notes(self):
        """Each says the cell, and the class of the error; the answer's are errors too."""
        with running([spare("1 / 0", 3), answer("x = 1\n[][1]"), spare("def (:", 7)]) as ran:
            assert ran.namespace["x"] == 1
            assert [kind for _, kind, _ in ran.errors] == ["IndexError"]
        with running([spare("1 / 0", 3), answer("x = 1"), spare("def (:", 7)]) as ran:
            assert ran.errors == []
            assert ran.notes == [(3, "failed", "ZeroDivisionError"), (7, "failed", "SyntaxError")]

    def test_what_they_change_below_the_check_is_undone(self):
        """Names bound anew, deleted, a library patched; what is new stays."""
        below = "import asyncio\nx = 2\ndel y\nasyncio.sleep = None\nz = 1"
        with running([answer("import asyncio\nx = y = 1"), spare(below, late=True)]) as ran:
            assert (ran.namespace["x"], ran.namespace["y"], ran.namespace["z"]) == (1, 1, 1)
            assert ran.namespace["asyncio"].sleep is asyncio.sleep is not None
        with running([answer("x = 1"), spare("%reset -f", late=True)]) as ran:
            assert ran.namespace["x"] == 1

    def test_what_they_change_above_stays(self):
        """As in Run All."""
        with running(
            [spare("import os\nos.environ['CHANGED'] = '1'\nx = []"), answer("x = os.environ['CHANGED']")]
        ) as ran:
            assert ran.namespace["x"] == "1"
        os.environ.pop("CHANGED")

    def test_one_budget(self, monkeypatch):
        """Endless ones take what there is for them, and never the answer's."""
        monkeypatch.setattr("autograder.notebook.execution.SPARE_SECONDS", 0.3)
        endless = [spare("while True: pass", number) for number in range(8)]
        began = time.process_time()
        with running([*endless, answer("x = 1"), *endless]) as ran:
            assert ran.namespace["x"] == 1 and ran.errors == []
        assert time.process_time() - began < 3
        assert {kind for _, kind, _ in ran.notes} == {"failed", "cut"}

    @pytest.mark.parametrize(
        ("source", "error"),
        [
            ("import asyncio\nawait asyncio.Event().wait()", "LimitError"),  # the task goes on
            ("import asyncio\nwhile True:\n    await asyncio.sleep(1)", "LimitError"),
            ("import asyncio\nwhile True:\n    await asyncio.sleep(0)", "LivelockError"),
            ("import asyncio\nawait asyncio.open_connection('localhost', 1)", "SimulationError"),
            ("import threading\nthreading.Event().wait()", "SimulationError"),
            ("import socket\na, b = socket.socketpair()\nwith a, b:\n    a.recv(1)", "TooLong"),
            ("input()", "NoKeyboard"),
        ],
    )
    @pytest.mark.parametrize("needed", [False, True], ids=["spare", "needed"])
    def test_what_never_ends(self, source, error, needed):
        """It is an error of that cell alone: the next one runs, and so does a task of an earlier one."""
        first = answer(
            "import asyncio\nticks = []\nasync def tick():\n    while True:\n        ticks.append(1)\n"
            "        await asyncio.sleep(100)\ntask = asyncio.create_task(tick())\nawait asyncio.sleep(0)"
        )
        middle = answer(source) if needed else spare(source)
        with running(
            [first, middle, answer("before = len(ticks)\nawait asyncio.sleep(301)\nx = len(ticks) - before")]
        ) as ran:
            assert ran.namespace["x"] in (3, 4)
            assert [(kind, name) for _, kind, name in ran.notes] == [("stopped" if needed else "failed", error)]


class TestShell:
    """The shell that the cells have."""

    def test_nothing_of_it_stays(self):
        """Neither a shell nor builtins, hooks or modules; the process's own are as before."""

        def state():
            return (
                sys.modules["__main__"],
                dict(vars(builtins)),
                sys.displayhook,
                sys.excepthook,
                sys.breakpointhook,
                sys.path[:],
                asyncio.run,
                IPython.get_ipython(),
                getattr(sys, "ps1", None),
                sys.stdout,
                sys.stderr,
                random.Random.seed,
                os.urandom,
                sys.modules.get("nest_asyncio2"),
                threading.active_count(),
            )

        run_notebook([cell("x = 1", own=True)])
        before = state()
        source = "import nest_asyncio2\nnest_asyncio2.apply()\n%time y = 1\n1 / 0"
        run_notebook([cell(source, own=True), cell("exit", own=True)])
        assert state() == before

    def test_each_notebook_has_its_own(self):
        """Names, histories, future imports and magics of one are nothing to the next."""
        run_notebook([cell("from __future__ import annotations\nx = 1\n%alias_magic t time\n'said'", own=True)])
        source = "def f(a: nobody): pass\nf.__annotations__"
        with running([answer("assert 'x' not in globals() and Out == {}"), answer("y = %t 1"), answer(source)]) as ran:
            assert [kind for _, kind, _ in ran.errors] == ["NameError"]
            assert ran.notes[0][1:] == ("magic", "%t")

    def test_its_magics_load_again(self):
        """IPython loads them once only; a notebook's own in the place of one of IPython's is gone with it."""
        source = (
            "x = %pwd\n%who\n%reset_selective -f nobody\nfrom IPython.core.magic import register_line_magic\n"
            "@register_line_magic\ndef who(line):\n    return 7\ny = %who"
        )
        for _ in range(2):
            with running([answer(source)]) as ran:
                assert ran.notes == [] and ran.namespace["x"] == os.getcwd() and ran.namespace["y"] == 7
        with running([answer("y = %who")]) as ran:
            assert ran.namespace["y"] is None

    def test_it_goes_on_while_scenarios_are_played(self):
        """What a function of the notebook asks for later is still there."""
        source = (
            "import IPython, __main__\ndef f():\n    display(1)\n    !ls\n    return IPython.get_ipython(), __main__"
        )
        with running([cell(source, own=True)]) as ran:
            shell, main = ran.namespace["f"]()
            assert shell is ran.namespace["get_ipython"]() and main.__dict__ is ran.namespace

    def test_chance_repeats(self):
        """With the same seed the same numbers, however they are drawn; with another seed others."""
        source = (
            "import os, random, secrets, uuid\nimport numpy\n"
            "x = [random.random(), random.Random().random(), random.SystemRandom().random(), os.urandom(4),"
            " uuid.uuid4(), secrets.token_hex(), numpy.random.random(), numpy.random.default_rng().random()]"
        )
        one, two, other = (run_notebook([cell(source, own=True)], seed=seed)[0]["x"] for seed in (1, 1, 2))
        assert one == two and not any(a == b for a, b in zip(one, other, strict=True))

    def test_time_is_virtual(self):
        """An hour costs nothing."""
        source = "import asyncio, time\nbegan = time.time()\nawait asyncio.sleep(1800)\ntime.sleep(1800)"
        assert run_notebook([cell(source + "\nx = time.time() - began", own=True)])[0]["x"] == pytest.approx(3600)
