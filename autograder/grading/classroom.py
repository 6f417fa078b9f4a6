"""Grading from the command line: the class with its gradebook, and the bundled demo class.

One pass over the class decides what is to be done (`Ledger.step`). Then results come one by one, reach `--json`,
the gradebook and the pages, and leave a line of the roll: so many submissions take little more memory than few.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from autograder.course import Course, Section, Submission
from autograder.errors import GradebookProblem, UsageError
from autograder.files import cannot_write
from autograder.grading import progress
from autograder.grading.demo import make_class
from autograder.grading.grade import course_secret
from autograder.grading.jobs import everything, read_submission, with_exercise
from autograder.grading.keys import Keys
from autograder.grading.kit import points_of
from autograder.grading.ledger import Ledger, Step
from autograder.grading.pool import Setting
from autograder.grading.rows import Rows
from autograder.grading.writer import Writer
from autograder.judging.result import Result, Standing
from autograder.nbgrader.books import read_books
from autograder.pages.report import write_index, write_report
from autograder.pages.roll import Roll


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of `autograder grade`, as its help tells them."""

    section: str | None
    student: str | None
    jobs: int | None
    seed: int
    force: bool
    limit: float
    """Wall-clock seconds that one submission may take."""
    allow_unsandboxed: bool
    strict: bool
    dry_run: bool


def grade_course(course: Course, folder: Path | None, json_file: Path | None, options: Options) -> int:
    """`autograder grade`. Returns the exit code."""
    everyone = with_exercise(course.submissions(folder))
    section, student = options.section, options.student
    some = section is not None or student is not None
    chosen = with_exercise(course.submissions(folder, section=section, student=student)) if some else everyone
    if not chosen:
        raise UsageError(_nothing(folder or course.submitted, section, student, others=bool(everyone)))
    setting = Setting(options.seed, options.jobs or os.cpu_count() or 1, options.allow_unsandboxed, limit=options.limit)
    if options.dry_run:
        return _plan(course, chosen, setting, force=options.force)
    with Rows(json_file) as rows, course.lock():
        _build_missing(course, chosen)
        run = _Run(course, setting, rows, force=options.force)
        run.grade(chosen)
        rows.sort()
        finals = run.finals()
        whole = _whole(run, everyone, finals)
        _show(run, whole, by_student=student is not None)
        problems = run.writer.problems
        if rows.problem:
            problems.add(rows.problem)
        try:
            page = write_index(course.build / "report", whole, title="Graded", page_of=run.writer.page_of)
            progress.out.print(f"report: {progress.from_here(page)}", soft_wrap=True)
        except OSError as error:
            problems.add(cannot_write(error))
    for line in problems.lines():
        progress.tell(f"autograder: {line}")
    return 1 if problems.found or (options.strict and run.roll.in_need) else 0


def _nothing(place: Path, section: str | None, student: str | None, *, others: bool) -> str:
    """Why there is nothing to grade: no submission at all, or none that was asked for."""
    if not others:
        return f"nothing to grade in {place}: collect <student>/<section>/ folders there"
    of, to = f" of {student}" if student else "", f" for {section}" if section else ""
    return f"nothing to grade: there is no submission{of}{to} in {place}"


def grade_demo(course: Course, *, jobs: int | None, allow_unsandboxed: bool, strict: bool) -> int:
    """`autograder demo`: wrong and right answers of every section as a class. Returns the exit code."""
    folder = course.build / "demo"
    _build_missing(course, (Submission("", section, Path()) for section in course.sections if section.exercise))
    submissions = with_exercise(course.submissions(make_class(course, folder / "submitted")))
    setting = Setting(0, jobs or os.cpu_count() or 1, allow_unsandboxed)
    found = progress.followed(everything(course, submissions, setting), len(submissions))
    roll = Roll()
    results = sorted((result for _, result in found), key=lambda result: (result.section, result.student))
    page = write_report(folder / "report", results, title="A class of typical mistakes and right answers", roll=roll)
    progress.show_table(list(roll))
    progress.warn_of_sandbox(roll)
    progress.out.print(roll.summary(), soft_wrap=True)
    progress.out.print(f"report with feedback pages: {progress.from_here(page)}", soft_wrap=True)
    return 1 if strict and roll.in_need else 0


