"""A cell's text -> its mutants: the same text with one small mistake in each.

Neither mutmut nor cosmic-ray is used: their operators are bound to files, to a configuration and to many more packages,
they change the texts of errors, and know no removed or moved statements, exchanged names or classes in an `except`. The
syntax tree of Python itself says where everything stands, and all other text stays as it is.
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
"""So many mutants of a cell have two names exchanged: all of them would be too many."""


class Mutant(NamedTuple):
    """A cell with one mistake."""

    id: str
    """Where, of which kind and what, as in `Client.call:compare:left > 0 -> left >= 0`; with `#2` where it is the
    second such."""
    line: int
    """The first line of the cell that is another one."""
    change: str
    """This line: old -> new."""
    text: str
    """The whole cell's."""


def mutants(text: str, names: int = NAMES) -> list[Mutant]:
    """All mutants of a cell's text, in the order of its lines; each is another program, and is one that compiles.

    `names`: how many of them have names exchanged. These are chosen by their ids, so that other lines don't matter.
    Raises SyntaxError when the text isn't Python.
    """
    cell = Cell(text)
    seen = {ast.dump(cell.tree)}
    plain = _named(cell, seen, _edits(cell))
    swapped = sample(_named(cell, seen, _exchanges(cell)), names)
    return sorted([*plain, *swapped], key=lambda mutant: mutant.line)


def sample(made: Iterable[Mutant], count: int, seed: int = 0) -> list[Mutant]:
    """So many of these mutants, in their order; which ones depends on the seed and on each one's id alone."""
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
    """The mutants that these edits make, but for what doesn't compile and what was made already."""
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
