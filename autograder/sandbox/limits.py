"""How much of the machine one submission may use."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass

MEBI = 1 << 20
BUYS = 100
"""Seconds on the wall that a second of processor time buys: who gets but a hundredth of a processor is waiting for it,
or for a judge who gets as little, and not for nothing."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one submission, which is one process: what it may use is what all its threads may use together."""

    cpu: int = 10
    """Seconds of processor time; then SIGKILL. More than the notebook's cells and two endless scenarios may take, each
    of which is stopped for itself."""
    idle: float = 20.0
    """Seconds by the clock on the wall that it may take while it computes nothing; then SIGKILL."""
    total: float = 180.0
    """Seconds by the clock on the wall that it may take in any case; then SIGKILL."""
    memory: int = 512 * MEBI
    """Bytes of address space on top of what the warm process takes already."""
    page_tables: int = 32 * MEBI
    """Bytes of the kernel's that say where its memory lies: thirty times what all its memory needs in one piece."""
    disk: int = 16 * MEBI
    """Bytes of /tmp (full tier), and of any one file."""
    files: int = 2000
    """Files and folders in /tmp (full tier)."""
    threads: int = 64
    descriptors: int = 16
    """Open files, sockets, pipes: sixty socket pairs held 217 MB that no limit on memory sees."""

    def wall(self, cpu: float) -> float:
        """Seconds by the clock on the wall after which it is stopped, having used so many of processor time.

        Each of these buys it more, so that no verdict depends on how many others want the processor too.
        """
        return min(self.idle + BUYS * cpu, self.total)

    def spent(self, cpu: float) -> str:
        """The limit on time that stopped one that has used so many seconds of processor time, in words."""
        # The kernel's limit counts ticks, its statistics count more finely: on a busy machine they stay well below.
        if cpu >= 0.5 * self.cpu:
            return f"{self.cpu} s of CPU time"
        return f"{self.total:g} s in all" if self.wall(cpu) == self.total else f"{self.idle:g} s of waiting"


def restrain(cpu: int, address_space: int) -> None:
    """Keep this process to seconds of processor time and bytes of address space, where the system has such limits.

    A mistake is told so, by SIGXCPU or MemoryError; whoever means it gets around both.
    """
    if sys.platform == "win32":
        return
    import resource

    for kind, soft, more in ((resource.RLIMIT_CPU, cpu, 1), (resource.RLIMIT_AS, address_space, 0)):
        hard = resource.getrlimit(kind)[1]
        most = soft + more if hard == resource.RLIM_INFINITY else min(soft + more, hard)
        with contextlib.suppress(ValueError, OSError):  # macOS takes some limits and refuses others
            resource.setrlimit(kind, (min(soft, most), most))