@dataclass
class _Run:
    """One grading of a class."""

    course: Course
    setting: Setting
    rows: Rows
    force: bool
    roll: Roll = field(default_factory=Roll)
    steps: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        course_secret(self.course)
        self.keys = _keys(self.course, self.setting)
        self.ledger = Ledger(self.course)
        self.writer = Writer(self.course, self.ledger, self.keys)

    def grade(self, chosen: Sequence[Submission]) -> None:
        """Take the step that each of these needs. Raises UsageError before anything is graded with stale points."""
        self.steps = [self.ledger.step(one, self.keys, force=self.force) for one in chosen]
        if stale := _stale_points(self.keys, self.steps):
            raise UsageError(stale)
        with closing(self.writer):
            todo = [step.submission for step in self.steps if self._is_left(step)]
            found = {(one.student, one.section.name): one for one in todo}
            with closing(progress.followed(everything(self.course, todo, self.setting), len(todo))) as results:
                for job, result in results:
                    self._take(result)
                    submission = found[result.student, result.section]
                    self.writer.add(submission, result if job is None else job.handed_in, result)

    def _is_left(self, step: Step) -> bool:
        """Whether it must be graded; otherwise its old result is used, and written again if necessary."""
        if step.what == "grade":
            return True
        submission = step.submission
        stored = self.ledger.entry(submission.student, submission.section)
        if stored is None:
            return True
        if step.what == "write":
            found = read_submission(submission)
            result = self.ledger.with_parts(stored, submission)
            if result is None or not self.keys.judged(submission, found).items() <= stored.parts.items():
                return True
            self.writer.add(submission, found, result)
        self._take(stored.result)
        return False

    def _take(self, result: Result) -> None:
        self.roll.add(result)
        self.rows.add(result)

    def finals(self) -> dict[tuple[str, str], Standing]:
        """Take the gradebook's final scores, and rewrite pages that have become outdated."""
        from autograder.nbgrader.database import standings
        from autograder.nbgrader.save import refresh

        unchanged = [step.submission for step in self.steps if step.what == "keep"]
        found = {}
        try:
            found = standings(self.course)
            refresh(self.course, [(one.student, one.section.name) for one in unchanged])
        except GradebookProblem as problem:
            if not self.writer.problems.found:
                self.writer.problems.add(f"final scores and pages weren't brought up to date: {problem}")
        return found


def _plan(course: Course, chosen: Sequence[Submission], setting: Setting, *, force: bool) -> int:
    """`--dry-run`: report what would be done, and change nothing."""
    keys, ledger = _keys(course, setting, mode="ro"), Ledger(course)
    steps = [ledger.step(one, keys, force=force) for one in chosen]
    unbuilt = [section.name for section in _sections(chosen) if not _is_built(section)]
    if unbuilt:
        progress.out.print(f"would be built first: {', '.join(unbuilt)}", soft_wrap=True)
    elif stale := _stale_points(keys, steps):
        raise UsageError(stale)
    progress.show_plan(steps)
    return 0


def _keys(course: Course, setting: Setting, mode: str = "rw") -> Keys:
    keys = Keys(course, setting)
    keys.books = read_books(keys.db_url, "ro" if mode == "ro" else "rw")
    return keys


def _stale_points(keys: Keys, steps: Iterable[Step]) -> str:
    """A line that names sections whose points changed since they were registered, and what to run; "" if none did."""
    stale, said = [], ""
    for section in _sections(step.submission for step in steps if step.what != "keep"):
        known, now = keys.points(section), points_of(section)
        if known and any(known.get(cell, 0.0) != points for cell, points in now.items()):
            stale.append(section.name)
            was = sum(known.get(cell, 0.0) for cell in now)
            said = said or f" (its tests are worth {sum(now.values()):g}, in the gradebook it is worth {was:g})"
    names = " ".join(stale)
    return f"the points of {', '.join(stale)} changed{said}; run: autograder build {names}" if stale else ""


def _whole(run: _Run, everyone: Iterable[Submission], finals: dict[tuple[str, str], Standing]) -> Roll:
    """The roll of all folders: this run's results, and the ledger's for the rest."""
    others = [one for one in everyone if (one.section.name, one.student) not in run.roll.briefs]
    whole = run.roll
    if others:
        whole = Roll.of(run.ledger.entries(others))
        whole.briefs |= run.roll.briefs
        whole.missed += run.roll.missed
        whole.ungraded = len(others) - len(whole.briefs) + len(run.roll.briefs)
        run.roll.finish(finals)
    whole.finish(finals)
    return whole.sort()


def _show(run: _Run, whole: Roll, *, by_student: bool) -> None:
    briefs = list(run.roll.sort())
    progress.show_table(briefs)
    progress.warn_of_sandbox(briefs)
    if by_student:
        progress.show_notes(run.roll)
    graded = progress.reasons(run.steps, "grade", "graded again")
    for line in (*graded, *progress.reasons(run.steps, "write", "written again")):
        progress.out.print(line, soft_wrap=True)
    said = whole.summary()
    progress.out.print(f"the whole class: {said}" if whole is not run.roll else said, soft_wrap=True)


def _sections(submissions: Iterable[Submission]) -> list[Section]:
    found = {submission.section.name: submission.section for submission in submissions}
    return [found[name] for name in sorted(found)]


def _build_missing(course: Course, submissions: Iterable[Submission]) -> None:
    """Build what is missing: nbgrader needs the built source, and the gradebook its assignments."""
    missing = [section for section in _sections(submissions) if not _is_built(section)]
    if missing and any(section.source.is_file() for section in missing):
        from autograder.authoring.build import build

        problems = build(course, [section.name for section in missing])
        if problems:
            raise UsageError(problems[0])


def _is_built(section: Section) -> bool:
    name = f"{section.notebook}.ipynb"
    return (section.built / name).exists() and (section.released / name).exists()
