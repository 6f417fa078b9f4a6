"""Slips: an exception that is nobody's answer, such as a misspelt name, with the line of the cell that it comes from.

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
"""What comes out of waiting and of networks; libraries raise it on purpose."""
PROGRAM = (
    *(NameError, AttributeError, TypeError, ImportError, SyntaxError, LookupError, ArithmeticError, AssertionError),
    *(RuntimeError, ValueError),
)
"""What libraries raise of a call that isn't right."""
UNMEANT = (NameError, AttributeError, TypeError, ImportError)
"""What is hardly ever caught on purpose. Others are: to ask for forgiveness is easier than for permission."""
DEPTH = 5
_CALLED = re.compile(r"(?P<name>[\w.<>]+)\(\) (?:missing|takes|got)")


class Place(NamedTuple):
    """A line of the notebook: of which file (each cell is one), which number, its text, in which function."""

    file: str
    line: int
    text: str
    function: str


def slip(error: BaseException, namespace: Mapping[str, Any]) -> str:
    """The slip behind an error that came out of a notebook's code, in two lines: what and where; that line's text.

    namespace: the notebook's, which is how its code is told from other code. Returns "" when there is no slip.
    """
    for one in _behind(error, DEPTH):
        if found := _slip(one, namespace):
            return found
    return ""


def error_in_cell(error: BaseException, namespace: Mapping[str, Any], cell: str) -> str:
    """The text of the error that a cell ends with, in two lines as `slip`, without the error's class.

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
    """The error, those that it groups, and those that it was made from."""
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
    """The lines of the notebook on an error's way, outermost first; None stands for those of other code."""
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
    """Of the lines in the cell that was called first, the last one: it is nearest to what went wrong."""
    return [place for place in own if place.file == own[0].file][-1]


def _by_python(error: BaseException, places: list[Place | None]) -> bool:
    """Whether no statement of the notebook, nor of what called it, raises the error on purpose."""
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
    """Whether the innermost frame is neither the driver's of a scenario nor a world's."""
    name = str(trace.tb_frame.f_globals.get("__name__", ""))
    return name != "scenarios" and not name.startswith(("faultlab.run", "faultlab.scenario", "faultlab.world"))


def _at_its_call(error: BaseException, namespace: Mapping[str, Any]) -> str:
    """A call that doesn't fit a function of the notebook raises before any line of it runs, and so does one of a
    method that a class of the notebook hasn't got."""
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
    """The name of an error's class; of one that is private to Python, the name of the class that people know."""
    known = (one for one in type(error).__mro__ if not (one.__module__ == "builtins" and one.__name__.startswith("_")))
    return next(known).__name__[:80]
