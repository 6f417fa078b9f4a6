"""Record what code says besides its results: printed text, Python's warnings, calls of a debugger."""

from __future__ import annotations

import contextlib
import io
import sys
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

SLIPS = 3
"""The most different warnings that are reported for one scenario."""
PRINTED, PRINTED_LINES = 600, 6
"""The most characters and lines of printed text that one scenario shows."""
NO_DEBUGGER = "breakpoint() stops nothing here: the scenarios run by themselves. Use print() to look at values."


class _Printed(io.TextIOBase):
    """Receives printed text and keeps its beginning."""

    def __init__(self) -> None:
        self._kept: list[str] = []
        self._room = PRINTED

    @property
    def text(self) -> str:
        """The first lines."""
        lines = "".join(self._kept).rstrip().split("\n")
        return "\n".join([*lines[:PRINTED_LINES], *(["…"] if len(lines) > PRINTED_LINES else [])])

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self._room > 0:
            self._kept.append(f"{text[: self._room]}")
            self._room -= len(text)
        return len(text)


@dataclass
class Heard:
    """What code said besides its results."""

    warnings: list[str] = field(default_factory=list)
    """The interpreter's."""
    stops: bool = False
    """Whether it asked for a debugger."""
    printed: _Printed = field(default_factory=_Printed)

    def notes(self, slips: Iterable[str] = ()) -> Iterator[tuple[str, str]]:
        """The notes for the timeline: each one's kind and its text."""
        yield from (("slip", text) for text in list(slips)[:SLIPS])
        yield from (("warning", text[:300]) for text in dict.fromkeys(self.warnings))
        if self.stops:
            yield "breakpoint", NO_DEBUGGER
        if text := self.printed.text:
            yield "printed", text


@contextlib.contextmanager
def listening(heard: Heard) -> Iterator[None]:
    """Capture what the code prints, and the interpreter's warnings."""
    out, err = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = heard.printed
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = lambda message, *_, **__: heard.warnings.append(str(message))
            yield
    finally:
        sys.stdout, sys.stderr = out, err


@contextlib.contextmanager
def undebugged(heard: Heard) -> Iterator[None]:
    """Make `breakpoint()` and `pdb.set_trace()` do nothing: nobody could answer the debugger, and it would wait
    forever."""
    pdb = sys.modules.get("pdb")
    before = sys.breakpointhook, getattr(pdb, "set_trace", None)

    def stop(*_args: Any, **_options: Any) -> None:
        heard.stops = True

    sys.breakpointhook = stop
    if pdb is not None:
        pdb.set_trace = stop  # type: ignore[attr-defined]
    try:
        yield
    finally:
        sys.breakpointhook = before[0]
        if pdb is not None:
            pdb.set_trace = before[1]  # type: ignore[attr-defined]
