"""Run the cells that an answer needs, in order, within one budget."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import importlib
import re
import signal
import sys
import threading
import time
import types
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from autograder.notebook.cells import CodeCell, Plan, planned
from autograder.notebook.guest import Guest, in_a_kernel
from autograder.notebook.notes import NoteKind
from autograder.notebook.standing import standing_in
from faultlab.chance import seeded
from faultlab.clock.errors import LivelockError
from faultlab.clock.insides import detached
from faultlab.clock.patches import installed
from faultlab.clock.running import run_part
from faultlab.heard import Heard, listening
from faultlab.scenario import TooLong, cpu_limit
from faultlab.slip import error_in_cell, name_of

if TYPE_CHECKING:
    from autograder.notebook.shell import NotebookLoop

CPU_SECONDS = 3.0
"""CPU seconds for all cells that an answer needs, together. Each gets two thirds of the rest, so that the next ones run
too."""
SPARE_SECONDS = 3.0
"""The same for the student's other cells; the last one gets the whole rest."""
LOOKS = 9
"""Seconds that may pass without CPU time, for all cells together: waiting for a lock or a thread that never comes. A
cell gets a third of them."""
TURNS, STALL = 50_000, 20_000
"""The most turns of the event loop for one cell, and the most without time passing."""
TEXT, NOTES = 500, 50


@dataclass
class Ran:
    """What a notebook's cells leave behind."""

    namespace: dict[str, Any]
    errors: list[tuple[int, str, str]] = field(default_factory=list)
    """Errors of cells that the answer needs: the cell's number, the error's class and text."""
    notes: list[tuple[int, NoteKind, str]] = field(default_factory=list)
    """Notes about what wasn't done or went wrong: the cell's number, the kind, a name."""
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    """The context with the variables that the cells set."""

    def note(self, number: int, kind: NoteKind, name: str = "") -> None:
        """Keep a note, once and in a form that can be sent."""
        one = number, kind, _word(name)
        if one not in self.notes and len(self.notes) < NOTES:
            self.notes.append(one)


def _word(text: str) -> str:
    first = (text.split() or [""])[0].rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9_.%!+-]", "", first)[:40]


def run_notebook(
    cells: Iterable[CodeCell], wanted: Iterable[str] = (), seed: int = 0, *, seconds: float | None = None
) -> tuple[dict[str, Any], list[tuple[int, str, str]]]:
    """Run the cells that an answer needs; return their names and errors. See `running`."""
    with running(cells, wanted, seed, seconds=seconds) as ran:
        return ran.namespace, ran.errors


@contextlib.contextmanager
def running(
    cells: Iterable[CodeCell], wanted: Iterable[str] = (), seed: int = 0, *, seconds: float | None = None
) -> Iterator[Ran]:
    """Run the cells that an answer needs, in order; inside, `__main__` and `get_ipython()` are the notebook's.

    wanted: further names that are needed. seed: seeds all randomness. If a name isn't found, all cells run.
    seconds: CPU seconds for all cells that are needed, CPU_SECONDS unless given.
    """
    cells = list(cells)
    plan = planned(cells, wanted)
    forced = {number for number, cell in enumerate(cells) if cell.needed}
    plan = Plan((plan.needed | forced) - plan.skipped, plan.spare - forced, plan.skipped)
    budget = _Budget() if seconds is None else _Budget(seconds)
    everything = Plan(set(range(len(cells))) - plan.skipped, set(), plan.skipped)
    with installed(), _attempt(cells, plan, seed, budget) as ran:
        if plan == everything or not any(kind == "NameError" for _, kind, _ in ran.errors):
            yield ran
            return
    with installed(), _attempt(cells, everything, seed, budget) as ran:
        yield ran


@contextlib.contextmanager
def _attempt(cells: list[CodeCell], plan: Plan, seed: int, budget: _Budget) -> Iterator[Ran]:
    from autograder.notebook.shell import NotebookLoop, current, shell

    at = [0]
    loop = NotebookLoop(max_turns=TURNS, max_stall=STALL)
    loop.set_exception_handler(lambda *_: None)
    run: Callable[[str, int], Coroutine[Any, Any, BaseException | None]]
    if in_a_kernel():
        guest = Guest()
        ran, run, standing = Ran(guest.names), guest.run, guest.current()
    else:
        made = shell()
        ran = Ran(made.begin(lambda kind, name: ran.note(at[0], kind, name)))
        run, standing = made.run, current(made, loop)
    if any("numpy" in cells[number].source for number in plan.needed | plan.spare):
        with contextlib.suppress(ImportError):  # before seeding, so that its own stream is always seeded
            importlib.import_module("numpy")
    with standing:
        with detached(), listening(Heard()), standing_in(_no_checks()), seeded(seed):
            _run(cells, plan, loop, budget, ran, run, at)
        yield ran


