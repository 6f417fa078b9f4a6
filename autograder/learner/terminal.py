"""Print checks, other right answers and the doctor's report in a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from autograder.authoring.examples import answers, cell_text
from autograder.course import Course
from autograder.errors import UsageError
from autograder.learner.lab import learners_folder
from autograder.learner.lines import all_lines, changed_lines, passes
from autograder.learner.local import check_file
from autograder.notebook.source import solution
from autograder.sandbox.start import try_tier
from autograder.sandbox.tiers import BEST_FIRST, PROMISES, SandboxUnavailable, require_linux

POLL_SECONDS = 0.5

_out = Console(highlight=False)


def check_all(notebooks: Sequence[Path]) -> int:
    """Check these notebooks and print what was seen; 0 when everything passes."""
    passed = True
    for path in notebooks:
        found = _checked(path)
        _print(all_lines(path, found))
        passed = passed and passes(found)
    return 0 if passed else 1


def _checked(path: Path) -> dict[str, Any]:
    with _out.status(f"checking {path.name}"):
        return check_file(path)


def _print(lines: Iterable[Text]) -> None:
    for line in lines:
        _out.print(line)


def watch_all(notebooks: Sequence[Path], *, full: bool = False) -> int:
    """Check, and check again whenever a notebook is saved, until interrupted. Afterwards only what has changed since
    the last check is printed, unless `full`."""
    saved = {path: _saved(path) for path in notebooks}
    seen = {path: _checked(path) for path in notebooks}
    for path, found in seen.items():
        _print(all_lines(path, found))
    _out.print("watching; Ctrl+C ends it")
    try:
        while True:
            time.sleep(POLL_SECONDS)
            for path, before in saved.items():
                if (now := _saved(path)) != before:
                    found = _checked(path)
                    _print(all_lines(path, found) if full else changed_lines(path, seen[path], found))
                    saved[path], seen[path] = now, found
    except KeyboardInterrupt:
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
    if not own.exists() or not passes(check_file(own)):
        _out.print(f"first make your own answer pass: {own}")
        return 1
    _out.rule("the worked answer")
    _print_code(solution(section))
    for path in answers(section, "right"):
        _out.rule(path.stem.replace("_", " "))
        _print_code(cell_text(section, path))
    return 0


def _print_code(text: str) -> None:
    """Print code without breaking its lines, so that it can be copied."""
    _out.print(Text(text), soft_wrap=True)


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


def _saved(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0
