"""Find a section's problems in its files and their text; nothing is run here.

Each function returns its problems, a line each: where, what, what to do.
"""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from autograder.authoring.examples import answers, wrong_answers
from autograder.authoring.leaks import leaks
from autograder.course import Course, Section
from autograder.notebook.cells import names
from autograder.notebook.source import BEGIN_HIDDEN, BEGIN_SOLUTION, is_toolkit, points_by_test
from faultlab.scenario import asked

if TYPE_CHECKING:
    from nbformat import NotebookNode

LITTER = {".ipynb_checkpoints", "__pycache__", ".DS_Store", ".pytest_cache"}
RIGHT_ANSWERS = 3
"""How many other right answers a section needs: tests that only one shape passes ask for more than the contract."""
HINTS = 3
LONGEST_CELL = 30
"""The most lines of a code cell: one idea each."""
CONTRACT = "contract.toml"
"""What each behaviour is worth, visible and hidden together."""

_TEXT = {".py", ".diff", ".toml", ".md"}


# --- the section's folder


def unreadable(section: Section) -> list[str]:
    """Files that can't be read as text."""
    return [
        f"{at(section, section.folder / path)}: isn't text in UTF-8; save it so"
        for path in present(section.folder)
        if Path(path).suffix in _TEXT and not _is_text(section.folder / path)
    ]


def incomplete(section: Section) -> list[str]:
    """Missing files: those that every section needs, and those that an exercise needs too."""
    wanted = {"teaching.md": "write a five-minute demonstration and a question for discussion there"}
    if section.exercise is not None:
        tests = f"test_{section.notebook}.py"
        wanted |= {
            "scenarios.py": "write there what is done to an answer",
            tests: "every exercise has visible and hidden tests",
            f"hidden/{tests}": "every exercise has visible and hidden tests",
            CONTRACT: "write there what each behaviour is worth, such as: limit = 1.5",
        }
    problems = [
        f"{section.name}: no {path}; {what}" for path, what in wanted.items() if not (section.folder / path).is_file()
    ]
    if section.exercise is not None:
        if (found := len(answers(section, "right"))) < RIGHT_ANSWERS:
            what = f"{RIGHT_ANSWERS} other right answers are needed, and {found} are there"
            problems.append(f"{section.name}: {what}; write right/*.py, each the text of the student's cell")
        if not answers(section, "wrong"):
            what = "write wrong/*.py, each the text of the student's cell, or *.diff, changes of the solution"
            problems.append(f"{section.name}: no typical mistake; {what}")
    return problems


def misworded(section: Section) -> list[str]:
    """Typical mistakes without the two lines that say what the student hears and which behaviours must fail, or with a
    third line whose sibling doesn't exist."""
    if section.exercise is None:
        return []
    known = set(points_by_test(section.tests)[0]) | set(points_by_test(section.hidden)[0])
    problems = []
    stems = {answer.path.stem for answer in wrong_answers(section)}
    for answer in wrong_answers(section):
        where = at(section, answer.path)
        if not answer.headline:
            problems.append(f"{where}: line 1 must be what the student should hear: # Sleeps forever")
        if not answer.fails:
            problems.append(f"{where}: line 2 must name the behaviours that fail: # fails: limit, fifo")
        elif known and (unknown := sorted(answer.fails - known)):
            there = f"there are: {', '.join(sorted(known))}"
            problems.append(f"{where}: no behaviour is called {', '.join(unknown)}; {there}")
        if lost := sorted(answer.siblings - (stems - {answer.path.stem})):
            problems.append(f"{where}: no other mistake is called {', '.join(lost)}; correct its third line")
    return problems + [
        f"{at(section, one.path)}: {other.path.name} has the same name; delete one of them"
        for one, other in pairwise(wrong_answers(section))
        if one.path.stem == other.path.stem
    ]


