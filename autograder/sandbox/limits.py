"""How much of the machine one submission may use: each of its processes, and all of them together."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from dataclasses import dataclass, field, replace
from typing import Literal

MEBI = 1 << 20
BUYS = 100
"""Wall-clock seconds allowed per CPU second, so that a submission squeezed to 1 % of a core isn't mistaken for an idle
one. The same holds if its judge is squeezed."""
WALL = 120.0
"""Wall-clock seconds that one submission may take unless told otherwise: its processes and both plays together."""

Spent = Literal["", "cpu", "idle", "total"]
"""The limit on time that ended a process."""
Mishap = tuple[str, str]
"""How a submission ended early, and the message that says why."""


class TooMuch(Exception):
    """A submission did more than it may. This isn't tampering: an honest one that never ends does it too."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one process, all its threads together."""

    cpu: int = 10
    """CPU seconds; then SIGKILL. It is more than the notebook's cells and two endless scenarios may take, each of which
    has a limit of its own."""
    idle: float = 20.0
    """Wall-clock seconds without computing; then SIGKILL."""
    total: float = WALL
    """Wall-clock seconds that it may take in any case; then SIGKILL."""
    memory: int = 384 * MEBI
    """Bytes of address space on top of what the warm process takes already."""
    page_tables: int = 32 * MEBI
    """Bytes of page tables: thirty times what all its memory needs in one piece."""
    disk: int = 16 * MEBI
    """Bytes of /tmp (full tier), and of any one file."""
    files: int = 2000
    """Files and folders in /tmp (full tier)."""
    threads: int = 64
    descriptors: int = 16
    """Open files, socket pairs, pipes: sixty pairs held 217 MB that no limit on memory sees."""

    def wall(self, cpu: float) -> float:
        """Wall-clock seconds after which it is stopped if it has used so many CPU seconds.

        Each CPU second buys it more, so that no verdict depends on how busy the processor is.
        """
        return min(self.idle + BUYS * cpu, self.total)

    def late(self, cpu: float) -> Spent:
        """Which limit `wall` is for a process that has used so many CPU seconds."""
        return "total" if self.wall(cpu) == self.total else "idle"


@dataclass
class Budget:
    """What one submission may still use, for all its processes, both plays, and what is kept of them.

    Messages, weight and CPU time repeat, so they may decide a verdict. The wall clock and the grader's own time
    also depend on the machine: if a submission meets those limits, a person has to look at it (`needs`).
    """

    wall: float = WALL
    """Wall-clock seconds."""
    cpu: float = 20.0
    """Seconds of processor time: twice what one process may use, and many times what any right answer does."""
    idle: float = 40.0
    """Wall-clock seconds without computing: twice what one process may wait."""
    messages: int = 50_000
    """Messages: twenty times as many as any right answer's."""
    weight: int = 160 * MEBI
    """Bytes of the grader's memory, as `wire.weight` counts them: twice what any right answer takes."""
    trusted: float = 30.0
    """Seconds of the grader's own processor time: ten times what so many messages cost, so that others end it first."""
    each: Limits = Limits()
    """The limits of one process."""
    needs: str = field(default="", init=False)
    """Why a person has to look at it, in a sentence; empty when nobody has to."""

    def __post_init__(self) -> None:
        self._until = time.monotonic() + self.wall
        self._all = (self.cpu, self.idle, self.messages, self.weight)

    def limits(self) -> Limits:
        """The limits of its next process."""
        return replace(
            self.each,
            cpu=max(1, min(self.each.cpu, math.ceil(self.cpu))),
            idle=min(self.each.idle, self.idle),
            total=max(0.0, self._until - time.monotonic()),
        )

    def used_up(self) -> Mishap | None:
        """The mishap if nothing is left for another process; None if something is."""
        cpu, idle, *_ = self._all
        if self.messages <= 0 or self.weight <= 0:
            return "limit", self._too_much()
        if self.cpu <= 0:
            return "timeout", f"it used up its time ({cpu:g} s of CPU time in all)"
        if self.idle <= 0:
            return self._waited(f"{idle:g} s of waiting in all")
        if time.monotonic() >= self._until:
            return self.met("total")
        return None

    def charge(self, limits: Limits, spent: Spent, cpu: float, seconds: float) -> None:
        """Account for a process that has ended, with its wall-clock and CPU seconds."""
        # The kernel's limit counts ticks, its statistics are finer: every run must leave the same.
        self.cpu -= limits.cpu if spent == "cpu" else cpu
        self.idle -= max(0.0, seconds - BUYS * cpu)

    def met(self, spent: Spent) -> Mishap:
        """The mishap of a process that met a limit on time."""
        if spent == "cpu":
            return "timeout", f"it used up its time ({self.each.cpu} s of CPU time)"
        if spent == "idle":
            return self._waited(f"{self.each.idle:g} s of waiting")
        self.needs = (
            f"it met the wall-clock limit of {self.wall:g} s: the machine may have been busy; "
            "look at it, or grade it again with --force"
        )
        return "timeout", f"it used up its time ({self.wall:g} s in all)"

    def keep(self, weight: int) -> None:
        """Count one more message with its weight. Raises TooMuch."""
        self.messages -= 1
        self.weight -= weight
        if self.messages < 0 or self.weight < 0:
            raise TooMuch(self._too_much())

    def follow(self, seconds: float) -> Mishap | None:
        """Count CPU seconds of the grader itself; return the mishap if none are left."""
        self.trusted -= seconds
        if self.trusted >= 0:
            return None
        self.needs = "following what it did took the grader too long: look at it, or grade it again with --force"
        return "timeout", "what it did takes too long to follow"

    def _waited(self, words: str) -> Mishap:
        self.needs = (
            f"it met a wall-clock limit ({words}): its code waits for something that never comes, or the machine was "
            "busy; look at it, or grade it again with --force"
        )
        return "timeout", f"it used up its time ({words})"

    def _too_much(self) -> str:
        _, _, messages, weight = self._all
        if self.messages <= 0:
            return f"more than {messages:,} instants at which something happens, all runs together"
        return f"what it shows takes more than {weight // MEBI} MB, all runs together"


def restrain(cpu: int, address_space: int) -> None:
    """Keep this process to seconds of processor time and bytes of address space, where the system has such limits.

    SIGXCPU or MemoryError report an honest mistake; code that means harm gets around both.
    """
    if sys.platform == "win32":
        return
    import resource

    for kind, soft, more in ((resource.RLIMIT_CPU, cpu, 1), (resource.RLIMIT_AS, address_space, 0)):
        hard = resource.getrlimit(kind)[1]
        most = soft + more if hard == resource.RLIM_INFINITY else min(soft + more, hard)
        with contextlib.suppress(ValueError, OSError):  # macOS takes some limits and refuses others
            resource.setrlimit(kind, (min(soft, most), most))
