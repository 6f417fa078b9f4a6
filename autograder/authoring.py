"""What a build finds out by running answers: the solution's timelines, and that points are worth what they say."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from autograder import VERSION
from autograder.answer import answer, read
from autograder.cells import names, needed, run_notebook
from autograder.check import Bench, played
from autograder.course import Course, Section
from autograder.judge import SHOWN_EVENTS
from autograder.mistakes import NAME, Mistake, digest_of, headline_of, losses, made_from, written
from faultlab.scenario import asked

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from autograder.build import Tell


def intended(section: Section, notebook: bytes) -> bytes:
    """The worked solution's timelines of the visible tests, as JSON, for the pictures beside a student's own.

    `notebook` is the one with its solution. Long timelines, which nobody draws, are left out.
    """
    assert section.exercise is not None
    bench = Bench.at(section.exercise, section.folder)
    tests = [test for test in bench.judge(hidden=False).tests if not test.hidden]
    timelines = played(bench, tests, answered(section, notebook))
    shown = {repr(one): json.loads(run.to_json()) for one, run in timelines.items() if len(run) <= SHOWN_EVENTS}
    return (json.dumps(shown, sort_keys=True, separators=(",", ":")) + "\n").encode()


def mistakes(section: Section, notebook: bytes) -> bytes:
    """What each file in `wrong/` loses of the visible tests, for the headline that a student hears.

    Judging them takes a while: as long as nothing that matters has changed, what was released stays.
    `notebook` is the one with its solution.
    """
    paths = sorted((section.folder / "wrong").glob("*.py"))
    texts = [path.read_text(encoding="utf-8") for path in paths]
    judged_by = [path.read_text(encoding="utf-8") for path in (section.tests, section.scenarios)]
    digest = digest_of([VERSION, *judged_by, *_given(section, notebook), *texts])
    released = section.released / NAME
    if made_from(released) == digest:
        return released.read_bytes()
    bench = Bench.at(str(section.exercise), section.folder)
    judge = bench.judge(hidden=False)
    found = []
    for path, text in zip(paths, texts, strict=True):
        behaviours = judge.judge(played(bench, judge.tests, answered(section, notebook, text)))
        found.append(Mistake(headline_of(path), losses(behaviours)))
    return written(digest, found)


def _given(section: Section, notebook: bytes) -> list[str]:
    """The texts of the cells that an answer is graded with."""
    cells = read(notebook)
    found = answer(cells, [cell for cell in cells if cell.grade_id != section.exercise], str(section.exercise)).cells
    wanted = asked(section.scenarios.read_text(encoding="utf-8"))
    return [found[number]["source"] for number in sorted(needed(found, wanted)) if not found[number]["own"]]


def solved(section: Section) -> bytes:
    """The section's notebook with its solution."""
    import nbformat

    from autograder.source import source_notebook

    return str(nbformat.writes(source_notebook(section))).encode()


def answered(section: Section, notebook: bytes, text: str | None = None) -> dict[str, Any]:
    """The names that grading finds when `text` stands in the student's cell (None: the solution).

    `notebook` is the one with its solution.
    """
    return _answering(section, notebook, text)()


def _answering(section: Section, notebook: bytes, text: str | None) -> Callable[[], dict[str, Any]]:
    """Runs the cells, and gives their names, as often as it is called."""
    assert section.exercise is not None
    cells = read(notebook)
    given = [cell for cell in cells if cell.grade_id != section.exercise]
    if text is not None:
        cells = [replace(cell, source=text) if cell.grade_id == section.exercise else cell for cell in cells]
    wanted = asked(section.scenarios.read_text(encoding="utf-8"))
    found = answer(cells, given, section.exercise).cells
    return lambda: run_notebook(found, wanted)[0]


LONGEST_CELL = 30
"""Lines of a code cell: one idea each."""
_WARMUPS = {"predict", "estimate", "arrange"}


