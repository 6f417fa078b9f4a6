"""Check one's own notebook files in a terminal: the visible tests, in a plain child process with limits.

It is one's own code, so there is no sandbox, and it runs wherever Python does.
`python -m autograder.learner.local NOTEBOOK` is the child: it prints the result as JSON on its last line.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from autograder.course import Course, file_for_check, refuse_submission
from autograder.errors import UnreadableSubmission, UsageError
from autograder.files import read_regular
from autograder.judging.bench import Bench
from autograder.learner.checking import Checked, judge_answer
from autograder.notebook.answer import (
    CELLS,
    Answer,
    Cell,
    Unreadable,
    find_answer,
    only,
    read_cells,
)
from autograder.notebook.execution import Ran, running
from autograder.notebook.notes import capped, worded
from autograder.pages.feedback import explanations, printed, waiting
from autograder.sandbox.limits import restrain

WALL_SECONDS = 60
ADDRESS_SPACE = 4 << 30


def check_file(path: Path, *, alone: bool = False) -> dict[str, Any]:
    """Check a notebook in a child process; returns {"exercise", "score", "max_score", "behaviours", "line", "notes"}.

    `alone`: the answer without the student's other cells. Raises UsageError when the file isn't a notebook with an
    exercise, or is somebody's submission.
    """
    if not path.exists():
        raise UsageError(f"there is no file {path}")
    refuse_submission(path)
    command = [sys.executable, "-m", "autograder.learner.local", str(path.resolve()), *(["--alone"] if alone else [])]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=WALL_SECONDS, cwd=path.resolve().parent, check=False
        )
    except subprocess.TimeoutExpired:
        return _nothing(path, "stopped: it ran too long")
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    try:
        found: dict[str, Any] = json.loads(lines[-1])
    except (IndexError, ValueError):
        return _nothing(path, f"the notebook's code ended the process (exit code {done.returncode})")
    if "usage" in found:
        raise UsageError(found["usage"])
    return found


def _nothing(path: Path, line: str) -> dict[str, Any]:
    return {"exercise": path.stem, "score": 0, "max_score": 0, "behaviours": [], "line": line, "notes": []}


def _child(path: Path, *, alone: bool) -> dict[str, Any]:
    try:
        cells = read_cells(read_regular(path))
    except (Unreadable, UnreadableSubmission) as error:
        return {"usage": f"{path.name}: {error}"}
    released = _released(path)
    exercise = _exercise(cells, released, path.parent)
    if exercise is None:
        return {"usage": f"{path.name} has no graded exercise: there is nothing to check"}
    found = find_answer(cells, released, exercise)
    if alone:
        found = only(found)
    try:
        bench = Bench.at(exercise, path.parent)
    except UsageError as error:
        return {"usage": f"{path.name}: {error}"}
    with running(found.cells, bench.wanted) as ran:
        checked = ran.context.run(
            judge_answer, exercise, ran.namespace, path.parent, lost=found.lost, cell_errors=ran.errors
        )
    return _told(exercise, checked, ran, found)


def _exercise(cells: list[Cell], released: list[Cell], folder: Path) -> str | None:
    """The exercise of a notebook; its cell may be Markdown by now, and then its tests are in its folder."""
    for cell in [*released, *cells]:
        if cell.kind == "solution" and cell.grade_id:
            return cell.grade_id
    named = [cell.grade_id for cell in cells if cell.grade_id.isidentifier()]
    return next((name for name in named if file_for_check(folder, f"test_{name}.py").exists()), None)


def _released(path: Path) -> list[Cell]:
    """The released cells, if they are here: all others count as the student's own."""
    try:
        section = Course.find(path.parent).section(path.parent.name)
        return read_cells((section.released / f"{section.notebook}.ipynb").read_bytes())
    except (UsageError, OSError, Unreadable):
        return []


def _told(exercise: str, checked: Checked, ran: Ran, found: Answer) -> dict[str, Any]:
    result = checked.result
    line = result.line or found.lost
    if not result.slip:  # which says so already
        line = line or "".join(f"{kind}: {text}" for _, kind, text in ran.errors[:1])
    return {
        "exercise": exercise,
        "score": result.score,
        "max_score": result.max_score,
        "line": line,
        "slip": result.slip,
        "waiting": waiting(result.behaviours),
        "mistakes": list(result.mistakes),
        "notes": capped([*found.notes, *worded(ran.notes, CELLS), *result.notes]),
        "printed": [text for _, text in printed(result.behaviours)],
        "explanations": [
            {"test": b.test, "message": b.message, "hint": b.hint} for b in explanations(result.behaviours)
        ],
        "behaviours": [
            {"title": b.title, "passed": b.passed, "points": b.points, "max_points": b.max_points}
            | {"test": b.test, "message": b.message, "hint": b.hint, "step": b.step, "slip": b.slip}
            for b in result.behaviours
        ],
    }


if __name__ == "__main__":
    restrain(WALL_SECONDS, ADDRESS_SPACE)
    print("\n" + json.dumps(_child(Path(sys.argv[1]), alone="--alone" in sys.argv)))
