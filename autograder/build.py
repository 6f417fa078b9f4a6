"""Sources -> notebooks, and what must hold of them.

    solutions/<section>/<name>.py -> build/source/<section>/ -> notebooks/<section>/

See `source.py` for the first arrow and `release.py` for the second. Building twice gives the same bytes. Problems are
returned, not raised: each is one line that says where, what, and what to run next.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from autograder.cells import names
from autograder.course import Course, Section, UsageError, write_atomically
from autograder.handbook import NAME, handbook
from autograder.leaks import leaks
from autograder.source import (
    BEGIN_HIDDEN,
    BEGIN_SOLUTION,
    BuildError,
    author_notebook,
    from_text,
    is_toolkit,
    source_notebook,
    to_text,
)

if TYPE_CHECKING:
    from nbformat import NotebookNode

Tell = Callable[[str], None]
Check = Callable[[Course, Section, Tell], list[str]]
CellCheck = Callable[[Section, "NotebookNode"], list[str]]


class Rules(NamedTuple):
    """What must hold of a section besides what every build looks at; each rule returns its problems."""

    text: Sequence[CellCheck] = ()
    """Rules of the notebook as its author wrote it, solution included; looked at in every build."""
    answers: Sequence[Check] = ()
    """Rules that need answers to be judged; looked at by `--check` alone. What is no problem, but good to know, they
    tell."""


NO_RULES = Rules()

STUDENT_FILES = ("scenarios.py",)
"""What students get beside the notebook and its visible tests, where a section has it; and all of `assets/`, and
what is judged beforehand: `intended.json`, the solution's timelines, and `mistakes.json`, what typical ones lose."""

_LITTER = {".ipynb_checkpoints", "__pycache__", ".DS_Store", ".pytest_cache"}


@dataclass(frozen=True, slots=True)
class Built:
    """One section's files, by their path below the section's folder."""

    source: dict[str, bytes]
    """For nbgrader: the notebook with its solution, and what students get beside it."""
    release: dict[str, bytes]
    """For students."""


def build(
    course: Course,
    sections: Sequence[str] | None = None,
    *,
    check: bool = False,
    force: bool = False,
    rules: Rules = NO_RULES,
    tell: Tell = lambda line: None,
    jobs: int = 1,
) -> list[str]:
    """Build these sections (all), register them in the gradebook, and return what is wrong, a line each.

    `check` changes nothing: it compares what is committed with what would be built, and looks further, in `jobs`
    processes, which the rules must be able to reach by name.
    `force` replaces notebooks that somebody has worked in, too. A section with a problem isn't written.
    Raises UsageError for an unknown section and a course without sources.
    """
    chosen = course.select(sections or [])
    if not any(section.source.is_file() for section in chosen):
        raise UsageError(f"{course.solutions} holds no section: there is nothing to build from")
    problems = [] if sections else _orphans(course)
    work = partial(_told, course, check, force, rules)
    with _side_by_side(jobs if check else 1) as each:
        for _, (found, told) in zip(bar(chosen), each(work, chosen), strict=True):
            problems += found
            for line in told:
                tell(line)
    return problems if sections else problems + _handbook(course, check=check)


def make(section: Section) -> Built:
    """The section's files, in memory. Raises BuildError."""
    from autograder.release import release

    notebook = source_notebook(section)
    beside = _files_for_students(section)
    name = f"{section.notebook}.ipynb"
    source = to_text(notebook)
    if section.exercise is not None and section.scenarios.is_file():
        beside |= _judged_beforehand(section, source.encode())
    return Built({name: source.encode(), **beside}, {name: release(section, source).encode(), **beside})


def _judged_beforehand(section: Section, source: bytes) -> dict[str, bytes]:
    from autograder.authoring import intended, mistakes
    from autograder.judge import JudgeError
    from faultlab.scenario import ScenarioError

    try:
        return {"intended.json": intended(section, source), "mistakes.json": mistakes(section, source)}
    except (JudgeError, ScenarioError) as error:
        raise BuildError(str(error)) from None


def bar(sections: Sequence[Section]) -> Iterator[Section]:
    """Walk through the sections; a progress bar appears on a terminal when it takes more than a second."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    shown = Bar(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
    task = shown.add_task("building", total=len(sections))
    begun = time.monotonic()
    try:
        for section in sections:
            shown.update(task, description=section.name)
            if time.monotonic() - begun > 1:
                shown.start()
            yield section
            shown.advance(task)
    finally:
        shown.stop()


def _told(course: Course, check: bool, force: bool, rules: Rules, section: Section) -> tuple[list[str], list[str]]:
    """A section's problems, and what else its rules tell."""
    told: list[str] = []
    try:
        found = _check(course, section, rules, told.append) if check else _write(course, section, rules, force=force)
    except BuildError as error:
        found = [f"{section.name}: {error}"]
    return found, told


