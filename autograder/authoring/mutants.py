"""The command `mutants`: find small mistakes in the worked solutions that no test notices.

A mutant that keeps full marks survives. A survivor is a hole in the scenarios, or it is as right as the solution
itself. Those stand in `equivalent.toml` beside the section, each with the reason:

    [[mutant]]
    id = "Client.call:compare:left > 0 -> left >= 0"
    change = "if left > 0: -> if left >= 0:"
    reason = "with nothing left, nothing is waited for"
"""

from __future__ import annotations

import tomllib
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from math import ceil
from typing import NamedTuple

from autograder.authoring.mutations import Mutant, mutants, sample
from autograder.authoring.worked import answer_cells, solution_notebook
from autograder.course import Course, Section
from autograder.errors import UsageError
from autograder.judging.bench import Bench, play_tests
from autograder.judging.judge import CANT_BE_JUDGED
from autograder.notebook.execution import run_notebook
from autograder.notebook.source import solution
from autograder.processes import Died, Tell, side_by_side

EQUIVALENT_FILE = "equivalent.toml"
ONE_IN = 20
"""At most one mutant in this many may be declared equivalent, rounded up."""


class Declared(NamedTuple):
    """A mutant that is as right as the solution."""

    id: str
    change: str
    reason: str


class Judged(NamedTuple):
    """The judgement of a mutant."""

    killed: bool
    by: tuple[str, ...] = ()
    """The behaviours that it loses, visible or hidden; empty if its cell or its process ended early."""
    failed: str = ""
    """The message, if the judge itself failed."""


@dataclass
class Matrix:
    """A section's mutants, and the judgement of each that was judged."""

    section: Section
    made: list[Mutant]
    declared: list[Declared]
    behaviours: list[str]
    judged: dict[str, Judged] = field(default_factory=dict)

    @property
    def survivors(self) -> list[Mutant]:
        """Mutants that no test kills and no entry declares."""
        excused = {one.id for one in self.declared}
        return [one for one in self.made if one.id in self.judged.keys() - excused and not self.judged[one.id].killed]

    @property
    def problems(self) -> list[str]:
        """What has to be fixed, a line each; survivors are reported elsewhere."""
        found = misdeclared(self.section, self.made, self.declared)
        where = _where(self.section)
        for one in self.declared:
            if one.id in self.judged and self.judged[one.id].killed:
                by = ", ".join(self.judged[one.id].by) or "its own error"
                found.append(f"{where}: {one.id}: is killed by {by}; delete the entry")
        for name, judged in self.judged.items():
            if judged.failed:
                found.append(f"{self.section.name}: the judge itself fails on {name}: {judged.failed}")
        return found


def check_mutants(
    course: Course, names: Sequence[str] = (), *, share: int = 100, seed: int = 0, jobs: int = 1, tell: Tell
) -> bool:
    """Judge the mutants of these sections (all), or a share of them in percent, which the seed chooses. Tell the kill
    matrix of each section. Return whether nothing is left to do.

    Raises UsageError for an unknown section, and an `equivalent.toml` that can't be read.
    """
    sections = [section for section in course.select(names) if section.exercise is not None]
    matrices = {section.name: _made(section) for section in sections}
    fine = True
    for name, matrix in _judge(matrices, share, seed, jobs):
        for line in told(matrix):
            tell(f"{name}: {line}" if not line.startswith(" ") else line)
        fine = fine and not matrix.survivors and not matrix.problems
    judged = [one for matrix in matrices.values() for one in matrix.judged.values()]
    made = sum(len(matrix.made) for matrix in matrices.values())
    killed, left = sum(one.killed for one in judged), sum(len(matrix.survivors) for matrix in matrices.values())
    tell(f"all together: {len(judged)} of {made} mutants judged, {killed} killed, {left} survive")
    return fine


def _made(section: Section) -> Matrix:
    assert section.exercise is not None
    tests = Bench.at(section.exercise, section.folder).judge(hidden=True).tests
    behaviours = list(dict.fromkeys(test.id for test in tests))
    return Matrix(section, mutants(solution(section)), equivalents(section), behaviours)


def _judge(matrices: dict[str, Matrix], share: int, seed: int, jobs: int) -> Iterator[tuple[str, Matrix]]:
    """Each section when the last of its mutants is judged."""
    chosen = {
        name: sample(matrix.made, ceil(len(matrix.made) * share / 100), seed) for name, matrix in matrices.items()
    }
    work = (((name, one.id), (matrices[name].section, one.text)) for name, those in chosen.items() for one in those)
    with closing(side_by_side(work, jobs, judging)) as results:
        for (name, mutant), result in results:
            matrix = matrices[name]
            matrix.judged[mutant] = Judged(killed=True) if isinstance(result, Died) else result
            if len(matrix.judged) == len(chosen[name]):
                yield name, matrix


