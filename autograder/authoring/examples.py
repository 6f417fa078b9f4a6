"""The answers that a section keeps, in two forms: other right ones in `right/`, typical mistakes in `wrong/`.

    <name>.py      the text of the student's cell, whole
    <name>.diff    what is different in the solution's cell

A mistake begins with two lines: what the student should hear, and which behaviours must fail. A third one, `# sibling:
other_stem`, may name a mistake that is the same misconception in other code. A `.diff` continues as diffs do, because
everybody can read one and every editor colours it, but without line numbers:

    # Shields the call: it runs on after its caller gives up
    # fails: cancelled
    @@ Client.call
         try:
    -        return await op()
    +        return await asyncio.shield(op())

`@@` begins a change; the function or class behind it, which may be left out, is where to look. The lines marked with a
blank or `-` must stand there exactly once, and those with a blank or `+` stand there afterwards. So an answer survives
every change of the solution that leaves these lines alone. Otherwise the build names the file, and guesses nothing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from autograder.course import Section
from autograder.errors import UsageError
from autograder.notebook.source import solution

DIFF = ".diff"
FORMS = (".py", DIFF)


@dataclass(frozen=True, slots=True)
class WrongAnswer:
    """One file in `wrong/`."""

    section: Section
    path: Path

    @property
    def headline(self) -> str:
        """What the student should hear, from line 1; "" if it says nothing."""
        first = self._header[0]
        return first[2:].strip() if first.startswith("# ") and not first.startswith("# fails:") else ""

    @property
    def fails(self) -> set[str]:
        """The behaviours that must fail, from line 2; empty if it names none."""
        return set(_named(self._header[1], "# fails"))

    @property
    def known_by(self) -> str:
        """The behaviour that identifies it, the first in line 2; "" if it names none."""
        return next(iter(_named(self._header[1], "# fails")), "")

    @property
    def siblings(self) -> set[str]:
        """The stems of files with the same misconception, from line 3; usually empty."""
        return set(_named(self._header[2], "# sibling"))

    @property
    def text(self) -> str:
        """The text of the student's cell. Raises UsageError for a change that doesn't fit the solution."""
        return cell_text(self.section, self.path)

    @property
    def _header(self) -> list[str]:
        return [*self.path.read_text(encoding="utf-8").splitlines()[:3], "", "", ""]


def _named(line: str, mark: str) -> list[str]:
    begin, _, names = line.partition(":")
    return [name.strip() for name in names.split(",") if name.strip()] if begin == mark else []


def wrong_answers(section: Section) -> list[WrongAnswer]:
    """A section's typical mistakes, in order."""
    return [WrongAnswer(section, path) for path in answers(section, "wrong")]


def kinds(wrong: Sequence[WrongAnswer]) -> list[str]:
    """The kind of each of these mistakes; siblings share one."""
    found = {one.path.stem: one.path.stem for one in wrong}
    for one in wrong:
        for sibling in one.siblings & set(found):
            same = {found[one.path.stem], found[sibling]}
            found = {stem: min(same) if kind in same else kind for stem, kind in found.items()}
    return [found[one.path.stem] for one in wrong]


def answers(section: Section, folder: str) -> list[Path]:
    """The files in `right/` or `wrong/`, in the order of their names."""
    paths = [path for path in (section.folder / folder).glob("*") if path.suffix in FORMS]
    return sorted(paths, key=lambda path: (path.stem, path.suffix))


def cell_text(section: Section, path: Path) -> str:
    """The text of the student's cell, from a file of either form.

    Raises UsageError for a change that doesn't fit the solution.
    """
    text = path.read_text(encoding="utf-8")
    if path.suffix != DIFF:
        return text
    header = re.match(r"(?:#.*\n)*", text)
    assert header is not None
    try:
        return header[0] + changed(solution(section), text)
    except Misfit as problem:
        root = section.course.root
        where = path.relative_to(root) if path.is_relative_to(root) else path
        raise UsageError(f"{where.as_posix()}, {problem}") from None


def misfits(section: Section) -> Iterator[str]:
    """The files whose changes no longer fit the solution, a line each: where, what, what to do."""
    paths = [*answers(section, "right"), *answers(section, "wrong")] if section.exercise is not None else []
    for path in paths:
        try:
            cell_text(section, path)
        except UsageError as problem:
            yield str(problem)


class Misfit(ValueError):
    """A change that can't be made: its line, what is wrong with it, what to do."""


class _Change(NamedTuple):
    """Lines that replace those from `start` to `end`."""

    start: int
    end: int
    new: list[str]
    number: int
    """The line of the `.diff` that asks for it."""


def changed(cell: str, diff: str) -> str:
    """The text of a cell after the changes of a `.diff`. Raises Misfit."""
    lines = cell.splitlines()
    places = {"": (0, len(lines))} | dict(_places(ast.parse(cell)))
    changes = sorted(_placed(lines, places, *hunk) for hunk in _hunks(diff))
    for one, other in pairwise(changes):
        if other.start < one.end:
            raise Misfit(f"line {other.number}: changes lines that line {one.number} changes, too; make them one")
    for change in reversed(changes):
        lines[change.start : change.end] = change.new
    return "\n".join(lines) + "\n"


def _hunks(diff: str) -> Iterator[tuple[int, str, list[str]]]:
    """Each change: the number of its first line, where to look, its lines."""
    before, *hunks = re.split(r"^@@", diff, flags=re.MULTILINE)
    number = before.count("\n") + 1
    if not hunks or any(line and not line.startswith("#") for line in before.splitlines()):
        raise Misfit("line 3: a change begins with @@; write it above the lines that it is about")
    for hunk in hunks:
        place, _, lines = hunk.partition("\n")
        yield number, place.strip(), lines.rstrip("\n").split("\n")
        number += hunk.count("\n")


def _placed(lines: list[str], places: dict[str, tuple[int, int]], number: int, place: str, hunk: list[str]) -> _Change:
    where = f"line {number}"
    if odd := next((line for line in hunk if line[:1] not in ("", " ", "-", "+")), ""):
        raise Misfit(f"{where}: {odd!r} begins with none of blank, - and +; say which")
    if place not in places:
        raise Misfit(f"{where}: the solution has no {place}; it has {', '.join(filter(None, places))}")
    old = [line[1:] for line in hunk if line[:1] != "+"]
    if not any(old):
        raise Misfit(f"{where}: only adds; name a line of the solution before or after it, marked with a blank")
    first, last = places[place]
    starts = [n for n in range(first, last - len(old) + 1) if lines[n : n + len(old)] == old]
    if len(starts) != 1:
        missing = next((line for line in old if line not in lines[first:last]), "")
        what = repr((missing or next(filter(None, old))).strip())
        what += " with the lines below it" if not missing and len(old) > 1 else ""
        often = f"{len(starts)} times in" if starts else "nowhere in"
        do = "add a line that tells them apart" if starts else "write what stands there now, or drop this file"
        raise Misfit(f"{where}: {what} stands {often} {place or 'the solution'}, not once; {do}")
    return _Change(starts[0], starts[0] + len(old), [line[1:] for line in hunk if line[:1] != "-"], number)


def _places(tree: ast.AST, outer: str = "") -> Iterator[tuple[str, tuple[int, int]]]:
    """The first and the last line of each function and class, decorators included."""
    for node in ast.iter_child_nodes(tree):
        name = outer
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{outer}.{node.name}".lstrip(".")
            assert node.end_lineno is not None
            yield name, (min([node.lineno, *(one.lineno for one in node.decorator_list)]) - 1, node.end_lineno)
        yield from _places(node, name)
