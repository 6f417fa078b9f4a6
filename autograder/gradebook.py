"""Our engine inside nbgrader's own commands: its database, its graded copies, its pages.

Two ways lead here. Batch grading hands its results to `write`. Stock `nbgrader autograde` runs the preprocessors below,
named in `nbgrader_config.py`: they repair the submission, grade it and save the scores. Both ways pass through
`sanitise` and `with_result`, so people open the same copy. It keeps text and code of a student's notebook, and nothing
that a browser would run or fetch.

Importing this module imports nbgrader, which takes seconds: do it beside something else.
"""

from __future__ import annotations

import glob
import os
import sys
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

from nbconvert.exporters import Exporter, NotebookExporter
from nbformat import NotebookNode
from nbgrader.converters import Autograde
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import NbGraderPreprocessor, SaveAutoGrades
from nbgrader.utils import find_all_files
from traitlets import default
from traitlets.config import Config

from autograder.course import CHECKS, Course, Section, Submission, student_problem
from autograder.errors import GradebookProblem as GradebookProblem
from autograder.errors import UnreadableSubmission, UsageError
from autograder.files import read_regular, write_atomically
from autograder.judging.result import Result, Standing
from autograder.nbgrader import release
from autograder.nbgrader.copy import as_node, load_copy, sanitise, with_result
from autograder.nbgrader.database import database as database
from autograder.nbgrader.database import opened as opened
from autograder.nbgrader.database import standings as standings
from autograder.nbgrader.insides import submitted_pattern
from autograder.nbgrader.save import submitted_folder
from autograder.nbgrader.stamps import read_stamps, with_note
from autograder.notebook.handin import open_submission
from autograder.pages.feedback import copy_page
from faultlab.pictures.sheet import clean


