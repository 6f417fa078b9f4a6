"""Make a section's notebook from its text, with its solution and the two graded cells for nbgrader.

jupytext reads the text; our marks in the cells' headers (`exercise`, `toolkit`) say what to add. Everything is derived
from the text: the same text gives the same bytes.
"""

from __future__ import annotations

import ast
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autograder.course import Section
from autograder.notebook.navigation import with_navigation

if TYPE_CHECKING:
    from nbformat import NotebookNode

BEGIN_SOLUTION, END_SOLUTION = "BEGIN SOLUTION", "END SOLUTION"
BEGIN_HIDDEN, END_HIDDEN = "BEGIN HIDDEN TESTS", "END HIDDEN TESTS"

_METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
        "nbconvert_exporter": "python",
        "pygments_lexer": "ipython3",
    },
}


class BuildError(Exception):
    """A section can't be built; the line is for its author."""


def source_notebook(section: Section) -> NotebookNode:
    """The notebook with its solution and its two graded cells, for nbgrader. Raises BuildError."""
    cells = with_navigation(
        section, list(_with_checks(section, with_toolkits(section, author_notebook(section).cells)))
    )
    for cell, cell_id in zip(cells, _cell_ids(cells), strict=True):
        cell.id = cell_id
        cell.metadata = _only_ours(cell.metadata)
    return _notebook(cells)


def author_notebook(section: Section) -> NotebookNode:
    """The notebook as its author wrote it, marks in the cells' metadata. Raises BuildError."""
    try:
        return _in_cells(section.source.read_text(encoding="utf-8"))
    except OSError as error:
        raise BuildError(f"{section.source}: {error.strerror}; write the notebook there") from None


def _in_cells(text: str) -> NotebookNode:
    import jupytext

    notebook: NotebookNode = jupytext.reads(text, fmt="py:percent")
    return notebook


def points(tests: Path) -> float:
    """The worth of a file of tests: the sum of its `@pytest.mark.points(n)`, read without running it.

    Raises BuildError for a number that isn't written out, and for a test that doesn't say its points.
    """
    worth, problems = points_by_test(tests)
    if problems:
        raise BuildError(problems[0])
    return sum(worth.values())


def points_by_test(tests: Path) -> tuple[dict[str, float], list[str]]:
    """The points of each behaviour in a file of tests, and problems of their marks, a line each."""
    try:
        tree = ast.parse(tests.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}, [f"no {_kept(tests)}; every exercise has visible and hidden tests"]
    except SyntaxError as error:
        return {}, [f"{_kept(tests)}: {error}"]
    worth: dict[str, float] = {}
    problems = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            try:
                worth[node.name.removeprefix("test_")] = _points(tests, node)
            except BuildError as error:
                problems.append(str(error))
    return worth, problems


def to_text(notebook: NotebookNode) -> str:
    """A notebook as the bytes of its file, decoded."""
    import nbformat

    return str(nbformat.writes(notebook, version=4)).rstrip("\n") + "\n"


def from_text(text: str) -> NotebookNode:
    """The notebook in a file's text."""
    import nbformat

    notebook: NotebookNode = nbformat.reads(text, as_version=4)
    return notebook


def is_toolkit(cell: NotebookNode) -> bool:
    """Whether the cell is a toolkit of the exercise."""
    return bool(str(cell.metadata.get("toolkit", "")))


def _with_checks(section: Section, cells: Iterable[NotebookNode]) -> Iterator[NotebookNode]:
    """Add the two graded, locked cells after each exercise's cell."""
    exercises = []
    for cell in cells:
        name = cell.metadata.get("exercise")
        if name is None:
            yield cell
            continue
        exercises.append(name)
        yield _student_cell(cell, name)
        yield _check_cell(f"{name}_score", f'check("{name}")', points(section.tests))
        hidden = f"# More tests of {name} run here when it is graded: same behaviours, other values.\n"
        hidden += f'### {BEGIN_HIDDEN}\ncheck("{name}", hidden=True)\n### {END_HIDDEN}'
        yield _check_cell(f"{name}_hidden", hidden, points(section.hidden))
    if len(exercises) > 1:
        raise BuildError(f"{section.source.name} marks {len(exercises)} exercises ({', '.join(exercises)}); keep one")
    if not exercises and section.tests.is_file():
        raise BuildError(f'{section.tests.name} has nothing to test; mark the student\'s cell # %% exercise="..."')


def with_toolkits(section: Section, cells: Iterable[NotebookNode]) -> Iterator[NotebookNode]:
    """Fill a cell marked toolkit="retry bulkhead" with the solutions of these exercises, each written once, in its own
    section."""
    solutions = {other.exercise: other for other in section.course.sections if other.exercise}
    for cell in cells:
        named = str(cell.metadata.get("toolkit", "")).split()
        if named and named != ["true"]:
            unknown = [name for name in named if name not in solutions]
            if unknown:
                raise BuildError(f"the toolkit names {unknown[0]!r}, which is no exercise of this course")
            parts = [solution(solutions[name]) for name in named]
            cell.source = "\n\n\n".join([*filter(None, [cell.source.strip()]), *parts])
        yield cell


