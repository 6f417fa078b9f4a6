"""The map in ARCHITECTURE.md is the code's: its rooms, what each imports, and that nothing runs in a circle."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
FILES = {
    path.relative_to(ROOT).as_posix(): path
    for package in ("autograder", "faultlab")
    for path in sorted((ROOT / package).rglob("*.py"))
    if "templates" not in path.parts
}
MODULES = {name.removesuffix(".py").removesuffix("/__init__").replace("/", "."): name for name in FILES}
ROW = re.compile(r"^\| `((?:autograder|faultlab)/[\w./]+)` \| [^|]+ \| ([^|]*) ?\|$", re.MULTILINE)
MAP = {room: [word.strip() for word in imports.split(",") if word.strip()] for room, imports in ROW.findall(PAGE)}


def imported(path: Path) -> Iterator[str]:
    """Our own files that a file imports, anywhere in it: inside functions and for types alone, too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else node.module for name in inner]
        yield from (MODULES[name] for name in names if name in MODULES)


IMPORTS = {name: {other for other in imported(path) if other != name} for name, path in FILES.items()}


def room_of(name: str) -> str:
    """The room of a file: its wing, or itself."""
    parts = name.split("/")
    return "/".join(parts[:2]) + ("/" if len(parts) > 2 else "")


def word_of(room: str) -> str:
    """A room as the table's third column names it."""
    module = room.removesuffix("/__init__.py").removesuffix(".py").removesuffix("/").replace("/", ".")
    return module.removeprefix("autograder.")


def test_every_file_has_its_room() -> None:
    """And every room of the map is there."""
    assert sorted(MAP) == sorted({room_of(name) for name in FILES})


@pytest.mark.parametrize("room", MAP)
def test_a_room_imports_what_the_map_says(room: str) -> None:
    """No more and no less."""
    found = {word_of(room_of(other)) for name in FILES if room_of(name) == room for other in IMPORTS[name]}
    found.discard(word_of(room))
    assert sorted(found) == sorted(MAP[room]), f"its third column: {', '.join(sorted(found))}"


def test_imports_go_down() -> None:
    """A room imports only rooms below it in the table."""
    order = [word_of(room) for room in MAP]
    upward = [
        f"{room} imports {other}"
        for place, room in enumerate(MAP)
        for other in MAP[room]
        if order.index(other) <= place
    ]
    assert upward == []


def test_no_file_is_in_a_circle() -> None:
    """Not even by imports inside functions."""
    TopologicalSorter(IMPORTS).prepare()


def test_every_file_is_listed_once() -> None:
    """In the list of its wing; and no file is named that isn't there."""
    listed = []
    for package, table in re.findall(r"^\| file of `(\w+/)` \|.*\n\|---\|---\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE):
        listed += [package + name for name in re.findall(r"^\| `([\w./]+)` \|", table, re.MULTILINE)]
    wings = [name for name in FILES if room_of(name).endswith("/") and not name.endswith("__init__.py")]
    assert sorted(listed) == sorted(wings)
    named = set(re.findall(r"`((?:autograder|faultlab|tests|solutions)/[\w./]+\.(?:py|md|toml))`", PAGE))
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
