"""What a section builds, and what a rule about it looks like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from autograder.course import Section
from autograder.processes import Tell

if TYPE_CHECKING:
    from nbformat import NotebookNode


FolderCheck = Callable[[Section], list[str]]
CellCheck = Callable[[Section, "NotebookNode"], list[str]]
SolutionCheck = Callable[[Section, "Built"], list[str]]
Check = Callable[[Section, Tell], list[str]]
Count = Callable[[Section, "Built", Tell], Counter[str]]
BoundsCheck = Callable[[Counter[str], Tell], list[str]]


class Rules(NamedTuple):
    """The rules of a section, each of which returns its problems."""

    text: Sequence[CellCheck] = ()
    """Rules of the notebook as its author wrote it, solution included; checked in every build."""
    answers: Sequence[Check] = ()
    """Rules that judge answers; checked by `--check` alone. They also tell what is good to know."""
    folder: Sequence[FolderCheck] = ()
    """Rules of the section's files; checked in every build."""
    solution: Sequence[SolutionCheck] = ()
    """Rules that run what is built; checked in every build, unless they held and nothing that matters has changed.
    """
    counts: Sequence[Count] = ()
    """Counts that `--check` takes in each section, for the bounds."""
    bounds: Sequence[BoundsCheck] = ()
    """Rules of the counts of all sections together; checked by `--check` of the whole course."""


NO_RULES = Rules()


@dataclass(frozen=True, slots=True)
class Built:
    """A section's files, by their paths below its folder."""

    source: dict[str, bytes]
    """For nbgrader: the notebook with its solution, and what students get beside it."""
    release: dict[str, bytes]
    """For students."""
