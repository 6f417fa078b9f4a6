"""What grading a section needs, read once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from autograder.course import Section, file_for_check
from autograder.errors import UsageError
from autograder.judging.judge import Judge, JudgeError
from autograder.judging.mistakes import MISTAKES_FILE, Mistake, read_known
from autograder.judging.result import Behaviour
from autograder.notebook.answer import Cell, find_answer, read_cells
from autograder.notebook.execution import run_notebook
from faultlab.scenario import Played, Scenario, ScenarioError, asked, load, play
from faultlab.timeline import Timeline


@dataclass
class Kit:
    """What grading a section needs, read once."""

    section: Section
    judge: Judge
    scenarios: dict[str, Scenario]
    source: str
    names: list[str]
    """The names that the scenarios ask a notebook for."""
    released: list[Cell]
    mistakes: list[Mistake]
    _intended: dict[Played, Timeline] = field(default_factory=dict)
    """The solution's runs of those scenarios whose seed is fixed."""

    @cached_property
    def unjudged(self) -> tuple[Behaviour, ...]:
        """Every behaviour with 0 points: one list for all submissions that can't be judged."""
        return tuple(
            Behaviour(test.id, test.title, False, 0.0, test.points, "not judged", hidden=test.hidden, step=test.step)
            for test in self.judge.tests
        )

    @cached_property
    def solution(self) -> dict[str, Any]:
        """The names that the worked solution defines; empty if there is no solution here."""
        built = self.section.built / f"{self.section.notebook}.ipynb"
        if not built.exists():
            return {}
        found = find_answer(read_cells(built.read_bytes()), self.released, str(self.section.exercise))
        return run_notebook(found.cells, self.names)[0]

    def intended(self, wanted: Played, seed: int) -> Timeline | None:
        """The worked solution's run of a scenario with this seed: our own code, played in this process."""
        if not self.solution:
            return None
        found = self.scenarios[wanted.name]
        run = self._intended.get(wanted) or play(found, wanted.options, self.solution, seed=seed)
        if found.fixed:
            self._intended[wanted] = run
        return run

    @classmethod
    def of(cls, section: Section) -> Kit:
        """The kit of a section. Raises UsageError when it can't be graded."""
        exercise = section.exercise
        notebook = section.released / f"{section.notebook}.ipynb"
        if exercise is None:
            raise UsageError(f"{section.name} has no graded exercise")
        if not notebook.exists():
            raise UsageError(f"{notebook} isn't built yet; run: autograder build {section.name}")
        hidden = section.hidden if section.hidden.exists() else None
        try:
            judge = Judge(section.tests, hidden)
            scenarios = load(section.scenarios)
            for one in judge.scenarios:
                if one.name not in scenarios:
                    raise ScenarioError(f"a test names the scenario {one.name!r}, which {section.scenarios} hasn't got")
        except (JudgeError, ScenarioError, SyntaxError, OSError) as error:
            raise UsageError(f"{section.name} can't be graded: {error}") from None
        source = section.scenarios.read_text(encoding="utf-8")
        return cls(
            section,
            judge,
            scenarios,
            source,
            asked(source),
            read_cells(notebook.read_bytes()),
            read_known(file_for_check(section.released, MISTAKES_FILE)),
        )


def points_of(section: Section) -> dict[str, float]:
    """What the section's tests are worth now, by the graded cells' names.

    Raises UsageError when the section can't be graded.
    """
    points = {f"{section.exercise}_{part}": 0.0 for part in ("score", "hidden")}
    for test in kit_for_points(section).judge.tests:
        points[f"{section.exercise}_{'hidden' if test.hidden else 'score'}"] += test.points
    return points


def kit_for_points(section: Section) -> Kit:
    """The section's kit, kept until one of its files is saved. Raises UsageError when it can't be graded."""
    notebook = section.released / f"{section.notebook}.ipynb"
    read = (section.tests, section.hidden, section.scenarios, notebook)
    return _kit_at(section, tuple(path.stat().st_mtime_ns for path in read if path.exists()))


@cache
def _kit_at(section: Section, saved: tuple[int, ...]) -> Kit:  # noqa: ARG001  (the cache goes by it)
    return Kit.of(section)
