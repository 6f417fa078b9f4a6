"""The names that a notebook's code cells bind and use, and which cells an answer needs.

A notebook also plots and runs real clocks, which would cost more than judging the answer. So an unchanged cell runs
only if it defines a name that a running cell uses. Cells run in the notebook's order, as in IPython, on the virtual
clock. An error in one cell affects that cell alone. Cells that the answer doesn't need share one small budget, and what
they change below the check is undone.
"""

from __future__ import annotations

import ast
import contextlib
import re
import symtable
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from msgspec import Struct

# Within a line: \s would also cross empty lines, from each of them to the last.
_MAGIC = re.compile(r"^([^\S\n]*)[%!].*$", re.MULTILINE)


class Names(NamedTuple):
    """The names that a cell binds and uses, each list sorted."""

    defines: list[str]
    """Bound at the top level, also by an import, or by a function that declares them global."""
    uses: list[str]
    """Read at the top level or inside functions, unless they are local."""
    imports: list[str]
    """The defined names that are imported."""


def names(source: str) -> Names:
    """The names of a cell. Magics don't count. Raises SyntaxError if it isn't Python."""
    try:
        return _names_of(source)
    except SyntaxError:
        return _names_of(_MAGIC.sub(r"\1pass", source))


def _names_of(source: str) -> Names:
    try:
        top = _table_of(source)
    except SyntaxError as error:
        # The line of the plain text would mislead.
        raise error if error.filename == "<cell>" else SyntaxError(error.msg) from None
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


def _table_of(source: str) -> symtable.SymbolTable:
    if sys.version_info < (3, 12) and "__future__" not in source:
        with contextlib.suppress(SyntaxError):
            return symtable.symtable(source, "<cell>", "exec")  # the same names, at a fraction of the cost
    tree = _Plain().visit(ast.parse(source, "<cell>"))
    return symtable.symtable(ast.unparse(ast.fix_missing_locations(tree)), "<plain>", "exec")


class _Plain(ast.NodeTransformer):
    """Rewrites code so that symtable reports the same names on every Python.

    Where a cell imports annotations from `__future__`, symtable loses those of assignments. From 3.12 on it loses names
    in comprehensions. From 3.14 on it refuses what a notebook awaits at the top level, and has a name of its own for
    annotations.
    """

    def visit(self, node: ast.AST) -> Any:
        """The plain form of this node and of all below it."""
        while make := _PLAIN.get(type(node).__name__):
            node = make(**dict(ast.iter_fields(node)))
        if isinstance(node, ast.comprehension):
            node.is_async = 0
        return self.generic_visit(node)


def _all(*values: ast.expr | None) -> ast.Tuple:
    return ast.Tuple([value for value in values if value is not None], ast.Load())


_PLAIN: dict[str, Callable[..., ast.AST]] = {
    "Await": lambda value: value,
    "AsyncFunctionDef": ast.FunctionDef,
    "AsyncFor": ast.For,
    "AsyncWith": ast.With,
    "ListComp": ast.GeneratorExp,
    "SetComp": ast.GeneratorExp,
    "DictComp": lambda key, value, generators: ast.GeneratorExp(_all(key, value), generators),
    "AnnAssign": lambda target, annotation, value, **_: ast.Assign([target], _all(annotation, value)),
    # `ast.unparse` can't write down every such string.
    "JoinedStr": lambda values: _all(*values),
    "FormattedValue": lambda value, format_spec, **_: _all(value, format_spec),
    "TemplateStr": lambda values: _all(*values),
    "Interpolation": lambda value, format_spec, **_: _all(value, format_spec),
}


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _tables(child)


class CodeCell(Struct):
    """A cell that may run: it crosses to the sandbox, where `execution` runs it."""

    source: str
    own: bool
    """Whether the student wrote or changed it."""
    number: int = 0
    """Its place in the notebook, from 0."""
    answer: bool | None = None
    """Whether it is a piece of the answer; if unknown (None), every own cell counts as one."""
    late: bool = False
    """Whether it stands below answer and check, so that they don't see it."""
    needed: bool = False
    """Whether it always runs."""
    names: Names | None = None
    """Its names, if they are known already."""


