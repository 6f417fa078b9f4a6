"""Mutate expressions: operators, constants, defaults, arguments, conditions, names."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from itertools import pairwise

from autograder.authoring.edits import Cell, Edit, Function, Site, is_text, makes_an_error

COMPARED: dict[type[ast.cmpop], tuple[str, ...]] = {
    ast.Lt: ("<=", ">"),
    ast.LtE: ("<", ">"),
    ast.Gt: (">=", "<"),
    ast.GtE: (">", "<"),
    ast.Eq: ("!=",),
    ast.NotEq: ("==",),
    ast.Is: ("is not",),
    ast.IsNot: ("is",),
    ast.In: ("not in",),
    ast.NotIn: ("in",),
}
COUNTED: dict[type[ast.operator], tuple[str, ...]] = {
    ast.Add: ("-",),
    ast.Sub: ("+",),
    ast.Mult: ("/", "+"),
    ast.Div: ("*",),
    ast.FloorDiv: ("/",),
    ast.Mod: ("*",),
    ast.Pow: ("*",),
    ast.BitOr: ("&",),
    ast.BitAnd: ("|",),
}
_SIGN = re.compile(r"<=|>=|==|!=|<|>|\*\*|//|[-+*/%|&]|\bis\s+not\b|\bnot\s+in\b|\bis\b|\bin\b|\band\b|\bor\b")
OPPOSITES = {"min": "max", "max": "min", "any": "all", "all": "any"}
WRAPPERS = {"reversed", "sorted", "shield", "int", "str"}
"""Functions of one argument: a mutant leaves out the call and keeps the argument."""


def compare(cell: Cell, site: Site) -> Iterator[Edit]:
    """Move the boundary of each comparison, or turn the comparison round."""
    node = site.node
    if isinstance(node, ast.Compare):
        operands = [node.left, *node.comparators]
        for number, operator in enumerate(node.ops):
            for sign in COMPARED[type(operator)]:
                yield _sign("compare", cell, node, operands[number], operands[number + 1], sign)


def logic(cell: Cell, site: Site) -> Iterator[Edit]:
    """Exchange `and` and `or`, keep one side alone, drop `not`."""
    node = site.node
    if isinstance(node, ast.BoolOp):
        sign = "or" if isinstance(node.op, ast.And) else "and"
        if len(node.values) == 2:
            yield _sign("logic", cell, node, node.values[0], node.values[1], sign)
        for dropped in node.values:
            kept = [f"({cell.source(one)})" for one in node.values if one is not dropped]
            joined = f" {'and' if sign == 'or' else 'or'} ".join(kept)
            yield cell.replace("logic", node, f"({joined})" if len(kept) > 1 else joined)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield cell.replace("logic", node, f"({cell.source(node.operand)})", site.parent)


def arithmetic(cell: Cell, site: Site) -> Iterator[Edit]:
    """Change the arithmetic operator, keep one side alone; turn `+=` into `-=` and `=`."""
    node = site.node
    if isinstance(node, ast.BinOp):
        for sign in COUNTED.get(type(node.op), ()):
            yield _sign("arithmetic", cell, node, node.left, node.right, sign)
        for side in (node.left, node.right):
            yield cell.replace("arithmetic", node, f"({cell.source(side)})", site.parent)
    if isinstance(node, ast.AugAssign):
        for sign in (*COUNTED.get(type(node.op), ()), ""):
            yield _sign("arithmetic", cell, node, node.target, node.value, f"{sign}=", re.compile(r"\S+="))


def _sign(
    kind: str, cell: Cell, node: ast.AST, left: ast.AST, right: ast.AST, sign: str, sought: re.Pattern[str] = _SIGN
) -> Edit:
    """Replace the operator between two operands; parentheses between them stay."""
    start, end = cell.span(left)[1], cell.span(right)[0]
    return Edit(kind, start, end, sought.sub(sign, cell.part(start, end), count=1), cell.span(node))


def condition(cell: Cell, site: Site) -> Iterator[Edit]:
    """Make a condition always true, always false, or its opposite."""
    node = site.node
    tests = [node.test] if isinstance(node, ast.If | ast.While | ast.IfExp) else getattr(node, "ifs", [])
    for test in tests:
        if not isinstance(test, ast.Constant):
            yield cell.replace("condition", test, "False", node)
            if not isinstance(node, ast.While):
                yield cell.replace("condition", test, "True", node)
            if isinstance(test, ast.Name | ast.Attribute | ast.Call):
                yield cell.replace("condition", test, f"not {cell.source(test)}", node)


def constant(cell: Cell, site: Site) -> Iterator[Edit]:
    """Change constants: numbers one more, one less, doubled; the other boolean; another string."""
    if isinstance(site.node, ast.JoinedStr) and not isinstance(site.parent, ast.JoinedStr):
        yield cell.replace("text", site.node, '""', site.parent)
    if isinstance(site.node, ast.Constant) and not _is_free(site.node.value, site.parent):
        kind = "text" if isinstance(site.node.value, str | bytes) else "constant"
        for new in others(cell.source(site.node), site.node.value):
            yield cell.replace(kind, site.node, new, site.parent)


def _is_free(value: object, parent: ast.AST | None) -> bool:
    """Whether an answer may word a string otherwise: a sentence, several words in a body, bytes of a protocol."""
    prose = isinstance(value, str) and " " in value and (isinstance(parent, ast.Dict) or value.endswith("."))
    return prose or isinstance(value, bytes)


def others(written: str, value: object) -> list[str]:
    """The replacements of a constant; empty if there are none."""
    if isinstance(value, bool):
        return [repr(not value)]
    if isinstance(value, int | float):
        if isinstance(value, float) and abs(value) >= 10:  # of which a little more or less is often right, too
            near = [value * 2, value / 2]
        else:
            near = [value + 1] if abs(value) >= 100 else [value + 1, value - 1, value * 2]
        return [text for text in dict.fromkeys(f"{one:.10g}" for one in near) if float(text) != value]
    if isinstance(value, str | bytes):
        opening = re.match(r"[a-zA-Z]*(\"\"\"|'''|\"|')", written)
        return [f"{opening[0]}x{written[opening.end() :]}"] if opening else []
    return []


def default(cell: Cell, site: Site) -> Iterator[Edit]:
    """Change each default of a signature: drop it if it has no replacement; drop one item of a tuple."""
    node = site.node
    if not isinstance(node, ast.arguments):
        return
    positional = [*node.posonlyargs, *node.args]
    pairs = [*zip(positional[len(positional) - len(node.defaults) :], node.defaults, strict=True)]
    pairs += [(name, value) for name, value in zip(node.kwonlyargs, node.kw_defaults, strict=True) if value is not None]
    for name, value in pairs:
        (first, _), (start, last) = cell.span(name), cell.span(value)
        if isinstance(value, ast.Constant):
            new = others(cell.source(value), value.value)
        elif isinstance(value, ast.Tuple):
            new = list(shorter(cell, value))
        else:
            new = []
        for text in new:
            yield Edit("default", start, last, text, (first, last))
        if not new:
            yield Edit("default", cell.span(name)[1], last, "", (first, last))


def shorter(cell: Cell, node: ast.Tuple) -> Iterator[str]:
    """A tuple's text with each of its items left out in turn."""
    for dropped in node.elts:
        yield "(" + "".join(f"{cell.source(one)}, " for one in node.elts if one is not dropped) + ")"


