"""`autograder new`: write a complete, working section, which its author changes step by step.

The files come from `templates/section/`, a section like any other; its name is replaced.
"""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from autograder.course import Course, Section
from autograder.errors import UsageError

TEMPLATE = Path(__file__).parents[1] / "templates" / "section"
EXAMPLE = "token_bucket"
"""The name that the template's files bear."""

_NAME = re.compile(r"(?:(\d{1,3})_)?([a-z][a-z0-9_]{0,39})")
_RESERVED = re.compile(r"scenarios|test_.*|con|prn|aux|nul|(com|lpt)\d")
"""Reserved: names of a section's other files, and names that Windows reserves."""


def new_section(course: Course, name: str) -> Section:
    """Write a new section's folder below `solutions/`; a name without a number gets the next free one.

    Raises UsageError when the name can't be a section's, or is taken: nothing is ever overwritten.
    """
    section = Section(_numbered(course, name), course)
    for path in _template_files():
        target = section.folder / path.relative_to(TEMPLATE).as_posix().replace(EXAMPLE, section.notebook)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as file:
            file.write(_renamed(path.read_text(encoding="utf-8"), section.notebook))
    return section


def what_next(section: Section) -> list[str]:
    """What the author does then, a line each."""
    folder = f"solutions/{section.name}"
    return [
        f"1. autograder build && autograder build --check {section.name}   # it works as it is",
        f"2. follow the notes in it, until none is left: grep -rn AUTHOR: {folder}",
        f"3. contract, scenarios.py, test_{section.notebook}.py, then the rest; build and check after each step",
    ]


def _numbered(course: Course, name: str) -> str:
    match = _NAME.fullmatch(name)
    if match is None or keyword.iskeyword(match[2]):
        raise UsageError(f"{name!a} can't be a section's name: write up to 40 lower-case letters, digits and _")
    number, notebook = match[1], match[2]
    if _RESERVED.fullmatch(notebook):
        raise UsageError(f"{name!a} can't be a section's name: its files would have reserved names; choose another")
    there = _folders(course)
    for other in there:
        if Section(other, course).notebook == notebook:
            raise UsageError(f"there is a section {other} already: choose another name than {notebook}")
    numbers = {int(match[1]): other for other in there if (match := re.match(r"(\d+)_", other))}
    if number is None:
        number = f"{max(numbers, default=-1) + 1:02d}"
    elif int(number) in numbers:
        raise UsageError(f"{numbers[int(number)]} has the number {number} already: choose another, or leave it out")
    return f"{number}_{notebook}"


def _folders(course: Course) -> list[str]:
    """The names of all folders that are or were sections, unfinished and released ones included."""
    places = [folder for folder in (course.solutions, course.notebooks) if folder.is_dir()]
    return sorted({entry.name for folder in places for entry in folder.iterdir() if entry.is_dir()})


def _template_files() -> list[Path]:
    return sorted(path for path in TEMPLATE.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def _renamed(text: str, name: str) -> str:
    """The template's text for a section of another name."""
    return text.replace(EXAMPLE, name).replace(_title(EXAMPLE), _title(name))


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()
