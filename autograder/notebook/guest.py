"""Run another notebook's cells in a learner's kernel without touching its names, history or magics.

A second shell would replace the first. So IPython only translates the text to Python; the rest is done here, in a
separate namespace.
"""

from __future__ import annotations

import ast
import asyncio
import builtins
import codeop
import contextlib
import inspect
import linecache
import sys
import types
from collections.abc import Iterator
from typing import Any

from autograder.notebook.standing import standing_in


def in_a_kernel() -> bool:
    """Whether IPython runs in this process, and the shell isn't one of ours."""
    ipython = sys.modules.get("IPython")  # if it isn't imported, there is none
    shell = ipython.get_ipython() if ipython is not None else None
    ours = sys.modules.get("autograder.notebook.shell")
    return shell is not None and (ours is None or not isinstance(shell, ours.NotebookShell))


class Guest:
    """Runs cells in a namespace of their own. Their magics don't reach the kernel."""

    def __init__(self) -> None:
        self.module = types.ModuleType("__main__")
        self.names = self.module.__dict__
        magics = _Magics(self)
        self.names.update(__builtins__=builtins, get_ipython=lambda: magics)
        self._transform = sys.modules["IPython"].get_ipython().input_transformer_manager.transform_cell
        self._compile = codeop.Compile()  # remembers what was imported from __future__
        self._compile.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT

    async def run(self, source: str, number: int) -> BaseException | None:
        """Run one cell; returns the error that it ends with."""
        try:
            text, filename = self.transformed(source), f"<cell {number + 1}>"
            linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
            done = eval(self._compile(text, filename, "exec"), self.names)
            if inspect.iscoroutine(done):
                await done
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            return error
        return None

    def transformed(self, source: str) -> str:
        """As Python, by the kernel's own rules."""
        text: str = self._transform(source)
        return text

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        """`__main__` is its module, and `from IPython import get_ipython` gives it no kernel to change."""
        ipython = sys.modules["IPython"]
        inner = sys.modules["IPython.core.getipython"]
        before = ipython.get_ipython, inner.get_ipython
        ipython.get_ipython = inner.get_ipython = self.names["get_ipython"]  # type: ignore[attr-defined]
        try:
            with standing_in({"__main__": self.module}):
                yield
        finally:
            ipython.get_ipython, inner.get_ipython = before  # type: ignore[attr-defined]


class _Magics:
    """What `get_ipython()` returns to a guest: every method does nothing, but a magic's body is run."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest

    def __getattr__(self, name: str) -> _Magics:
        return self

    def __call__(self, *args: Any, **options: Any) -> None:
        """Nothing."""

    def run_line_magic(self, name: str, line: str, *_rest: Any) -> None:
        """Run the statement of `%time`, ignore the others."""
        if name == "time":
            self._run(line)

    def run_cell_magic(self, name: str, line: str, cell: str) -> None:  # noqa: ARG002  (IPython's own)
        """Run the body of those that run one, ignore the others. `%%timeit` binds no name."""
        if name in ("time", "prun", "capture"):
            self._run(cell)

    def getoutput(self, *_args: Any, **_options: Any) -> list[str]:
        """Empty."""
        return []

    def _run(self, source: str) -> None:
        exec(compile(self._guest.transformed(source), "<cell>", "exec"), self._guest.names)
