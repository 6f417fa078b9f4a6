"""The student's loop: judge one's own notebook, here and now, with the world in this process.

`check("...")` stands in the notebook's check cell. It plays the section's scenarios against the notebook's names,
judges the timelines by the tests beside the notebook, and shows a table and pictures; as plain text it is the score,
so that stock nbgrader reads partial credit. It never raises and never writes to stderr.
"""

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from textwrap import fill
from typing import Any

from autograder.answer import Unreadable, answer, only, read
from autograder.cells import run_notebook
from autograder.course import Course, Section, UnreadableSubmission, UsageError, read_regular, refuse_submission
from autograder.guest import in_a_kernel
from autograder.judge import Judge, JudgeError, Test
from autograder.mistakes import NAME, headlines, read_known
from autograder.result import Result
from faultlab.pictures.sheet import clean
from faultlab.scenario import Played, Scenario, ScenarioError, asked, load, play
from faultlab.timeline import Timeline

PATIENCE = 2
"""After so many endless scenarios the rest isn't played: one waits for the answer."""


@dataclass
class Checked:
    """The result of a check: rich in a notebook, the score as plain text."""

    result: Result
    hidden: bool = False
    line: str = ""

    def __repr__(self) -> str:
        return f"{self.result.score:g}"

    def _repr_html_(self) -> str:
        from autograder.feedback import part_html

        return part_html(self.result, hidden=self.hidden)


@dataclass
class Bench:
    """Where a check finds its section: the visible tests and the scenarios, the hidden tests if they are there."""

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
        section = _section(folder)
        visible = folder / f"test_{exercise}.py"
        if not visible.exists() and section is not None:
            visible = section.tests
        scenarios = visible.with_name("scenarios.py")
        if not visible.exists() or not scenarios.exists():
            raise UsageError(
                f"the tests of {exercise!r} aren't beside the notebook: "
                f"keep {visible.name} and {scenarios.name} in its folder ({folder})"
            )
        kept = section.hidden if section is not None else None
        hidden = kept if kept is not None and kept.exists() else None
        return cls(exercise, visible, load(scenarios), hidden, asked(scenarios.read_text(encoding="utf-8")))

    @property
    def name(self) -> str:
        """The section's name: its folder's."""
        return self.visible.parent.name

    def judge(self, *, hidden: bool = False) -> Judge:
        """The section's tests, held open."""
        return _judge(self.visible, self.hidden if hidden else None)

    def play(self, wanted: Played, namespace: Mapping[str, Any], number: int = 0) -> Timeline:
        """One scenario against a notebook's names; each `number` stands for another seed, where the seed isn't fixed.

        Raises ScenarioError when there is none of that name.
        """
        if wanted.name not in self.scenarios:
            known = ", ".join(self.scenarios)
            raise ScenarioError(f"{self.visible}: there is no scenario {wanted.name!r}; there are: {known}")
        found = self.scenarios[wanted.name]
        return play(found, wanted.options, namespace, seed=seed_of(wanted) + number * (not found.fixed))


@dataclass(frozen=True)
class Own:
    """A learner's own answer to an exercise: the names that its notebook leaves, if it passes, and a line about it."""

    exercise: str
    names: Mapping[str, Any] | None
    line: str


def own_answer(exercise: str, folder: Path | None = None) -> Own:
    """The learner's answer to another notebook's exercise, from the folders beside this one's (`folder`).

    `.names` is None, and `.line` says why, when there is no such notebook or its answer doesn't pass yet.
    """
    beside = sorted((folder or Path.cwd()).resolve().parent.glob(f"*/{exercise}.ipynb"))
    if not beside:
        return Own(exercise, None, f"{exercise}: no notebook of yours here, so the worked answer")
    try:
        passed, seen = _standing(exercise, beside[0])
        if passed:
            return Own(exercise, _answer_alone(exercise, beside[0]), f"{exercise}: yours")
    except (UsageError, Unreadable, UnreadableSubmission) as error:
        return Own(exercise, None, f"{exercise}: the worked answer ({error})")
    return Own(exercise, None, f"{exercise}: the worked answer (yours has {seen})")


