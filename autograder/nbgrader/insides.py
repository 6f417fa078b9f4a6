"""The private parts of nbgrader that we use. No other file touches an underscore of nbgrader, except inherited ones."""

from __future__ import annotations

from typing import Any

from nbgrader.api import SubmittedNotebook
from nbgrader.converters import Autograde
from nbgrader.preprocessors import AssignLatePenalties


def submitted_pattern(autograde: Autograde, assignment: str, student: str) -> str:
    """The pattern of the folders that `nbgrader autograde` looks into."""
    pattern: str = autograde._format_source(assignment, student)
    return pattern


def checked_penalty(late: AssignLatePenalties, notebook: SubmittedNotebook, penalty: Any) -> Any:
    """The penalty as nbgrader applies it: never below 0, never above the score."""
    return late._check_late_penalty(notebook, penalty)