class SubmissionExporter(NotebookExporter):
    """Reads a submission so that no file stops the class: one that holds no notebook is an empty notebook."""

    def __init__(self, config: Config | None = None, **kw: Any) -> None:
        super().__init__(config=config, **kw)  # type: ignore[no-untyped-call]
        if isinstance(self.parent, Autograde):
            self._need_sandbox(self.parent)
            _take_all(self.parent)
            self.parent.coursedir.ignore = [*self.parent.coursedir.ignore, CHECKS]  # no student's data beside a copy

    def _need_sandbox(self, parent: Autograde) -> None:
        """Start the sandbox before nbgrader touches a file. Without one the command ends here with a line and exit code
        2."""
        from autograder.grading.grade import need_sandbox

        try:
            need_sandbox(Course(Path(parent.coursedir.root)))
        except UsageError as error:
            self.log.critical("%s", error)
            sys.exit(2)

    def from_filename(self, filename: str, resources: Any = None, **kw: Any) -> Any:
        """Like nbconvert's; it follows no links, and sees only what `sanitise` keeps of a submission."""
        place: CourseDirectory = getattr(self.parent, "coursedir", None) or CourseDirectory(config=self.config)
        path = Path(filename)
        if not path.is_relative_to(Path(place.root, place.submitted_directory)):
            return super().from_filename(filename, resources=resources, **kw)
        try:
            body = load_copy(open_submission(_submission(path, Course(Path(place.root)))).data)
        except UnreadableSubmission as problem:
            self.log.warning("%s", problem)
            body = None
        empty = as_node({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
        resources = dict(resources or {})
        resources["metadata"] = {"name": path.stem, "path": str(path.parent)}
        resources["submission"] = body
        return super().from_notebook_node(empty, resources=resources, **kw)  # type: ignore[no-untyped-call]


class Sanitise(NbGraderPreprocessor):
    """The first of nbgrader's sanitising steps: it leaves nothing that the others could stumble over."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        """Sanitise the notebook (see `sanitise`), and remove other handed-in files from beside the copy."""
        section = _section(self.config, resources)
        place = CourseDirectory(config=self.config)
        _drop_extra_files(place, section, resources["nbgrader"]["student"])
        source = release.graded_notebook(section)
        return sanitise(resources.pop("submission", nb), source), resources


class GradeAnswers(NbGraderPreprocessor):
    """Replaces nbgrader's Execute: our engine grades the file as it was handed in."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        """Give each graded cell its output; nothing of the notebook is run in this process."""
        section = _section(self.config, resources)
        if section.exercise is None:
            return nb, resources
        student = resources["nbgrader"]["student"]
        place = CourseDirectory(config=self.config)
        folder = submitted_folder(place, section, student)
        result = with_note(_graded(folder / f"{section.notebook}.ipynb", section, student), folder)
        resources["nbgrader"]["needs_review"] = bool(result.needs)
        self.log.info(
            "%s %s: %s, %g of %g", clean(student), section.name, result.verdict, result.score, result.max_score
        )
        return with_result(nb, result), resources


class SaveScores(SaveAutoGrades):
    """Like nbgrader's SaveAutoGrades; it also marks unreadable submissions for a person."""

    def _add_score(self, cell: NotebookNode, resources: Any) -> None:
        super()._add_score(cell, resources)
        if resources["nbgrader"].get("needs_review"):
            names = (cell.metadata.nbgrader.grade_id, self.notebook_id, self.assignment_id, self.student_id)
            self.gradebook.find_grade(*names).needs_manual_grade = True
            self.gradebook.db.commit()


class FeedbackExporter(Exporter):
    """Replaces nbgrader's page by ours, the same that batch grading writes: it fetches nothing and runs no script."""

    output_mimetype = "text/html"

    @default("file_extension")
    def _file_extension_default(self) -> str:
        return ".html"

    @cached_property
    def _standings(self) -> dict[tuple[str, str], Standing]:
        course = Course(Path(CourseDirectory(config=self.config).root))
        try:
            return standings(course)
        except GradebookProblem as problem:
            self.log.critical("%s", problem)
            sys.exit(1)

    def from_filename(self, filename: str, resources: Any = None, **kw: Any) -> Any:  # noqa: ARG002  (nbconvert calls it so)
        """The page of a graded copy (`filename`), with the gradebook's score and comments."""
        section = _section(self.config, resources)
        student = resources["nbgrader"]["student"]
        copy = load_copy(read_regular(Path(filename)))
        standing = self._standings.get((student, section.name))
        if copy is None or standing is None:
            raise ValueError(f"{student} {section.name}: not graded yet; grade it first, then run again")
        resources["output_extension"] = self.file_extension
        return copy_page(student, section.name, copy, standing), resources


def _section(config: Any, resources: Any) -> Section:
    course = Course(Path(CourseDirectory(config=config).root))
    name = resources["nbgrader"]["assignment"]
    try:
        section = course.section(name)
    except UsageError as error:
        raise ValueError(f"{error}; this course's nbgrader grades its own sections only") from None
    if resources["nbgrader"]["notebook"] != section.notebook:
        raise ValueError(f"{name} has no notebook {resources['nbgrader']['notebook']!r}, only {section.notebook!r}")
    return section


def _graded(path: Path, section: Section, student: str) -> Result:
    from autograder.grading.grade import grade_bytes
    from autograder.grading.jobs import read_submission

    found = read_submission(Submission.at(path.parent, section))
    if isinstance(found, Result):
        return found
    result = grade_bytes(found.data, section, student)
    return replace(result, notes=found.notes + result.notes, needs=found.needs or result.needs)


def _submission(path: Path, course: Course) -> Submission:
    """The submission that nbgrader means by a notebook's path. Raises UnreadableSubmission."""
    try:
        return Submission.at(path.parent, course.section(path.parent.name))
    except UsageError as error:
        raise UnreadableSubmission(str(error)) from None


def _take_all(autograde: Autograde) -> None:
    """Replace nbgrader's list of `*.ipynb` by the submissions of our sections.

    Each folder stands for its section's notebook, whatever its name or packing, and even without one, so that it gets a
    row. A folder whose name nbgrader can't read would end the class: it is skipped.
    """
    place = autograde.coursedir
    sections = {section.name: section for section in Course(Path(place.root)).sections}
    for folder in glob.glob(submitted_pattern(autograde, place.assignment_id, place.student_id)):
        section = sections.get(os.path.basename(folder))
        problem = student_problem(os.path.basename(os.path.dirname(folder)))
        if problem:
            autograde.log.warning("passed over: %s", problem)
            autograde.assignments.pop(folder, None)
        elif section is not None and fnmatchcase(section.notebook, place.notebook_id) and os.path.isdir(folder):
            autograde.assignments[folder] = [os.path.join(folder, f"{section.notebook}.ipynb")]


def _drop_extra_files(place: CourseDirectory, section: Section, student: str) -> None:
    """Keep only the course's files and those of the exchange: nbgrader copies everything beside the submission, even
    through links."""
    folder = Path(place.format_path(place.autograded_directory, student, section.name))
    source = Path(place.format_path(place.source_directory, ".", section.name))
    kept = {Path(path).relative_to(source) for path in find_all_files(str(source), place.ignore)}
    for path in [path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()]:
        if path.relative_to(folder) not in kept:
            path.unlink()
    for name, data in read_stamps(submitted_folder(place, section, student)).files.items():
        write_atomically(folder / name, data)
