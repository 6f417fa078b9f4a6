"""Build TEACHING.md, the instructor's guide, from the files in `solutions/`.

    routes.md                routes through the course, in which order to release
    <section>/teaching.md    a demonstration, a question for discussion
    <section>/wrong/*        their headlines are the misconceptions to expect
    lecture.md               the lecture's headings and listings; each must be carried by some cell, marked
                             `lecture="heading or listing; another"` in its header

A course without `routes.md` has no such page.
"""

from __future__ import annotations

from collections.abc import Iterator

from autograder.authoring.examples import wrong_answers
from autograder.course import Course, Section
from autograder.notebook.source import author_notebook

HANDBOOK_FILE = "TEACHING.md"
_MADE = "<!-- Made by `autograder build` from solutions/: change it there. -->"


def handbook(course: Course) -> tuple[str, list[str]]:
    """The page's text ("" when the course has none) and what is missing for it, a line each."""
    routes = course.solutions / "routes.md"
    if not routes.is_file():
        return "", []
    problems: list[str] = []
    parts = [_MADE, routes.read_text(encoding="utf-8").strip()]
    for section in course.sections:
        words, found = _about(section)
        parts.append(words)
        problems += found
    table, found = _lecture(course)
    return "\n\n".join([*parts, table]).strip() + "\n", problems + found


def _about(section: Section) -> tuple[str, list[str]]:
    """One section's chapter."""
    own = section.folder / "teaching.md"
    if not own.is_file():
        line = f"{section.name}: no teaching.md; write a five-minute demonstration and a question for discussion there"
        return f"## {section.name}", [line]
    words = f"## {section.name}\n\n{own.read_text(encoding='utf-8').strip()}"
    mistakes = [answer.headline for answer in wrong_answers(section)]
    if mistakes:
        words += "\n\n### Misconceptions to expect\n\n" + "\n".join(f"* {mistake}" for mistake in mistakes)
    return words, []


def _lecture(course: Course) -> tuple[str, list[str]]:
    """The table from the lecture's headings and listings to cells."""
    outline = course.solutions / "lecture.md"
    if not outline.is_file():
        return "", []
    carried = dict(_carried(course))
    rows, problems = ["| lecture | notebook | cell |", "|---|---|---|"], []
    known = set()
    for line in outline.read_text(encoding="utf-8").splitlines():
        name, shown = _item(line)
        if name:
            known.add(name)
            where = carried.get(name, ("", ""))
            rows.append(f"| {shown} | {where[0]} | {where[1]} |")
            if not where[0]:
                problems.append(f'lecture.md: no cell carries {name!r}; mark the one that does, lecture="{name}"')
    problems += [f"{where[0]}: {name!r} isn't in lecture.md" for name, where in carried.items() if name not in known]
    return "## Where the lecture's headings and listings are\n\n" + "\n".join(rows), problems


def _item(line: str) -> tuple[str, str]:
    """A line of the outline: the name, and how the table shows it."""
    text = line.strip()
    if text.startswith("#"):
        return text.lstrip("# "), f"**{text.lstrip('# ')}**"
    if text.startswith("- "):
        return text[2:], f"`{text[2:]}`"
    return "", ""


def _carried(course: Course) -> Iterator[tuple[str, tuple[str, str]]]:
    for section in reversed(course.sections):  # what is carried twice is shown where it comes first
        for cell in reversed(author_notebook(section).cells):
            for name in str(cell.metadata.get("lecture", "")).split(";"):
                if name.strip():
                    first = next(iter(cell.source.strip().splitlines()), "").replace("|", "\\|")
                    yield name.strip(), (section.name, f"`{first.lstrip('# ')[:70]}`")
