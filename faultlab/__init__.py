"""The laboratory: a virtual clock, a world of scripted services, timelines and their pictures.

from faultlab import World, error, ok, simulate

world = World(seed=1)
payments = world.service("payments", [error("ConnectionError")] * 2, latency=0.05)
run = simulate(main(payments), world=world)
run.value, run.timeline
"""

from faultlab.clock.errors import DeadlockError, LimitError, LivelockError, SimulationError
from faultlab.pictures.figure import COLORS, axes, label_lines, show
from faultlab.pictures.play import play
from faultlab.repeat import NotRepeatable, repeatable
from faultlab.run import Run, live, simulate
from faultlab.service import Service, mark, waiting
from faultlab.timeline import Timeline
from faultlab.world import World, error, hang, ok

__all__ = [
    "COLORS",
    "DeadlockError",
    "LimitError",
    "LivelockError",
    "NotRepeatable",
    "Run",
    "Service",
    "SimulationError",
    "Timeline",
    "World",
    "axes",
    "error",
    "hang",
    "label_lines",
    "live",
    "mark",
    "ok",
    "play",
    "repeatable",
    "show",
    "simulate",
    "waiting",
]
