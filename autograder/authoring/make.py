"""Make a section's files from its sources, in memory."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autograder.authoring import problems
from autograder.authoring.rule import Built
from autograder.authoring.trials import intended_json, judge_mistakes
from autograder.course import CHECKS, Section
from autograder.judging.bench import INTENDED_FILE
from autograder.judging.judge import JudgeError
from autograder.judging.mistakes import MISTAKES_FILE
from autograder.nbgrader.release import release
from autograder.notebook.cover import with_cover
from autograder.notebook.source import BuildError, source_notebook, to_text
from autograder.processes import Tell
from faultlab.scenario import ScenarioError


def files_for_checks(section: Section) -> tuple[str, ...]:
    """The names of what students get in `checks/`: the visible tests and their scenarios, and what is judged
    beforehand: `intended.json`, the solution's timelines, and `mistakes.json`, what typical ones lose."""
    return (f"test_{section.notebook}.py", "scenarios.py", INTENDED_FILE, MISTAKES_FILE)


def make(section: Section, tell: Tell = lambda _: None) -> Built:
    """The section's files, in memory. Raises BuildError."""
    with authors_errors(section):
        notebook = with_cover(section, source_notebook(section))
    beside = _files_for_students(section)
    name = f"{section.notebook}.ipynb"
    source = to_text(notebook)
    if section.exercise is not None and section.scenarios.is_file():
        beside |= _judged_beforehand(section, source.encode(), tell)
    return Built({name: source.encode(), **beside}, {name: release(section, source).encode(), **beside})


def _judged_beforehand(section: Section, source: bytes, tell: Tell) -> dict[str, bytes]:
    with authors_errors(section):
        judged = {INTENDED_FILE: intended_json(section, source), MISTAKES_FILE: judge_mistakes(section, source, tell)}
    return {f"{CHECKS}/{name}": data for name, data in judged.items()}


@contextmanager
def authors_errors(section: Section) -> Iterator[None]:
    """Turn an error in a section's own files into a BuildError with a line for its author."""
    try:
        yield
    except BuildError:
        raise
    except (JudgeError, ScenarioError) as error:
        raise BuildError(str(error)) from None
    except UnicodeDecodeError as error:
        raise BuildError(f"one of the files that it needs isn't text in UTF-8 ({error}); save it so") from None
    except Exception as error:
        frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
        if isinstance(error, SyntaxError):
            frames.append((error.filename or "", error.lineno))
        own = [(Path(path), line) for path, line in frames if Path(path).is_relative_to(section.folder)]
        if not own:
            raise
        where = f"{problems.at(section, own[-1][0])}, line {own[-1][1]}"
        said = str(error).partition("\n")[0]
        raise BuildError(f"{where}: {type(error).__name__}: {said}; run it alone to see more") from None


def _files_for_students(section: Section) -> dict[str, bytes]:
    there = [name for name in files_for_checks(section) if (section.folder / name).is_file()]
    files = {f"{CHECKS}/{name}": (section.folder / name).read_bytes() for name in there}
    assets = section.folder / "assets"
    return files | {f"assets/{path}": (assets / path).read_bytes() for path in problems.present(assets)}
