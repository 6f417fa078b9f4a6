"""Sentences for a notebook's author about how its cells were run.

The sentences are ours. From the submission's process they only take a cell's number, one of a few kinds, and a word of
at most forty letters.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

NoteKind = Literal["magic", "shell", "file", "exit", "breakpoint", "failed", "stopped", "cut", "late", "stub"]
"""The kinds of notes about a cell."""

MOST = 12
"""The most notes that one result shows."""

_STOPS = {
    "DeadlockError": "waits for something that never comes",
    "LivelockError": "doesn't come to an end",
    "LimitError": "doesn't come to an end",
    "TooLong": "takes too long and was stopped",
    "SimulationError": "needs what a graded notebook hasn't got: a server, a process, a network or an answering thread",
    "NoKeyboard": "asks for input, and nobody types while a notebook is graded",
    "SystemExit": "ends with SystemExit",
}


def worded(notes: Iterable[tuple[int, NoteKind, str]], cells: int) -> list[str]:
    """A sentence for each note (cell's number, kind, word) on one of the notebook's first `cells` cells."""
    return list(dict.fromkeys(_sentence(*note) for note in notes if note[0] < cells))


def capped(notes: Sequence[str]) -> tuple[str, ...]:
    """At most a dozen, and how many more there are."""
    more = len(notes) - MOST
    return tuple(notes) if more <= 0 else (*notes[:MOST], f"and {more} more")


def _sentence(number: int, kind: NoteKind, word: str) -> str:
    stops = _STOPS.get(word, f"stops with {word or 'an error'}")
    where = f"cell {number + 1}"
    return {
        "magic": f"{where}: {word} isn't run when graded, and gives nothing",
        "shell": f"{where}: the shell command {word} isn't run when graded, and its output is empty",
        "file": f"{where}: {word} writes where only this run sees it",
        "exit": f"{where} asks the kernel to end: the next cells were run all the same",
        "breakpoint": f"{where}: breakpoint() does nothing when graded",
        "failed": f"{where} {stops}; your answer doesn't need it",
        "stopped": f"{where} {stops}; what it defines before that counts",
        "cut": f"{where} wasn't run: other cells took the time there is for those that your answer doesn't need",
        "late": f"{where} defines what your answer uses: it stands below the check, which runs before it in JupyterLab",
        "stub": f"{where}, the answer's own, is as it was released: what another cell of yours defines counts",
    }[kind]
