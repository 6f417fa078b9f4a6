"""The errors that end a simulated program that can't go on."""

from __future__ import annotations

from faultlab.timeline import Timeline


class SimulationError(RuntimeError):
    """The simulated program can't go on. Raised by the loop itself, so that no task can swallow it."""

    how = "error"
    timeline: Timeline
    """What happened up to there; set by `simulate`."""


class DeadlockError(SimulationError):
    """Every task waits for something that can't happen any more."""

    how = "deadlock"


class LivelockError(SimulationError):
    """The program keeps running without time ever moving on."""

    how = "livelock"


class LimitError(SimulationError):
    """The program took more turns, or more simulated time, than allowed."""

    how = "limit"


class BeyondTheLimit(BaseException):
    """Ends the work of a thread that sleeps for longer than the run may last."""
