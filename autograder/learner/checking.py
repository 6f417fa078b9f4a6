"""The student's loop: judge one's own notebook, here and now, with the world in this process.

`check("...")` stands in the notebook's check cell. It plays the section's scenarios against the notebook's names,
judges the timelines by the tests beside the notebook, and shows a table and pictures; as plain text it is the score,
so that stock nbgrader reads partial credit. It never raises and never writes to stderr.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import fill
from typing import Any

from autograder.course import refuse_submission
from autograder.errors import UsageError
from autograder.judging.bench import Bench, explain_missing, play_tests, read_intended, remarks
from autograder.judging.judge import JudgeError, Test
from autograder.judging.mistakes import MISTAKES_FILE, headlines, read_known
from autograder.judging.result import Result
from autograder.learner.kernel import outdated
from autograder.pages.feedback import part_html, with_script
from faultlab.clock.bound import bound_before_line, clock_names_bound_before
from faultlab.pictures.sheet import clean
from faultlab.scenario import ScenarioError


@dataclass
class Checked:
    """The result of a check: rich in a notebook, the score as plain text."""

    result: Result
    hidden: bool = False
    line: str = ""

    def __repr__(self) -> str:
        return f"{self.result.score:g}"

    def _repr_html_(self) -> str:
        return with_script(part_html(self.result, hidden=self.hidden))


def check(exercise: str, *, hidden: bool = False, step: str | int | None = None) -> Checked:
    """Judge the notebook's answer to `exercise` and show what was seen.

    `hidden` judges the hidden tests, where they are; `step` judges one rung of a long exercise (its name, or its
    number from 1).
    """
    namespace = sys._getframe(1).f_globals
    checked = judge_answer(exercise, namespace, Path.cwd(), hidden=hidden, step=step)
    if line := bound_before_line(clock_names_bound_before(namespace)):
        print(line)
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
    lines += [fill(clean(line), 80) for line in result.slip.splitlines()]
    for behaviour in result.behaviours:
        if not behaviour.passed:
            lines.append(fill(f"- {clean(behaviour.title)}", 80, subsequent_indent="  "))
            seen = "" if behaviour.slip else behaviour.message.partition("\n")[0]
            lines += [fill(f"seen: {clean(seen)}", 80, initial_indent="  ", subsequent_indent="  ")] if seen else []
    return "\n".join(lines)


def judge_answer(
    exercise: str,
    namespace: Mapping[str, Any],
    folder: Path,
    *,
    hidden: bool = False,
    step: str | int | None = None,
    lost: str = "",
    cell_errors: Sequence[tuple[int, str, str]] = (),
) -> Checked:
    """`check` for the names and the folder given. Never raises, but for an interrupt.

    `lost` and `cell_errors`: see `explain_missing`.
    """
    try:
        refuse_submission(folder)
        bench = Bench.at(exercise, folder)
        if hidden and bench.hidden is None:
            line = "the hidden tests stay with the instructor: they are judged after you hand in"
            return Checked(_empty(exercise, line), hidden=True)
        if line := outdated(exercise, bench.wanted, namespace, folder):
            return Checked(_empty(exercise, line), hidden=hidden)
        judge = bench.judge(hidden=hidden)
        tests = _chosen([test for test in judge.tests if test.hidden is hidden], step)
        timelines = explain_missing(play_tests(bench, tests, namespace), lost, cell_errors)
        behaviours = judge.judge(timelines, read_intended(bench, tests), tests=tests)
        known = read_known(bench.visible.with_name(MISTAKES_FILE))
        mistakes = tuple(headlines(behaviours, known))
    except (UsageError, JudgeError, ScenarioError) as error:
        return Checked(_empty(exercise, str(error)), hidden=hidden)
    except Exception as error:  # whatever became of the files beside the notebook: a check never raises
        said = f"the check itself failed ({type(error).__name__}: {error})".splitlines()[0]
        line = f"{said}: take a fresh copy of the files beside the notebook"
        return Checked(_empty(exercise, line), hidden=hidden)
    notes = tuple(remarks(timelines.values()))
    result = Result("", bench.name, exercise, "graded", "", 0.0, tuple(behaviours), notes=notes)
    return Checked(replace(result, mistakes=mistakes), hidden=hidden)


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
