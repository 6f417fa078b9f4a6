"""Start a notebook's set-up, and say so in a kernel where the set-up cell was forgotten.

    from faultlab.notebook import start

    start()

As an IPython extension (`autograder lab` loads it into its kernels) it adds what to do to a NameError.
"""

from __future__ import annotations

import asyncio
import platform
import sys
import time
from typing import Any, NamedTuple

from faultlab.clock.bound import bound_before_line, clock_names_bound_before, rebind_clocks
from faultlab.clock.patches import install

RUNS = 500
"""How many cells are remembered."""
PULSE = 0.2
"""The heartbeat's period, in seconds: a stopped cell notices within this time."""
FIX = "Run the set-up cell at the top of this notebook first: it makes the names that the other cells use."


class CellRun(NamedTuple):
    """The outcome of a cell's last run."""

    source: str
    error: BaseException | None
    at: float
    """Seconds since the epoch."""


last_runs: dict[str, CellRun] = {}
"""The kernel's cells since the set-up cell, newest last, each by its id; by its text where a front end gives none."""

_started = False
_heartbeat: asyncio.Task[None] | None = None  # the loop itself holds tasks only weakly


def start() -> None:
    """Install the virtual clock, print the versions, and make the Stop button reach cells that await.

    Names that a cell above bound to a clock (`from time import monotonic`) are rebound to the virtual one, and named. A
    clock that such a cell keeps elsewhere is named too. Calling it anywhere is harmless.

    >>> start()
    Python ... · course ... · the clock is virtual: waiting takes no time
    """
    global _started
    _started = True
    install()
    _beat()
    _follow()
    print(f"Python {platform.python_version()} · course {_version()} · the clock is virtual: waiting takes no time")
    names = sys._getframe(1).f_globals
    if changed := rebind_clocks(names):
        print(f"From here on these names read the virtual clock too: {', '.join(changed)}")
    if line := bound_before_line(clock_names_bound_before(names)):
        print(line)


def load_ipython_extension(shell: Any) -> None:
    """Loaded by IPython: a NameError before `start` is followed by the line that names the fix."""
    shell.events.register("post_run_cell", _explain)


def unload_ipython_extension(shell: Any) -> None:
    """Unloaded by IPython."""
    shell.events.unregister("post_run_cell", _explain)


def _explain(result: Any) -> None:
    if not _started and type(result.error_in_exec) is NameError:
        print(FIX)


def _follow() -> None:
    """Remember the outcome of each cell from now on."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is not None and _in_kernel() and _remember not in shell.events.callbacks["post_run_cell"]:
        shell.events.register("post_run_cell", _remember)


def _remember(result: Any) -> None:
    source, name = str(result.info.raw_cell), getattr(result.info, "cell_id", None)
    key = str(name or source)
    last_runs.pop(key, None)
    last_runs[key] = CellRun(source, result.error_before_exec or result.error_in_exec, time.time())
    if len(last_runs) > RUNS:
        del last_runs[next(iter(last_runs))]


def _beat() -> None:
    """Start one heartbeat in this kernel's loop.

    An interrupt reaches a loop only while it runs Python code. If every task waits, the loop would sleep on in the
    selector and miss the interrupt, so the heartbeat wakes it again and again.
    """
    global _heartbeat
    if not _in_kernel():
        return
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return
    if _heartbeat is None or _heartbeat.done() or _heartbeat.get_loop() is not loop:
        _heartbeat = loop.create_task(_pulse(), name="heartbeat")


async def _pulse() -> None:
    while True:  # noqa: ASYNC110  (nothing is waited for: waking is all it is for)
        await asyncio.sleep(PULSE)


def _in_kernel() -> bool:
    ipython = sys.modules.get("IPython")  # where it isn't imported there is no kernel
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("resilience-course")
    except (PackageNotFoundError, OSError):  # a plain copy of the folder; a sandbox without files
        return "not installed"
