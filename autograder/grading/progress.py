"""Print the progress and the outcome of `grade`: a bar or lines, the table, the summary."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from autograder.grading.ledger import NEW, Step
from autograder.judging.result import Result
from autograder.pages.roll import Brief, Roll
from faultlab.pictures.sheet import clean

EVERY = 5.0
"""Seconds between two lines where there is no terminal."""

out, err = Console(highlight=False), Console(stderr=True, highlight=False)

Job = TypeVar("Job")
Found = Generator[tuple[Job, Result], None, None]


def followed(found: Iterable[tuple[Job, Result]], total: int) -> Found[Job]:
    """Pass results on and show progress: a bar on a terminal, otherwise a line every few seconds."""
    return _bar(found, total) if err.is_terminal else _lines(found, total)


def _bar(found: Iterable[tuple[Job, Result]], total: int) -> Found[Job]:
    """A bar, as soon as it takes more than a second."""
    columns = (
        TextColumn("grading"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    shown = Progress(*columns, console=err, transient=True)
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


def _lines(found: Iterable[tuple[Job, Result]], total: int, clock: Callable[[], float] = time.monotonic) -> Found[Job]:
    began = said = clock()
    for count, (job, result) in enumerate(found, 1):
        now = clock()
        if now - said >= EVERY and count < total:
            left = _duration((now - began) / count * (total - count))
            tell(f"graded {count:,} of {total:,}, about {left} left")
            said = now
        yield job, result


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


def tell(line: str, style: str = "") -> None:
    """A line on stderr, whatever the terminal's width."""
    err.print(Text(line, style=style), soft_wrap=True)


def show_table(briefs: Sequence[Brief]) -> None:
    """Print the table, a line for each result: words that don't fit end in an ellipsis, points are always whole."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("student")
    table.add_column("section")
    table.add_column("points", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column()
    for brief in briefs:
        table.add_row(
            _in_a_line(brief.shown),
            _in_a_line(brief.section),
            f"{brief.score:g} / {brief.max_score:g}",
            Text(brief.verdict, style="green" if brief.score >= brief.max_score else "yellow"),
            _in_a_line("; ".join(filter(None, (brief.made_of, brief.said)))),
        )
    out.print(table)


def _in_a_line(words: str) -> Text:
    return Text(clean(words, 1000), no_wrap=True, overflow="ellipsis")


def show_notes(roll: Roll) -> None:
    """Print all notes of each result."""
    for brief in roll:
        for note in brief.notes:
            out.print(Text(f"{brief.name}: {clean(note, 1000)}"), soft_wrap=True)


def warn_of_sandbox(briefs: Iterable[Brief]) -> None:
    """Say so when submissions ran in less than the best sandbox."""
    tiers = {brief.sandbox for brief in briefs}
    if "none" in tiers:
        tell("autograder: these submissions ran WITHOUT a sandbox (--allow-unsandboxed)", "bold red")
    elif "landlock" in tiers:
        tell("autograder: these submissions ran in the weaker sandbox (landlock); `autograder doctor` says why", "bold")


def reasons(steps: Iterable[Step], what: str, done: str) -> list[str]:
    """Count these steps by reason, a line each; submissions that were never graded need no reason."""
    counts = Counter(step.why for step in steps if step.what == what and step.why != NEW)
    return [f"{count:,} {'was' if count == 1 else 'were'} {done}: {why}" for why, count in counts.most_common()]


def show_plan(steps: Sequence[Step]) -> None:
    """Print what the next grading would do, and why."""
    todo = [step for step in steps if step.what != "keep"]
    words = {"grade": "graded", "write": "written again"}
    names = [clean(step.submission.student, 40).strip() or ascii(step.submission.student) for step in todo]
    width = max([0, *map(len, names)])
    for name, step in zip(names, todo, strict=True):
        section = step.submission.section.name
        out.print(Text(f"{name:{width}}  {section}  would be {words[step.what]}: {step.why}"), soft_wrap=True)
    for what, word in words.items():
        of_these = [step for step in todo if step.what == what]
        counts = Counter(step.why for step in of_these)
        said = ", ".join(f"{count:,} {why}" for why, count in counts.most_common())
        if of_these:
            out.print(Text(f"{len(of_these):,} would be {word}: {said}"), soft_wrap=True)
    out.print(Text(f"{len(steps) - len(todo):,} of {len(steps):,} would stay as they are"), soft_wrap=True)


def from_here(path: Path) -> str:
    """The path as one would type it in this directory."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
