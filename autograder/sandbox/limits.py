"""How much of the machine one submission may use."""

from __future__ import annotations

import resource
import threading
from dataclasses import dataclass

MEBI = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one submission, which is one process: what it may use is what all its threads may use together."""

    cpu: int = 6
    """Seconds of processor time; then SIGKILL."""
    wall: float = 30.0
    """Seconds by the clock on the wall; then SIGKILL. Generous, as other work on the machine counts too."""
    memory: int = 512 * MEBI
    """Bytes of address space on top of what the warm process takes already."""
    disk: int = 16 * MEBI
    """Bytes of /tmp (full tier), and of any one file."""
    files: int = 2000
    """Files and folders in /tmp (full tier)."""
    threads: int = 64
    descriptors: int = 16
    """Open files, sockets, pipes: sixty socket pairs held 217 MB that no limit on memory sees."""


def impose(limits: Limits, *, taken: int, tasks: int) -> None:
    """Impose the limits on this process, for good.

    `taken`: bytes of address space in use already; `tasks`: processes and threads that this user runs elsewhere, which
    the kernel counts too.
    """
    processes = limits.threads + tasks
    for kind, value in (
        # 1 and not 0: a core handler behind a pipe is started even at 0, and isn't at 1.
        (resource.RLIMIT_CORE, 1),
        (resource.RLIMIT_CPU, limits.cpu),
        (resource.RLIMIT_AS, taken + limits.memory),
        (resource.RLIMIT_FSIZE, limits.disk),
        (resource.RLIMIT_NOFILE, limits.descriptors),
        (resource.RLIMIT_NPROC, processes),
        (resource.RLIMIT_SIGPENDING, 64),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_STACK, 8 * MEBI),
    ):
        _, hard = resource.getrlimit(kind)
        lowered = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (lowered, lowered))
    # Threads reserve their stack in full: eight megabytes each would end at twenty of them.
    threading.stack_size(MEBI)
