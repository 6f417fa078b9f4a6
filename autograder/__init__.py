"""The judge: runs strangers' code where it can do no harm, and says which behaviours were seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autograder.version import VERSION

if TYPE_CHECKING:
    from autograder.learner.checking import check
    from autograder.learner.own import own_answer

__all__ = ["VERSION", "check", "own_answer"]


def __getattr__(name: str) -> Any:
    """`from autograder import check`, without importing pytest for those who only want something else."""
    if name == "check":
        from autograder.learner.checking import check

        return check
    if name == "own_answer":
        from autograder.learner.own import own_answer

        return own_answer
    raise AttributeError(name)
