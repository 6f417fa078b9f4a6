"""Write the class's report: a table, and behind each line the page that the student gets."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from autograder.files import file_name, sweep, write_alone
from autograder.judging.result import Result
from autograder.pages.feedback import page
from autograder.pages.markup import render
from autograder.pages.roll import Brief, Roll


def write_report(folder: Path, results: Iterable[Result], *, title: str, roll: Roll | None = None) -> Path:
    """Write the report into `folder`, pages included; returns its first page. `roll` is filled with the results."""
    roll = Roll() if roll is None else roll
    for result in results:
        roll.add(result)
        if result.behaviours:
            write_alone(folder / page_name(result.student, result.section), page(result).encode())
    return write_index(folder, roll, title=title)


def write_index(folder: Path, roll: Roll, *, title: str, page_of: Callable[[Brief], Path] | None = None) -> Path:
    """Write the report's first page; returns its path.

    page_of: the path of the page that the student got; its copy in the report is renewed when it has changed.
    """
    for brief in roll:
        if page_of is not None and brief.has_page:
            renew(folder / page_name(brief.student, brief.section), page_of(brief))
    index = folder / "index.html"
    tiers = sorted({brief.sandbox for brief in roll if brief.sandbox})
    write_alone(index, render("report.html", title=title, roll=roll, tiers=tiers, page_name=page_name).encode())
    return index


def page_name(student: str, section: str) -> str:
    """The name of a student's page in a report."""
    return f"{section}/{file_name(student)}.html"


def renew(copy: Path, original: Path) -> None:
    """Link `copy` to the page, or copy the page where a file can't have two names."""
    try:
        there = original.stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    if copy.exists():
        here = copy.stat()
        if os.path.samestat(here, there) or (here.st_size, here.st_mtime_ns) == (there.st_size, there.st_mtime_ns):
            return
    sweep(copy)
    copy.parent.mkdir(parents=True, exist_ok=True)
    beside = copy.with_name(f".{copy.name}.{os.getpid()}.new")
    try:
        os.link(original, beside)
        os.replace(beside, copy)
    except OSError:
        write_alone(copy, original.read_bytes())
        os.utime(copy, ns=(there.st_mtime_ns, there.st_mtime_ns))
    finally:
        beside.unlink(missing_ok=True)
