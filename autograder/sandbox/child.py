"""The interface of every sandbox: start a child, receive its messages, answer, and learn how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from autograder.sandbox.limits import Limits, Spent
from autograder.sandbox.tiers import Tier


class ZygoteDied(Exception):
    """The zygote is gone, and all its children with it; the text holds its last words."""


class Silent(Exception):
    """A child said nothing for too long."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How one child ended. Status 0 says that the runner returned, not that anything was right."""

    id: int
    status: int
    """As os.waitstatus_to_exitcode(): a signal is negative."""
    cpu: float
    """Seconds."""
    spent: Spent = ""
    """The limit on CPU time or on wall-clock time that ended it."""
    failure: str = ""
    """Why the child couldn't be locked in; then the student's code never ran."""
    starved: bool = False
    """Whether the kernel killed it because its control group used too much memory."""


class Child(Protocol):
    """One submission's process."""

    @property
    def id(self) -> int:
        """Its number, counted by the sandbox."""

    def receive(self, seconds: float) -> bytes | None:
        """Its next message; None when there will be none any more. Raises Silent and Tampered."""

    def send(self, reply: bytes) -> None:
        """Answer it; an answer to a child that has ended is lost. Raises Tampered."""

    def close(self) -> None:
        """Stop listening to it."""


class Sandbox(Protocol):
    """Where submissions run."""

    tier: Tier

    def launch(self, payload: bytes, limits: Limits = ...) -> Child:
        """A new process that runs the submission of this payload."""

    def kill(self, child: Child) -> None:
        """End a child; nothing happens if it has ended already."""

    def reap(self, child: Child) -> Exit:
        """Wait for its end."""

    def close(self) -> None:
        """End the sandbox and every child."""