class Plan(NamedTuple):
    """The cells to run: those that the answer needs, and the student's others with what they use."""

    needed: set[int]
    spare: set[int]
    skipped: set[int]
    """The released cell of the answer, if a cell of the student's defines its names instead."""


def needed(cells: Sequence[CodeCell], wanted: Iterable[str] = ()) -> set[int]:
    """The cells to run: the student's, and released ones that define a name that is wanted or used by a running
    cell."""
    plan = planned(cells, wanted)
    return plan.needed | plan.spare


def planned(cells: Sequence[CodeCell], wanted: Iterable[str] = ()) -> Plan:
    """The cells to run, and whether the answer needs each."""
    known = [_own_names(cell.source) if cell.names is None else cell.names for cell in cells]
    answers = [number for number, cell in enumerate(cells) if (cell.own if cell.answer is None else cell.answer)]
    skipped = _overtaken(cells, known, set(wanted))
    definers: dict[str, list[int]] = {}
    for number, found in enumerate(known):
        for name in found.defines if number not in skipped else ():
            definers.setdefault(name, []).append(number)

    def sources(used: Iterable[str]) -> Iterator[int]:
        """A cell below the check counts only for a name that nothing above defines; one of several imports is
        enough."""
        for name in used:
            found = definers.get(name, [])
            found = [number for number in found if not cells[number].late] or found
            if all(name in known[number].imports for number in found):
                found = sorted(found, key=lambda number: (number not in answers, cells[number].own, number))[:1]
            yield from found

    def closed(start: Iterable[int]) -> set[int]:
        chosen: set[int] = set()
        todo = list(start)
        while todo:
            if (number := todo.pop()) not in chosen:
                chosen.add(number)
                todo += sources(known[number].uses)
        return chosen - skipped

    first = closed([*answers, *sources(wanted)])
    return Plan(first, closed(number for number, cell in enumerate(cells) if cell.own) - first, skipped)


def _overtaken(cells: Sequence[CodeCell], known: list[Names], wanted: set[str]) -> set[int]:
    answers = [number for number, cell in enumerate(cells) if cell.answer]
    if any(cells[number].own for number in answers):
        return set()
    theirs = {name for number, cell in enumerate(cells) if cell.own for name in known[number].defines}
    return {number for number in answers if theirs & wanted & set(known[number].defines)}


def _own_names(source: str) -> Names:
    """The names of a student's cell, whatever it holds; code that a magic like `%%time` runs counts."""
    try:
        text, found = source, _names_of(source)
    except SyntaxError:
        try:
            from IPython.core.inputtransformer2 import TransformerManager

            text = TransformerManager().transform_cell(source)  # type: ignore[no-untyped-call]
            found = _names_of(text)
        except Exception:
            return Names([], [], [])
    defines, uses, imports = set(found.defines), set(found.uses), set(found.imports)
    for magic, line, body in _magics(text) if "_magic(" in text else ():
        defines |= {line.strip()} if magic == "capture" and line.strip().isidentifier() else set()
        inner = _own_names(body)
        defines |= set(inner.defines) if magic != "timeit" else set()
        uses |= set(inner.uses)
        imports |= set(inner.imports)
    return Names(sorted(defines), sorted(uses), sorted(imports))


def _magics(text: str) -> Iterator[tuple[str, str, str]]:
    """The magics in a transformed text that run Python: name, line and body."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            given = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
            if len(given) < 2 or given[0] not in ("time", "timeit", "prun", "capture"):
                continue
            if node.func.attr == "run_line_magic":
                yield given[0], "", _statement(given[1])
            elif node.func.attr == "run_cell_magic" and len(given) == 3:
                yield given[0], given[1], given[2]


def _statement(line: str) -> str:
    """What a line magic runs, without the options before it."""
    words = line.split(" ")
    if words[0].startswith("-"):
        for number in range(1, min(len(words), 20)):
            with contextlib.suppress(SyntaxError):
                _names_of(" ".join(words[number:]))
                return " ".join(words[number:])
    return line
