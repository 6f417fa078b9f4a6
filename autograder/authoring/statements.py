"""Mutate statements: remove, move, take out of their block; leave a block otherwise."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Callable, Iterator
from itertools import pairwise

from autograder.authoring.edits import Cell, Edit, Function, Site, is_docstring

_LEAVES = (ast.Return, ast.Raise, ast.Break, ast.Continue)
_SIMPLE = (ast.Expr, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Delete, ast.For, ast.AsyncFor, *_LEAVES)


def removed(cell: Cell, site: Site) -> Iterator[Edit]:
    """Replace a statement by `pass`."""
    node, parent = site.node, site.parent
    alone = isinstance(parent, ast.If) and len(parent.body) == 1 and not parent.orelse  # as if never asked
    last = isinstance(node, ast.Return) and isinstance(parent, Function) and parent.body[-1] is node
    if isinstance(node, _SIMPLE) and not alone and not last:
        yield cell.replace("removed", node, "pass")


def left(cell: Cell, site: Site) -> Iterator[Edit]:
    """Return nothing; exchange `break` and `continue`."""
    node = site.node
    if isinstance(node, ast.Return) and node.value is not None and cell.source(node.value) != "None":
        yield cell.replace("return", node, "return None")
    if isinstance(node, ast.Break | ast.Continue):
        yield cell.replace("loop", node, "continue" if isinstance(node, ast.Break) else "break")


def moved(cell: Cell, site: Site) -> Iterator[Edit]:
    """Exchange two neighbours if one depends on the other."""
    for block in ("body", "orelse", "finalbody"):
        statements = getattr(site.node, block, [])
        for one, other in pairwise(statements) if isinstance(statements, list) else []:
            fixed = any(isinstance(each, Function | ast.ClassDef) or is_docstring(each) for each in (one, other))
            if not fixed and not isinstance(other, _LEAVES) and _depend(cell, one, other):
                (start, end), (begin, last) = cell.span(one), cell.span(other)
                yield Edit("moved", start, last, cell.part(begin, last) + cell.part(end, begin) + cell.part(start, end),
                           (start, last))  # fmt: skip


def unwrapped(cell: Cell, site: Site) -> Iterator[Edit]:
    """Unwrap the body of a `with`; drop a `try`'s `finally`, its `else` or one of its handlers."""
    node = site.node
    if isinstance(node, ast.With | ast.AsyncWith):
        yield _instead(cell, "with", node, [_outside(cell, node, node.body)])
    if not isinstance(node, ast.Try):
        return
    start, _ = cell.span(node)
    handlers, straight = node.handlers, [_outside(cell, node, node.body)]
    before = [node.body, node.orelse] if node.orelse else [node.body]
    end = cell.span(before[-1][-1])[1] if node.orelse or not handlers else cell.span(handlers[-1])[1]
    if node.finalbody:
        kept = [cell.part(start, end)] if handlers else straight
        yield _instead(cell, "finally", node, [*kept, _outside(cell, node, node.finalbody)])
    if node.orelse:
        first, last, stop = cell.span(node.body[-1])[1], cell.span(handlers[-1])[1], cell.span(node.orelse[-1])[1]
        lines = "\n" + " " * node.orelse[0].col_offset + cell.part(cell.span(node.orelse[0])[0], stop)
        yield Edit("else", first, stop, lines + cell.part(first, last), cell.span(node))
    for one in handlers:
        yield from _without(cell, node, one)


def _without(cell: Cell, node: ast.Try, handler: ast.ExceptHandler) -> Iterator[Edit]:
    """Drop this handler of a `try`."""
    if len(node.handlers) > 1 or (node.finalbody and not node.orelse):
        yield cell.replace("except", handler, "")
    elif not node.finalbody:
        bodies = [body for body in (node.body, node.orelse) if body]
        yield _instead(cell, "except", node, [_outside(cell, node, body) for body in bodies])


def _instead(cell: Cell, kind: str, node: ast.stmt, parts: list[str]) -> Edit:
    return cell.replace(kind, node, ("\n" + " " * node.col_offset).join(parts))


def _outside(cell: Cell, node: ast.stmt, body: list[ast.stmt]) -> str:
    """The text of a block, indented like the statement that it belongs to."""
    text = cell.part(cell.span(body[0])[0], cell.span(body[-1])[1])
    return re.sub(rf"^ {{{body[0].col_offset - node.col_offset}}}", "", text, flags=re.MULTILINE)


def _depend(cell: Cell, one: ast.stmt, other: ast.stmt) -> bool:
    """Whether the order of two statements may matter."""
    if any(isinstance(node, _LEAVES) for node in (*_own(one), *_own(other))):
        return True
    (reads, writes, acts), (reads_too, writes_too, acts_too) = _touched(cell, one), _touched(cell, other)
    if writes & (reads_too | writes_too) or writes_too & reads:
        return True
    if acts and acts_too:
        return True
    return (acts and any("." in name for name in writes_too)) or (acts_too and any("." in name for name in writes))


def _touched(cell: Cell, statement: ast.stmt) -> tuple[set[str], set[str], bool]:
    """The names and attributes that a statement reads and writes; whether it may do more than that."""
    reads, writes, acts = set(), set(), False
    inner = {
        name.id
        for part in ast.walk(statement)
        if isinstance(part, ast.comprehension)
        for name in ast.walk(part.target)
        if isinstance(name, ast.Name)
    }  # a comprehension's own
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and node.id in inner:
            continue
        if isinstance(node, ast.Name | ast.Attribute):
            name = cell.source(node)
            if isinstance(node.ctx, ast.Load):
                reads.add(name)
            else:
                writes.add(name)
        elif isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            writes.add(cell.source(node.value))
        elif isinstance(node, ast.Await | ast.Yield | ast.YieldFrom | ast.AsyncWith | ast.AsyncFor):
            acts = True
        elif isinstance(node, ast.Call) and not _harmless(cell, node.func):
            owner = cell.source(node.func.value) if isinstance(node.func, ast.Attribute) else "self"
            acts = acts or owner == "self"
            writes |= {owner} - {"self"}  # a method may change its object
        elif isinstance(node, ast.ExceptHandler) and node.name:
            writes.add(node.name)
    if isinstance(statement, ast.AugAssign):
        reads.add(cell.source(statement.target))
    return reads, writes, acts


_HARMLESS = {"get_running_loop", "clock", "time", "deque", "Semaphore", "CollectorRegistry", "Counter", "Lock", "Event"}
"""Whether a call is made for its result alone: builtins, and classes, which begin with a capital."""


def _harmless(cell: Cell, function: ast.expr) -> bool:
    name = cell.source(function).rpartition(".")[2]
    return name in _HARMLESS or hasattr(builtins, name) or name[:1].isupper()


def _own(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when the statement does: not those of functions defined in it."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, Function | ast.Lambda):
            yield from _own(child)


STATEMENTS: tuple[Callable[[Cell, Site], Iterator[Edit]], ...] = (unwrapped, left, removed)
