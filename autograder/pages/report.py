"""Results -> pages to look at: a table of the class, and behind each line the page that the student gets."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import quote

from autograder.files import file_name, sweep, write_alone
from autograder.judging.result import Result
from autograder.pages.document import document, meter
from autograder.pages.feedback import page
from autograder.pages.roll import Brief, Roll
from faultlab.pictures.words import safe


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

    `page_of` says where the page lies that the student got: its copy in the report is renewed when it has changed.
    """
    for brief in roll:
        if page_of is not None and brief.has_page:
            renew(folder / page_name(brief.student, brief.section), page_of(brief))
    index = folder / "index.html"
    write_alone(index, _index(roll, title).encode())
    return index


def page_name(student: str, section: str) -> str:
    """Where a student's page lies in a report."""
    return f"{section}/{file_name(student)}.html"


def renew(copy: Path, original: Path) -> None:
    """Make `copy` the same file as the page, or one like it where a file can't have two names."""
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


def _index(roll: Roll, title: str) -> str:
    rows = "".join(map(_row, roll))
    columns = (("student", ""), ("section", ""), ("points", " class=n"), ("reached", ""), ("verdict", ""))
    heads = "".join(f'<th scope="col"{kind}>{word}</th>' for word, kind in columns)
    table = f"<table class=wide><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    return document(title, f"<p>{_summary(roll)}</p>{_in_need(roll)}{table}{_common(roll)}")


def _row(brief: Brief) -> str:
    line = f"<br><small>{safe(brief.line)}</small>" if brief.line else ""
    made_of = f"<br><small>{safe(brief.made_of)}</small>" if brief.made_of else ""
    points = f"{brief.score:g} / {brief.max_score:g}"
    return (
        f"<tr><td>{_link(brief)}</td><td>{safe(brief.section)}</td><td class=n>{points}{made_of}</td>"
        f"<td>{meter(brief.score, brief.max_score)}</td>"
        f"<td>{safe(brief.verdict)}{line}</td></tr>"
    )


def _link(brief: Brief) -> str:
    name = safe(brief.shown)
    if not brief.has_page:
        return name
    return f'<a href="{quote(page_name(brief.student, brief.section))}">{name}</a>'


def _summary(roll: Roll) -> str:
    tiers = sorted({brief.sandbox for brief in roll if brief.sandbox})
    where = f" Sandbox: {', '.join(tiers)}." if tiers else ""
    return f"{safe(roll.counts(), 400)}.{where}"


def _in_need(roll: Roll) -> str:
    """The list of those that a person has to look at."""
    items = "".join(
        f"<li>{_link(brief)} <small>· {safe(brief.section)}</small>: {safe(brief.needs)}</li>" for brief in roll.in_need
    )
    return f"<h2>These need you</h2><ul>{items}</ul><h2>The class</h2>" if items else ""


def _common(roll: Roll) -> str:
    """What was missed most often; what was missed equally often is in the order of sections, then of titles."""
    often = sorted(roll.missed.items(), key=lambda one: (-one[1], one[0]))
    items = "".join(
        f"<li>{safe(title)} <small>· {safe(section)}, missed by {count}</small></li>"
        for (section, title), count in often[:10]
    )
    return f"<h2>Most often missing</h2><ol>{items}</ol>" if items else ""
