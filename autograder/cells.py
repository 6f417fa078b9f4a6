"""A notebook's code cells: the names that they bind and use, and running those that an answer needs.

A notebook also plots and runs real clocks, which would cost more than judging the answer. So of the cells that the
student left as they were only those are run that define a name which a running cell uses.
"""

from __future__ import annotations

import ast
import asyncio
import builtins
import contextlib
import inspect
import linecache
import re
import symtable
import sys
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from faultlab.clock import detached
from faultlab.plain import told
from faultlab.scenario import cpu_limit, listening

CPU_SECONDS = 3.0
"""What one cell may burn before it is stopped, in seconds of CPU time."""

# Within a line: \s would also run over empty lines, from each of them to the last.
_MAGIC = re.compile(r"^([^\S\n]*)[%!].*$", re.MULTILINE)
_NEEDS_IPYTHON = re.compile(r"^[^\S\n]*[%!]|\?[^\S\n]*$", re.MULTILINE)


class Names(NamedTuple):
    """Names of a notebook's namespace, each list sorted."""

    defines: list[str]
    """Bound at the top level, by an import too, or by a function that declares them global."""
    uses: list[str]
    """Read, at the top level or inside functions, where they aren't local."""
    imports: list[str]
    """Of those that it defines, the imported ones."""


def names(source: str) -> Names:
    """The names of a cell. Magics count as nothing. Raises SyntaxError when it isn't Python."""
    try:
        top = symtable.symtable(_MAGIC.sub(r"\1pass", source), "<cell>", "exec")
    except (ValueError, RecursionError, MemoryError) as error:
        raise SyntaxError(f"{type(error).__name__}: {error}") from None
    defines, uses, imports = set(), set(), set()
    for table in _tables(top):
        for symbol in table.get_symbols():
            if table is not top and not symbol.is_global():
                continue
            if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace():
                defines.add(symbol.get_name())
            if symbol.is_imported():
                imports.add(symbol.get_name())
            if symbol.is_referenced():
                uses.add(symbol.get_name())
    return Names(sorted(defines), sorted(uses), sorted(imports))


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _tables(child)


def run_notebook(
    cells: Iterable[Mapping[str, Any]], wanted: Iterable[str] = ()
) -> tuple[dict[str, Any], list[tuple[int, str, str]]]:
    """Run the cells that an answer needs, in order; returns the names they leave and the errors they raised.

    A cell is {"source", "own": whether the student wrote or changed it, "number"}, and may bring its names along
    ("defines", "uses"). `wanted` are names that are needed besides. When a name isn't found all cells are run. An
    error is (cell's number, class, text).
    """
    cells = list(cells)
    namespace, errors = _run(cells, needed(cells, wanted))
    if any(kind == "NameError" for _, kind, _ in errors):
        namespace, errors = _run(cells, set(range(len(cells))))
    return namespace, errors


def needed(cells: Sequence[Mapping[str, Any]], wanted: Iterable[str] = ()) -> set[int]:
    """The cells to run: the student's, and released ones that define a wanted name or one that a cell to run uses."""
    known = [
        _names(cell["source"]) if cell.get("defines") is None else (cell["defines"], cell["uses"]) for cell in cells
    ]
    chosen: set[int] = set()
    names_wanted = set(wanted)
    todo = [n for n, cell in enumerate(cells) if cell["own"] or names_wanted & set(known[n][0])]
    while todo:
        number = todo.pop()
        if number in chosen:
            continue
        chosen.add(number)
        uses = set(known[number][1])
        todo += [n for n, (defines, _) in enumerate(known) if n not in chosen and uses & set(defines)]
    return chosen


def _names(source: str) -> tuple[list[str], list[str]]:
    try:
        found = names(source)
    except SyntaxError:
        return [], []
    return found.defines, found.uses


def _run(cells: list[Mapping[str, Any]], chosen: set[int]) -> tuple[dict[str, Any], list[tuple[int, str, str]]]:
    module = types.ModuleType("__main__")
    namespace = module.__dict__
    namespace.update(__builtins__=builtins, get_ipython=lambda: _Shell())
    errors: list[tuple[int, str, str]] = []
    loop = asyncio.new_event_loop()
    with detached():  # one's own notebooks are also read from within a notebook, whose loop is running
        try:
            with listening([]), _standing_in({"__main__": module, "autograder.check": _no_checks()}):
                for number in sorted(chosen):
                    if (failure := _attempt(loop, cells[number], number, namespace)) is not None:
                        errors.append(failure)
        finally:
            _close(loop)
    return namespace, errors


def _attempt(
    loop: asyncio.AbstractEventLoop, cell: Mapping[str, Any], number: int, namespace: dict[str, Any]
) -> tuple[int, str, str] | None:
    number = int(cell.get("number", number))
    try:
        with cpu_limit(CPU_SECONDS):
            loop.run_until_complete(_run_cell(cell["source"], f"<cell {number + 1}>", namespace))
    except BaseException as error:
        return number, type(error).__name__[:80], told(error, 500)
    return None


def _close(loop: asyncio.AbstractEventLoop) -> None:
    """End what the cells left running: only their names go on."""
    pending = asyncio.all_tasks(loop)
    for task in pending:
        task.cancel()
    if pending:
        loop.run_until_complete(asyncio.wait(pending, timeout=1))
    loop.close()


async def _run_cell(source: str, filename: str, namespace: dict[str, Any]) -> None:
    if _NEEDS_IPYTHON.search(source):
        from IPython.core.inputtransformer2 import TransformerManager

        source = TransformerManager().transform_cell(source)  # type: ignore[no-untyped-call]
    code = compile(source, filename, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    _remember(filename, source)
    result = eval(code, namespace)
    if inspect.iscoroutine(result):
        await result


def _remember(filename: str, source: str) -> None:
    """Let error texts quote the student's lines."""
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)


class _Shell:
    """What `get_ipython()` gives while grading: magics do nothing, shell escapes are refused."""

    def run_line_magic(self, *args: Any) -> None:
        """Ignored."""

    def run_cell_magic(self, *args: Any) -> None:
        """Ignored."""

    def system(self, command: str) -> None:
        """Refused."""
        raise PermissionError("shell commands don't run while grading")

    getoutput = system


@contextlib.contextmanager
def _standing_in(modules: Mapping[str, types.ModuleType]) -> Iterator[None]:
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name, module in before.items():
            sys.modules.pop(name)
            if module is not None:
                sys.modules[name] = module


def _no_checks() -> types.ModuleType:
    module = types.ModuleType("autograder.check")
    unknown = types.SimpleNamespace(names=None, line="")
    for name, said in (("check", None), ("own_answer", unknown)):
        setattr(module, name, lambda *args, said=said, **options: said)
    return module