def mispriced(section: Section) -> list[str]:
    """Tests without points, and points that differ from the contract's."""
    if section.exercise is None or not (section.tests.is_file() and section.hidden.is_file()):
        return []
    visible, problems = points_by_test(section.tests)
    hidden, more = points_by_test(section.hidden)
    problems = [f"{section.name}: {problem}" for problem in problems + more]
    problems += [
        f"{section.name}: {test} is judged by a hidden test alone; write a visible test of that name, too"
        for test in hidden
        if test not in visible and visible
    ]
    if problems or not (section.folder / CONTRACT).is_file():
        return problems
    try:
        promised = contract(section)
    except ValueError as error:
        return [f"{at(section, section.folder / CONTRACT)}: {error}; write lines such as: limit = 1.5"]
    worth = Counter(visible)
    worth.update(hidden)
    change = f"change {at(section, section.folder / CONTRACT)} or the tests' marks"
    return [
        f"{section.name}: {test} is worth {_shown(worth.get(test))} by its tests and {_shown(promised.get(test))} by "
        f"its contract; {change}"
        for test in dict.fromkeys([*promised, *worth])
        if worth.get(test) != promised.get(test)
    ]


def contract(section: Section) -> dict[str, float]:
    """What each behaviour is worth, visible and hidden together. Raises ValueError, OSError."""
    found = tomllib.loads((section.folder / CONTRACT).read_text(encoding="utf-8"))
    odd = [test for test, worth in found.items() if isinstance(worth, bool) or not isinstance(worth, int | float)]
    if odd:
        raise ValueError(f"{odd[0]} has no number of points")
    return {test: float(worth) for test, worth in found.items()}


# --- the notebook's text


def broken_cells(section: Section, notebook: NotebookNode) -> list[str]:
    """Code cells that aren't Python."""
    problems = []
    for cell in _code(notebook):
        try:
            names(cell.source)
        except SyntaxError as error:
            problems.append(f"{_where(section, cell)} isn't Python: {error}")
    return problems


def rebound(section: Section, notebook: NotebookNode) -> list[str]:
    """Teaching cells that bind the exercise's names: running one again must never change what is graded."""
    contract: set[str] = set()
    for cell in notebook.cells:
        if "exercise" in cell.metadata:
            contract |= {name for name in _bound(cell) if not name.startswith("_")}
    return [
        f"{_where(section, cell)} binds {name}, the exercise's name; "
        f'call it lecture_{name} or Lecture{name}, or mark the cell toolkit="true"'
        for cell in _code(notebook)
        if "exercise" not in cell.metadata and not is_toolkit(cell)
        for name in sorted(contract & _bound(cell, imports=True))
    ]


def misplaced_marks(section: Section, notebook: NotebookNode) -> list[str]:
    """Marks of a solution or of hidden tests outside the student's cell."""
    return [
        f"{_where(section, cell)} holds a {BEGIN_SOLUTION} mark but isn't the "
        f'exercise\'s; write its header as # %% exercise="{section.notebook}"'
        for cell in notebook.cells
        if "exercise" not in cell.metadata and (BEGIN_SOLUTION in cell.source or BEGIN_HIDDEN in cell.source)
    ]


def long_cells(section: Section, notebook: NotebookNode) -> list[str]:
    """Code cells with more lines than one idea needs."""
    return [
        f"{_where(section, cell)} has {lines} lines, {LONGEST_CELL} at most; split it"
        for cell in _code(notebook)
        if not {"exercise", "toolkit"} & set(cell.metadata)
        if (lines := cell.source.count("\n") + 1) > LONGEST_CELL
    ]


def unexplained(section: Section, notebook: NotebookNode) -> list[str]:
    """An exercise without three hints, or with names that no text above it mentions."""
    if section.exercise is None:
        return []
    place = next((n for n, cell in enumerate(notebook.cells) if "exercise" in cell.metadata), len(notebook.cells))
    texts = [cell.source if cell.cell_type == "markdown" else "" for cell in notebook.cells]
    above, everywhere = "\n".join(texts[:place]), "\n".join(texts)
    missing = [f"Hint {n}" for n in range(1, HINTS + 1) if f"<summary>Hint {n}" not in everywhere]
    problems = []
    if missing:
        how = f"<details><summary>{missing[0]}</summary> ... </details>"
        problems.append(f"{section.name}: no {', no '.join(missing)}; write below the exercise: {how}")
    if silent := [name for name in _wanted(section) if name not in above]:
        what = f"no text above the exercise says what {', '.join(silent)} must do"
        problems.append(f"{section.name}: {what}; write its contract there")
    return problems


