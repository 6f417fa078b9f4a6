"""Find what must not be released: lines of a solution or a hidden test, and nbgrader's marks of either."""

from __future__ import annotations

import json
from collections.abc import Iterator

from autograder.course import Section
from autograder.notebook.source import BEGIN_HIDDEN, BEGIN_SOLUTION, END_HIDDEN, END_SOLUTION

LINES = 6
"""So many consecutive lines of a solution or a hidden test are no coincidence."""


def leaks(section: Section, files: dict[str, bytes]) -> Iterator[tuple[str, str]]:
    """Each file for students that holds such lines, and what it holds, however they got there."""
    public = _normal(section.tests.read_text(encoding="utf-8")) if section.tests.is_file() else []
    secrets = {"the solution": _solution_lines(section), "a hidden test": _hidden_lines(section)}
    for path, data in files.items():
        lines = _visible_lines(path, data)
        marks = (BEGIN_SOLUTION, END_SOLUTION, BEGIN_HIDDEN, END_HIDDEN)
        held = [f"the mark {mark}" for mark in marks if any(mark in line for line in lines)]
        held += [what for what, texts in secrets.items() if any(_shows(lines, text, public) for text in texts)]
        yield from ((path, what) for what in held)


def _solution_lines(section: Section) -> list[list[str]]:
    regions: list[list[str]] = []
    inside = False
    for line in section.source.read_text(encoding="utf-8").splitlines():
        if BEGIN_SOLUTION in line:
            inside = True
            regions.append([])
        elif END_SOLUTION in line:
            inside = False
        elif inside:
            regions[-1].append(line)
    return [_normal("\n".join(region)) for region in regions]


def _hidden_lines(section: Section) -> list[list[str]]:
    folder = section.folder / "hidden"
    return [_normal(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.py"))]


def _visible_lines(path: str, data: bytes) -> list[str]:
    text = data.decode("utf-8", errors="replace")
    if not path.endswith(".ipynb"):
        return _normal(text)
    try:
        return _normal("\n".join(_strings(json.loads(text))))
    except ValueError:
        return _normal(text)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        # a notebook's text may be a list of lines, or one string
        yield "".join(value) if value and all(isinstance(item, str) for item in value) else ""
        yield from (text for item in value if not isinstance(item, str) for text in _strings(item))
    elif isinstance(value, dict):
        yield from (text for item in value.values() for text in _strings(item))


def _normal(text: str) -> list[str]:
    """Normalise lines for comparison: no indentation, no blank lines, no comment marks."""
    return [line for line in (line.strip().lstrip("#").strip() for line in text.splitlines()) if line]


def _shows(lines: list[str], secret: list[str], public: list[str]) -> bool:
    """Whether `lines` hold so many consecutive lines of the secret that aren't public; one line alone proves
    nothing."""
    size = min(LINES, len(secret))
    return size > 1 and not (_runs(secret, size) - _runs(public, size)).isdisjoint(_runs(lines, size))


def _runs(lines: list[str], size: int) -> set[tuple[str, ...]]:
    return {tuple(lines[start : start + size]) for start in range(len(lines) - size + 1)}
