"""Start a command as somebody else, or as if in a container: `python stage.py ROLE ... -- COMMAND ...`, as root.

Roles: `exposed`: Python and the packages can be read by everybody, also where they lie under a closed folder like
/root. `nobody`: as a normal user. `contained`: no namespaces, as Docker has it by default. `old`: no Landlock either.
All of it holds for the command alone.
"""

import errno
import os
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[3]))

from autograder.sandbox import linux, seccomp, syscalls

NOBODY = 65534


def expose() -> None:
    """Where a folder above is closed to others, put an open one in its place that shows only what is needed."""
    linux.unshare(linux.NEW_MOUNTS)
    linux.mount_private()
    root = Path(__file__).resolve().parents[3]
    needed = {
        Path(sys.prefix),
        Path(sys.base_prefix),
        root / "autograder",
        root / "faultlab",
        root / "tests/autograder/sandbox",
    }
    for closed in {closed_above(path) for path in needed} - {None}:
        inside = {path: os.open(path, os.O_PATH) for path in needed if path.is_relative_to(closed)}
        linux.mount_tmpfs(str(closed), "mode=755")
        for path, hidden_now in inside.items():
            path.mkdir(parents=True, exist_ok=True)
            linux.mount_bind(f"/proc/self/fd/{hidden_now}", str(path))
            os.close(hidden_now)


def closed_above(path):
    """The highest folder above a path that others can't enter."""
    return next((folder for folder in reversed(path.parents) if not folder.stat().st_mode & 0o001), None)


def forbid(*names: str) -> None:
    """EPERM for these system calls."""
    machine = linux.MACHINE
    program = [(0x20, 0, 0, 0)]
    for name in names:
        program += [(0x15, 0, 1, syscalls.number(name, machine)), (0x06, 0, 0, 0x50000 | errno.EPERM)]
    if os.getuid():
        linux.no_new_privileges()  # else only root may
    linux.install_filter([*program, (0x06, 0, 0, seccomp.ALLOW)])


def main() -> None:
    split = sys.argv.index("--")
    roles, command = sys.argv[1:split], sys.argv[split + 1 :]
    if "exposed" in roles:
        expose()
    if "contained" in roles:
        forbid("unshare", "mount", "setns")
    if "old" in roles:
        forbid("landlock_create_ruleset")
    if "nobody" in roles:
        linux.become(NOBODY, NOBODY)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
