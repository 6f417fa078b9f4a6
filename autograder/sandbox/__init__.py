"""Where submissions run: one locked-down process each, forked from a warm one.

Linux only, and imported only when grading.
"""

from autograder.sandbox.host import Box, Child, Exit, ZygoteDied
from autograder.sandbox.limits import Limits
from autograder.sandbox.tiers import SandboxUnavailable, Tier

__all__ = ["Box", "Child", "Exit", "Limits", "SandboxUnavailable", "Tier", "ZygoteDied"]