def _standing(exercise: str, path: Path) -> tuple[bool, str]:
    """Whether a notebook's answer passes, and how far it is, as judged where its cells run as in a notebook.

    A learner's kernel can't be that place. Raises UsageError, Unreadable and UnreadableSubmission.
    """
    if in_a_kernel() and sys.platform != "emscripten":
        from autograder.local import check_file

        said = check_file(path, alone=True)
        passed = [behaviour["passed"] for behaviour in said["behaviours"]]
        score, most, line = said["score"], said["max_score"], said["line"]
    else:
        result = judged(exercise, _answer_alone(exercise, path), path.parent).result
        passed = [behaviour.passed for behaviour in result.behaviours]
        score, most, line = result.score, result.max_score, result.line
    return bool(passed) and all(passed), f"{score:g} of {most:g} visible points so far" if passed else line


def _answer_alone(exercise: str, path: Path) -> Mapping[str, Any]:
    """The names of a notebook's answer and of what it uses: its figures and experiments aren't run again.

    Raises UsageError, Unreadable and UnreadableSubmission.
    """
    refuse_submission(path)
    bench = Bench.at(exercise, path.parent)
    cells = read(read_regular(path))
    with _unseen():
        return run_notebook(only(answer(cells, [], exercise)).cells, bench.wanted)[0]


@contextmanager
def _unseen() -> Iterator[None]:
    """In a notebook: what is displayed meanwhile isn't this cell's."""
    if not in_a_kernel():
        yield
        return
    from IPython.utils.capture import capture_output

    with capture_output():
        yield


@dataclass
class Nearby:
    """A section and the names of one notebook, to be played against each other."""

    bench: Bench
    namespace: Mapping[str, Any]

    def play(self, wanted: Played) -> Timeline:
        """One scenario against the notebook."""
        return self.bench.play(wanted, self.namespace)


def nearby(tests: Path, submission: str | None) -> Nearby:
    """For a bare pytest: the submission, else the solution where the source is, else the notebook beside the tests.

    A submission is a notebook, or a `.py` file with the text of the student's cell. Raises UsageError.
    """
    folder = tests.parent.parent if tests.parent.name == "hidden" else tests.parent
    exercise = tests.stem.removeprefix("test_")
    path = Path(submission) if submission else folder / f"{exercise}.ipynb"
    refuse_submission(folder)
    refuse_submission(path)
    bench = Bench.at(exercise, folder)
    section = _section(folder)
    if section is not None and section.source.is_file() and (path.suffix == ".py" or not path.exists()):
        from autograder.authoring import answered, solved

        text = path.read_text(encoding="utf-8") if submission else None
        return Nearby(bench, answered(section, solved(section), text))
    try:
        cells = read(read_regular(path))
    except (Unreadable, UnreadableSubmission) as error:
        raise UsageError(str(error)) from None
    return Nearby(bench, run_notebook(answer(cells, [], exercise).cells, bench.wanted)[0])


def seed_of(wanted: Played) -> int:
    """The seed of a scenario where no secret is needed: the same in every process."""
    return zlib.crc32(repr(wanted).encode())


def check(exercise: str, *, hidden: bool = False, step: str | int | None = None) -> Checked:
    """Judge the notebook's answer to `exercise` and show what was seen.

    `hidden` judges the hidden tests, where they are; `step` judges one rung of a long exercise (its name, or its
    number from 1).
    """
    namespace = sys._getframe(1).f_globals
    checked = judged(exercise, namespace, Path.cwd(), hidden=hidden, step=step)
    if os.environ.get("NBGRADER_VALIDATING"):
        print(_in_words(checked.result), end="", file=sys.stderr)
    return checked


def _in_words(result: Result) -> str:
    """What isn't there yet, for `nbgrader validate`: of a cell without full marks it shows what stands on stderr, in
    lines of 83 signs, and nothing else."""
    if not result.behaviours:
        return fill(result.line, 80)
    if result.score == result.max_score:
        return ""  # nbgrader takes anything on stderr for a failure
    lines = [f"{result.score:g} of {result.max_score:g} points; not there yet:"]
    for behaviour in result.behaviours:
        if not behaviour.passed:
            lines.append(fill(f"- {clean(behaviour.title)}", 80, subsequent_indent="  "))
            seen = behaviour.message.partition("\n")[0]
            lines += [fill(f"seen: {clean(seen)}", 80, initial_indent="  ", subsequent_indent="  ")] if seen else []
    return "\n".join(lines)