def arguments(cell: Cell, site: Site) -> Iterator[Edit]:
    """Change arguments: exchange neighbours, drop each one, replace an only one by None; call the opposite function, or
    none."""
    node = site.node
    if not isinstance(node, ast.Call):
        return
    error = makes_an_error(node, site.parents)
    free = [one for one in node.args if not isinstance(one, ast.Starred) and not (error and is_text(one))]
    for one, other in pairwise(free):
        if not (isinstance(node.func, ast.Name) and node.func.id in OPPOSITES):  # which don't ask for an order
            start, end = cell.span(one)[0], cell.span(other)[1]
            between = cell.part(cell.span(one)[1], cell.span(other)[0])
            new = cell.source(other) + between + cell.source(one)
            yield Edit("argument", start, end, new, cell.span(node))
    for argument in [*free, *node.keywords]:
        if len(node.args) + len(node.keywords) > 1:
            yield _dropped(cell, node, argument)
        elif isinstance(argument, ast.expr) and not isinstance(argument, ast.Constant | ast.GeneratorExp):
            yield cell.replace("argument", argument, "None", node)
    called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    if called in OPPOSITES:
        yield cell.replace("call", node.func, OPPOSITES[called], node)
    if called in WRAPPERS and len(node.args) == 1 and not isinstance(node.args[0], ast.GeneratorExp):
        yield cell.replace("call", node, f"({cell.source(node.args[0])})", site.parent)


