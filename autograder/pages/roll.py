"""The class in short: the few strings of each result that the table, the report and the summary need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from autograder.judging.result import Result, Standing
from autograder.pages.feedback import made_of
from faultlab.pictures.sheet import clean

NAMED = 3
"""How many are named if there are more."""


@dataclass(frozen=True, slots=True)
class Brief:
    """One result in short."""

    student: str
    shown: str
    """The student's id for people."""
    section: str
    verdict: str
    score: float
    """The tests' points, or the final ones if `made_of` says how they came about."""
    max_score: float
    sandbox: str
    line: str
    said: str
    """The most important line."""
    needs: str
    notes: tuple[str, ...]
    has_page: bool
    made_of: str = ""

    @classmethod
    def of(cls, result: Result) -> Brief:
        """The short form of a result."""
        return cls(
            result.student,
            result.name,
            result.section,
            result.verdict,
            result.score,
            result.max_score,
            result.sandbox,
            clean(result.line, 400),
            clean(_in_a_line(result), 400),
            clean(result.needs, 400),
            result.notes,
            bool(result.behaviours),
        )

    def final(self, standing: Standing) -> Brief:
        """The result with the gradebook's score, if the gradebook holds this result."""
        if abs(standing.tests - self.score) > 1e-3:  # written as text of six digits
            return self
        makers = made_of(standing)
        return replace(self, score=standing.score if makers else self.score, made_of=makers)

    @property
    def name(self) -> str:
        """The student and the section."""
        return f"{clean(self.shown, 40)} {self.section}"


@dataclass
class Roll:
    """Results in short, in the order of their arrival until they are sorted."""

    briefs: dict[tuple[str, str], Brief] = field(default_factory=dict)
    """By section and student."""
    missed: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often each behaviour (section, title) was missing."""
    ungraded: int = 0
    """How many more were handed in and have no result yet."""

    @classmethod
    def of(cls, results: Iterable[Result]) -> Roll:
        """The roll of these results."""
        roll = cls()
        for result in results:
            roll.add(result)
        return roll

    def add(self, result: Result) -> None:
        """Add a result of another student or section."""
        self.briefs[result.section, result.student] = Brief.of(result)
        self.missed.update({(result.section, b.title) for b in result.behaviours if not b.passed})

    def most_missed(self, count: int) -> list[tuple[tuple[str, str], int]]:
        """The behaviours that were missed most often; equal counts are ordered by section, then by title."""
        return sorted(self.missed.items(), key=lambda one: (-one[1], one[0]))[:count]

    def sort(self) -> Roll:
        """Sort by section and student; return the roll."""
        self.briefs = dict(sorted(self.briefs.items()))
        return self

    def finish(self, standings: Mapping[tuple[str, str], Standing]) -> None:
        """Put in the final scores, by student and section."""
        for (section, student), brief in self.briefs.items():
            if standing := standings.get((student, section)):
                self.briefs[section, student] = brief.final(standing)

    def __iter__(self) -> Iterator[Brief]:
        return iter(self.briefs.values())

    @property
    def in_need(self) -> list[Brief]:
        """The results that a person has to look at."""
        return [brief for brief in self if brief.needs]

    def counts(self) -> str:
        """The number of results, and their verdicts."""
        verdicts = Counter(brief.verdict for brief in self.briefs.values())
        order = sorted(verdicts, key=lambda verdict: (verdict != "graded", -verdicts[verdict]))
        said = [f"{verdicts[verdict]:,} {verdict}" for verdict in order]
        if self.ungraded:
            said.append(f"{self.ungraded:,} not graded yet")
        count = len(self.briefs) + self.ungraded
        return f"{count:,} {'submission' if count == 1 else 'submissions'}: {', '.join(said)}"

    def summary(self) -> str:
        """One line: the number of results, their verdicts, and the students that need a person."""
        need = self.in_need
        if not need:
            return self.counts()
        names = named([brief.name for brief in need])
        return f"{self.counts()}, {len(need):,} {'needs' if len(need) == 1 else 'need'} you: {names}"


def named(names: list[str]) -> str:
    """The first of these names, and the number of others."""
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _in_a_line(result: Result) -> str:
    """The most important line about a result: the first line of a message, or a note if there is nothing else."""
    if result.line:
        return result.line
    first = next((behaviour for behaviour in result.behaviours if not behaviour.passed), None)
    if first is None:
        return result.needs or next(iter(result.notes), "")
    said = first.message.partition("\n")[0]
    return f"{first.title}: {said}" if said else first.title
