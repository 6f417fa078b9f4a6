"""Grading from the command line: the class with its gradebook, and the bundled demo class."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from autograder.course import Course, Section, Submission, UsageError, student_problem, write_alone
from autograder.grade import Job, Setting, everything, read_submission
from autograder.ledger import Ledger, key_of
from autograder.report import write_report
from autograder.result import Result
from autograder.stamps import with_note
from faultlab.sheet import clean

CHUNK = 20
"""Results are written to the gradebook in portions of this size, beside the grading of the next ones: what is lost to
a crash is graded again."""

_out, _err = Console(highlight=False), Console(stderr=True, highlight=False)


def grade_course(
    course: Course,
    folder: Path | None,
    json_file: Path | None,
    *,
    section: str | None,
    student: str | None,
    jobs: int | None,
    seed: int,
    force: bool,
    limit: float,
    allow_unsandboxed: bool,
) -> int:
    """`autograder grade`. Returns the exit code."""
    submissions = list(course.submissions(folder, section=section, student=student))
    submissions = [one for one in submissions if one.section.exercise is not None]
    if not submissions:
        raise UsageError(
            f"nothing to grade in {folder or course.submitted}: collect <student>/<section>/ folders there"
        )
    if json_file is not None:
        _check_writable(json_file)
    setting = Setting(seed, jobs or os.cpu_count() or 1, allow_unsandboxed, limit=limit)
    with course.lock():
        _build_missing(course, submissions)
        results, problem = _grade_and_write(course, submissions, setting, force=force)
    results.sort(key=lambda result: (result.section, result.student))
    _show(results)
    if json_file is not None:
        lines = "".join(json.dumps(result.row()) + "\n" for result in results)
        write_alone(json_file, lines.encode())
    page = write_report(
        course.build / "report",
        results,
        title="Graded",
        page_of=lambda result: _page(course, result, written=not problem),
    )
    _out.print(f"report: {_from_here(page)}")
    if problem:
        _err.print(Text(f"autograder: {problem}"), soft_wrap=True)
    return 1 if problem or any(result.verdict != "graded" for result in results) else 0


def grade_demo(course: Course, *, jobs: int | None, allow_unsandboxed: bool) -> int:
    """`autograder demo`: wrong and right answers of every section as a class. Returns the exit code."""
    from autograder.demo import make_class

    folder = course.build / "demo"
    _build_missing(course, (Submission("", section, Path()) for section in course.sections if section.exercise))
    submissions = list(course.submissions(make_class(course, folder / "submitted")))
    setting = Setting(0, jobs or os.cpu_count() or 1, allow_unsandboxed)
    found = _bar(everything(course, submissions, setting), len(submissions))
    results = sorted((result for _, result in found), key=lambda result: (result.section, result.student))
    _show(results)
    page = write_report(folder / "report", results, title="A class of typical mistakes and right answers")
    _out.print(f"report with feedback pages: {_from_here(page)}")
    return 0


def _grade_and_write(
    course: Course, submissions: Sequence[Submission], setting: Setting, *, force: bool
) -> tuple[list[Result], str]:
    ledger = Ledger(course)
    keys: dict[tuple[str, str], str] = {}
    results: list[Result] = []
    todo: list[Submission] = []
    described = f"{setting.seed}/{setting.allow_unsandboxed}"
    for submission in submissions:
        read = read_submission(submission)
        data, chosen = (None, "") if isinstance(read, Result) else (read.data, f"{read.notes}{read.needs}")
        key = keys[submission.student, submission.section.name] = key_of(submission.section, data, described + chosen)
        finished = None if force else ledger.finished(submission, key)
        if finished is not None and not _written(course, submission):
            finished = None
        if finished is None:
            todo.append(submission)
        else:
            results.append(finished)
    unchanged = [(result.student, result.section) for result in results]
    fresh: list[tuple[Job | None, Result]] = []
    written: list[Future[str]] = []
    with ThreadPoolExecutor(1) as writer:
        writer.submit(_load_gradebook)
        try:
            with closing(_bar(everything(course, todo, setting), len(todo))) as found:
                for job, result in found:
                    result = with_note(result, course.submitted / result.student / result.section)
                    results.append(result)
                    fresh.append((job, result))
                    if len(fresh) >= CHUNK:
                        written.append(writer.submit(_write, course, ledger, keys, fresh))
                        fresh = []
        finally:
            written.append(writer.submit(_write, course, ledger, keys, fresh))
            written.append(writer.submit(_refresh, course, unchanged))
            problems = [one.result() for one in written]
    return results, next(filter(None, problems), "")


def _write(
    course: Course, ledger: Ledger, keys: dict[tuple[str, str], str], fresh: list[tuple[Job | None, Result]]
) -> str:
    """Gradebook, copies, feedback pages, and then the ledger. Returns the problem, if any."""
    from autograder.gradebook import GradebookProblem, write

    # Who has no proper id has no place in a gradebook, and no file is named like that.
    fresh = [(job, result) for job, result in fresh if not student_problem(result.student)]
    if not fresh:
        return ""
    results = [result for _, result in fresh]
    notebooks = {(result.student, result.section): job.data for job, result in fresh if job is not None}
    try:
        refused = write(course, results, notebooks)
    except GradebookProblem as error:
        return f"nothing was written to the gradebook: {error}"
    results = [result for result in results if result.student not in refused]
    try:
        ledger.enter((keys[result.student, result.section], result) for result in results)
    except OSError as error:
        return f"{error.filename}: {error.strerror}; make room or allow writing, then run again"
    return "; ".join(refused.values())


def _refresh(course: Course, unchanged: list[tuple[str, str]]) -> str:
    """The pages of what wasn't graded anew, with what people entered since. Returns the problem, if any."""
    from autograder.gradebook import GradebookProblem, refresh

    try:
        refresh(course, unchanged)
    except GradebookProblem as error:
        return f"the students' pages weren't brought up to date: {error}"
    return ""


