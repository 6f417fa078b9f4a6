"""The set-up cell: one line, one heartbeat, and a word to a learner who forgot it."""

from __future__ import annotations

import asyncio
import platform
from types import SimpleNamespace

import pytest

from autograder.notebook.cells import CodeCell
from autograder.notebook.execution import run_notebook
from faultlab import notebook


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a kernel that has just begun."""
    monkeypatch.setattr(notebook, "_started", False)
    monkeypatch.setattr(notebook, "_heartbeat", None)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a kernel ran this."""
    monkeypatch.setattr(notebook, "_in_kernel", lambda: True)


def beats() -> list[asyncio.Task]:
    return [task for task in asyncio.all_tasks() if task.get_name() == "heartbeat"]


class TestStart:
    def test_says_what_runs_here(self, capsys):
        """One line: Python, the course, the clock."""
        notebook.start()
        (line,) = capsys.readouterr().out.splitlines()
        assert platform.python_version() in line and "course " in line and "clock is virtual" in line

    async def beating(self) -> int:
        notebook.start()
        notebook.start()
        await asyncio.sleep(0)
        return len(beats())

    def test_one_heartbeat(self, kernel):
        """However often it is called; a loop that came later gets its own."""
        assert asyncio.run(self.beating()) == 1
        assert asyncio.run(self.beating()) == 1

    def test_one_that_ended_is_replaced(self, kernel):
        """Cancelling every task doesn't take the Stop button away for good."""

        async def main() -> int:
            notebook.start()
            (beat,) = beats()
            beat.cancel()
            await asyncio.wait([beat])
            return await self.beating()

        assert asyncio.run(main()) == 1

    def test_no_heartbeat_outside_a_kernel(self):
        """In a script and in a test nothing is left running."""
        assert asyncio.run(self.beating()) == 0

    def test_no_loop_no_heartbeat(self, kernel):
        """Nothing to stop there."""
        notebook.start()
        assert notebook._heartbeat is None

    def test_grading_runs_it(self):
        """The cell loop of the grader takes it like any other cell."""
        cells = [CodeCell(text, own=True) for text in ("from faultlab.notebook import start\nstart()", "a = 1")]
        names, errors = run_notebook(cells)
        assert errors == [] and names["a"] == 1


class TestForgotten:
    def said(self, capsys, error: BaseException | None) -> str:
        notebook._explain(SimpleNamespace(error_in_exec=error))
        return capsys.readouterr().out

    def test_name_error_names_the_fix(self, capsys):
        """One line after the traceback."""
        assert self.said(capsys, NameError("name 'World' is not defined")) == notebook.FIX + "\n"

    @pytest.mark.parametrize("error", [None, ValueError("no"), UnboundLocalError("no")], ids=repr)
    def test_nothing_else_does(self, capsys, error):
        """A cell that works, and errors that the set-up cell wouldn't fix."""
        assert self.said(capsys, error) == ""

    def test_silent_once_set_up(self, capsys):
        """Then a name that isn't there is a name that isn't there."""
        notebook.start()
        capsys.readouterr()
        assert self.said(capsys, NameError("x")) == ""
