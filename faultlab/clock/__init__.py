"""A virtual clock for asyncio: `run_virtual(VirtualLoop(), main())` waits for nothing.

While a virtual loop runs, Python's clocks read its time: `time.monotonic()`, `time.sleep()` and the others are patched
for that long. `install()` patches them until `uninstall()`, so that `from time import monotonic` binds a patched one.
"""

from faultlab.clock.errors import DeadlockError, LimitError, LivelockError, SimulationError
from faultlab.clock.loop import FOREVER, Outside, VirtualLoop
from faultlab.clock.patches import EPOCH, install, installed, uninstall
from faultlab.clock.running import run_part, run_virtual
from faultlab.clock.where import suspended

__all__ = [
    "EPOCH",
    "FOREVER",
    "DeadlockError",
    "LimitError",
    "LivelockError",
    "Outside",
    "SimulationError",
    "VirtualLoop",
    "install",
    "installed",
    "run_part",
    "run_virtual",
    "suspended",
    "uninstall",
]
