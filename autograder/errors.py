"""Errors that end in one line for a person."""

from __future__ import annotations


class UsageError(Exception):
    """Wrong usage: the command line prints the line and exits with 2."""


class UnreadableSubmission(Exception):
    """A submission's file that isn't opened, with the line that says why."""


class NothingHandedIn(UnreadableSubmission):
    """There is no notebook of the section in the folder."""


class GradebookProblem(Exception):
    """The gradebook can't be read or written: one line that says what to do."""