@contextmanager
def _side_by_side(jobs: int) -> Iterator[Callable[..., Iterable[Any]]]:
    """`map`, in so many processes: in this one alone, or in others, which end with it and at its first error."""
    if jobs == 1:
        yield map
        return
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), initializer=_attend) as pool:

        def each(work: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
            # not pool.map: what that calls off when it is interrupted, Python 3.11 stumbles over
            waiting = [pool.submit(work, item) for item in items]
            return (future.result() for future in waiting)

        try:
            yield each
        except BrokenProcessPool:
            raise UsageError("one of its processes was killed from outside; run the same command again") from None
        except BaseException:
            for process in multiprocessing.active_children():
                process.kill()
            raise


def _attend() -> None:
    """In such a process: Ctrl-C is for the one that waits for the results, and nobody works on without it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_outlive_nobody, daemon=True).start()


def _outlive_nobody() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


# --- writing


def _write(course: Course, section: Section, rules: Rules, *, force: bool) -> list[str]:
    if problems := _authoring(section, rules):
        return problems
    built = make(section)
    problems = _leaks(section, built.release)
    if not force:
        problems += _worked_in(section, built)
    if problems:
        return problems
    _replace_folder(section.built, built.source)
    for name, data in built.release.items():
        _write_if_changed(section.released / name, data)
    from autograder.gradebook import register

    return register(section) + _extra(section, built)


def _handbook(course: Course, *, check: bool) -> list[str]:
    """The page for who teaches: written, or compared with what would be."""
    try:
        text, problems = handbook(course)
    except BuildError as error:
        return [str(error)]
    path = course.root / NAME
    if text and check and _difference(path, text.encode()):
        problems.append(f"{NAME}: not what its sources say; run: autograder build")
    if text and not check:
        _write_if_changed(path, text.encode())
    return problems


def _replace_folder(folder: Path, files: dict[str, bytes]) -> None:
    """nbgrader copies whatever lies there to the students: exactly these files."""
    for path in _present(folder):
        if path not in files:
            (folder / path).unlink()
    for litter in [path for path in folder.rglob("*") if path.name in _LITTER] if folder.is_dir() else []:
        shutil.rmtree(litter, ignore_errors=True)
    for name, data in files.items():
        _write_if_changed(folder / name, data)


def _write_if_changed(path: Path, data: bytes) -> None:
    if not path.is_file() or path.read_bytes() != data:
        write_atomically(path, data)


def _worked_in(section: Section, built: Built) -> list[str]:
    """A released notebook holds, beside each stub, the checksum that nbgrader took of it."""
    from nbgrader.utils import compute_checksum, is_solution

    path = section.released / f"{section.notebook}.ipynb"
    if not path.exists() or path.read_bytes() == built.release[path.name]:
        return []
    run = f"copy it away, or run: autograder build {section.name} --force"
    try:
        cells = from_text(path.read_text(encoding="utf-8")).cells
        solutions = [cell for cell in cells if is_solution(cell)]
        changed = [cell for cell in solutions if cell.metadata.nbgrader.get("checksum") != compute_checksum(cell)]
    except Exception as error:  # whatever is wrong with it, it is somebody's file
        return [f"{_at(section, path)}: can't be read ({type(error).__name__}), so it isn't replaced; {run}"]
    return [f"{_at(section, path)}: somebody has worked in it, so it isn't replaced; {run}"] if changed else []


# --- checking


def _check(course: Course, section: Section, rules: Rules, tell: Tell) -> list[str]:
    if problems := _authoring(section, rules):
        return problems
    built = make(section)
    problems = _stale(section, built) + _extra(section, built)
    problems += _leaks(section, {path: (section.released / path).read_bytes() for path in _present(section.released)})
    problems += _shared_ids(section)
    if not problems:
        problems = [problem for rule in rules.answers for problem in rule(course, section, tell)]
    return problems


def _authoring(section: Section, rules: Rules) -> list[str]:
    """What must hold of the text alone."""
    notebook = author_notebook(section)
    problems = _rebound(section, notebook) + _misplaced_marks(section, notebook)
    return problems + [problem for rule in rules.text for problem in rule(section, notebook)]


def _stale(section: Section, built: Built) -> list[str]:
    return [
        f"{_at(section, section.released / name)}: {what}; {_rebuild(section)}"
        for name, data in built.release.items()
        if (what := _difference(section.released / name, data))
    ]


def _difference(path: Path, data: bytes) -> str:
    if not path.is_file():
        return "not built yet"
    # git on Windows may have turned the line ends of a text file
    same = path.read_bytes().replace(b"\r\n", b"\n") == data.replace(b"\r\n", b"\n")
    return "" if same else "not what its source says"


def _extra(section: Section, built: Built) -> list[str]:
    return [
        f"{_at(section, section.released / path)}: not built from solutions/{section.name}; move it away or delete it"
        for path in _present(section.released)
        if path not in built.release
    ]


def _orphans(course: Course) -> list[str]:
    known = {section.name for section in course.sections}
    there = sorted(entry.name for entry in course.notebooks.iterdir()) if course.notebooks.is_dir() else []
    return [
        f"notebooks/{name}: no section of solutions/; move it away or delete it"
        for name in there
        if name not in known and name not in _LITTER
    ]


def _rebound(section: Section, notebook: NotebookNode) -> list[str]:
    """Running a teaching cell again must never change what is graded."""
    contract: set[str] = set()
    for cell in notebook.cells:
        if "exercise" in cell.metadata:
            contract |= {name for name in _bound(cell.source) if not name.startswith("_")}
    return [
        f"{section.name}: the cell that begins {_first_line(cell)!r} binds {name}, the exercise's name; "
        f'call it lecture_{name} or Lecture{name}, or mark the cell toolkit="true"'
        for cell in notebook.cells
        if cell.cell_type == "code" and "exercise" not in cell.metadata and not is_toolkit(cell)
        for name in sorted(contract & _bound(cell.source, imports=True))
    ]


def _misplaced_marks(section: Section, notebook: NotebookNode) -> list[str]:
    return [
        f"{section.name}: the cell that begins {_first_line(cell)!r} holds a {BEGIN_SOLUTION} mark but isn't the "
        f'exercise\'s; write its header as # %% exercise="{section.notebook}"'
        for cell in notebook.cells
        if "exercise" not in cell.metadata and (BEGIN_SOLUTION in cell.source or BEGIN_HIDDEN in cell.source)
    ]


def _leaks(section: Section, files: dict[str, bytes]) -> list[str]:
    return [
        f"{_at(section, section.released / path)}: holds {what}; "
        f"take it out of solutions/{section.name}, then {_rebuild(section)}"
        for path, what in leaks(section, files)
    ]


def _shared_ids(section: Section) -> list[str]:
    path = section.released / f"{section.notebook}.ipynb"
    try:
        cells = json.loads(path.read_bytes())["cells"]
        ids = Counter(cell["id"] for cell in cells)
        grades = Counter(cell["metadata"]["nbgrader"]["grade_id"] for cell in cells if "nbgrader" in cell["metadata"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []  # said already: stale
    shared = sorted({name for counts in (ids, grades) for name, count in counts.items() if count > 1})
    return [f"{_at(section, path)}: two cells share the id {name!r}; {_rebuild(section)}" for name in shared]


def _files_for_students(section: Section) -> dict[str, bytes]:
    names = [*STUDENT_FILES, f"test_{section.notebook}.py"]
    files = {name: (section.folder / name).read_bytes() for name in names if (section.folder / name).is_file()}
    assets = section.folder / "assets"
    return files | {f"assets/{path}": (assets / path).read_bytes() for path in _present(assets)}


def _present(folder: Path) -> list[str]:
    """The files below a folder, as paths with `/`, without what editors leave behind."""
    if not folder.is_dir():
        return []
    paths = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file() or path.is_symlink())
    return [path.as_posix() for path in paths if not _LITTER & set(path.parts)]


def _bound(source: str, *, imports: bool = False) -> set[str]:
    """The names that a cell binds in the notebook's namespace. Raises BuildError."""
    try:
        found = names(source)
    except SyntaxError as error:
        raise BuildError(f"the cell that begins {source.strip().splitlines()[0]!r} isn't Python: {error}") from None
    return set(found.defines) - (set() if imports else set(found.imports))


def _first_line(cell: NotebookNode) -> str:
    return next(iter(cell.source.strip().splitlines()), "")[:60]


def _rebuild(section: Section) -> str:
    return f"run: autograder build {section.name}"


def _at(section: Section, path: Path) -> str:
    return path.relative_to(section.course.root).as_posix()
