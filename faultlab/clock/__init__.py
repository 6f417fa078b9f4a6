"""A virtual clock for asyncio: `run_virtual(VirtualLoop(), main())` waits for nothing."""

from faultlab.clock.errors import DeadlockError, LimitError, LivelockError, SimulationError
from faultlab.clock.loop import EPOCH, FOREVER, Outside, VirtualLoop
from faultlab.clock.patches import install
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
    "run_part",
    "run_virtual",
    "suspended",
]

install()
