"""Build TEACHING.md, the instructor's guide, from the files in `solutions/`.

    routes.md                the title, routes through the course, in which order to release
    term.md                  the commands of a term; may be left out
    <section>/teaching.md    the minutes, then `## Five-minute demonstration`, `## For discussion`, others, and last
                             `## Misconceptions`: the names of up to five files of wrong/ that matter most, a line each
    <section>/wrong/*        their headlines are the misconceptions to expect
    lecture.md               the lecture's headings and listings; each must be carried by some cell, marked
                             `lecture="heading or listing; another"` in its header

The page has one title, a chapter for each section, and below it what that section's `teaching.md` has as chapters.
A course without `routes.md` has no such page.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from autograder.authoring.examples import WrongAnswer, wrong_answers
from autograder.course import Course, Section
from autograder.notebook.source import author_notebook

HANDBOOK_FILE = "TEACHING.md"
DEMONSTRATION, DISCUSSION, MISCONCEPTIONS = "Five-minute demonstration", "For discussion", "Misconceptions"
SHOWN = 5
"""So many misconceptions of a section are shown; the others are folded."""
_MADE = "<!-- Made by `autograder build` from solutions/: change it there. -->"


def handbook(course: Course) -> tuple[str, list[str]]:
    """The page's text ("" when the course has none) and what is missing for it, a line each."""
    routes = course.solutions / "routes.md"
    if not routes.is_file():
        return "", []
    problems: list[str] = []
    common = [path for path in (routes, course.solutions / "term.md") if path.is_file()]
    parts = [_MADE, *(path.read_text(encoding="utf-8").strip() for path in common)]
    titles = re.findall(r"^# .*$", "\n\n".join(parts), re.MULTILINE)
    if len(titles) != 1 or not parts[1].startswith("# "):
        problems.append("routes.md: begin with the page's title, # Title; it is the only heading of that level")
    for section in course.sections:
        words, found = _about(section)
        parts.append(words)
        problems += found
    table, found = _lecture(course)
    return "\n\n".join([*parts, table]).strip() + "\n", problems + found


def _about(section: Section) -> tuple[str, list[str]]:
    """One section's chapter, and what is wrong with it."""
    own = section.folder / "teaching.md"
    if not own.is_file():
        line = f"{section.name}: no teaching.md; write a five-minute demonstration and a question for discussion there"
        return f"## {section.name}", [line]
    minutes, *chapters = re.split(r"^## ", own.read_text(encoding="utf-8").strip(), flags=re.MULTILINE)
    texts = {name.strip(): text.strip() for name, _, text in (chapter.partition("\n") for chapter in chapters)}
    problems = [f"{section.name}: teaching.md {problem}" for problem in _misshapen(minutes, texts)]
    wrong = wrong_answers(section)
    chosen = re.findall(r"^\* (\S+)$", texts.pop(MISCONCEPTIONS, ""), re.MULTILINE)
    problems += [f"{section.name}: teaching.md {problem}" for problem in _badly_chosen(chosen, wrong)]
    parts = [f"## {section.name}", minutes.strip(), *(f"### {name}\n\n{text}" for name, text in texts.items())]
    if wrong:
        parts.append(_misconceptions(section, wrong, chosen))
    return "\n\n".join(filter(None, parts)), problems


def _misshapen(minutes: str, texts: dict[str, str]) -> Iterator[str]:
    """How a section's page differs from the form of all of them."""
    if not minutes.strip() or list(texts)[:2] != [DEMONSTRATION, DISCUSSION]:
        yield f"has another form; write the minutes, then ## {DEMONSTRATION}, then ## {DISCUSSION}"
    odd = re.search(r"^(?:#|#{3,}) .*$", "\n".join([minutes, *texts.values()]), re.MULTILINE)
    if odd:
        yield f"has the heading {odd[0]!r}; write ## in place of its marks, or bold text"


def _badly_chosen(chosen: list[str], wrong: list[WrongAnswer]) -> Iterator[str]:
    """What is wrong with the choice of the misconceptions that are shown."""
    known = {one.path.stem for one in wrong}
    if (wrong and not chosen) or len(chosen) > SHOWN:
        yield f"must name one to {SHOWN} files of wrong/ that matter most; write below ## {MISCONCEPTIONS}: * name"
    if lost := [name for name in chosen if name not in known]:
        yield f"names {', '.join(lost)} below ## {MISCONCEPTIONS}, and wrong/ has no such file; correct it"


def _misconceptions(section: Section, wrong: list[WrongAnswer], chosen: list[str]) -> str:
    """Those that matter most, then all others, folded, by the behaviour that they fail."""
    by_stem = {one.path.stem: one for one in wrong}
    shown = [by_stem[name] for name in chosen if name in by_stem]
    titles = _titles(section)
    groups: dict[str, list[str]] = {title: [] for title in titles.values()}
    for one in wrong:
        if one not in shown:
            groups.setdefault(titles.get(one.known_by, "Others"), []).append(f"* {one.headline}")
    folded = [f"**{title}**\n\n" + "\n".join(lines) for title, lines in groups.items() if lines]
    parts = [f"### {MISCONCEPTIONS}", "\n".join(f"* {one.headline}" for one in shown)]
    if folded:
        many = len(wrong) - len(shown)
        summary = f"<summary>{many} more, by the behaviour that {'it fails' if many == 1 else 'they fail'}</summary>"
        parts += [f"<details>{summary}", *folded, "</details>"]
    return "\n\n".join(filter(None, parts))


def _titles(section: Section) -> dict[str, str]:
    """What each behaviour is called, in the order of the tests: the first line of its docstring."""
    tree = ast.parse(section.tests.read_text(encoding="utf-8")) if section.tests.is_file() else ast.Module([], [])
    tests = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    docs = {node.name.removeprefix("test_"): ast.get_docstring(node) or node.name for node in tests}
    return {test: doc.partition("\n")[0].rstrip(".") for test, doc in docs.items()}


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