def judged(
    exercise: str,
    namespace: Mapping[str, Any],
    folder: Path,
    *,
    hidden: bool = False,
    step: str | int | None = None,
    lost: str = "",
) -> Checked:
    """`check` for the names and the folder given. Never raises, but for an interrupt.

    `lost`: what became of the answer's cell, when it can't be run.
    """
    try:
        refuse_submission(folder)
        bench = Bench.at(exercise, folder)
        if hidden and bench.hidden is None:
            line = "the hidden tests stay with the instructor: they are judged after you hand in"
            return Checked(_empty(exercise, line), hidden=True)
        judge = bench.judge(hidden=hidden)
        tests = _chosen([test for test in judge.tests if test.hidden is hidden], step)
        timelines = {one: explained(run, lost) for one, run in played(bench, tests, namespace).items()}
        behaviours = judge.judge(timelines, intended(bench, tests), tests=tests)
    except (UsageError, JudgeError, ScenarioError) as error:
        return Checked(_empty(exercise, str(error)), hidden=hidden)
    except Exception as error:  # whatever became of the files beside the notebook: a check never raises
        said = f"the check itself failed ({type(error).__name__}: {error})".splitlines()[0]
        line = f"{said}: take a fresh copy of the files beside the notebook"
        return Checked(_empty(exercise, line), hidden=hidden)
    result = Result("", bench.name, exercise, "graded", "", 0.0, tuple(behaviours))
    known = read_known(bench.visible.with_name(NAME))
    return Checked(replace(result, mistakes=tuple(headlines(behaviours, known))), hidden=hidden)


def played(
    bench: Bench, tests: Iterable[Test], namespace: Mapping[str, Any], number: int = 0
) -> dict[Played, Timeline]:
    """Each scenario that the tests name, played once, under the seeds of this `number`."""
    timelines: dict[Played, Timeline] = {}
    endless = 0
    for one in dict.fromkeys(one for test in tests for one in test.scenarios):
        if endless < PATIENCE:
            timelines[one] = bench.play(one, namespace, number)
            end = timelines[one].ending
            endless += end is not None and end.data["how"] == "endless"
    return timelines


def explained(timeline: Timeline, why: str) -> Timeline:
    """The timeline; of a run that found no answer it says why there is none, and not that its name may be misspelt."""
    end = timeline.ending
    if not why or end is None or end.data["how"] != "missing":
        return timeline
    told = end._replace(data={"how": "missing", "message": why})
    return Timeline(tuple(told if event is end else event for event in timeline.events))


def intended(bench: Bench, tests: Iterable[Test]) -> dict[Played, Timeline]:
    """The worked solution's timelines, as the build wrote them beside the tests; none where they aren't there."""
    import json

    path = bench.visible.with_name("intended.json")
    if not path.exists():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    wanted = dict.fromkeys(one for test in tests for one in test.scenarios)
    return {one: Timeline.from_json(json.dumps(found[key])) for one in wanted if (key := repr(one)) in found}


def _chosen(tests: list[Test], step: str | int | None) -> list[Test]:
    if step is None:
        return tests
    steps = list(dict.fromkeys(test.step for test in tests if test.step))
    name = steps[step - 1] if isinstance(step, int) and 0 < step <= len(steps) else step
    chosen = [test for test in tests if test.step == name]
    if not chosen:
        known = ", ".join(f"{number} {known}" for number, known in enumerate(steps, 1))
        raise UsageError(f"there is no step {step!r}; there are: {known or 'none'}")
    return chosen


def _empty(exercise: str, line: str) -> Result:
    return Result("", "", exercise, "graded", "", 0.0, (), line)


@cache
def _judge(visible: Path, hidden: Path | None) -> Judge:
    return Judge(visible, hidden)


def _section(folder: Path) -> Section | None:
    try:
        course = Course.find(folder)
        return course.section(folder.name)
    except UsageError:
        return None
