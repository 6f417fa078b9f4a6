"""Run answers while building: record the solution's timelines, and check that points mean what they say."""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from autograder.authoring import problems
from autograder.authoring.examples import answers, cell_text, kinds, wrong_answers
from autograder.authoring.worked import answer_runner, given_texts, run_answer, solution_notebook
from autograder.course import Section, file_for_check
from autograder.judging.bench import Bench, play_tests
from autograder.judging.judge import CANT_BE_JUDGED, SHOWN_EVENTS
from autograder.judging.mistakes import (
    FORM,
    MISTAKES_FILE,
    MISTAKES_PATH,
    describe_mistake,
    digest_of,
    judged_mistakes,
    known_in,
    losses,
    made_from,
    mistakes_json,
)
from autograder.judging.result import Behaviour
from autograder.notebook.answer import Cell, find_answer, read_cells
from autograder.notebook.cells import CodeCell, names
from autograder.notebook.execution import run_notebook
from autograder.notebook.source import author_notebook, with_toolkits
from autograder.version import VERSION
from faultlab.scenario import Played, ScenarioError
from faultlab.timeline import Timeline

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from autograder.authoring.rule import Built
    from autograder.processes import Tell

PLAYS = 5
"""How many seeds a typical mistake is played under: what differs between them was drawn by the world."""


def intended_json(section: Section, notebook: bytes) -> bytes:
    """The worked solution's timelines of the visible tests, as JSON, drawn beside a student's own.

    `notebook` is the one with its solution. Long timelines, which nobody draws, are left out.
    """
    assert section.exercise is not None
    bench = Bench.at(section.exercise, section.folder)
    _match_parameters(bench)
    tests = [test for test in bench.judge(hidden=False).tests if not test.hidden]
    timelines = play_tests(bench, tests, run_answer(section, notebook))
    shown = {repr(one): json.loads(run.to_json()) for one, run in timelines.items() if len(run) <= SHOWN_EVENTS}
    return (json.dumps(shown, sort_keys=True, separators=(",", ":")) + "\n").encode()


def _match_parameters(bench: Bench) -> None:
    """Raises ScenarioError when a test gives a scenario other parameters than it takes."""
    for test in bench.judge(hidden=True).tests:
        for one in test.scenarios:
            if one.name in bench.scenarios:  # otherwise playing it says so
                try:
                    inspect.signature(bench.scenarios[one.name].setup).bind(None, **one.options)
                except TypeError as error:
                    line = f"test_{test.id} doesn't fit its scenario {one.name}: {error}; change one of them"
                    raise ScenarioError(line) from None


def judge_mistakes(section: Section, notebook: bytes, tell: Tell) -> bytes:
    """Judge each file in `wrong/` by the visible tests under several seeds; students get its headline by what it loses.

    Judging takes a while, and is announced. As long as nothing that matters has changed, the released file stays.
    `notebook` is the one with its solution.
    """
    wrong = wrong_answers(section)
    texts = [one.text for one in wrong]
    judged_by = [path.read_text(encoding="utf-8") for path in (section.tests, section.scenarios)]
    digest = digest_of([VERSION, f"form {FORM}, {PLAYS} plays", *judged_by, *given_texts(section, notebook), *texts])
    for kept in (file_for_check(section.released, MISTAKES_FILE), judged_mistakes(section)):
        if made_from(kept) == digest:
            return kept.read_bytes()
    tell(f"{section.name}: judging {problems.counted(len(wrong), 'typical mistake')} (once; cached)")
    found, trials = [], []
    for one, kind, plays in zip(wrong, kinds(wrong), _played(section, notebook, texts), strict=True):
        found.append(describe_mistake(one.headline, kind, map(losses, plays[:PLAYS])))
        slipped = any(behaviour.slip for behaviour in plays[PLAYS])
        trials.append(None if slipped else losses(plays[PLAYS]))
    return mistakes_json(digest, found, trials)


def _played(section: Section, notebook: bytes, texts: Iterable[str]) -> Iterator[list[list[Behaviour]]]:
    """The behaviours of each of these answers by the visible tests, under PLAYS seeds and one more for the trial."""
    bench = Bench.at(str(section.exercise), section.folder)
    judge = bench.judge(hidden=False)
    for text in texts:
        run = answer_runner(section, notebook, text)  # anew each time: it may keep something
        yield [judge.judge(play_tests(bench, judge.tests, run(), number)) for number in range(PLAYS + 1)]


_WARMUPS = {"predict", "estimate", "arrange"}
AUTHORS_SECONDS = 60.0
"""CPU seconds for a section's own cells: they are no stranger's, and draw much more than an answer needs."""


def warmups(section: Section, notebook: NotebookNode) -> list[str]:
    """Run the warm-ups. One whose right answer isn't among its choices raises."""
    cells = []
    filled = with_toolkits(section, copy.deepcopy(notebook.cells))
    for number, cell in enumerate(cell for cell in filled if cell.cell_type == "code"):
        found = names(cell.source)
        own = bool(_WARMUPS & set(found.uses))
        cells.append(CodeCell(cell.source, own, number, names=found))
    return [
        f"{section.name}: a warm-up fails: {kind}: {text}"
        for _, kind, text in run_notebook(cells, seconds=AUTHORS_SECONDS)[1]
    ]