def solution(section: Section) -> str:
    """The exercise's cell with its solution, without the marks."""
    return _solution_in(section.source.read_text(encoding="utf-8"))


@lru_cache(maxsize=16)
def _solution_in(text: str) -> str:
    """Kept, because every typical mistake asks for it."""
    cell = next(cell for cell in _in_cells(text).cells if "exercise" in cell.metadata)
    return "\n".join(
        line for line in cell.source.splitlines() if f"### {BEGIN_SOLUTION}" != line.strip() != f"### {END_SOLUTION}"
    )


def _student_cell(cell: NotebookNode, name: str) -> NotebookNode:
    if not isinstance(name, str) or not name.isidentifier():
        raise BuildError(f"exercise={name!r} is no name; write letters, digits and _")
    if cell.cell_type != "code" or BEGIN_SOLUTION not in cell.source or END_SOLUTION not in cell.source:
        raise BuildError(
            f"the cell of exercise {name} needs its solution between ### {BEGIN_SOLUTION} and ### {END_SOLUTION}"
        )
    cell.metadata["nbgrader"] = _marks(name, grade=False, solution=True)
    return cell


def _check_cell(grade_id: str, source: str, worth: float) -> NotebookNode:
    from nbformat.v4 import new_code_cell

    marks = _marks(grade_id, grade=True, solution=False) | {"points": int(worth) if worth == int(worth) else worth}
    cell: NotebookNode = new_code_cell(source, metadata={"nbgrader": marks})
    return cell


def _marks(grade_id: str, *, grade: bool, solution: bool) -> dict[str, Any]:
    return {
        "grade": grade,
        "grade_id": grade_id,
        "locked": grade,
        "schema_version": 3,
        "solution": solution,
        "task": False,
    }


def _cell_ids(cells: Iterable[NotebookNode]) -> Iterator[str]:
    """Derive cell ids from the cells' text, not from their places: a rebuild changes nothing, and diffs stay small."""
    seen: Counter[str] = Counter()
    for cell in cells:
        digest = hashlib.sha256(f"{cell.cell_type}\0{cell.source}".encode()).hexdigest()[:12]
        name = str(cell.metadata["nbgrader"]["grade_id"]) if "nbgrader" in cell.metadata else digest
        seen[name] += 1
        yield name if seen[name] == 1 else f"{name}-{seen[name]}"


def _only_ours(metadata: dict[str, Any]) -> NotebookNode:
    from nbformat import from_dict

    flags = {key: True for key in ("source_hidden", "outputs_hidden") if metadata.get("jupyter", {}).get(key)}
    kept = {"jupyter": flags, "nbgrader": metadata.get("nbgrader"), "tags": metadata.get("tags")}
    node: NotebookNode = from_dict({key: value for key, value in kept.items() if value})
    return node


def _notebook(cells: list[NotebookNode]) -> NotebookNode:
    from nbformat import from_dict
    from nbformat.v4 import new_notebook

    for cell in cells:
        if cell.cell_type == "code":
            cell.execution_count, cell.outputs = None, []
    notebook: NotebookNode = new_notebook(cells=cells, metadata=from_dict(_METADATA))
    return notebook


def _points(tests: Path, function: ast.FunctionDef | ast.AsyncFunctionDef) -> float:
    where = f"{_kept(tests)}: {function.name}"
    marks = {mark.attr: mark for mark in map(_mark, function.decorator_list) if mark is not None}
    if "parametrize" in marks and "points" in marks:
        raise BuildError(f"{where} is parametrised, so its points would count once a case; write a test for each")
    calls = [node for node in function.decorator_list if isinstance(node, ast.Call) and _mark(node) is not None]
    worth = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "points"]
    if len(worth) != 1 or len(worth[0].args) != 1 or worth[0].keywords:
        raise BuildError(f"{where} says no points; write @pytest.mark.points(1), or (0) when it is advice only")
    try:
        number = ast.literal_eval(worth[0].args[0])
    except ValueError:
        number = None
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number < 1000:
        raise BuildError(f"{where}: its points must be a number written out, such as @pytest.mark.points(0.5)")
    return float(number)


def _kept(tests: Path) -> str:
    """A file of tests as people read it: relative to its section's folder."""
    return f"hidden/{tests.name}" if tests.parent.name == "hidden" else tests.name


def _mark(decorator: ast.expr) -> ast.Attribute | None:
    """`pytest.mark.name` or `pytest.mark.name(...)`."""
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Attribute) and target.value.attr == "mark":
        return target
    return None
