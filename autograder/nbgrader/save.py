"""Write results into nbgrader's gradebook, with graded copies and students' pages beside it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import nbformat
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
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import AssignLatePenalties
from nbgrader.utils import compute_checksum
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from autograder.course import Course, Section, student_problem
from autograder.errors import GradebookProblem
from autograder.files import cannot_write, stage, sweep
from autograder.judging.result import Result, Standing
from autograder.nbgrader import release
from autograder.nbgrader.copy import add_outputs, as_node, known_cells, load_copy, marks_of, sanitised
from autograder.nbgrader.database import database, opened, read_standings, standings
from autograder.nbgrader.insides import checked_penalty
from autograder.nbgrader.stamps import SECRET, TIMESTAMP, Stamps, read_stamps
from autograder.pages.feedback import copy_page, is_current

_GRADED = 0o444
"""nbgrader's own mode for graded copies."""


def write(
    course: Course,
    results: Iterable[Result],
    notebooks: Mapping[tuple[str, str], bytes],
    submitted: Path | None = None,
) -> dict[str, str]:
    """Write these results into the gradebook, and beside them the graded copies and the students' pages.

    `notebooks` holds the submissions' bytes by (student, section). Without bytes the copy has an empty answer, so that
    formgrader shows it. Writing twice is the same as writing once. Scores are nbgrader's automatic ones: points entered
    by hand stay. Files are staged first, and renamed when the database has the scores. The stamps are read below
    `submitted`, where nbgrader has them unless another folder is named.

    Returns the students whose ids this database can't hold, each with the reason: nothing is written for them. Raises
    GradebookProblem; then nothing has changed.
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
    """Rewrite the pages of these (student, section) if the gradebook has changed.

    Points entered by hand and late penalties count. Raises GradebookProblem.
    """
    final = standings(course)
    with _staging() as staged:
        for student, name in names:
            if (student, name) in final and not student_problem(student):
                _restage(course.section(name), student, final[student, name], staged)
        staged.finish()


def register(section: Section) -> list[str]:
    """Register assignment, notebook and cells in the gradebook, as `nbgrader generate_assignment` does; return the
    problems."""
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
    """A line about how registering a section anew affects existing grades; "" if it doesn't."""
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


@dataclass(frozen=True, slots=True)
class _Entry:
    """One student's result of one section, ready to be written."""

    result: Result
    section: Section
    notebook: dict[str, Any]
    stamps: Stamps


def _batch(course: Course, results: Iterable[Result]) -> Iterator[tuple[Section, list[Result]]]:
    """The results by section, without those whose student's id no gradebook can hold."""
    by_name: dict[str, list[Result]] = {}
    for result in results:
        if not student_problem(result.student):
            by_name.setdefault(result.section, []).append(result)
    yield from ((course.section(name), found) for name, found in by_name.items())


def _entries(
    place: CourseDirectory, section: Section, results: list[Result], notebooks: Mapping[tuple[str, str], bytes]
) -> list[_Entry]:
    known = known_cells(release.graded_notebook(section))
    entries = []
    for result in results:
        notebook = sanitised(load_copy(notebooks.get((result.student, section.name), b"")), known)
        add_outputs(notebook, result)
        entries.append(_Entry(result, section, notebook, read_stamps(submitted_folder(place, section, result.student))))
    return entries


def submitted_folder(place: CourseDirectory, section: Section, student: str) -> Path:
    """Where nbgrader looks for a student's submission of a section."""
    return Path(place.format_path(place.submitted_directory, student, section.name))


class _Staged:
    """Staged files, and files to remove, until the database has the scores."""

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
        """The files that nbgrader needs beside a copy or a page, and none of an earlier submission."""
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
    """Raises GradebookProblem if a file can't be written; then no staged file stays behind."""
    staged = _Staged()
    try:
        yield staged
    except OSError as error:
        raise GradebookProblem(cannot_write(error)) from None
    finally:
        for new, _ in staged.files:
            new.unlink(missing_ok=True)


