"""Results -> nbgrader: its database, its graded copies, and our engine inside its own commands.

Two ways lead here. Batch grading hands its results to `write`. Stock `nbgrader autograde` runs the preprocessors
below, named in `nbgrader_config.py`: they put the submission right, grade it and save the scores. Both ways pass
through `sanitise` and `with_result`, so the copy that people open is the same: of a student's notebook it keeps text
and code, nothing that a browser would run or fetch.

Importing this module imports nbgrader, which takes seconds: do it beside something else.
"""

from __future__ import annotations

import glob
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.exporters import Exporter, NotebookExporter
from nbformat import NotebookNode
from nbgrader.api import (
    Assignment,
    Comment,
    Grade,
    Gradebook,
    MissingEntry,
    Student,
    SubmittedAssignment,
    SubmittedNotebook,
)
from nbgrader.converters import Autograde
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import AssignLatePenalties, NbGraderPreprocessor, SaveAutoGrades
from nbgrader.utils import compute_checksum, find_all_files
from sqlalchemy import select
from sqlalchemy.orm import selectinload
from traitlets import default
from traitlets.config import Config

from autograder import release
from autograder.course import (
    Course,
    Section,
    Submission,
    UnreadableSubmission,
    UsageError,
    cannot_write,
    read_regular,
    stage,
    student_problem,
    sweep,
    write_atomically,
)
from autograder.database import GradebookProblem as GradebookProblem
from autograder.database import database as database
from autograder.database import opened as opened
from autograder.database import read_standings
from autograder.database import standings as standings
from autograder.handin import open_submission
from autograder.result import Result, Standing
from autograder.stamps import SECRET, TIMESTAMP, Stamps, read_stamps, with_note
from faultlab.pictures.sheet import clean

Cell = dict[str, Any]

MAX_CELLS = 1000
"""Cells of a submission that are kept in its graded copy; the marked ones always are."""

_GRADED = 0o444
"""nbgrader's own mode for graded copies."""
# everything but a tab and a line end that a terminal or a browser takes for more than text
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_WEB_LINK = re.compile(r"(?<!!)\[[^\[\]<>&\\`$!]*\]\(https?://[\w./%?=:@+,;~#&-]*\)")
# whatever could begin HTML, a link, an image, an entity or a formula
_ACTIVE = re.compile(r"<(?![\s=\d])|[\[\]&\\$]|:\s*//|www\.", re.IGNORECASE)


def write(
    course: Course,
    results: Iterable[Result],
    notebooks: Mapping[tuple[str, str], bytes],
    submitted: Path | None = None,
) -> dict[str, str]:
    """Write these results into the gradebook, and beside them the graded copies and the students' pages.

    `notebooks` holds the submissions' bytes by (student, section); where there are none, the copy has an empty answer,
    so that formgrader shows it. Writing twice is writing once. Scores are nbgrader's automatic ones: what people
    entered by hand stays. Files are staged first and renamed when the database has what they say. The stamps are those
    below `submitted`, where nbgrader has them unless another folder is named.

    Returns the students whose ids this database can't hold, each with a line that says why: nothing is written of them.
    Raises GradebookProblem, and then nothing has changed.
    """
    place = database(course)
    if submitted is not None:
        place.submitted_directory = str(submitted.resolve())
    entries = {section: _entries(place, section, found, notebooks) for section, found in _batch(course, results)}
    with _staging() as staged, opened(place) as gradebook:
        assignments = {section: _assignment(gradebook, section) for section in entries}
        refused = _add_students(gradebook.db, [one.result.student for one in chain.from_iterable(entries.values())])
        for section, assignment in assignments.items():
            listed = [entry for entry in entries[section] if entry.result.student not in refused]
            ids = _save(gradebook.db, place, assignment, listed)
            final = read_standings(gradebook.db, course, ids)
            for entry in listed:
                _stage(entry, final[entry.result.student, section.name], staged)
        gradebook.db.commit()
        staged.finish()
    return refused


