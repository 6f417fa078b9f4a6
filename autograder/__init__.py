"""The judge: runs strangers' code where it can do no harm, and says which behaviours were seen."""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING, Any

VERSION = "0.1.0"

if TYPE_CHECKING:
    from autograder.check import check, own_answer

__all__ = ["VERSION", "check", "own_answer"]


def __getattr__(name: str) -> Any:
    """`from autograder import check`, without importing pytest for those who only want something else."""
    if name == "check":
        from autograder.check import check

        return check
    if name == "own_answer":
        from autograder.check import own_answer

        return own_answer
    raise AttributeError(name)


class _Package(types.ModuleType):
    """`autograder.check` is the function, always: importing the module of that name doesn't put itself in its place."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "check":
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
