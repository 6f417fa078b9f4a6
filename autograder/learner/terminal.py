"""Print checks, progress, other right answers and the doctor's report in a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from autograder.authoring.examples import answers, cell_text
from autograder.course import Course, Section
from autograder.errors import UsageError
from autograder.files import write_atomically
from autograder.learner.lab import learners_folder
from autograder.learner.local import check_file
from autograder.notebook.source import solution
from autograder.pages.markup import render
from autograder.sandbox.start import try_tier
from autograder.sandbox.tiers import BEST_FIRST, PROMISES, SandboxUnavailable, require_linux
from faultlab.pictures.sheet import clean

POLL_SECONDS = 0.5

_out = Console(highlight=False)


def check_all(notebooks: Sequence[Path]) -> int:
    """Check these notebooks and print what was seen; 0 when everything passes."""
    passed = True
    for path in notebooks:
        with _out.status(f"checking {path.name}"):
            found = check_file(path)
        _print(path, found)
        passed = passed and _passes(found)
    return 0 if passed else 1


def watch_all(notebooks: Sequence[Path]) -> int:
    """Check, and check again whenever a notebook is saved, until interrupted."""
    seen = {path: _saved(path) for path in notebooks}
    check_all(notebooks)
    _out.print("watching; Ctrl+C ends it")
    try:
        while True:
            time.sleep(POLL_SECONDS)
            for path, before in seen.items():
                if (now := _saved(path)) != before:
                    seen[path] = now
                    check_all([path])
    except KeyboardInterrupt:
        return 0


def show_progress(course: Course, folder: Path | None, html: Path | None) -> int:
    """The learner's points in each section of their own copy."""
    work = folder or learners_folder(course)
    rows = [(section, _standing(section, work)) for section in course.sections]
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("section", "exercise", "visible points", ""):
        table.add_column(name)
    for section, (points, said) in rows:
        table.add_row(section.name, section.exercise or "–", points, said)
    _out.print(table)
    if html is not None:
        write_atomically(html, _progress_page(rows).encode())
        _out.print(f"page: {html}")
    return 0


def compare_answers(course: Course, exercise: str, folder: Path | None) -> int:
    """Other right answers, once one's own passes."""
    section = next((section for section in course.sections if section.exercise == exercise), None)
    if section is None:
        known = ", ".join(section.exercise for section in course.sections if section.exercise)
        raise UsageError(f"there is no exercise {exercise!r}; there are: {known}")
    if not section.source.is_file():
        raise UsageError("solutions/ isn't part of this copy: ask your instructor for the worked answers")
    own = (folder or learners_folder(course)) / section.name / f"{section.notebook}.ipynb"
    if not own.exists() or not _passes(check_file(own)):
        _out.print(f"first make your own answer pass: {own}")
        return 1
    _out.rule("the worked answer")
    _out.print(Text(solution(section)))
    for path in answers(section, "right"):
        _out.rule(path.stem.replace("_", " "))
        _out.print(Text(cell_text(section, path)))
    return 0


def show_doctor() -> int:
    """Report the tiers that this machine allows; return 0 if one of them protects."""
    try:
        require_linux()
    except SandboxUnavailable as problem:
        _out.print(Text(str(problem)))
        return 1
    chosen = ""
    for name in BEST_FIRST:
        lost = try_tier(name)
        _out.print(Text(f"{name} ({PROMISES[name]}): {'available' if lost is None else f'not available: {lost.call}'}"))
        if lost is not None:
            _out.print(Text(f"    {lost.advice}"))
        elif not chosen:
            chosen = name
    _out.print(Text(_counted()))
    if chosen:
        _out.print(Text(f"submissions run in the {chosen} tier"))
        return 0
    _out.print(Text("submissions can't be locked in: grade elsewhere, or your own code with --allow-unsandboxed"))
    return 1


def _counted() -> str:
    """Whether the kernel counts memory and tasks of each submission."""
    line = "control groups (memory and tasks, counted by the kernel): "
    if sys.platform == "linux":
        from autograder.sandbox import cgroup

        try:
            cgroup.given()
        except cgroup.NotGiven as why:
            return f"{line}not available: {why}\n    {cgroup.ADVICE}"
    return f"{line}available"


def _passes(found: dict[str, Any]) -> bool:
    return bool(found["behaviours"]) and all(behaviour["passed"] for behaviour in found["behaviours"])


def _print(path: Path, found: dict[str, Any]) -> None:
    _out.print(Text(f"{path.name}: {found['score']:g} of {found['max_score']:g} visible points", style="bold"))
    if slip := found.get("slip"):
        what, _, text = slip.partition("\n")
        _out.print(Text(f"  {what}{':' if text else ''}", style="bold red"))
        _out.print(Text(f"      {text}" if text else ""))
        many = found["waiting"]
        _out.print(Text(f"  Correct this first: {many} behaviour{' waits' if many == 1 else 's wait'} for it."))
    if found["line"]:
        _out.print(Text(f"  {found['line']}"))
    for headline in found.get("mistakes", []):
        _out.print(Text(f"  it behaves like a typical mistake: {headline}"))
    for note in found.get("notes", []):
        _out.print(Text(f"  {note}"))
    _print_behaviours(found)
    for text in found.get("printed", []):
        _out.print(Text("  the code printed:"))
        for line in text.splitlines():
            _out.print(Text(f"      {clean(line)}"))


def _print_behaviours(found: dict[str, Any]) -> None:
    """Each behaviour, what was seen of those that have an explanation, and one hint: that of what to correct first."""
    explained = {one["test"]: one for one in found.get("explanations", [])}
    first = next(iter(explained), None)
    for behaviour in found["behaviours"]:
        mark, style = ("✓", "green") if behaviour["passed"] else ("✗", "yellow")
        _out.print(Text(f"  {mark} {behaviour['title']}", style=style))
        explanation = explained.get(behaviour["test"])
        for line in explanation["message"].splitlines() if explanation else []:
            _out.print(Text(f"      seen: {line}"))
        if explanation and explanation["hint"] and behaviour["test"] == first:
            _out.print(Text(f"      hint: {explanation['hint']}"))


def _saved(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def _standing(section: Section, work: Path) -> tuple[str, str]:
    path = work / section.name / f"{section.notebook}.ipynb"
    if section.exercise is None:
        return "", "nothing graded"
    if not path.exists():
        return "", "not begun"
    found = check_file(path)
    said = "passed" if _passes(found) else "not begun" if not found["score"] else "under way"
    return f"{found['score']:g} of {found['max_score']:g}", said


def _progress_page(rows: Sequence[tuple[Section, tuple[str, str]]]) -> str:
    passed = sum(said == "passed" for _, (_, said) in rows)
    graded = sum(section.exercise is not None for section, _ in rows)
    return render("progress.html", title="Progress", rows=rows, passed=passed, graded=graded)
