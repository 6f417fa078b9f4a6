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
    """What must hold of a section besides what every build looks at; each rule returns its problems."""

    text: Sequence[CellCheck] = ()
    """Rules of the notebook as its author wrote it, solution included; looked at in every build."""
    answers: Sequence[Check] = ()
    """Rules that need answers to be judged; looked at by `--check` alone. What is no problem, but good to know, they
    tell."""
    folder: Sequence[FolderCheck] = ()
    """Rules of the section's files; looked at in every build."""
    solution: Sequence[SolutionCheck] = ()
    """Rules that run what is built; looked at in every build, unless nothing that matters has changed since they held.
    """
    counts: Sequence[Count] = ()
    """What is counted in each section by `--check`, for the bounds."""
    bounds: Sequence[BoundsCheck] = ()
    """Rules of what was counted in all sections together; looked at by `--check` of the whole course."""


NO_RULES = Rules()


@dataclass(frozen=True, slots=True)
class Built:
    """One section's files, by their path below the section's folder."""

    source: dict[str, bytes]
    """For nbgrader: the notebook with its solution, and what students get beside it."""
    release: dict[str, bytes]
    """For students."""