def playable(section: Section, built: Built) -> list[str]:
    """Problems of running a section: a warm-up that fails, a solution without full marks, a stub that earns points."""
    found = warmups(section, author_notebook(section))
    if section.exercise is None:
        return found
    name = f"{section.notebook}.ipynb"
    stub, solution = read_cells(built.release[name]), read_cells(built.source[name])
    missed = _missed(_judged(section, stub, solution))
    found += [f"{section.name}: the solution misses {line}" for line in missed]
    earned = dict.fromkeys(behaviour.test for behaviour in _judged(section, stub, stub) if behaviour.points)
    if earned:
        found.append(f"{section.name}: the untouched stub earns points for {', '.join(earned)}; tighten these tests")
    return found


def right_answers(section: Section, _tell: Tell) -> list[str]:
    """Right answers without full marks, a line each; and answers, the solution included, that are judged otherwise when
    scenarios are played alone, in order or reversed."""
    if section.exercise is None:
        return []
    worked: dict[str, str | None] = {"the solution": None}
    worked |= {f"right/{path.name}": cell_text(section, path) for path in answers(section, "right")}
    bench, notebook = Bench.at(section.exercise, section.folder), solution_notebook(section)
    found = []
    for name, text in worked.items():
        run = answer_runner(section, notebook, text)
        alone = {one: bench.play(one, run()) for one in bench.judge(hidden=True).scenarios}
        if text is not None:
            judged = bench.judge(hidden=True).judge(alone)
            missed = _missed([behaviour for behaviour in judged if behaviour.points < behaviour.max_points])
            found += [
                f"{section.name}: {name} misses {line}; is it right, or do the tests ask too much?" for line in missed
            ]
        found += [
            f"{section.name}: with scenarios {how}, {name} is judged otherwise than with each alone: "
            f"{', '.join(tests)}; let neither keep anything between scenarios"
            for how, tests in _unsteady(bench, run, alone)
        ]
    return found


def _unsteady(
    bench: Bench, names: Callable[[], dict[str, Any]], alone: dict[Played, Timeline]
) -> Iterator[tuple[str, list[str]]]:
    judge = bench.judge(hidden=True)
    wanted = judge.scenarios
    for how, order in (("in order", wanted), ("reversed", wanted[::-1])):
        same = names()
        together = {one: bench.play(one, same) for one in order}
        if together != alone:  # as it may, where an answer tells the time of day
            pairs = zip(judge.judge(alone), judge.judge(together), strict=True)
            tests = dict.fromkeys(before.test for before, after in pairs if before.passed is not after.passed)
            yield from [(how, list(tests))] if tests else []


def mistaken_answers(section: Section, built: Built) -> list[str]:
    """Typical mistakes that pass a behaviour which they should fail, or on which a test itself fails, a line each.

    The build knows what they lose of the visible tests; the few that only hidden tests find are judged here.
    """
    if section.exercise is None:
        return []
    name = f"{section.notebook}.ipynb"
    found = []
    known = known_in(built.release[MISTAKES_PATH].decode())
    for wrong, mistake in zip(wrong_answers(section), known, strict=True):
        where = problems.at(section, wrong.path)
        broken = [test for test, said in mistake.words.items() if any(CANT_BE_JUDGED in words for words in said)]
        if broken:
            found.append(f"{where}: test_{broken[0]} itself fails on it; let the test expect whatever an answer gives")
        left = wrong.fails.difference(frozenset.intersection(*mistake.lost) if mistake.lost else ())
        if left:
            left -= _lost(section, built.source[name], wrong.text)
        if left:
            found.append(f"{where}: passes {', '.join(sorted(left))}; correct its second line, or tighten these tests")
    return found


def _lost(section: Section, notebook: bytes, text: str) -> set[str]:
    """The behaviours that an answer loses, visible or hidden."""
    bench = Bench.at(str(section.exercise), section.folder)
    judge = bench.judge(hidden=True)
    names = run_answer(section, notebook, text)
    return {behaviour.test for behaviour in judge.judge(play_tests(bench, judge.tests, names)) if not behaviour.passed}


def _judged(section: Section, released: list[Cell], submitted: list[Cell]) -> list[Behaviour]:
    assert section.exercise is not None
    bench = Bench.at(section.exercise, section.folder)
    judge = bench.judge(hidden=True)
    namespace, _ = run_notebook(find_answer(submitted, released, section.exercise).cells, bench.wanted)
    return judge.judge(play_tests(bench, judge.tests, namespace))


def _missed(behaviours: list[Behaviour]) -> list[str]:
    return [
        f"{'hidden ' if behaviour.hidden else ''}{behaviour.test}: {behaviour.message.partition(chr(10))[0]}"
        for behaviour in behaviours
        if not behaviour.passed
    ]