def _stage(entry: _Entry, standing: Standing, staged: _Staged) -> None:
    """Stage the graded copy and the page, each with the stamps, so that nbgrader sees their submission."""
    student = entry.result.student
    copy, written = entry.section.graded_copy(student), entry.section.feedback_page(student)
    text = json.dumps(entry.notebook, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    staged.add(copy, f"{text}\n".encode(), _GRADED)
    staged.add_stamps(copy.parent, entry.stamps, _GRADED)
    staged.add(written, copy_page(student, entry.section.name, entry.notebook, standing).encode())
    staged.add_stamps(written.parent, entry.stamps)


def _restage(section: Section, student: str, standing: Standing, staged: _Staged) -> None:
    copy, written = section.graded_copy(student), section.feedback_page(student)
    if written.is_file() and is_current(_beginning(written), standing):
        return
    if copy.is_file() and (notebook := load_copy(copy.read_bytes())) is not None:
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
        gradebook.db.rollback()  # to see what other connections have written
    return gradebook.find_assignment(section.name)


def _save(session: Any, place: CourseDirectory, assignment: Assignment, entries: list[_Entry]) -> list[str]:
    """Write the whole batch in one transaction: what nbgrader's own steps do to these rows, without their commits.

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
    """Add new students; return those that can't be added, each with the reason."""
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
    """The most characters of an id; None on SQLite, which takes any number."""
    return None if session.bind.dialect.name == "sqlite" else Student.id.type.length


def _submissions(session: Any, assignment: Assignment, names: list[str]) -> dict[str, SubmittedAssignment]:
    """The gradebook's rows of these students only, because a class is written in many batches."""
    notebooks = selectinload(SubmittedAssignment.notebooks)
    query = (
        select(SubmittedAssignment)
        .where(SubmittedAssignment.assignment_id == assignment.id, SubmittedAssignment.student_id.in_(names))
        .options(notebooks.selectinload(SubmittedNotebook.grades), notebooks.selectinload(SubmittedNotebook.comments))
    )
    return {submission.student_id: submission for submission in session.scalars(query)}


def _new_submission(assignment: Assignment, student: str) -> SubmittedAssignment:
    """A new submission that mirrors its assignment, as `Gradebook.add_submission` makes it."""
    submission = SubmittedAssignment(assignment_id=assignment.id, student_id=student)
    for notebook in assignment.notebooks:
        submitted = SubmittedNotebook(notebook_id=notebook.id, assignment=submission)
        submitted.grades = [Grade(cell_id=cell.id) for cell in notebook.grade_cells]
        submitted.comments = [Comment(cell_id=cell.id) for cell in notebook.solution_cells]
    return submission


def _score(submission: SubmittedAssignment, entry: _Entry, names: Mapping[str, str]) -> None:
    """Write what nbgrader's SaveAutoGrades writes; a missing notebook needs a person too."""
    scores, unanswered = _scores(entry.notebook)
    for notebook in submission.notebooks:
        for grade in notebook.grades:
            grade.auto_score = scores.get(names[grade.cell_id], 0.0)
            grade.needs_manual_grade = grade.manual_score is not None or bool(entry.result.needs)
        for comment in notebook.comments:
            comment.auto_comment = "No response." if unanswered else None


def _scores(notebook: dict[str, Any]) -> tuple[dict[str, float], bool]:
    """Write the scores, and whether the stub was left unchanged."""
    cells = notebook["cells"]
    graded = [cell for cell in cells if marks_of(cell).get("grade")]
    answers = [cell for cell in cells if marks_of(cell).get("solution")]
    untouched = [marks_of(cell)["checksum"] == compute_checksum(as_node(cell)) for cell in answers]
    scores = {marks_of(cell)["grade_id"]: float(cell["outputs"][0]["data"]["text/plain"]) for cell in graded}
    return scores, bool(untouched) and all(untouched)


def _set_timestamp(submission: SubmittedAssignment, stamps: Stamps) -> None:
    """As in nbgrader, a submission without a timestamp keeps the old one."""
    if stamps.handed_in is not None and submission.timestamp != stamps.handed_in:
        submission.timestamp = stamps.handed_in


def _late(place: CourseDirectory) -> AssignLatePenalties:
    late = AssignLatePenalties(config=place.config)
    late.init_plugin()
    return late


def _penalise(session: Any, late: AssignLatePenalties, submission: SubmittedAssignment) -> None:
    """Apply late penalties by the course's plugin, which sees each score."""
    due = submission.assignment.duedate is not None
    seconds = submission.total_seconds_late if due else 0
    for notebook in submission.notebooks:
        penalty = None
        if seconds > 0:
            session.expire(notebook, ["score"])
            penalty = late.plugin_inst.late_submission_penalty(submission.student_id, notebook.score, seconds)
        if penalty is not None:
            penalty = checked_penalty(late, notebook, penalty)
        if notebook.late_submission_penalty != penalty:
            notebook.late_submission_penalty = penalty