def refresh(course: Course, names: Iterable[tuple[str, str]]) -> None:
    """Write the pages of these (student, section) once more, if the gradebook says something else by now.

    What people entered since they were graded, and late penalties. Raises GradebookProblem.
    """
    final = standings(course)
    with _staging() as staged:
        for student, name in names:
            if (student, name) in final and not student_problem(student):
                _restage(course.section(name), student, final[student, name], staged)
        staged.finish()


def sanitise(notebook: Mapping[str, Any] | None, source: NotebookNode) -> NotebookNode:
    """A submission as people may open it, for `source` as `release.graded_notebook` gives it.

    Kept: text and code. Taken from the source: metadata, the graded cells, what is missing (a solution cell comes back
    empty). Dropped: outputs, attachments, doubled cells. Markdown that isn't the course's own is made inert.
    """
    return _node(_sanitised(notebook, _known(source)))


def with_result(notebook: NotebookNode, result: Result) -> NotebookNode:
    """The notebook with the score and the feedback of each part as its graded cell's output."""
    _add_outputs(notebook, result)
    return notebook


def load(data: bytes) -> dict[str, Any] | None:
    """The notebook in these bytes as plain data, None when there is none."""
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict) or not isinstance(body.get("cells", body.get("worksheets")), list):
        return None
    return body


def register(section: Section) -> list[str]:
    """Tell the gradebook of assignment, notebook and cells, as `nbgrader generate_assignment` does; what is wrong."""
    place = database(section.course)
    try:
        with opened(place) as gradebook:
            gradebook.update_or_create_assignment(section.name)
            release.save_cells(section, place.db_url)
    except GradebookProblem as problem:
        return [f"{section.name}: {problem}"]
    except RuntimeError as error:
        return [f"{section.name}: {error}; to start anew, run: nbgrader db assignment remove {section.name}"]
    return []


def points_changed(section: Section) -> str:
    """What registering a section anew changes for those who have grades, in a line; empty when it changes nothing."""
    try:
        with opened(database(section.course)) as gradebook:
            before = {cell.name: cell for cell in gradebook.find_notebook(section.notebook, section.name).grade_cells}
            cells = nbformat.read(section.built / f"{section.notebook}.ipynb", as_version=4).cells
            marks = [cell.metadata.nbgrader for cell in cells if "nbgrader" in cell.metadata]
            now = {mark["grade_id"]: mark["points"] for mark in marks if mark["grade"]}
            changed = [name for name in now if name in before and before[name].max_score != now[name]]
            graded = max((len(before[name].grades) for name in changed), default=0)
            words = [f"{name} is worth {now[name]:g} points now, not {before[name].max_score:g}" for name in changed]
    except (MissingEntry, GradebookProblem):
        return ""
    if not graded:
        return ""
    keep = f"scores given so far ({graded}) stay as they are until you run: autograder grade --section {section.name}"
    return f"{section.name}: {', '.join(words)}; {keep}"


# --- in place of nbgrader's own steps; nbgrader_config.py names them