def _run(
    cells: list[CodeCell],
    plan: Plan,
    loop: NotebookLoop,
    budget: _Budget,
    ran: Ran,
    run: Callable[[str, int], Coroutine[Any, Any, BaseException | None]],
    at: list[int],
) -> None:
    chosen = sorted(plan.needed | plan.spare)
    judged = [number for number in chosen if number in plan.needed or not cells[number].late]
    spare = max(plan.spare, default=None)
    kept: _Kept | None = None
    for number in plan.skipped:
        ran.note(cells[number].number, "stub")
    try:
        for number in chosen:
            if kept is None and (not judged or number > judged[-1]):
                kept = _Kept(ran.namespace)
            at[0] = cells[number].number
            needed = number in plan.needed
            if not budget.begin(needed, last=number == spare):
                ran.note(at[0], "cut")
                continue
            error = _run_one(loop, budget, ran, run(cells[number].source, at[0]))
            budget.end(needed)
            if needed and cells[number].late and not cells[number].answer:
                ran.note(at[0], "late")
            if error is not None:
                kind = name_of(error)
                ran.note(at[0], "stopped" if needed else "failed", kind)
                if needed:
                    ran.errors.append((at[0], kind, _told(error, ran, cells[number])))
    finally:
        kept = kept or _Kept(ran.namespace)
        with cpu_limit(1.0), contextlib.suppress(TooLong):
            loop.clean_up()
        kept.restore()


def _told(error: BaseException, ran: Ran, cell: CodeCell) -> str:
    name = "your cell" if cell.answer else f"cell {cell.number + 1}"
    return error_in_cell(error, ran.namespace, name)[:TEXT]


def _run_one(
    loop: NotebookLoop, budget: _Budget, ran: Ran, cell: Coroutine[Any, Any, BaseException | None]
) -> BaseException | None:
    """Run one cell and return the error that ends it. Afterwards the loop is ready for the next cell."""
    before = asyncio.all_tasks(loop)

    async def in_context() -> BaseException | None:
        task: asyncio.Task[BaseException | None] = loop.create_task(cell, name="", context=ran.context)
        return await task

    error: BaseException | None
    try:
        with budget.limit():
            error = run_part(loop, in_context(), name="")
        left = asyncio.all_tasks(loop)
    except BaseException as failure:
        error = failure
        left = before if budget.spares(failure) else set()
    with cpu_limit(0.5), contextlib.suppress(TooLong):
        loop.recover(leave=left)
    return error


@dataclass
class _Budget:
    """The budget of a notebook's cells, all together."""

    needed: float = field(default_factory=lambda: CPU_SECONDS)
    spare: float = field(default_factory=lambda: SPARE_SECONDS)
    looks: int = LOOKS
    seconds: float = 0.0
    """CPU seconds that the running cell may take."""
    began: float = 0.0
    livelocks: int = 0

    def spares(self, failure: BaseException) -> bool:
        """Whether tasks of earlier cells continue; not if one of them may keep the loop from its timers."""
        self.livelocks += isinstance(failure, LivelockError)
        return not isinstance(failure, LivelockError) or self.livelocks % 2 == 1

    def begin(self, needed: bool, *, last: bool = False) -> bool:
        """Give a cell its share, or the whole rest if it is the last of its kind; False if nothing is left."""
        self.seconds = (self.needed if needed else self.spare) * (1 if last else 2 / 3)
        self.began = time.process_time()
        return self.seconds > 0.02 and self.looks > 0

    def end(self, needed: bool) -> None:
        """Subtract what the cell has taken."""
        spent = time.process_time() - self.began
        if needed:
            self.needed -= spent
        else:
            self.spare -= spent

    @contextlib.contextmanager
    def limit(self) -> Iterator[None]:
        """Stop the code inside when its share is used up, or when it waits for something that never comes."""
        with self._awake(), cpu_limit(self.seconds):
            yield

    @contextlib.contextmanager
    def _awake(self) -> Iterator[None]:
        """Outside the event loop, waiting for a lock, a thread or a socket uses no CPU time and may never end."""
        if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
            yield
            return
        spent, patience = time.process_time(), max(1, LOOKS // 3)

        def look(_number: int, _frame: Any) -> None:
            nonlocal spent, patience
            now = time.process_time()
            if now - spent < 0.001:  # less than even a process that hardly gets its processor
                patience -= 1
                self.looks -= 1
            spent = now
            if patience <= 0:
                raise TooLong("waits for something that doesn't come")

        before = signal.signal(signal.SIGALRM, look)
        timer = signal.setitimer(signal.ITIMER_REAL, 1.0, 1.0)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, *timer)
            signal.signal(signal.SIGALRM, before)


class _Kept:
    """A snapshot of a notebook's names, and of the contents of the modules among them."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self._modules = [value for value in namespace.values() if type(value) is types.ModuleType]
        self._dicts = [namespace, *(vars(module) for module in self._modules)]
        self._before = [dict(one) for one in self._dicts]

    def restore(self) -> None:
        """Restore names that were rebound or deleted since then; new names stay."""
        for names, before in zip(self._dicts, self._before, strict=True):
            changed = {name: value for name, value in before.items() if names.get(name, self) is not value}
            names.update(changed)


def _no_checks() -> dict[str, types.ModuleType]:
    """Stands in for `check` and `own_answer` while grading: neither does anything."""
    unknown = types.SimpleNamespace(names=None, line="")
    modules = {}
    for place, name, said in (("checking", "check", None), ("own", "own_answer", unknown)):
        modules[f"autograder.learner.{place}"] = module = types.ModuleType(f"autograder.learner.{place}")
        setattr(module, name, lambda *_args, said=said, **_options: said)
    return modules
