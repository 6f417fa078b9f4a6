"""Start the best sandbox that this machine allows."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from autograder.sandbox.child import Sandbox
from autograder.sandbox.plain import Plain
from autograder.sandbox.tiers import Lost, SandboxUnavailable, TierName, require_linux


def start(
    *,
    tier: TierName | None = None,
    preload: Sequence[str] = (),
    core: int | None = None,
    allow_unsandboxed: bool = False,
) -> Sandbox:
    """Start a sandbox in the tier asked for, otherwise in the best one; an unprotected one only if allowed.

    `preload`: modules that submissions find imported; `core`: the processor that they stay on. Raises
    SandboxUnavailable, with a line for the person.
    """
    try:
        return _locked(tier, preload, core)
    except SandboxUnavailable as refused:
        if refused.final or not allow_unsandboxed:
            raise
        return Plain(refused.reasons)


def try_tier(name: TierName) -> Lost | None:
    """Start a sandbox of this tier and end it again; return why that failed, or None."""
    try:
        start(tier=name).close()
    except SandboxUnavailable as refused:
        return refused.reasons[0] if refused.reasons else Lost(name, str(refused), "")
    return None


def _locked(tier: TierName | None, preload: Sequence[str], core: int | None) -> Sandbox:
    require_linux()
    if sys.platform == "linux":
        from autograder.sandbox.host import Box

        return Box(tier=tier, preload=preload, core=core)
    raise AssertionError