def _dropped(cell: Cell, call: ast.Call, argument: ast.AST) -> Edit:
    (start, end), last = cell.span(argument), cell.span(call)[1]
    comma = re.match(r"\s*,\s*", cell.part(end, last))
    end += len(comma[0]) if comma else 0
    if not comma:  # it is the last one: the comma before it goes, too
        start = len(cell.part(0, start).rstrip().removesuffix(",").encode())
    return Edit("argument", start, end, "", cell.span(call))


def waiting(cell: Cell, site: Site) -> Iterator[Edit]:
    """`await` left out."""
    if isinstance(site.node, ast.Await):
        yield cell.replace("await", site.node, cell.source(site.node.value), site.parent)


def caught(cell: Cell, site: Site) -> Iterator[Edit]:
    """Catch or suppress more classes of errors, or fewer."""
    node = site.node
    kinds: list[ast.expr] = []
    if isinstance(node, ast.ExceptHandler) and node.type is not None:
        kinds = [node.type]
    elif isinstance(node, ast.Call) and cell.source(node.func) in ("suppress", "contextlib.suppress"):
        kinds = node.args
    for kind in kinds:
        if isinstance(kind, ast.Tuple):
            for fewer in shorter(cell, kind):
                yield cell.replace("except", kind, fewer)
        wider = {"Exception": "BaseException", "BaseException": "Exception"}.get(cell.source(kind), "Exception")
        yield cell.replace("except", kind, wider, node if isinstance(node, ast.Call) else None)


def exchanged(cell: Cell, site: Site) -> Iterator[Edit]:
    """Use another name of the same kind: a parameter, a local variable, an attribute of `self`."""
    node = site.node
    if not isinstance(getattr(node, "ctx", None), ast.Load):
        return
    function, owner = site.nearest(ast.FunctionDef, ast.AsyncFunctionDef), site.nearest(ast.ClassDef)
    if isinstance(node, ast.Name) and isinstance(function, Function):
        every = function.args
        own = {one.arg for one in [*every.posonlyargs, *every.args, *every.kwonlyargs]} - {"self"}
        stored = {one.id for one in ast.walk(function) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}
        for names in (own, stored - own - {"_"}):
            for other in sorted(names - {node.id}) if node.id in names else []:
                yield cell.replace("name", node, other, site.parent)
    if isinstance(node, ast.Attribute) and cell.source(node.value) == "self" and owner is not None:
        names = {
            one.attr
            for one in ast.walk(owner)
            if isinstance(one, ast.Attribute) and isinstance(one.ctx, ast.Store) and cell.source(one.value) == "self"
        }
        for other in sorted(names - {node.attr}) if node.attr in names else []:
            yield cell.replace("name", node, f"self.{other}", site.parent)


OPERATORS: tuple[Callable[[Cell, Site], Iterator[Edit]], ...] = (
    default,
    compare,
    logic,
    arithmetic,
    condition,
    constant,
    arguments,
    waiting,
    caught,
)
