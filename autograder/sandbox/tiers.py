"""The tiers of the sandbox, why a better one isn't available, and how to get it."""

from __future__ import annotations

import errno
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from autograder.errors import UsageError

TierName = Literal["full", "landlock", "none"]
BEST_FIRST: tuple[TierName, ...] = ("full", "landlock")

PROMISES: dict[TierName, str] = {
    "full": "own namespaces, own /tmp, seccomp",
    "landlock": "Landlock and seccomp, no writable folder",
}


@dataclass(frozen=True, slots=True)
class Lost:
    """A tier, or a part of one, that this machine doesn't allow."""

    tier: TierName
    call: str
    """What failed: the system call and the kernel's answer."""
    advice: str
    """How to get it."""

    def __str__(self) -> str:
        return f"{self.tier}: {self.call}. {self.advice}"


@dataclass(frozen=True, slots=True)
class Tier:
    """The tier that submissions run in, and the better ones that are lost."""

    name: TierName
    reasons: tuple[Lost, ...] = ()


class SandboxUnavailable(UsageError):
    """Submissions can't be run here. The text is one line, what to do included; `reasons` tells more.

    `final`: unprotected runs are impossible too.
    """

    def __init__(self, line: str, reasons: Sequence[Lost] = (), *, final: bool = False) -> None:
        super().__init__(line)
        self.reasons = tuple(reasons)
        self.final = final


def require_linux() -> None:
    """Raises SandboxUnavailable on other systems, with what to do there."""
    if sys.platform == "linux" and platform.machine() in ("x86_64", "aarch64"):
        return
    if sys.platform == "linux":
        line = f"submissions can be locked in on x86-64 and arm64 only, and this machine is {platform.machine()}"
    else:
        where = {
            "darwin": "in a Linux container (Docker Desktop, Colima, Podman machine)",
            "win32": "in WSL 2 or in a Linux container (Docker Desktop)",
        }.get(sys.platform, "on Linux or in a Linux container")
        line = f"submissions can be locked in on Linux only: grade {where}"
    line += "; --allow-unsandboxed runs them here, unprotected: for your own code"
    raise SandboxUnavailable(line)


def advice(tier: TierName, call: str) -> str:
    """How to get a tier whose `call` failed, as far as this machine's settings tell."""
    if "mount_setattr" in call and _says(call, errno.ENOSYS):
        return "It needs Linux 5.12 or later."
    if tier == "landlock":
        if "landlock" in call:
            return (
                "It needs Linux 5.13 or later with landlock in the kernel's list (lsm=...), not hidden by a container."
            )
        return "See what failed; an environment that all users can read (/opt, /srv) often helps."
    if _setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
        return (
            "AppArmor keeps user namespaces from users (Ubuntu 23.10 and later): an administrator can run "
            "`sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or give this Python a profile with `userns,`."
        )
    if _setting("/proc/sys/kernel/unprivileged_userns_clone") == "0":
        return "An administrator can allow user namespaces: `sysctl kernel.unprivileged_userns_clone=1`."
    if _setting("/proc/sys/user/max_user_namespaces") == "0":
        return "An administrator can allow user namespaces: `sysctl user.max_user_namespaces=15000`."
    if in_container():
        return (
            "In a container it needs `--cap-add SYS_ADMIN --security-opt seccomp=unconfined "
            "--security-opt apparmor=unconfined` (Docker, Podman)."
        )
    return "It needs a kernel that lets this user make namespaces (or root)."


def in_container() -> bool:
    """Whether this looks like a container."""
    marks = ("/.dockerenv", "/run/.containerenv")
    return any(map(_exists, marks)) or "container=" in _setting("/proc/1/environ").replace("\0", "\n")


def _says(call: str, code: int) -> bool:
    return os.strerror(code) in call


def _exists(path: str) -> bool:
    return Path(path).exists()


def _setting(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
