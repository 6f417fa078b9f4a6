"""Where things are: sections, exercises, submissions.

A course is the folder with `nbgrader_config.py`; a section is a folder under `solutions/` (what instructors keep) and
under `notebooks/` (what students get). The notebook of `NN_topic/` is `topic.ipynb`. Nothing here knows a section by
name, and nothing here is imported but the standard library.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograder.errors import UsageError
from autograder.files import lock_file

CONFIG = "nbgrader_config.py"
CHECKS = "checks"
"""The folder beside a student's notebook: the files that a check of it reads, made by the build."""


_EXERCISE = re.compile(r"^# %%[^\n]*?\sexercise=\"([^\"]*)\"", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Section:
    """One section, named like its folder."""

    name: str
    course: Course

    @property
    def notebook(self) -> str:
        """The notebook's name without `.ipynb`: the section's without its number."""
        return re.sub(r"^\d+_", "", self.name)

    @property
    def folder(self) -> Path:
        """What instructors keep."""
        return self.course.solutions / self.name

    @property
    def source(self) -> Path:
        """The notebook as text, solution included."""
        return self.folder / f"{self.notebook}.py"

    @property
    def released(self) -> Path:
        """The folder that students get."""
        return self.course.notebooks / self.name

    @property
    def built(self) -> Path:
        """nbgrader's source folder of this section."""
        return self.course.source / self.name

    @property
    def tests(self) -> Path:
        """The visible tests; without `solutions/`, the students' copy."""
        kept = self.folder / f"test_{self.notebook}.py"
        return kept if kept.exists() or self.source.exists() else file_for_check(self.released, kept.name)

    @property
    def hidden(self) -> Path:
        """The hidden tests, which students don't get."""
        return self.folder / "hidden" / f"test_{self.notebook}.py"

    @property
    def scenarios(self) -> Path:
        """The scenarios, which call a student's code; without `solutions/`, the students' copy."""
        kept = self.folder / "scenarios.py"
        return kept if kept.exists() or self.source.exists() else file_for_check(self.released, kept.name)

    @property
    def exercise(self) -> str | None:
        """The graded exercise's name; None when the section has none."""
        names = self.exercises
        return names[0] if names else None

    @property
    def exercises(self) -> list[str]:
        """The exercises' names as marked in the source, or found in the released notebook when there is no source."""
        if self.source.exists():
            return _EXERCISE.findall(self.source.read_text(encoding="utf-8"))
        return _solution_cells(self.released / f"{self.notebook}.ipynb")

    def graded_copy(self, student: str) -> Path:
        """The path of the graded copy of a student's notebook."""
        return self.course.autograded / student / self.name / f"{self.notebook}.ipynb"

    def feedback_page(self, student: str) -> Path:
        """The path of the page that a student gets."""
        return self.course.feedback / student / self.name / f"{self.notebook}.html"


@dataclass(frozen=True, slots=True)
class Submission:
    """One student's notebook of one section; `problem` says why it can't be graded, if so."""

    student: str
    section: Section
    path: Path
    problem: str = ""

    @classmethod
    def at(cls, folder: Path, section: Section) -> Submission:
        """The submission in a student's folder of this section."""
        student = folder.parent.name
        linked = next((path for path in (folder.parent, folder) if path.is_symlink()), None)
        problem = student_problem(student) or (f"{str(linked)!a}: a link, not a folder" if linked else "")
        return cls(student, section, folder / f"{section.notebook}.ipynb", problem)


@dataclass(frozen=True, slots=True)
class Course:
    """A course's folders, all below its root."""

    root: Path

    @classmethod
    def find(cls, start: Path | str | None = None) -> Course:
        """The course that contains `start` (the working directory): the nearest folder upward with its configuration.

        Raises UsageError when there is none.
        """
        here = Path(start or Path.cwd()).resolve()
        for folder in (here, *here.parents):
            if (folder / CONFIG).is_file():
                return cls(folder)
        raise UsageError(f"no course here: neither {here} nor a folder above it holds {CONFIG}; go to the course first")

    @property
    def solutions(self) -> Path:
        """What instructors keep."""
        return self.root / "solutions"

    @property
    def notebooks(self) -> Path:
        """What students get: nbgrader's release."""
        return self.root / "notebooks"

    @property
    def build(self) -> Path:
        """Generated files, outside git."""
        return self.root / "build"

    @property
    def source(self) -> Path:
        """nbgrader's source folder."""
        return self.build / "source"

    @property
    def submitted(self) -> Path:
        """Where submissions are collected."""
        return self.root / "submitted"

    @property
    def autograded(self) -> Path:
        """Where graded copies are written."""
        return self.root / "autograded"

    @property
    def feedback(self) -> Path:
        """Where the pages for students are written."""
        return self.root / "feedback"

    @property
    def gradebook(self) -> Path:
        """nbgrader's database, unless its configuration names another."""
        return self.root / "gradebook.db"

    @property
    def sections(self) -> list[Section]:
        """Every section, in order: of `solutions/`, or of `notebooks/` where there are no solutions."""
        kept = [Section(name, self) for name in _folders(self.solutions)]
        kept = [section for section in kept if section.source.is_file()]
        released = [Section(name, self) for name in _folders(self.notebooks)]
        return kept or [section for section in released if (section.released / f"{section.notebook}.ipynb").is_file()]

    def section(self, name: str) -> Section:
        """The section of this name. Raises UsageError when there is none."""
        sections = {section.name: section for section in self.sections}
        if name not in sections:
            known = ", ".join(sections) or "none"
            raise UsageError(f"there is no section {name!r}; there are: {known}")
        return sections[name]

    def select(self, names: Sequence[str]) -> list[Section]:
        """The sections of these names, or all if none is given. Raises UsageError for an unknown name."""
        return [self.section(name) for name in names] if names else self.sections

    def submissions(
        self, folder: Path | None = None, *, section: str | None = None, student: str | None = None
    ) -> Iterator[Submission]:
        """The submissions below `folder` (`submitted/`), by student and section.

        A submission that must not be opened (a linked folder, a name that no gradebook can hold) comes with its
        problem. Raises UsageError when the folder isn't there.
        """
        folder = folder or self.submitted
        if not folder.is_dir():
            raise UsageError(f"there is no folder {folder}: collect the submissions there, or name another one")
        sections = self.select([section] if section else [])
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
        for name in _named(names, student):
            places = ((folder / name / section.name, section) for section in sections)
            yield from (Submission.at(place, section) for place, section in places if os.path.lexists(place))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep a second grading of this course out. Raises UsageError when one is under way."""
        self.build.mkdir(parents=True, exist_ok=True)
        with open(self.build / "lock", "a", encoding="utf-8") as file:
            try:
                lock_file(file.fileno())
            except (BlockingIOError, PermissionError):
                raise UsageError(f"{self.root} is being graded already: wait until it's done, then run again") from None
            yield


def file_for_check(folder: Path, name: str) -> Path:
    """The path of a file that a check reads: in `checks/`, or beside the notebook, where earlier versions put it."""
    inside, beside = folder / CHECKS / name, folder / name
    return inside if inside.exists() or not beside.exists() else beside


def notebook_folder(tests: Path) -> Path:
    """The folder of the notebook that a file of tests is about."""
    return tests.parent.parent if tests.parent.name in (CHECKS, "hidden") else tests.parent


def student_problem(student: str) -> str:
    """Why nbgrader can't have a row for a folder of this name; "" when it can.

    nbgrader takes nearly every name. It skips those that begin with a dot, its patterns don't match a line break, and
    no database stores bytes that aren't text.
    """
    if not student or student.startswith(".") or "/" in student or "\0" in student:
        return f"student {student!a}: nbgrader skips a folder of this name; rename it"
    if "\n" in student:
        return f"student {student!a}: nbgrader can't read a folder's name with a line break; rename the folder"
    try:
        student.encode()
    except UnicodeEncodeError:
        return f"student {student!a}: the folder's name isn't valid UTF-8, so no gradebook can store it; rename it"
    return ""


def unprotected_problem(path: Path) -> str:
    """Why code at `path`, a notebook or its folder, must not run without protection; "" if there is no reason.

    What lies below the `submitted/` or `autograded/` of a course of ours was written by a student; links are resolved.
    """
    for place in dict.fromkeys((Path(os.path.abspath(path)), path.resolve())):
        for folder in (place, *place.parents):
            if folder.name.casefold() in ("submitted", "autograded") and _is_ours(folder.parent / CONFIG):
                named = [shlex.quote(part) for part in place.relative_to(folder).parts[:2] if part.isprintable()]
                which = f" --student {named[0]} --section {named[1]}" if len(named) == 2 else ""
                command = f"autograder grade{which}"
                return f"a student's work runs in the sandbox only: run `{command}` in {folder.parent}"
    return ""


def refuse_submission(path: Path) -> None:
    """Raise UsageError for a submission: nothing here protects against its code."""
    if problem := unprotected_problem(path):
        raise UsageError(problem)


def _is_ours(config: Path) -> bool:
    try:
        return b"autograder." in config.read_bytes()
    except OSError:
        return False


def _folders(parent: Path) -> list[str]:
    if not parent.is_dir():
        return []
    return sorted(entry.name for entry in os.scandir(parent) if entry.is_dir() and entry.name[0] not in "._")


def _named(names: list[str], student: str | None) -> list[str]:
    """The names that `student` means: that very name, otherwise names that differ only in Unicode composition."""
    if student is None or student in names:
        return names if student is None else [student]
    composed = unicodedata.normalize("NFC", student)
    return [name for name in names if unicodedata.normalize("NFC", name) == composed]


def _solution_cells(notebook: Path) -> list[str]:
    try:
        cells: list[dict[str, Any]] = json.loads(notebook.read_bytes())["cells"]
        marks = [cell["metadata"].get("nbgrader", {}) for cell in cells]
        return [mark["grade_id"] for mark in marks if mark.get("solution") and mark.get("grade_id")]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