class SubmissionExporter(NotebookExporter):
    """Reads a submission so that no file stops the class: one that holds no notebook is an empty notebook."""

    def __init__(self, config: Config | None = None, **kw: Any) -> None:
        super().__init__(config=config, **kw)  # type: ignore[no-untyped-call]
        if isinstance(self.parent, Autograde):
            self._need_sandbox(self.parent)
            _take_all(self.parent)

    def _need_sandbox(self, parent: Autograde) -> None:
        """Before nbgrader has touched a file: without a sandbox there is nothing but this line, and exit code 2."""
        from autograder.grade import need_sandbox

        try:
            need_sandbox(Course(Path(parent.coursedir.root)))
        except UsageError as error:
            self.log.critical("%s", error)
            sys.exit(2)

    def from_filename(self, filename: str, resources: Any = None, **kw: Any) -> Any:
        """As nbconvert's; links aren't followed, and of a submission only what `sanitise` keeps is looked at."""
        place: CourseDirectory = getattr(self.parent, "coursedir", None) or CourseDirectory(config=self.config)
        path = Path(filename)
        if not path.is_relative_to(Path(place.root, place.submitted_directory)):
            return super().from_filename(filename, resources=resources, **kw)
        try:
            body = load(open_submission(_submission(path, Course(Path(place.root)))).data)
        except UnreadableSubmission as problem:
            self.log.warning("%s", problem)
            body = None
        empty = _node({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
        resources = dict(resources or {})
        resources["metadata"] = {"name": path.stem, "path": str(path.parent)}
        resources["submission"] = body
        return super().from_notebook_node(empty, resources=resources, **kw)  # type: ignore[no-untyped-call]


class Sanitise(NbGraderPreprocessor):
    """The first of nbgrader's sanitising steps: afterwards the others find nothing to stumble over."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        """See `sanitise`; what else the student handed in doesn't stay beside the copy."""
        section = _section(self.config, resources)
        place = CourseDirectory(config=self.config)
        _drop_extra_files(place, section, resources["nbgrader"]["student"])
        source = release.graded_notebook(section)
        return sanitise(resources.pop("submission", nb), source), resources


class GradeAnswers(NbGraderPreprocessor):
    """In place of nbgrader's Execute: our engine grades the file as it was handed in."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        """Give each graded cell its output; nothing of the notebook is run in this process."""
        section = _section(self.config, resources)
        if section.exercise is None:
            return nb, resources
        student = resources["nbgrader"]["student"]
        place = CourseDirectory(config=self.config)
        folder = _submitted(place, section, student)
        result = with_note(_graded(folder / f"{section.notebook}.ipynb", section, student), folder)
        resources["nbgrader"]["needs_review"] = bool(result.needs)
        self.log.info(
            "%s %s: %s, %g of %g", clean(student), section.name, result.verdict, result.score, result.max_score
        )
        return with_result(nb, result), resources


class SaveScores(SaveAutoGrades):
    """nbgrader's SaveAutoGrades; what couldn't be read is marked for a person too."""

    def _add_score(self, cell: NotebookNode, resources: Any) -> None:
        super()._add_score(cell, resources)
        if resources["nbgrader"].get("needs_review"):
            names = (cell.metadata.nbgrader.grade_id, self.notebook_id, self.assignment_id, self.student_id)
            self.gradebook.find_grade(*names).needs_manual_grade = True
            self.gradebook.db.commit()


class FeedbackExporter(Exporter):
    """In place of nbgrader's page ours, the one that batch grading writes too: nothing is fetched, no script runs."""

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

    def from_filename(self, filename: str, resources: Any = None, **kw: Any) -> Any:
        """The page of the graded copy that `filename` is, with what the gradebook says of it."""
        from autograder.feedback import copy_page

        section = _section(self.config, resources)
        student = resources["nbgrader"]["student"]
        copy = load(read_regular(Path(filename)))
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
    from autograder.grade import grade_bytes, read_submission

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
    """Put what was handed in, of our sections, in place of nbgrader's list of `*.ipynb`.

    Each folder stands for its section's notebook, whatever it is called or packed in there, and also where there is
    none, so that it has its row. A folder's name that nbgrader can't read would end the class: it is passed over.
    """
    place = autograde.coursedir
    sections = {section.name: section for section in Course(Path(place.root)).sections}
    for folder in glob.glob(autograde._format_source(place.assignment_id, place.student_id)):
        section = sections.get(os.path.basename(folder))
        problem = student_problem(os.path.basename(os.path.dirname(folder)))
        if problem:
            autograde.log.warning("passed over: %s", problem)
            autograde.assignments.pop(folder, None)
        elif section is not None and fnmatchcase(section.notebook, place.notebook_id) and os.path.isdir(folder):
            autograde.assignments[folder] = [os.path.join(folder, f"{section.notebook}.ipynb")]


def _drop_extra_files(place: CourseDirectory, section: Section, student: str) -> None:
    """nbgrader has copied whatever lay beside the submission, through links too: only the course's files stay, and
    what its exchange laid there."""
    folder = Path(place.format_path(place.autograded_directory, student, section.name))
    source = Path(place.format_path(place.source_directory, ".", section.name))
    kept = {Path(path).relative_to(source) for path in find_all_files(str(source), place.ignore)}
    for path in [path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()]:
        if path.relative_to(folder) not in kept:
            path.unlink()
    for name, data in read_stamps(_submitted(place, section, student)).files.items():
        write_atomically(folder / name, data)


# --- the graded copy; plain dictionaries here, nbformat's own are several times slower


@dataclass(frozen=True, slots=True)
class _Known:
    """The course's own cells of a notebook: the marked ones by name, the others by kind and text."""

    marked: dict[str, Cell]
    others: dict[tuple[str, str], Cell]
    head: dict[str, Any]


def _known(source: NotebookNode) -> _Known:
    body = json.loads(nbformat.writes(source, version=4))
    for cell in body["cells"]:
        cell["source"] = "".join(cell["source"])
    marked = {name: cell for cell in body["cells"] if (name := _grade_id(cell))}
    others = {(cell["cell_type"], cell["source"]): cell for cell in body["cells"] if not _grade_id(cell)}
    return _Known(marked, others, {key: value for key, value in body.items() if key != "cells"})


def _sanitised(notebook: Mapping[str, Any] | None, known: _Known) -> dict[str, Any]:
    found = [_kept(cell, known) for cell in _last_of_each(_read_cells(notebook))]
    cells = [cell for number, cell in enumerate(found) if number < MAX_CELLS or _grade_id(cell)]
    for name, cell in known.marked.items():
        if all(_grade_id(other) != name for other in cells):
            cells.insert(_place(name, list(known.marked), cells), _restored(cell))
    ids = [_grade_id(cell) or f"cell-{number}" for number, cell in enumerate(cells)]
    return {**known.head, "cells": [cell | {"id": name} for cell, name in zip(cells, ids, strict=True)]}


def _add_outputs(notebook: dict[str, Any], result: Result) -> None:
    for cell in notebook["cells"]:
        if _marks(cell).get("grade"):
            cell["outputs"] = [_node(_output(cell, result))]


def _output(cell: Cell, result: Result) -> dict[str, Any]:
    from autograder.feedback import part_html

    hidden = _marks(cell)["grade_id"].endswith("_hidden")
    score = sum(behaviour.points for behaviour in result.part(hidden=hidden))
    score = min(max(score, 0.0), float(_marks(cell)["points"]))
    data = {"text/plain": f"{score:g}", "text/html": part_html(result, hidden=hidden)}
    return {"output_type": "execute_result", "data": data, "metadata": {}, "execution_count": None}


def _read_cells(notebook: Mapping[str, Any] | None) -> list[Cell]:
    """Of whatever shape: the cells' kind, text and grade_id, everything else left behind."""
    body = notebook or {}
    sheets = body.get("worksheets") if "cells" not in body else [body]  # nbformat 3 had sheets
    found = [sheet.get("cells") for sheet in sheets if isinstance(sheet, dict)] if isinstance(sheets, list) else []
    cells = chain.from_iterable(part for part in found if isinstance(part, list))
    return [_read_cell(cell) for cell in cells if isinstance(cell, dict)]


def _read_cell(cell: Cell) -> Cell:
    source = cell.get("source", cell.get("input", ""))
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    text = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", source) if isinstance(source, str) else ""
    kind = cell.get("cell_type") if cell.get("cell_type") in ("code", "markdown") else "raw"
    metadata = cell.get("metadata")
    marks = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    name = marks.get("grade_id") if isinstance(marks, dict) else None
    kept = {"nbgrader": {"grade_id": name}} if isinstance(name, str) else {}
    return {"cell_type": kind, "source": text, "metadata": kept}


def _last_of_each(cells: list[Cell]) -> Iterator[Cell]:
    """Of cells with one grade_id the last keeps it, as in nbgrader: the last with code, where there is one. The other
    pieces of a solution, which were run too, stay beside it as plain cells."""
    last = {_grade_id(cell): cell for cell in sorted(cells, key=lambda cell: bool(cell["cell_type"] == "code"))}
    for cell in cells:
        name = _grade_id(cell)
        if name is None or last[name] is cell:
            yield cell
        elif not name.endswith(("_score", "_hidden")):
            yield cell | {"metadata": {}}


def _kept(cell: Cell, known: _Known) -> Cell:
    ours = known.marked.get(_grade_id(cell) or "")
    if ours is not None:
        return _fresh(ours, cell["source"] if _marks(ours).get("solution") else ours["source"])
    ours = known.others.get((cell["cell_type"], cell["source"]))
    if ours is not None:
        return _fresh(ours, ours["source"])
    if cell["cell_type"] == "code":
        return _fresh({"cell_type": "code", "metadata": {}}, cell["source"])
    text = _inert(cell["source"], plain=cell["cell_type"] == "markdown")
    return _fresh({"cell_type": "markdown", "metadata": {}}, text)


def _restored(cell: Cell) -> Cell:
    return _fresh(cell, "" if _marks(cell).get("solution") else cell["source"])


def _fresh(cell: Cell, source: str) -> Cell:
    outputs: Cell = {"outputs": [], "execution_count": None} if cell["cell_type"] == "code" else {}
    return {"cell_type": cell["cell_type"], "source": source, "metadata": cell["metadata"], **outputs}


def _place(name: str, order: list[str], cells: list[dict[str, Any]]) -> int:
    """Where a missing cell goes: after the marked cell before it, else before the one after it, else to the end."""
    places = {_grade_id(cell): number for number, cell in enumerate(cells)}
    before = [places[other] + 1 for other in order[: order.index(name)] if other in places]
    after = [places[other] for other in order[order.index(name) :] if other in places]
    return before[-1] if before else after[0] if after else len(cells)


def _inert(text: str, *, plain: bool) -> str:
    """Markdown that can only be read: plain prose and web links stay, anything else is shown as typed.

    Renderers differ in what they take for HTML, a link or a formula, and formgrader's adds MathJax, which has links of
    its own; a block of code is one thing in all of them.
    """
    if plain and not _ACTIVE.search(_WEB_LINK.sub("", text)):
        return text
    longest = max((len(ticks) for ticks in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def _marks(cell: Cell) -> dict[str, Any]:
    return cell["metadata"].get("nbgrader") or {}


def _grade_id(cell: Cell) -> str | None:
    return _marks(cell).get("grade_id") or None


def _node(value: dict[str, Any]) -> NotebookNode:
    node: NotebookNode = nbformat.from_dict(value)
    return node


# --- the database


@dataclass(frozen=True, slots=True)
class _Entry:
    """One student's result of one section, ready to be written."""

    result: Result
    section: Section
    notebook: dict[str, Any]
    stamps: Stamps


def _batch(course: Course, results: Iterable[Result]) -> Iterator[tuple[Section, list[Result]]]:
    """The results by section; one whose student's id is no id has no place in a gradebook."""
    by_name: dict[str, list[Result]] = {}
    for result in results:
        if not student_problem(result.student):
            by_name.setdefault(result.section, []).append(result)
    yield from ((course.section(name), found) for name, found in by_name.items())


def _entries(
    place: CourseDirectory, section: Section, results: list[Result], notebooks: Mapping[tuple[str, str], bytes]
) -> list[_Entry]:
    known = _known(release.graded_notebook(section))
    entries = []
    for result in results:
        notebook = _sanitised(load(notebooks.get((result.student, section.name), b"")), known)
        _add_outputs(notebook, result)
        entries.append(_Entry(result, section, notebook, read_stamps(_submitted(place, section, result.student))))
    return entries


def _submitted(place: CourseDirectory, section: Section, student: str) -> Path:
    return Path(place.format_path(place.submitted_directory, student, section.name))


class _Staged:
    """Files beside their places, and what is to be removed, until the database has what they say."""

    def __init__(self) -> None:
        self.files: list[tuple[Path, Path]] = []
        self.gone: list[Path] = []

    def add(self, path: Path, data: bytes, mode: int | None = None) -> None:
        sweep(path)
        new = stage(path, data)
        self.files.append((new, path))
        if mode is not None:
            new.chmod(mode)

    def add_stamps(self, folder: Path, stamps: Stamps, mode: int | None = None) -> None:
        """What nbgrader needs beside a copy or a page, and nothing of an earlier submission."""
        for name in (TIMESTAMP, SECRET):
            if name in stamps.files:
                self.add(folder / name, stamps.files[name], mode)
            else:
                self.gone.append(folder / name)

    def finish(self) -> None:
        for new, path in self.files:
            new.replace(path)
        for path in self.gone:
            path.unlink(missing_ok=True)


@contextmanager
def _staging() -> Iterator[_Staged]:
    """Raises GradebookProblem when a file can't be written; nothing that was staged stays behind."""
    staged = _Staged()
    try:
        yield staged
    except OSError as error:
        raise GradebookProblem(cannot_write(error)) from None
    finally:
        for new, _ in staged.files:
            new.unlink(missing_ok=True)


def _stage(entry: _Entry, standing: Standing, staged: _Staged) -> None:
    """The graded copy and the page, each with the stamps: so nbgrader sees which submission they are of."""
    from autograder.feedback import copy_page

    student = entry.result.student
    copy, written = entry.section.graded_copy(student), entry.section.feedback_page(student)
    text = json.dumps(entry.notebook, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    staged.add(copy, f"{text}\n".encode(), _GRADED)
    staged.add_stamps(copy.parent, entry.stamps, _GRADED)
    staged.add(written, copy_page(student, entry.section.name, entry.notebook, standing).encode())
    staged.add_stamps(written.parent, entry.stamps)


def _restage(section: Section, student: str, standing: Standing, staged: _Staged) -> None:
    from autograder.feedback import copy_page, is_current

    copy, written = section.graded_copy(student), section.feedback_page(student)
    if written.is_file() and is_current(_beginning(written), standing):
        return
    if copy.is_file() and (notebook := load(copy.read_bytes())) is not None:
        staged.add(written, copy_page(student, section.name, notebook, standing).encode())


def _beginning(path: Path) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read(5000)


def _assignment(gradebook: Gradebook, section: Section) -> Assignment:
    try:
        gradebook.find_notebook(section.notebook, section.name)
    except MissingEntry:
        if problems := register(section):
            raise GradebookProblem("; ".join(problems)) from None
        gradebook.db.rollback()  # to see what another connection has written
    return gradebook.find_assignment(section.name)


def _save(session: Any, place: CourseDirectory, assignment: Assignment, entries: list[_Entry]) -> list[str]:
    """The whole batch in one transaction: what nbgrader's own steps do to these rows, without their commits.

    Returns the ids of the submissions' rows.
    """
    names = {cell.id: cell.name for notebook in assignment.notebooks for cell in notebook.grade_cells}
    late = _late(place)
    with session.no_autoflush:
        submissions = _submissions(session, assignment, [entry.result.student for entry in entries])
        for entry in entries:
            student = entry.result.student
            if student not in submissions:
                submissions[student] = _new_submission(assignment, student)
                session.add(submissions[student])
            _set_timestamp(submissions[student], entry.stamps)
            _score(submissions[student], entry, names)
    session.flush()
    for entry in entries:
        _penalise(session, late, submissions[entry.result.student])
    session.flush()
    return [submissions[entry.result.student].id for entry in entries]


def _add_students(session: Any, names: list[str]) -> dict[str, str]:
    """Add the students that aren't there yet; those that can't be, each with a line that says why."""
    known = set(session.scalars(select(Student.id).where(Student.id.in_(names))))
    longest = _longest_id(session)
    refused = {}
    for name in dict.fromkeys(names):
        if name in known:
            continue
        if longest is not None and len(name) > longest:
            refused[name] = (
                f"student {name!a}: the gradebook takes ids of up to {longest} characters; rename the folder"
            )
        elif (other := session.scalar(select(Student.id).where(Student.id == name))) is not None:
            refused[name] = f"student {name!a}: the gradebook can't tell this id from {other!a}; rename the folder"
        else:
            session.add(Student(id=name))
            session.flush()
    return refused


def _longest_id(session: Any) -> int | None:
    """How many characters an id may have; None on SQLite, which takes any."""
    return None if session.bind.dialect.name == "sqlite" else Student.id.type.length


def _submissions(session: Any, assignment: Assignment, names: list[str]) -> dict[str, SubmittedAssignment]:
    """What the gradebook has of these students, and of no others: a class is written in many portions."""
    notebooks = selectinload(SubmittedAssignment.notebooks)
    query = (
        select(SubmittedAssignment)
        .where(SubmittedAssignment.assignment_id == assignment.id, SubmittedAssignment.student_id.in_(names))
        .options(notebooks.selectinload(SubmittedNotebook.grades), notebooks.selectinload(SubmittedNotebook.comments))
    )
    return {submission.student_id: submission for submission in session.scalars(query)}


def _new_submission(assignment: Assignment, student: str) -> SubmittedAssignment:
    """A submission that mirrors its assignment, as `Gradebook.add_submission` makes it."""
    submission = SubmittedAssignment(assignment_id=assignment.id, student_id=student)
    for notebook in assignment.notebooks:
        submitted = SubmittedNotebook(notebook_id=notebook.id, assignment=submission)
        submitted.grades = [Grade(cell_id=cell.id) for cell in notebook.grade_cells]
        submitted.comments = [Comment(cell_id=cell.id) for cell in notebook.solution_cells]
    return submission


def _score(submission: SubmittedAssignment, entry: _Entry, names: Mapping[str, str]) -> None:
    """What nbgrader's SaveAutoGrades writes; also of a missing notebook, which is for a person, too."""
    scores, unanswered = _scores(entry.notebook)
    for notebook in submission.notebooks:
        for grade in notebook.grades:
            grade.auto_score = scores.get(names[grade.cell_id], 0.0)
            grade.needs_manual_grade = grade.manual_score is not None or bool(entry.result.needs)
        for comment in notebook.comments:
            comment.auto_comment = "No response." if unanswered else None


def _scores(notebook: dict[str, Any]) -> tuple[dict[str, float], bool]:
    """The scores, and whether the stub was left as it was."""
    cells = notebook["cells"]
    graded = [cell for cell in cells if _marks(cell).get("grade")]
    answers = [cell for cell in cells if _marks(cell).get("solution")]
    untouched = [_marks(cell)["checksum"] == compute_checksum(_node(cell)) for cell in answers]
    scores = {_marks(cell)["grade_id"]: float(cell["outputs"][0]["data"]["text/plain"]) for cell in graded}
    return scores, bool(untouched) and all(untouched)


def _set_timestamp(submission: SubmittedAssignment, stamps: Stamps) -> None:
    """As nbgrader does: what has no timestamp keeps the one that it had."""
    if stamps.handed_in is not None and submission.timestamp != stamps.handed_in:
        submission.timestamp = stamps.handed_in


def _late(place: CourseDirectory) -> AssignLatePenalties:
    late = AssignLatePenalties(config=place.config)
    late.init_plugin()
    return late


def _penalise(session: Any, late: AssignLatePenalties, submission: SubmittedAssignment) -> None:
    """Late penalties by the course's own plugin, which sees each score."""
    due = submission.assignment.duedate is not None
    seconds = submission.total_seconds_late if due else 0
    for notebook in submission.notebooks:
        penalty = None
        if seconds > 0:
            session.expire(notebook, ["score"])
            penalty = late.plugin_inst.late_submission_penalty(submission.student_id, notebook.score, seconds)
        if penalty is not None:
            penalty = late._check_late_penalty(notebook, penalty)
        if notebook.late_submission_penalty != penalty:
            notebook.late_submission_penalty = penalty