def rules(section: Section, notebook: NotebookNode) -> list[str]:
    """What every notebook of the course keeps to, checked on its text."""
    texts = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    missing = [f"Hint {number}" for number in (1, 2, 3) if f"<summary>Hint {number}" not in texts]
    problems = []
    if section.exercise is not None and missing:
        problems.append(f"{section.name}: no {missing[0]}; write three, each <details><summary>Hint 1</summary>...")
    for cell in notebook.cells:
        if cell.cell_type == "code" and not {"exercise", "toolkit"} & set(cell.metadata):
            where = f"{section.name}: the cell that begins {cell.source.strip().partition(chr(10))[0][:60]!r}"
            lines = cell.source.count("\n") + 1
            if lines > LONGEST_CELL:
                problems.append(f"{where} has {lines} lines, {LONGEST_CELL} at most; split it")
    return problems


def warmups(section: Section, notebook: NotebookNode) -> list[str]:
    """Run the warm-ups: one whose right answer isn't among its choices raises."""
    from autograder.source import with_toolkits

    cells = []
    filled = with_toolkits(section, copy.deepcopy(notebook.cells))
    for number, cell in enumerate(cell for cell in filled if cell.cell_type == "code"):
        found = names(cell.source)
        own = bool(_WARMUPS & set(found.uses))
        cells.append({"source": cell.source, "own": own, "number": number} | found._asdict())
    return [f"{section.name}: a warm-up fails: {kind}: {text}" for _, kind, text in run_notebook(cells)[1]]


def worth(course: Course, section: Section, tell: Tell) -> list[str]:
    """What is wrong with a section's points, a line each."""
    if section.exercise is None:
        return []
    solution = read(solved(section))
    stub = read((section.released / f"{section.notebook}.ipynb").read_bytes())
    problems = [f"{section.name}: {line}" for line in _missed(section, _judged(section, stub, solution))]
    earned = [behaviour.test for behaviour in _judged(section, stub, stub) if behaviour.points]
    if earned:
        problems.append(f"{section.name}: the untouched stub earns points for {', '.join(earned)}; tighten these tests")
    return problems


def steady(course: Course, section: Section, tell: Tell) -> list[str]:
    """Right answers that are seen otherwise when scenarios come alone, in order or reversed, a line each."""
    if section.exercise is None:
        return []
    answers: dict[str, str | None] = {"the solution": None}
    answers |= {
        f"right/{path.name}": path.read_text("utf-8") for path in sorted((section.folder / "right").glob("*.py"))
    }
    bench, notebook = Bench.at(section.exercise, section.folder), solved(section)
    return [
        f"{section.name}: with scenarios {how}, {name} is judged otherwise than with each alone: {', '.join(tests)}; "
        "let neither keep anything between scenarios"
        for name, text in answers.items()
        for how, tests in _unsteady(bench, _answering(section, notebook, text))
    ]


def _unsteady(bench: Bench, names: Callable[[], dict[str, Any]]) -> Iterator[tuple[str, list[str]]]:
    judge = bench.judge(hidden=True)
    wanted = judge.scenarios
    alone = {one: bench.play(one, names()) for one in wanted}
    for how, order in (("in order", wanted), ("reversed", wanted[::-1])):
        same = names()
        together = {one: bench.play(one, same) for one in order}
        if together != alone:  # as it may, where an answer tells the time of day
            pairs = zip(judge.judge(alone), judge.judge(together), strict=True)
            tests = dict.fromkeys(before.test for before, after in pairs if before.passed is not after.passed)
            yield from [(how, list(tests))] if tests else []


def _judged(section: Section, released: list[Any], submitted: list[Any]) -> list[Any]:
    assert section.exercise is not None
    bench = Bench.at(section.exercise, section.folder)
    judge = bench.judge(hidden=True)
    namespace, _ = run_notebook(answer(submitted, released, section.exercise).cells, bench.wanted)
    return judge.judge(played(bench, judge.tests, namespace))


def _missed(section: Section, behaviours: list[Any]) -> list[str]:
    return [
        f"the solution misses {'hidden ' if b.hidden else ''}{b.test}: {b.message.splitlines()[0]}"
        for b in behaviours
        if not b.passed
    ]
