"""What is private to a library is touched in one file of each package, and there only while the library has it.

Private is what begins with an underscore and isn't defined in the very file that uses it. So our own modules may not
reach into one another either.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("faultlab", "autograder")

HOMES: dict[str, tuple[str, ...]] = {
    "faultlab/clock/insides.py": ("asyncio",),
    "faultlab/clock/anyio_threads.py": ("anyio",),
    "faultlab/clock/threads.py": ("threading",),
    "autograder/judging/judge.py": ("pytest", "_pytest"),
    "autograder/nbgrader/insides.py": ("nbgrader",),
    "autograder/notebook/shell.py": ("IPython", "traitlets", "ipywidgets"),
}
"""The files that may, and the libraries whose private parts they may touch. Each library has one file in a package."""

EXTEND: dict[str, tuple[str, frozenset[str]]] = {
    "faultlab/clock/loop.py": (
        "asyncio",
        frozenset(("_ready", "_check_closed", "_check_running", "_cancelled", "_run", "_when", "_loop")),
    ),
    "autograder/notebook/shell.py": ("asyncio", frozenset(("_ready", "_run_once"))),
    "autograder/gradebook.py": ("nbgrader", frozenset(("_add_score",))),
    "autograder/nbgrader/exchange.py": ("nbgrader", frozenset(("_path_to_record", "_sort_by_timestamp"))),
}
"""Subclasses of a library's classes: the names that they inherit and use."""

PUBLIC = frozenset(("_asdict", "_fields", "_make", "_replace", "_exit", "_getframe", "_thread", "_urandom"))
"""Documented in spite of their names: of named tuples, of `os` and `sys`, the module `_thread`; and `random._urandom`,
which `SystemRandom` reads."""


class Use(NamedTuple):
    """A private name in a file, and where."""

    file: str
    line: int
    name: str


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_" and name not in PUBLIC


def defined(nodes: Iterable[ast.AST]) -> set[str]:
    """The names that a file gives to its own classes, objects and modules."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
                found.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def uses(file: str, text: str) -> Iterator[Use]:
    """Every private name that a file uses and doesn't define: attributes, imports, and names in strings."""
    nodes = list(ast.walk(ast.parse(text)))
    own = defined(nodes)
    for node in nodes:
        names: list[str] = []
        if isinstance(node, ast.Attribute):
            inherited = isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == "super"
            names = [node.attr] if inherited or node.attr not in own else []
        elif isinstance(node, ast.ImportFrom):
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [part for alias in node.names for part in alias.name.split(".")]
        elif isinstance(node, ast.Call):
            names = [name for name in attributes_named(node) if name not in own]
        elif isinstance(node, ast.Constant) and re.fullmatch(r"\w+(\.\w+)+", str(node.value)):
            names = str(node.value).split(".")  # a module's name, for importing it
        yield from (Use(file, node.lineno, name) for name in names if is_private(name))  # type: ignore[attr-defined]


def attributes_named(call: ast.Call) -> list[str]:
    """The attribute that a `getattr` or its like names."""
    if not isinstance(call.func, ast.Name) or call.func.id not in ("getattr", "setattr", "delattr", "hasattr"):
        return []
    return [one.value for one in call.args[1:2] if isinstance(one, ast.Constant) and isinstance(one.value, str)]


def files() -> list[Path]:
    return [
        path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")) if "templates" not in path.parts
    ]


@cache
def everything() -> list[Use]:
    named = [(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")) for path in files()]
    return [use for file, text in named for use in uses(file, text)]


def may(use: Use) -> bool:
    extends = EXTEND.get(use.file, ("", frozenset()))[1]
    return use.file in HOMES or use.name in extends


@cache
def private_names(library: str) -> set[str]:
    """The private names in a library's text, those of its modules too."""
    spec = importlib.util.find_spec(library)
    assert spec is not None and spec.origin is not None
    place = Path(spec.origin)
    paths = sorted(place.parent.rglob("*.py")) if place.name == "__init__.py" else [place]
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in paths]
    modules = {part for path in paths for part in (path.stem, path.parent.name)}
    return modules | {name for text in texts for name in re.findall(r"\b_\w+", text)}


def test_private_parts_are_touched_where_they_may_be():
    """Elsewhere a library may change what it likes, and so may our own modules."""
    wrong = [f"{use.file}:{use.line}: {use.name}" for use in everything() if not may(use)]
    assert not wrong, "private to another module: " + ", ".join(wrong)


def test_a_library_has_one_file():
    """For a new version of a library there is one place to look at, in each package."""
    places = [(file.partition("/")[0], library) for file, libraries in HOMES.items() for library in libraries]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("file", sorted(HOMES | EXTEND))
def test_the_libraries_still_have_them(file):
    """A private name that is gone from the library is found here, and not by a learner."""
    libraries = {*HOMES.get(file, ()), *([EXTEND[file][0]] if file in EXTEND else [])}
    known = set().union(*map(private_names, libraries))
    names = {use.name for use in everything() if use.file == file}
    assert names and not (names - known), f"{', '.join(sorted(libraries))} has no {names - known}"


def test_nothing_is_excused_in_vain():
    """What has moved is taken off the lists."""
    found = {(use.file, use.name) for use in everything()}
    excused = {(file, name) for file, (_, names) in EXTEND.items() for name in names}
    assert not excused - found
    assert {file for file, _ in found} >= set(HOMES)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import asyncio\nasyncio.events._get_running_loop()", ["_get_running_loop"]),
        ("from _pytest.main import Session", ["_pytest"]),
        ("from asyncio.events import _set_running_loop as put", ["_set_running_loop"]),
        ("task._log_traceback = False", ["_log_traceback"]),
        ("getattr(tasks, '_release_waiter', None)", ["_release_waiter"]),
        ("import_module('anyio._core._eventloop')", ["_core", "_eventloop"]),
        ("class Loop(Base):\n    def go(self):\n        return self._ready", ["_ready"]),
        ("class Timer(Handle):\n    def _run(self):\n        super()._run()", ["_run"]),
        (
            "class A:\n    def __init__(self):\n        self._a = 1\n    def b(self, other):\n        return other._a",
            [],
        ),
        ("os._exit(0)\nfound._replace(a=1)\n_ = __name__", []),
        ("words = '_anything'; text = 'a sentence. _Like_ this.'", []),
    ],
)
def test_how_they_are_found(text, names):
    """Attributes, imports and names in strings; what a file defines itself is its own."""
    assert [use.name for use in uses("file.py", text)] == names
