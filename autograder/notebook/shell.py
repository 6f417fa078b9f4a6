"""IPython's shell for notebooks that are graded: cells run as IPython runs them, without its keyboard, its files, its
processes and its screen.

There is one in each process, reset for each notebook. The sandbox makes it before children are forked, since making it
takes as long as running a whole notebook. Where IPython runs already, in a learner's kernel, there is never a second
one: see `guest.py`.
"""

# mypy: disable-error-code="no-untyped-call"
# (much of IPython is without annotations)
# ruff: noqa: ARG002
# (IPython calls these methods so)

from __future__ import annotations

import asyncio
import atexit
import contextlib
import re
import sys
import types
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, ClassVar, NoReturn

from IPython.core.autocall import ExitAutocall
from IPython.core.builtin_trap import BuiltinTrap
from IPython.core.compilerop import CachingCompiler
from IPython.core.display_functions import display
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.error import UsageError
from IPython.core.inputtransformer2 import TransformerManager
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.text import LSString, SList
from traitlets.config import Config

from autograder.notebook.notes import NoteKind
from autograder.notebook.standing import standing_in
from faultlab.clock.insides import running_loop, set_aside
from faultlab.clock.loop import VirtualLoop

TellNote = Callable[[NoteKind, str], None]
"""Receives a note about a cell: its kind (see `notes.NoteKind`) and a name."""

BODIES = frozenset(("time", "timeit", "prun", "capture"))
"""IPython's magics that run a student's code: an error in there is the cell's own."""
_ELSEWHERE = frozenset(
    (
        *("pip", "conda", "mamba", "micromamba", "uv"),
        *("script", "bash", "sh", "perl", "ruby", "python", "python2", "python3", "pypy", "system", "sx", "sc", "!"),
        *("html", "HTML", "javascript", "js", "latex", "markdown", "svg", "SVG"),
        *("store", "edit", "ed", "debug", "logstart", "notebook", "save"),
    )
)
"""Those that need a package index, a process, a disk that lasts, a person or a browser."""
_OUTPUT = re.compile(r"--(?:out|err)[ =](\w+)")
_REPEATS = re.compile(r"^((?:\s*-(?:[nr]\s*\d+|p\s*\d+|[tcqo]+))*)")


class _Compiler(CachingCompiler):
    """Names code by the cell's number, as people count cells."""

    cell = 0

    def get_code_name(self, raw_code: str, transformed_code: str, number: int) -> str:
        return f"<cell {self.cell + 1}>"


class _Nowhere(DisplayPublisher):
    """Discards what is displayed, unless `displayed` collects it."""

    heard: ClassVar[list[str] | None] = None

    def publish(self, *args: Any, **options: Any) -> None:
        """Keep the markup for `displayed`."""
        if _Nowhere.heard is not None:
            data = options.get("data", args[0] if args else {})
            _Nowhere.heard += [data["text/html"]] if "text/html" in data else []

    def clear_output(self, wait: bool = False) -> None:
        """Nothing."""


@contextlib.contextmanager
def displayed() -> Iterator[list[str]]:
    """The markup that cells display meanwhile, as it comes: for our own cells only, of a student's none is kept."""
    _Nowhere.heard = []
    try:
        yield _Nowhere.heard
    finally:
        _Nowhere.heard = None


