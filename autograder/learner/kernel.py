"""Ask the kernel whether the answer's cell failed when it was last run, or was edited since.

The names may still be those of an earlier run; judging them would praise code that is gone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from autograder.notebook.cells import names
from autograder.notebook.guest import in_a_kernel
from faultlab.notebook import CellRun, last_runs
from faultlab.slip import error_in_cell, name_of


def outdated(exercise: str, wanted: Iterable[str], namespace: Mapping[str, Any], folder: Path) -> str:
    """Why the names in the kernel aren't those of the answer's cell as it stands, and what to do; "" if they may be.

    wanted: the names that the exercise asks for. folder: where the notebook's file lies.
    """
    if not in_a_kernel():
        return ""
    return _failed(set(wanted), namespace) or _edited(exercise, folder)


def _failed(wanted: set[str], namespace: Mapping[str, Any]) -> str:
    """For each name, the cell counts that last defined it or tried to."""
    for run in reversed(list(last_runs.values())):
        if not (defined := _defined(run.source, wanted)):
            continue
        if run.error is not None:
            said = error_in_cell(run.error, namespace, "your cell")
            what = ": ".join(filter(None, [name_of(run.error), *said.splitlines()]))
            return f"{what}. Your cell failed when it was last run: correct it, run it, then check again."
        wanted = wanted - defined
    return ""


def _defined(source: str, wanted: set[str]) -> set[str]:
    """The wanted names that a cell defines, or would define if it were Python."""
    if not any(name in source for name in wanted):
        return set()
    try:
        return wanted & set(names(source).defines)
    except SyntaxError:
        tries = r"^\s*(?:(?:async\s+)?def|class)\s+(\w+)|^(\w+)\s*="
        return wanted & {name for pair in re.findall(tries, source, re.MULTILINE) for name in pair}


def _edited(exercise: str, folder: Path) -> str:
    """Whether the cell was edited, as far as saved files tell: one saved after the cell's last run holds another text,
    and no file holds the same.

    Copies of a notebook have the same cells, and a file may be older than the code that was typed and run since.
    """
    later = []
    for path, name, text in _saved_answers(exercise, folder):
        run: CellRun | None = last_runs.get(name)
        if run is None or run.source.strip() == text.strip():
            return ""
        later += [path.name] if path.stat().st_mtime > run.at else []
    if not later:
        return ""
    return f"Your cell has been edited since it was last run ({later[0]} holds another text): run it, then check again."


def _saved_answers(exercise: str, folder: Path) -> Iterator[tuple[Path, str, str]]:
    """The answer's cell in each notebook of the folder: its file, its id, its text."""
    for path in sorted(folder.glob("*.ipynb"))[:20]:
        try:
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
            for cell in cells:
                marks = cell["metadata"].get("nbgrader") or {}
                if marks.get("grade_id") == exercise and cell["cell_type"] == "code":
                    yield path, str(cell["id"]), "".join(cell["source"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # no notebook, or a damaged one, tells nothing
