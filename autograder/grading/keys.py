"""Digests of everything that decides an entry of the gradebook, by name: so a change is noticed and its reason known.

The first parts decide the result: when one changes, the submission is graded again. The others decide only
what is written of it: when one changes, the old result is written again.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from autograder.course import CONFIG, Course, Section, Submission, file_for_check
from autograder.errors import UsageError
from autograder.grading.jobs import LIBRARIES
from autograder.grading.pool import Setting
from autograder.judging.mistakes import MISTAKES_FILE
from autograder.judging.result import Result
from autograder.nbgrader.books import Books
from autograder.nbgrader.release import nbgrader_config
from autograder.nbgrader.stamps import read_stamps
from autograder.notebook.handin import HandedIn
from autograder.version import code_digest

Parts = dict[str, str]

GRADED_AGAIN = {
    "submission": "the submission changed",
    "tests": "the section's tests changed",
    "notebook": "the section's notebook changed",
    "grader": "the grader changed",
    "libraries": "Python or a library changed",
    "seed": "another seed",
    "sandbox": "the choice of sandbox changed",
    "limit": "another limit",
}
"""The parts that decide a result, and the reason given when one has changed."""
WRITTEN_AGAIN = {
    "database": "another gradebook",
    "lateness": "the due date or the lateness changed",
    "configuration": "nbgrader's configuration changed",
}
"""The parts that decide what is written of a result."""

_NOT_DECIDING = re.compile(
    r"Course(Directory)?|Application|NbGrader|.*App|Exchange.*|ZipCollect.*|FileNameCollector.*|Authenticator|Export.*"
)
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_PASSWORD = re.compile(r"(://[^/@:]*):[^/@]*@")


@dataclass
class Keys:
    """The digests of a course's submissions, for one way of grading it."""

    course: Course
    setting: Setting
    books: Books = field(default_factory=Books)
    _sections: dict[str, Parts] = field(default_factory=dict)

    def judged(self, submission: Submission, found: HandedIn | Result) -> Parts:
        """The digests that decide the result of a submission, or the verdict if there was nothing to grade."""
        if isinstance(found, Result):
            own = _digest(f"{found.verdict}: {found.line}".encode("utf-8", "backslashreplace"))
        else:
            own = _digest(found.data, repr((found.notes, found.needs)).encode())
        return {"submission": own, **self._of_section(submission.section)}

    def written(self, submission: Submission) -> Parts:
        """The digests that decide what is written of a result; lateness only if the gradebook can be read."""
        lateness = {"lateness": self._lateness(submission)} if self.books.known else {}
        return {**lateness, **self._configured}

    def points(self, section: Section) -> dict[str, float]:
        """The worth of the section's graded cells in the gradebook or, before there is one, in nbgrader's source."""
        return self.books.points.get(section.name) or _points(section.built / f"{section.notebook}.ipynb")

    @cached_property
    def db_url(self) -> str:
        """The gradebook's address; a relative path starts at the course."""
        url = self._configuration.get("CourseDirectory", {}).get("db_url") or f"sqlite:///{self.course.gradebook}"
        path = str(url).removeprefix("sqlite:///")
        return str(url) if path == url else f"sqlite:///{self.course.root / path.partition('?')[0]}"

    def _of_section(self, section: Section) -> Parts:
        if section.name not in self._sections:
            name = f"{section.notebook}.ipynb"
            mistakes = file_for_check(section.released, MISTAKES_FILE)
            tests = (section.tests, section.hidden, section.scenarios, mistakes)
            notebooks = (section.released / name, section.built / name)
            self._sections[section.name] = {"tests": _files(tests), "notebook": _files(notebooks)} | self._common
        return self._sections[section.name]

    @cached_property
    def _common(self) -> Parts:
        secret = self.course.root / ".course-secret"
        return {
            "grader": code_digest(),
            "libraries": _libraries(),
            "seed": _digest(str(self.setting.seed).encode(), secret.read_bytes() if secret.exists() else b""),
            "limit": f"{self.setting.limit:g}",
            "sandbox": f"{self.setting.tier or 'best'}{' or none' if self.setting.allow_unsandboxed else ''}",
        }

    @cached_property
    def _configured(self) -> Parts:
        kept = [(name, self._configuration[name]) for name in sorted(self._configuration)]
        kept = [(name, value) for name, value in kept if not _NOT_DECIDING.fullmatch(name)]
        address = _PASSWORD.sub(r"\1@", self.db_url)
        return {"configuration": _digest(self._plainly(kept)), "database": _digest(self._plainly(address))}

    def _lateness(self, submission: Submission) -> str:
        student, section = submission.student, submission.section.name
        row = self.books.rows.get((student, section))
        stamps = repr(read_stamps(submission.path.parent).files).encode()
        facts = (self.books.due.get(section, ""), row.extension if row else "", row.by_hand if row else 0.0)
        return _digest(stamps, repr(facts).encode(), self._late_plugin)

    @cached_property
    def _late_plugin(self) -> bytes:
        """Its name and its source, where it isn't nbgrader's own."""
        chosen = self._configuration.get("AssignLatePenalties", {}).get("plugin_class", "")
        if not isinstance(chosen, str):  # a class, made in the configuration itself
            return (self.course.root / CONFIG).read_bytes()
        module = chosen.rpartition(".")[0]
        if not module or module.partition(".")[0] == "nbgrader":
            return chosen.encode()
        try:
            found = importlib.util.find_spec(module)
            return chosen.encode() + Path(found.origin).read_bytes() if found and found.origin else chosen.encode()
        except (ImportError, ValueError, OSError):
            return chosen.encode()

    @cached_property
    def _configuration(self) -> Mapping[str, Any]:
        try:
            return nbgrader_config(self.course)
        except Exception as error:
            said = f"{type(error).__name__}: {error}".splitlines()[0]
            raise UsageError(f"{self.course.root / CONFIG} can't be read ({said}): put it right, then again") from None

    def _plainly(self, value: object) -> bytes:
        """A value as text that is the same in every process and for every place of the course."""
        return _ADDRESS.sub("", repr(value).replace(str(self.course.root), ".")).encode()


@cache
def _libraries() -> str:
    """What an answer runs on: Python's minor version, IPython, and the libraries that answers import."""
    return _digest(repr((sys.version_info[:2], *map(_version, ("ipython", *LIBRARIES)))).encode())


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _files(paths: Iterable[Path]) -> str:
    return _digest(*(path.read_bytes() if path.exists() else b"" for path in paths))


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:32]


def _points(notebook: Path) -> dict[str, float]:
    """The points of a notebook's graded cells, by name."""
    try:
        cells = json.loads(notebook.read_bytes())["cells"]
        marks = [cell["metadata"].get("nbgrader", {}) for cell in cells]
        return {mark["grade_id"]: float(mark["points"]) for mark in marks if mark.get("grade")}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
