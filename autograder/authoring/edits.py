"""A cell's text together with its syntax tree: find where a node stands, and edit its text."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

Function = ast.FunctionDef | ast.AsyncFunctionDef
LONGEST = 80
"""Characters of a change that are printed; of a longer one only the changed part is printed."""


class Edit(NamedTuple):
    """A replacement for a part of the cell's text; positions are bytes of its UTF-8."""

    kind: str
    start: int
    end: int
    new: str
    around: tuple[int, int]
    """The part that is printed, before and after."""


class Site(NamedTuple):
    """A node of the cell that an edit may change, with its ancestors."""

    node: ast.AST
    parents: tuple[ast.AST, ...]
    """The ancestors, from the module down."""

    @property
    def place(self) -> str:
        """The dotted name of the enclosing classes and functions, such as `Client.call`; "" at the top."""
        scopes = [node for node in (*self.parents, self.node) if isinstance(node, Function | ast.ClassDef)]
        return ".".join(node.name for node in scopes)

    @property
    def parent(self) -> ast.AST:
        """The node's parent."""
        return self.parents[-1]

    def nearest(self, *kinds: type[ast.AST]) -> ast.AST | None:
        """The nearest ancestor of one of these kinds."""
        return next((node for node in reversed(self.parents) if isinstance(node, kinds)), None)


@dataclass(frozen=True)
class Cell:
    """The text of a cell, and its tree. Making one raises SyntaxError for what isn't Python."""

    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The cell's syntax tree."""
        return ast.parse(self.text)

    @cached_property
    def data(self) -> bytes:
        """The text in UTF-8, which is what a tree's columns count."""
        return self.text.encode()

    @cached_property
    def _lines(self) -> list[int]:
        return [0, *accumulate(len(line) for line in self.data.splitlines(keepends=True))]

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Where a node begins and ends; a function's or class's decorators are left out."""
        assert isinstance(node, ast.stmt | ast.expr | ast.excepthandler | ast.keyword | ast.arg)
        assert node.end_lineno is not None and node.end_col_offset is not None
        return (
            self._lines[node.lineno - 1] + node.col_offset,
            self._lines[node.end_lineno - 1] + node.end_col_offset,
        )

    def part(self, start: int, end: int) -> str:
        """The text between two places."""
        return self.data[start:end].decode()

    def source(self, node: ast.AST) -> str:
        """The text of a node, without the parentheses around it."""
        return self.part(*self.span(node))

    def replace(self, kind: str, node: ast.AST, new: str, around: ast.AST | None = None) -> Edit:
        """Replace a node's text; `around` is the node that is printed if it is short."""
        start, end = self.span(node)
        wide = self.span(around) if around is not None and hasattr(around, "lineno") else (start, end)
        told = self.part(*wide)
        return Edit(kind, start, end, new, wide if "\n" not in told and len(told) <= LONGEST else (start, end))

    def after(self, edit: Edit) -> str:
        """The cell's text after an edit."""
        return self.part(0, edit.start) + edit.new + self.part(edit.end, len(self.data))

    def told(self, edit: Edit) -> str:
        """The edit in short: `old -> new`, each on one line."""
        first, last = edit.around
        old = self.part(first, last)
        new = self.part(first, edit.start) + edit.new + self.part(edit.end, last)
        return f"{_short(old)} -> {_short(new)}"

    def changed_line(self, edit: Edit) -> tuple[int, str]:
        """The number of the first line that the edit changes, and that line: `old -> new`."""
        before, after = self.text.splitlines(), self.after(edit).splitlines()
        pairs = zip(before, after, strict=False)
        number = next((number for number, (one, other) in enumerate(pairs) if one != other), len(before) - 1)
        return number + 1, f"{before[number].strip()} -> {''.join(after[number : number + 1]).strip()}"

    def sites(self) -> Iterator[Site]:
        """Every node that an edit may change: not annotations, docstrings, decorators, `__repr__`, or errors' texts."""
        return _sites(self.tree, ())


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= LONGEST else words[: LONGEST - 1] + "…"


def is_docstring(statement: ast.AST) -> bool:
    """Whether a statement is nothing but a string."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def is_text(node: ast.AST) -> bool:
    """Whether an expression is a string literal, an f-string included."""
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def makes_an_error(call: ast.Call, parents: tuple[ast.AST, ...]) -> bool:
    """Whether a call creates the error that is raised, or passes its text to `super()`."""
    if isinstance(parents[-1], ast.Raise):
        return True
    function = call.func
    return isinstance(function, ast.Attribute) and function.attr == "__init__" and isinstance(function.value, ast.Call)


def _sites(node: ast.AST, parents: tuple[ast.AST, ...]) -> Iterator[Site]:
    if parents:
        yield Site(node, parents)
    for child in _children(node, parents):
        yield from _sites(child, (*parents, node))


def _children(node: ast.AST, parents: tuple[ast.AST, ...]) -> Iterator[ast.AST]:
    if isinstance(node, ast.JoinedStr):
        return
    for child in ast.iter_child_nodes(node):
        unseen = (
            child in getattr(node, "decorator_list", ())
            or child in (getattr(node, "annotation", None), getattr(node, "returns", None))
            or (isinstance(node, ast.Raise) and child is node.cause)
            or (isinstance(node, ast.Call) and is_text(child) and makes_an_error(node, parents))
            or is_docstring(child)
            or (isinstance(child, Function) and child.name == "__repr__")
            or (isinstance(child, ast.Assign) and "__slots__" in map(_name, child.targets))
        )
        if not unseen:
            yield child


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else ""