@contextmanager
def judging(_number: int | None, _tell: Tell) -> Iterator[Callable[[tuple[Section, str]], Judged]]:
    """Judges mutants in one process; it makes a section's notebook once."""
    notebooks: dict[str, bytes] = {}

    def judge(given: tuple[Section, str]) -> Judged:
        section, text = given
        if section.name not in notebooks:
            notebooks[section.name] = solution_notebook(section)
        return judge_text(section, notebooks[section.name], text)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # coroutines that a mutant never awaited
        yield judge


def judge_text(section: Section, notebook: bytes, text: str) -> Judged:
    """Judge one text of the student's cell by the visible and the hidden tests. `notebook`: the solution's."""
    cells, wanted = answer_cells(section, notebook, text)
    names, errors = run_notebook(cells, wanted)
    if errors:
        return Judged(killed=True)
    bench = Bench.at(str(section.exercise), section.folder)
    judge = bench.judge(hidden=True)
    try:
        timelines = play_tests(bench, judge.tests, names)
        behaviours = judge.judge(timelines)
    except Exception as error:
        return Judged(killed=False, failed=f"{type(error).__name__}: {error}")
    lost = [one for one in behaviours if not one.passed]
    failed = next((one.message for one in lost if CANT_BE_JUDGED in one.message), "")
    # After two scenarios that don't end, the rest isn't played: a scenario that wasn't played killed nothing.
    seen = [test.id for test in judge.tests if any(one in timelines for one in test.scenarios)]
    return Judged(bool(lost), tuple(dict.fromkeys(one.test for one in lost if one.test in seen)), failed)


def equivalents(section: Section) -> list[Declared]:
    """The mutants that a section declares equivalent. Raises UsageError for a malformed file."""
    path = section.folder / EQUIVALENT_FILE
    if not path.is_file():
        return []
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))["mutant"]
        return [Declared(**entry) for entry in entries]
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        wanted = "[[mutant]] with id, change and reason"
        raise UsageError(f"{_where(section)}: {error}; write {wanted} for each entry") from None


def misdeclared(section: Section, made: Sequence[Mutant], declared: Sequence[Declared]) -> list[str]:
    """Problems of a section's declarations, found without judging anything, a line each."""
    where, known = _where(section), {one.id: one for one in made}
    found = []
    for one in declared:
        if one.id not in known:
            found.append(f"{where}: {one.id}: no longer made; delete the entry, or name the mutant that is made now")
        elif one.change != known[one.id].change:
            now = known[one.id].change
            found.append(f"{where}: {one.id}: changes another line now; read it again, and write change = {now!r}")
        if not one.reason.strip():
            found.append(f"{where}: {one.id}: says no reason; write why it is right")
    for name, times in Counter(one.id for one in declared).items():
        if times > 1:
            found.append(f"{where}: {name}: stands there {times} times; keep one")
    if len(declared) > (allowed := ceil(len(made) / ONE_IN)):
        found.append(f"{where}: declares {len(declared)} of {len(made)} mutants; {allowed} at most, kill the others")
    return found


def told(matrix: Matrix) -> Iterator[str]:
    """The kill matrix of a section, as lines; details are indented below their line."""
    judged = matrix.judged.values()
    killed, whole = sum(one.killed for one in judged), len(matrix.judged) == len(matrix.made)
    survivors = matrix.survivors
    excused = len(judged) - killed - len(survivors)
    number = f"{len(judged)} mutants" if whole else f"{len(judged)} of {len(matrix.made)} mutants"
    yield f"{number}, {killed} killed, {excused} declared equivalent, {len(survivors)} survive"
    for one in survivors:
        yield f"  survives: line {one.line}: {one.change}"
        yield f"            {one.id}"
    yield from matrix.problems
    early = sum(one.killed and not one.by for one in judged)
    yield f"  {early} end by themselves; of the others kill"
    alone = Counter(one.by[0] for one in judged if len(one.by) == 1)
    kills = Counter(name for one in judged for name in one.by)
    width = max(map(len, matrix.behaviours))
    for name in matrix.behaviours:
        yield f"  {name:{width}}  {kills[name]:4}, alone {alone[name]:4}"
    for name in matrix.behaviours:
        if not alone[name] and whole:
            yield f"  no mutant that only {name} finds"


def _where(section: Section) -> str:
    return f"{section.name}/{EQUIVALENT_FILE}"
