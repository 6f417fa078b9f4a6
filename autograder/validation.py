"""`nbgrader validate`, and Validate in JupyterLab: run one's own notebook, never a submission.

Both run a notebook in a kernel without protection. The course's configuration names the kernel manager below for them.
So does a file of ours in the environment (`etc/jupyter`), for a validation that starts outside the course's root.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jupyter_client.manager import AsyncKernelManager
from nbgrader.apps import ValidateApp

from autograder.course import unprotected_problem
from autograder.errors import UsageError


class OwnKernelManager(AsyncKernelManager):
    """Starts no kernel in folders of submissions; otherwise like Jupyter's."""

    def __init__(self, **options: Any) -> None:
        if problem := _problem(Path.cwd()):  # nbgrader validates in the notebook's folder
            if ValidateApp.initialized():
                raise SystemExit(f"nbgrader: {problem}")
            raise UsageError(problem)
        super().__init__(**options)


def _problem(folder: Path) -> str:
    """Why nothing in this folder is run. The notebook isn't known here: a link to a submission is enough."""
    links = (path for path in folder.glob("*.ipynb") if path.is_symlink())
    return next(filter(None, map(unprotected_problem, (folder, *links))), "")
