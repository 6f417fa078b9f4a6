"""A section's scenarios and tests, played and judged in this process."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from autograder.course import CHECKS, Course, Section, file_for_check, notebook_folder
from autograder.errors import UsageError
from autograder.judging.judge import Judge, Test, notes
from faultlab.scenario import Played, Scenario, ScenarioError, asked, load, play
from faultlab.timeline import Event, Timeline

INTENDED_FILE = "intended.json"
"""The worked solution's timelines, beside the tests."""
PATIENCE = 2
"""After so many endless scenarios the rest isn't played: somebody is waiting for the result."""


@dataclass
class Bench:
    """A section as a check finds it: the visible tests, the scenarios, and the hidden tests if they are there."""

    exercise: str
    visible: Path
    scenarios: dict[str, Scenario]
    hidden: Path | None
    wanted: list[str]
    """The names that the scenarios ask the notebook for."""

    @classmethod
    def at(cls, exercise: str, folder: Path) -> Bench:
        """The bench of the section whose files lie in `folder`, or in the course's section of that name.

        Raises UsageError when there is none.
        """
        section = section_of(folder)
        visible = file_for_check(folder, f"test_{exercise}.py")
        if not visible.exists() and section is not None:
            visible = section.tests
        scenarios = visible.with_name("scenarios.py")
        if not visible.exists() or not scenarios.exists():
            raise UsageError(
                f"the tests of {exercise!r} aren't beside the notebook: "
                f"keep {visible.name} and {scenarios.name} in the folder {folder / CHECKS}"
            )
        kept = section.hidden if section is not None else None
        hidden = kept if kept is not None and kept.exists() else None
        return cls(exercise, visible, load(scenarios), hidden, asked(scenarios.read_text(encoding="utf-8")))

    @property
    def name(self) -> str:
        """The section's name: its folder's."""
        return notebook_folder(self.visible).name

    def judge(self, *, hidden: bool = False) -> Judge:
        """The section's tests, held open."""
        return _judge(self.visible, self.hidden if hidden else None)

    def play(self, wanted: Played, namespace: Mapping[str, Any], number: int = 0) -> Timeline:
        """Play one scenario against a notebook's names; each `number` means another seed, unless the seed is fixed.

        Raises ScenarioError when there is none of that name.
        """
        if wanted.name not in self.scenarios:
            known = ", ".join(self.scenarios)
            raise ScenarioError(f"{self.visible}: there is no scenario {wanted.name!r}; there are: {known}")
        found = self.scenarios[wanted.name]
        return play(found, wanted.options, namespace, seed=seed_of(wanted) + number * (not found.fixed))


def seed_of(wanted: Played) -> int:
    """The seed of a scenario where no secret is needed: the same in every process."""
    return zlib.crc32(repr(wanted).encode())


def play_tests(
    bench: Bench, tests: Iterable[Test], namespace: Mapping[str, Any], number: int = 0
) -> dict[Played, Timeline]:
    """Play each scenario that the tests name once, under the seeds of this `number`."""
    timelines: dict[Played, Timeline] = {}
    endless = 0
    for one in dict.fromkeys(one for test in tests for one in test.scenarios):
        if endless < PATIENCE:
            timelines[one] = bench.play(one, namespace, number)
            end = timelines[one].ending
            endless += end is not None and end.data["how"] == "endless"
    return timelines


def explain_missing(
    timelines: Mapping[Played, Timeline], lost: str, cell_errors: Iterable[tuple[int, str, str]]
) -> dict[Played, Timeline]:
    """The timelines, where a missing answer is explained by what happened to its cell rather than by a misspelt name.

    lost: why the answer's cell can't be run, if so. cell_errors: the errors that ended cells: the cell's number, the
        error's class, and its text as `faultlab.slip` writes it.
    """
    slip = next((f"{kind}: {text}" for _, kind, text in cell_errors), "")
    return {one: _explained(run, lost, slip) for one, run in timelines.items()}


def _explained(timeline: Timeline, lost: str, slip: str) -> Timeline:
    end = timeline.ending
    if not (lost or slip) or end is None or end.data["how"] != "missing":
        return timeline
    if slip:
        note = Event(end.at, "note", "", {"what": "slip", "text": slip})
        return Timeline((*timeline.events[:-1], note, end))
    told = end._replace(data={"how": "missing", "message": lost})
    return Timeline(tuple(told if event is end else event for event in timeline.events))


def remarks(timelines: Iterable[Timeline]) -> list[str]:
    """Notes about these runs beside their results, each sentence once."""
    return list(dict.fromkeys(text for run in timelines for text in notes(run, "breakpoint")))


def read_intended(bench: Bench, tests: Iterable[Test]) -> dict[Played, Timeline]:
    """The worked solution's timelines, which the build wrote beside the tests; empty if they aren't there."""
    path = bench.visible.with_name(INTENDED_FILE)
    if not path.exists():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    wanted = dict.fromkeys(one for test in tests for one in test.scenarios)
    return {one: Timeline.from_json(json.dumps(found[key])) for one in wanted if (key := repr(one)) in found}


@cache
def _judge(visible: Path, hidden: Path | None) -> Judge:
    return Judge(visible, hidden)


def section_of(folder: Path) -> Section | None:
    """The course's section with the folder's name; None outside a course."""
    try:
        course = Course.find(folder)
        return course.section(folder.name)
    except UsageError:
        return None