def _page(course: Course, result: Result, *, written: bool) -> str:
    """The page that was written for the student; who has no place in the gradebook has none."""
    from autograder.feedback import page

    path = _feedback_page(course.section(result.section), result.student)
    if not written or student_problem(result.student) or not path.is_file():
        return page(result)
    return path.read_text(encoding="utf-8")


def _written(course: Course, submission: Submission) -> bool:
    """Whether the files that belong to a result are there."""
    section, student = submission.section, submission.student
    copy = course.autograded / student / section.name / f"{section.notebook}.ipynb"
    return _feedback_page(section, student).exists() and copy.exists()


def _feedback_page(section: Section, student: str) -> Path:
    return section.course.feedback / student / section.name / f"{section.notebook}.html"


def _check_writable(path: Path) -> None:
    """Before an hour of grading, not after it. Raises UsageError."""
    folder = path.parent
    if path.is_dir():
        raise UsageError(f"--json {path}: that is a folder; name a file")
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UsageError(f"--json {path}: there is no folder {folder} that can be written to; make it first")


def _load_gradebook() -> None:
    """Importing nbgrader takes a second: beside the grading, not after it, and where it will be used, since two threads
    that import parts of it at once can end in a deadlock."""
    import autograder.gradebook  # noqa: F401


def _build_missing(course: Course, submissions: Iterable[Submission]) -> None:
    """Stock nbgrader and we need the built source, and the gradebook its assignments."""
    sections = {submission.section.name: submission.section for submission in submissions}
    missing = [section.name for section in sections.values() if not _is_built(section)]
    if missing and any(sections[name].source.is_file() for name in missing):
        from autograder.build import build

        problems = build(course, missing)
        if problems:
            raise UsageError(problems[0])


def _is_built(section: Section) -> bool:
    name = f"{section.notebook}.ipynb"
    return (section.built / name).exists() and (section.released / name).exists() and section.course.gradebook.exists()


def _bar(found: Iterable[tuple[Job | None, Result]], total: int) -> Generator[tuple[Job | None, Result], None, None]:
    """Progress on a terminal, as soon as it takes more than a second."""
    columns = (
        TextColumn("grading"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    shown = Progress(*columns, console=_err, transient=True, disable=not _err.is_terminal)
    task = shown.add_task("", total=total)
    began = time.monotonic()
    try:
        for job, result in found:
            if time.monotonic() - began > 1:
                shown.start()
            shown.update(task, advance=1, description=escape(result.name))
            yield job, result
    finally:
        shown.stop()


def _show(results: Sequence[Result]) -> None:
    """One line each, whatever the terminal's width: what is said last ends in an ellipsis when it doesn't fit."""
    rows = [
        (
            _cut(result.name, _out.width // 3),
            _cut(result.section, _out.width // 5),
            Text(f"{result.score:g} / {result.max_score:g}"),
            Text(result.verdict, style="green" if result.score == result.max_score else "yellow"),
        )
        for result in results
    ]
    names = ("student", "section", "points", "verdict")
    widths = [max(len(name), *(row[n].cell_len for row in rows)) for n, name in enumerate(names)]
    left = max(1, _out.width - sum(widths) - 2 * len(names))
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in names:
        table.add_column(name, no_wrap=True, justify="right" if name == "points" else "left")
    table.add_column("", no_wrap=True)
    for row, result in zip(rows, results, strict=True):
        table.add_row(*row, _cut(_in_a_line(result), left))
    _out.print(table)
    if any(result.sandbox == "none" for result in results):
        _err.print(Text("autograder: these submissions ran WITHOUT a sandbox (--allow-unsandboxed)", style="bold red"))
    elif any(result.sandbox == "landlock" for result in results):
        line = "autograder: these submissions ran in the weaker sandbox (landlock); `autograder doctor` says why"
        _err.print(Text(line, style="bold"), soft_wrap=True)


def _cut(words: str, width: int) -> Text:
    text = Text(clean(words, 1000))
    text.truncate(width, overflow="ellipsis")
    return text


def _in_a_line(result: Result) -> str:
    """What is most worth saying of a result; of a message its first line."""
    first = next((behaviour for behaviour in result.behaviours if not behaviour.passed), None)
    if result.line or first is None:
        return result.line
    said = first.message.partition("\n")[0]
    return f"{first.title}: {said}" if said else first.title


def _from_here(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
