"""What we use of the private parts of nbgrader. No other file touches an underscore of it but what is inherited."""

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
    """The penalty as nbgrader takes it: never less than nothing, never more than the score."""
    return late._check_late_penalty(notebook, penalty)
