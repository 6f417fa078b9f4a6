"""Results -> pages to look at: a table of the class, and behind each line the page that the student gets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

from autograder.course import file_name, write_alone
from autograder.document import document, meter
from autograder.feedback import page
from autograder.result import Result
from faultlab.words import safe


def write_report(
    folder: Path, results: Sequence[Result], *, title: str, page_of: Callable[[Result], str] = page
) -> Path:
    """Write the report into `folder`; returns its first page. `page_of` gives the page that a student gets."""
    for result in results:
        if result.behaviours:
            write_alone(folder / _page_name(result), page_of(result).encode())
    index = folder / "index.html"
    write_alone(index, _index(results, title).encode())
    return index


def _page_name(result: Result) -> str:
    return f"{result.section}/{file_name(result.student)}.html"


def _index(results: Sequence[Result], title: str) -> str:
    rows = "".join(_row(result) for result in results)
    columns = (("student", ""), ("section", ""), ("points", " class=n"), ("reached", ""), ("verdict", ""))
    heads = "".join(f'<th scope="col"{kind}>{word}</th>' for word, kind in columns)
    table = f"<table class=wide><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    return document(title, f"<p>{_summary(results)}</p>{table}{_common(results)}")


def _row(result: Result) -> str:
    name = safe(result.name)
    link = f'<a href="{quote(_page_name(result))}">{name}</a>' if result.behaviours else name
    line = f"<br><small>{safe(result.line)}</small>" if result.line else ""
    return (
        f"<tr><td>{link}</td><td>{safe(result.section)}</td><td class=n>{result.score:g} / {result.max_score:g}</td>"
        f"<td>{meter(result.score, result.max_score)}</td>"
        f"<td>{safe(result.verdict)}{line}</td></tr>"
    )


def _summary(results: Sequence[Result]) -> str:
    verdicts = Counter(result.verdict for result in results)
    tiers = sorted({result.sandbox for result in results if result.sandbox})
    counts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
    where = f" Sandbox: {', '.join(tiers)}." if tiers else ""
    return f"{len(results)} submissions: {counts}.{where}"


def _common(results: Iterable[Result]) -> str:
    missed: Counter[tuple[str, str]] = Counter()
    for result in results:
        missed.update(dict.fromkeys((result.section, b.title) for b in result.behaviours if not b.passed).keys())
    if not missed:
        return ""
    items = "".join(
        f"<li>{safe(title)} <small>· {safe(section)}, missed by {count}</small></li>"
        for (section, title), count in missed.most_common(10)
    )
    return f"<h2>Most often missing</h2><ol>{items}</ol>"