def _wanted(section: Section) -> list[str]:
    """The names that the scenarios ask for; empty if they can't be read, which playing them reports."""
    try:
        return asked(section.scenarios.read_text(encoding="utf-8"))
    except (OSError, SyntaxError):
        return []


def _code(notebook: NotebookNode) -> Iterator[NotebookNode]:
    return (cell for cell in notebook.cells if cell.cell_type == "code")


def _bound(cell: NotebookNode, *, imports: bool = False) -> set[str]:
    """The names that a cell binds in the notebook's namespace."""
    found = names(cell.source)
    return set(found.defines) - (set() if imports else set(found.imports))


def _where(section: Section, cell: NotebookNode) -> str:
    first = next(iter(cell.source.strip().splitlines()), "")[:60]
    return f"{section.name}: the cell that begins {first!r}"


# --- what is built


def stale(section: Section, files: dict[str, bytes]) -> list[str]:
    """Released files that differ from what would be built."""
    return [
        f"{at(section, section.released / name)}: {what}; {rebuild(section)}"
        for name, data in files.items()
        if (what := difference(section.released / name, data))
    ]


def difference(path: Path, data: bytes) -> str:
    """How a file differs from what it should hold; "" if it doesn't."""
    if not path.is_file():
        return "not built yet"
    # git on Windows may have turned the line ends of a text file
    same = path.read_bytes().replace(b"\r\n", b"\n") == data.replace(b"\r\n", b"\n")
    return "" if same else "not what its source says"


def extra(section: Section, files: dict[str, bytes]) -> list[str]:
    """Files in the released folder that the build doesn't make."""
    return [
        f"{at(section, section.released / path)}: not built from solutions/{section.name}; move it away or delete it"
        for path in present(section.released)
        if path not in files
    ]


def orphans(course: Course) -> list[str]:
    """Released folders whose section is gone, and folders of `solutions/` without a notebook."""
    known = {section.name for section in course.sections}
    there = sorted(entry.name for entry in course.notebooks.iterdir()) if course.notebooks.is_dir() else []
    kept = sorted(path for path in course.solutions.iterdir() if path.is_dir() and path.name[0] not in "._")
    empty = [Section(path.name, course) for path in kept if path.name not in known]
    return [
        f"solutions/{section.name}: no {section.source.name}; write the notebook there, or move the folder away"
        for section in empty
    ] + [
        f"notebooks/{name}: no section of solutions/; move it away or delete it"
        for name in there
        if name not in known and name not in LITTER
    ]


def leaked(section: Section, files: dict[str, bytes]) -> list[str]:
    """Files for students that hold lines of the solution or of a hidden test."""
    return [
        f"{at(section, section.released / path)}: holds {what}; "
        f"take it out of solutions/{section.name}, then {rebuild(section)}"
        for path, what in leaks(section, files)
    ]


def shared_ids(section: Section) -> list[str]:
    """Cells of the released notebook that share an id."""
    path = section.released / f"{section.notebook}.ipynb"
    try:
        cells = json.loads(path.read_bytes())["cells"]
        ids = Counter(cell["id"] for cell in cells)
        grades = Counter(cell["metadata"]["nbgrader"]["grade_id"] for cell in cells if "nbgrader" in cell["metadata"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []  # said already: stale
    shared = sorted({name for counts in (ids, grades) for name, count in counts.items() if count > 1})
    return [f"{at(section, path)}: two cells share the id {name!r}; {rebuild(section)}" for name in shared]


def present(folder: Path) -> list[str]:
    """The files below a folder, as paths with `/`, without what editors leave behind."""
    if not folder.is_dir():
        return []
    paths = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file() or path.is_symlink())
    return [path.as_posix() for path in paths if not LITTER & set(path.parts)]


def rebuild(section: Section) -> str:
    """The command that makes a stale file right."""
    return f"run: autograder build {section.name}"


def at(section: Section, path: Path) -> str:
    """A path as people read it: relative to the course's root."""
    return path.relative_to(section.course.root).as_posix()


def counted(number: int, what: str) -> str:
    """A count with its noun: 1 problem, 2 problems."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _is_text(path: Path) -> bool:
    try:
        path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _shown(worth: float | None) -> str:
    return "nothing" if worth is None else f"{worth:g} points" if worth != 1 else "1 point"
