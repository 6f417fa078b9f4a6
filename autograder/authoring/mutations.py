"""Make mutants of a cell's text: the same text with one small mistake in each.

Neither mutmut nor cosmic-ray is used. Their operators are bound to files, a configuration and many more packages. They
change the texts of errors, and they don't remove or move statements, or exchange names or the classes in an `except`.
Python's own syntax tree says where everything stands, and all other text stays as it is.
"""

from __future__ import annotations

import ast
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from autograder.authoring.edits import Cell, Edit, Site
from autograder.authoring.operators import OPERATORS, exchanged
from autograder.authoring.statements import STATEMENTS, moved

NAMES = 10
"""How many mutants of a cell have two names exchanged; all of them would be too many."""


class Mutant(NamedTuple):
    """A cell with one mistake."""

    id: str
    """Place, kind and change, as in `Client.call:compare:left > 0 -> left >= 0`; the second such mutant ends with
    `#2`."""
    line: int
    """The number of the first line that is changed."""
    change: str
    """That line: `old -> new`."""
    text: str
    """The whole cell's."""


def mutants(text: str, names: int = NAMES) -> list[Mutant]:
    """All mutants of a cell's text, in the order of its lines. All compile, and no two are the same program.

    `names`: how many of them have names exchanged. Their ids decide which ones, so that editing other lines changes
    nothing. Raises SyntaxError when the text isn't Python.
    """
    cell = Cell(text)
    seen = {ast.dump(cell.tree)}
    plain = _named(cell, seen, _edits(cell))
    swapped = sample(_named(cell, seen, _exchanges(cell)), names)
    return sorted([*plain, *swapped], key=lambda mutant: mutant.line)


def sample(made: Iterable[Mutant], count: int, seed: int = 0) -> list[Mutant]:
    """Choose so many of these mutants, in their order. The choice depends only on the seed and the mutants' ids."""
    made = list(made)
    lots = sorted(made, key=lambda one: hashlib.sha256(f"{seed}:{one.id}".encode()).digest())
    chosen = {one.id for one in lots[:count]}
    return [one for one in made if one.id in chosen]


def _edits(cell: Cell) -> Iterator[tuple[Site, Edit]]:
    for site in cell.sites():
        for change in (*OPERATORS, *STATEMENTS, moved):
            for edit in change(cell, site):
                yield site, edit


def _exchanges(cell: Cell) -> Iterator[tuple[Site, Edit]]:
    for site in cell.sites():
        for edit in exchanged(cell, site):
            yield site, edit


def _named(cell: Cell, seen: set[str], edits: Iterable[tuple[Site, Edit]]) -> list[Mutant]:
    """The mutants that these edits make, except those that don't compile or were made already."""
    often: Counter[str] = Counter()
    made = []
    for site, edit in edits:
        text = cell.after(edit)
        try:
            tree = ast.parse(text)
            compile(tree, "<mutant>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        except SyntaxError:
            continue
        if (program := ast.dump(tree)) in seen:
            continue
        seen.add(program)
        name = f"{site.place}:{edit.kind}:{cell.told(edit)}"
        often[name] += 1
        line, change = cell.changed_line(edit)
        made.append(Mutant(name if often[name] == 1 else f"{name}#{often[name]}", line, change, text))
    return made