class _Unseen(DisplayHook):
    """Keeps `_`, `__` and `Out`, and shows nothing."""

    def write_output_prompt(self) -> None:
        """Nothing."""

    def compute_format_data(self, result: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Nothing: a value isn't even asked for its text."""
        return {}, {}


class _Exit(ExitAutocall):
    def __call__(self, keep_kernel: bool = False) -> None:
        assert self._ip is not None
        self._ip.ask_exit()


class NotebookShell(InteractiveShell):
    """A notebook's shell. `tell` receives notes about what isn't done."""

    compiler_class = _Compiler
    display_pub_class = _Nowhere
    displayhook_class = _Unseen
    tell: TellNote = staticmethod(lambda _kind, _name: None)

    def __init__(self) -> None:
        config = Config()
        config.HistoryManager.enabled = False  # otherwise it opens a database and starts a thread
        config.HistoryManager.hist_file = ":memory:"
        super().__init__(config=config, colors="nocolor")
        atexit.unregister(self.atexit_operations)
        for kind, known in self.magics_manager.magics.items():
            for name in list(known):
                self.magics_manager.find(kind, name)  # which loads the extension, and works only once
        self._magics = {kind: dict(known) for kind, known in self.magics_manager.magics.items()}

    # -- what IPython would leave in this process or on its disk

    def init_ipython_dir(self, ipython_dir: Any) -> None:
        """There is none."""

    def init_profile_dir(self, profile_dir: Any) -> None:
        """There is none."""

    def init_virtualenv(self) -> None:
        """The path stays."""

    def init_sys_modules(self) -> None:
        """`__main__` stays, but while a notebook runs."""

    def init_prompts(self) -> None:
        """`sys.ps1` stays."""

    def init_builtins(self) -> None:
        """Builtins stay, but while a notebook runs."""
        self.builtin_trap = BuiltinTrap(shell=self)
        self.builtin_trap.auto_builtins |= {"__IPYTHON__": True, "display": display, "input": _no_keyboard}

    # -- a fresh one for each notebook

    def begin(self, tell: TellNote) -> dict[str, Any]:
        """Forget the previous notebook; return the names of the new one."""
        self.tell = tell
        self.exiter = _Exit(self)
        self.compile = self.compiler_class()
        self.input_transformer_manager = TransformerManager()
        self.ast_transformers, self.input_transformers_post = [], []
        self.ast_node_interactivity, self.autoawait, self.automagic, self.autocall = "last_expr", True, True, 0
        self.magics_manager.magics = {kind: dict(known) for kind, known in self._magics.items()}
        self.execution_count = 1
        self.init_create_namespaces(types.ModuleType("__main__"))
        self.configurables = [one for one in self.configurables if one is not self.history_manager]
        self.init_history()
        self.init_events()
        self.db = {}
        self.extension_manager.loaded = set()  # type: ignore[union-attr]
        self.init_user_ns()
        # The module where functions of the notebook find their names, also when they are called later and elsewhere.
        self.user_ns_hidden["display"] = self.user_ns["display"] = display
        for name in ("_", "__", "___"):  # as `flush` does, which also collects garbage
            setattr(self.displayhook, name, "")
            self.user_ns[name] = ""
        names: dict[str, Any] = self.user_ns
        return names

    async def run(self, source: str, number: int) -> BaseException | None:
        """Run one cell, as a kernel does; returns the error that it ends with."""
        self.compile.cell = number  # type: ignore[attr-defined]
        transformed, problem = source, None
        try:
            transformed = self.transform_cell(source)
        except Exception:
            problem = sys.exc_info()
        result = await self.run_cell_async(
            source, store_history=True, transformed_cell=transformed, preprocessing_exc_tuple=problem
        )
        self.events.trigger("post_execute")
        self.events.trigger("post_run_cell", result)
        error: BaseException | None = result.error_before_exec or result.error_in_exec
        return error

    # -- what isn't there while grading

    def system(self, cmd: str) -> None:
        """Say that the command isn't run."""
        self.tell("shell", cmd.strip())
        self.user_ns["_exit_code"] = 0

    system_piped = system_raw = system

    def getoutput(self, cmd: str, split: bool = True, depth: int = 0) -> Any:
        """Say that the command isn't run; its output is empty."""
        self.tell("shell", cmd.strip())
        return SList() if split else LSString()

    def run_line_magic(self, magic_name: str, line: str, _stack_depth: int = 1) -> Any:
        """Run it as IPython does; a magic that can't work here returns None, with a note."""
        if magic_name == "timeit":
            line = _once(line)
        run = super().run_line_magic
        return self._magic(magic_name, "line", lambda: run(magic_name, line, _stack_depth + 3))

    def run_cell_magic(self, magic_name: str, line: str, cell: str) -> Any:
        """Run it as IPython does; a magic that can't work here returns None, with a note."""
        if magic_name == "timeit":
            line = _once(line)
        if magic_name in _ELSEWHERE:
            self.user_ns.update(dict.fromkeys(_OUTPUT.findall(line), ""))
        run = super().run_cell_magic
        return self._magic(magic_name, "cell", lambda: run(magic_name, line, cell))

    def _magic(self, name: str, kind: str, run: Callable[[], Any]) -> Any:
        sign = "%" if kind == "line" else "%%"
        found = None if name in _ELSEWHERE else self.magics_manager.find(kind, name)
        if found is None:
            self.tell("magic", sign + name)
            return None
        try:
            result = run()
        except (UsageError, OSError, ImportError, NotImplementedError, AttributeError):
            if name in BODIES or not _is_ipythons(found):
                raise
            self.tell("magic", sign + name)
            return None
        if name in ("writefile", "file"):
            self.tell("file", sign + name)
        return result

    def enable_gui(self, gui: Any = None) -> None:
        """There is no screen."""

    def enable_matplotlib(self, gui: Any = None) -> tuple[Any, str]:
        """Draw nothing; importing matplotlib for that would cost more than grading."""
        return gui, "agg"

    def ask_exit(self) -> None:
        """The next cells still run."""
        self.tell("exit", "")

    def set_next_input(self, s: str, replace: bool = False) -> None:
        """There is no next input."""

    def showtraceback(self, *args: Any, **options: Any) -> None:
        """The error is in the result; nobody reads a traceback."""

    showsyntaxerror = showindentationerror = show_usage_error = _showtraceback = showtraceback


# Libraries look at the names to learn whether they are in a notebook.
NotebookShell.__name__ = NotebookShell.__qualname__ = "ZMQInteractiveShell"
NotebookShell.__module__ = "ipykernel.zmqshell"


class NotebookLoop(VirtualLoop):
    """The loop that a notebook's cells share. `nests`: whether it may be run again while it runs (`nest_asyncio`)."""

    nests = False

    def run_until_complete(self, future: Any) -> Any:
        if not (self.nests and self.is_running()):
            return super().run_until_complete(future)
        inner = asyncio.ensure_future(future, loop=self)
        ready: Any = self._ready  # type: ignore[attr-defined]
        waiting = len(ready)
        try:
            with set_aside(self):
                while not inner.done():
                    self._run_once()
        finally:
            while len(ready) < waiting:  # the surrounding turn relies on them
                ready.append(_done(self))
        return inner.result()

    def nest(self, loop: Any = None, **options: Any) -> None:
        """What `nest_asyncio.apply()` does for a kernel's loop."""
        self.nests = True

        def run(main: Any, *, debug: Any = None, loop_factory: Any = None) -> Any:  # noqa: ARG001  (asyncio.run's own)
            if running_loop() is self:
                return self.run_until_complete(main)
            with asyncio.Runner(debug=debug) as runner:
                return runner.run(main)

        asyncio.run = run


def _is_ipythons(magic: Any) -> bool:
    return str(getattr(magic, "__module__", "")).startswith("IPython.")


def _done(loop: asyncio.AbstractEventLoop) -> asyncio.Handle:
    handle = asyncio.Handle(lambda: None, (), loop)
    handle.cancel()
    return handle


def _once(line: str) -> str:
    """The arguments of `%timeit` for one turn: on a clock that stands still it would never finish."""
    options = _REPEATS.match(line)
    assert options is not None
    kept = re.sub(r"-[nr]\s*\d+", "", options[1])
    return f"-n1 -r1 {kept} {line[options.end() :]}"


class NoKeyboard(EOFError):
    """A cell asks for input."""


def _no_keyboard(_prompt: object = "") -> NoReturn:
    raise NoKeyboard("input() has nobody to ask while a notebook is graded")


@cache
def shell() -> NotebookShell:
    """This process's, made at first use."""
    return NotebookShell()


@contextlib.contextmanager
def current(made: NotebookShell, loop: NotebookLoop) -> Iterator[None]:
    """Make `get_ipython()` return it, and `__main__` its module."""
    before = InteractiveShell._instance, asyncio.run, sys.breakpointhook
    widgets = _widgets()
    nested = types.ModuleType("nest_asyncio")
    nested.apply = loop.nest  # type: ignore[attr-defined]
    modules = {"__main__": made.user_module, "nest_asyncio": nested, "nest_asyncio2": nested}
    InteractiveShell._instance = made  # type: ignore[assignment]
    sys.breakpointhook = lambda *_args, **_options: made.tell("breakpoint", "")
    sys.path.insert(0, "")
    try:
        with made.builtin_trap, standing_in(modules):
            yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove("")
        InteractiveShell._instance, asyncio.run, sys.breakpointhook = before
        for widget in _widgets():
            if widget not in widgets:  # its notebook is over: with the same seed the next one's has the same id,
                sys.modules["ipywidgets.widgets.widget"]._instances.pop(widget.model_id, None)
                widget.comm = None  # and ipywidgets would close that one


def _widgets() -> list[Any]:
    """The widgets of this process that a front end could show."""
    module = sys.modules.get("ipywidgets.widgets.widget")
    return list(module._instances.values()) if module is not None else []
