"""Check one's own notebook files in a terminal: the visible tests, in a plain child process with limits.

It is one's own code, so there is no sandbox, and it runs wherever Python does. `python -m autograder.local NOTEBOOK`
is the child: it prints the result as JSON on its last line.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from autograder.answer import Unreadable, answer, read
from autograder.cells import run_notebook
from autograder.check import Bench, Checked, judged, refuse_submission
from autograder.course import Course, UnreadableSubmission, UsageError, _solution_cells, read_regular
from autograder.sandbox.limits import restrain

WALL_SECONDS = 60
ADDRESS_SPACE = 4 << 30


def check_file(path: Path) -> dict[str, Any]:
    """Check a notebook in a child process; returns {"exercise", "score", "max_score", "behaviours", "line"}.

    Raises UsageError when the file isn't a notebook with an exercise, or is somebody's submission.
    """
    if not path.exists():
        raise UsageError(f"there is no file {path}")
    refuse_submission(path)
    command = [sys.executable, "-m", "autograder.local", str(path.resolve())]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=WALL_SECONDS, cwd=path.resolve().parent, check=False
        )
    except subprocess.TimeoutExpired:
        return {"exercise": path.stem, "score": 0, "max_score": 0, "behaviours": [], "line": "stopped: it ran too long"}
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    try:
        found: dict[str, Any] = json.loads(lines[-1])
    except (IndexError, ValueError):
        line = f"the notebook's code ended the process (exit code {done.returncode})"
        return {"exercise": path.stem, "score": 0, "max_score": 0, "behaviours": [], "line": line}
    if "usage" in found:
        raise UsageError(found["usage"])
    return found


def _child(path: Path) -> dict[str, Any]:
    exercises = _solution_cells(path)
    try:
        cells = read(read_regular(path))
    except (Unreadable, UnreadableSubmission) as error:
        return {"usage": f"{path.name}: {error}"}
    if not exercises:
        return {"usage": f"{path.name} has no graded exercise: there is nothing to check"}
    found = answer(cells, _released(path), exercises[0])
    try:
        bench = Bench.at(exercises[0], path.parent)
    except UsageError as error:
        return {"usage": f"{path.name}: {error}"}
    namespace, errors = run_notebook(found.cells, bench.wanted)
    return _told(exercises[0], judged(exercises[0], namespace, path.parent), errors)


def _released(path: Path) -> list[Any]:
    """The cells as released, where they are at hand: the others count as the student's own."""
    try:
        released = Course.find(path.parent).notebooks / path.parent.name / path.name
        return read(released.read_bytes())
    except (UsageError, OSError, Unreadable):
        return []


def _told(exercise: str, checked: Checked, errors: list[tuple[int, str, str]]) -> dict[str, Any]:
    result = checked.result
    line = result.line or "".join(f"cell {number + 1}: {kind}: {text}" for number, kind, text in errors[:1])
    return {
        "exercise": exercise,
        "score": result.score,
        "max_score": result.max_score,
        "line": line,
        "mistakes": list(result.mistakes),
        "behaviours": [
            {"title": b.title, "passed": b.passed, "points": b.points, "max_points": b.max_points}
            | {"message": b.message, "hint": b.hint, "step": b.step}
            for b in result.behaviours
        ],
    }


if __name__ == "__main__":
    restrain(WALL_SECONDS, ADDRESS_SPACE)
    print("\n" + json.dumps(_child(Path(sys.argv[1]))))
