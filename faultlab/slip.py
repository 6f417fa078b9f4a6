"""Find slips: unintended exceptions, such as that of a misspelt name, with the line of the cell.

An answer may let errors out on purpose: those that a service gave, those that a contract asks for. A slip is what
Python itself raises at a line of the notebook, or at its call.
"""

from __future__ import annotations

import dis
import linecache
import re
from collections.abc import Iterator, Mapping
from types import CodeType, TracebackType
from typing import Any, NamedTuple

from faultlab.clock.errors import SimulationError
from faultlab.plain import told

MEANT = (OSError, SimulationError)
"""Errors of waiting and of networks, which libraries raise on purpose."""
PROGRAM = (
    *(NameError, AttributeError, TypeError, ImportError, SyntaxError, LookupError, ArithmeticError, AssertionError),
    *(RuntimeError, ValueError),
)
"""Errors that libraries raise for a wrong call."""
UNMEANT = (NameError, AttributeError, TypeError, ImportError)
"""Errors that code hardly ever catches on purpose. Others it does catch: asking forgiveness is easier than
permission."""
DEPTH = 5
_CALLED = re.compile(r"(?P<name>[\w.<>]+)\(\) (?:missing|takes|got)")


class Place(NamedTuple):
    """A line of the notebook: its file (each cell is one), its number, its text, its function."""

    file: str
    line: int
    text: str
    function: str


def slip(error: BaseException, namespace: Mapping[str, Any]) -> str:
    """The slip behind an error from a notebook's code, in two lines: what and where, then that line's text.

    namespace: the notebook's, which is how its code is told from other code. Returns "" when there is no slip.
    """
    for one in _behind(error, DEPTH):
        if found := _slip(one, namespace):
            return found
    return ""


def error_in_cell(error: BaseException, namespace: Mapping[str, Any], cell: str) -> str:
    """The text of the error that ends a cell, in two lines like `slip`, without the error's class.

    cell: what the cell is called, as in "line 3 of your cell".
    """
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return _lines(error.msg, f"line {error.lineno} of {cell}", (error.text or "").strip())
    own = [place for place in _places(error.__traceback__, namespace) if place is not None]
    if not own:
        return told(error)
    place = _deepest(own)
    return _lines(told(error), f"line {place.line} of {cell}", place.text)


def _behind(error: BaseException, depth: int) -> Iterator[BaseException]:
    """The error, the errors that it groups, and its causes and contexts."""
    yield error
    if not depth:
        return
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions[:50]:
            yield from _behind(inner, depth - 1)
    if (before := error.__cause__ or error.__context__) is not None:
        yield from (one for one in _behind(before, depth - 1) if isinstance(one, UNMEANT))


def _slip(error: BaseException, namespace: Mapping[str, Any]) -> str:
    meant = isinstance(error, MEANT) or getattr(error, "__faultlab_call__", None) is not None
    if meant or not isinstance(error, Exception):
        return ""
    places = list(_places(error.__traceback__, namespace))
    own = [place for place in places if place is not None]
    if not own:
        return _at_its_call(error, namespace)
    if not _by_python(error, places):
        return ""
    deepest = _deepest(own)
    if own[-1].file == deepest.file:
        return _sentence(error, f"line {deepest.line} of your cell", deepest.text)
    where = f"in {own[-1].function}, called in line {deepest.line} of your cell"
    return _sentence(error, where, deepest.text)


def _places(trace: TracebackType | None, namespace: Mapping[str, Any]) -> Iterator[Place | None]:
    """The notebook's lines in an error's traceback, outermost first; None stands for lines of other code."""
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_globals is namespace:
            code = frame.f_code
            text = linecache.getline(code.co_filename, trace.tb_lineno).strip()
            yield Place(code.co_filename, trace.tb_lineno, text, code.co_name)
        else:
            yield None
        trace = trace.tb_next


def _deepest(own: list[Place]) -> Place:
    """The last line in the cell that was called first: it is nearest to the mistake."""
    return [place for place in own if place.file == own[0].file][-1]


def _by_python(error: BaseException, places: list[Place | None]) -> bool:
    """Whether the error is unintended: no `raise` of the notebook, or of its caller, raised it."""
    trace = error.__traceback__
    assert trace is not None
    while trace.tb_next is not None:
        trace = trace.tb_next
    if isinstance(error, AssertionError) or str(error).startswith("exceptions must derive from"):
        return places[-1] is not None
    if places[-1] is not None:
        code = trace.tb_frame.f_code
        return isinstance(error, PROGRAM) and not dis.opname[code.co_code[trace.tb_lasti]].startswith("RAISE")
    return isinstance(error, PROGRAM) and _of_a_library(trace)


def _of_a_library(trace: TracebackType) -> bool:
    """Whether the innermost frame belongs to neither a scenario's driver nor a world."""
    name = str(trace.tb_frame.f_globals.get("__name__", ""))
    return name != "scenarios" and not name.startswith(("faultlab.run", "faultlab.scenario", "faultlab.world"))


def _at_its_call(error: BaseException, namespace: Mapping[str, Any]) -> str:
    """A call with wrong arguments to a function of the notebook raises before any line of it runs. So does a call of a
    method that a class of the notebook lacks."""
    if isinstance(error, AttributeError) and type(error.obj) in namespace.values():
        return _sentence(error)
    found = _CALLED.match(told(error)) if type(error) is TypeError else None
    code = _code(found["name"], namespace) if found is not None else None
    if code is None:
        return ""
    text = linecache.getline(code.co_filename, code.co_firstlineno).strip()
    return _sentence(error, f"line {code.co_firstlineno} of your cell", text)


def _code(name: str, namespace: Mapping[str, Any]) -> CodeType | None:
    first, *rest = name.split(".")
    found = namespace.get(first)
    for part in rest:
        found = vars(found).get(part) if isinstance(found, type) else None
    code = getattr(found, "__code__", None)
    return code if isinstance(code, CodeType) else None


def _sentence(error: BaseException, where: str = "", text: str = "") -> str:
    return _lines(f"{name_of(error)}: {told(error)}", where, text)


def _lines(said: str, where: str, text: str) -> str:
    said = " ".join(said.split()).rstrip(": ")
    return "\n".join(filter(None, [f"{said}, {where}" if where else said, text[:200]]))


def name_of(error: BaseException) -> str:
    """The name of an error's class; for a class private to Python, that of its public base."""
    known = (one for one in type(error).__mro__ if not (one.__module__ == "builtins" and one.__name__.startswith("_")))
    return next(known).__name__[:80]
