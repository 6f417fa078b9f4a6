"""Linux system calls that Python has no function for, as thin as possible.

Each function is one call. It raises OSError with the call's name, because `doctor` shows that name to explain why a
tier is lost. Only the zygote imports this module: nothing here runs in the judge's process.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import stat
import struct
import sys
from collections.abc import Iterable, Sequence
from typing import cast

from autograder.sandbox.syscalls import Machine, number

assert sys.platform == "linux"

NEW_MOUNTS, NEW_UTS, NEW_IPC, NEW_USER, NEW_PIDS, NEW_NET = (
    0x20000,
    0x4000000,
    0x8000000,
    0x10000000,
    0x20000000,
    1 << 30,
)
ALL_NAMESPACES = NEW_USER | NEW_PIDS | NEW_MOUNTS | NEW_NET | NEW_IPC | NEW_UTS

_NAMES = {
    NEW_MOUNTS: "mount",
    NEW_UTS: "uts",
    NEW_IPC: "ipc",
    NEW_USER: "user",
    NEW_PIDS: "pid",
    NEW_NET: "net",
}
_BIND, _RECURSIVE, _PRIVATE = 0x1000, 0x4000, 1 << 18
_NO_SUID, _NO_DEVICES, _NO_EXEC = 2, 4, 8
_DETACH = 2
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_ATTR_READ_ONLY, _ATTR_NO_SUID, _ATTR_NO_DEVICES = 1, 2, 4
_SET_PARENT_DEATH_SIGNAL, _SET_DUMPABLE, _SET_KEEP_CAPABILITIES, _DROP_BOUND = 1, 4, 8, 24
_NO_NEW_PRIVILEGES, _SET_HUGE_PAGES_OFF, _AMBIENT = 38, 41, 47
_AMBIENT_CLEAR = 4
_CAPABILITY_VERSION = 0x20080522
CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_SETPCAP = 5, 6, 7, 8

MACHINE = cast("Machine", platform.machine())

_libc = ctypes.CDLL(None, use_errno=True)


# -- namespaces


def unshare(flags: int) -> None:
    """Leave the namespaces of these kinds for new ones (a new pid namespace is entered by the next fork)."""
    kinds = "+".join(name for flag, name in _NAMES.items() if flags & flag)
    _checked(_libc.unshare(ctypes.c_int(flags)), f"unshare({kinds} namespace)")


def enter_namespace(descriptor: int, kind: int) -> None:
    """Join the namespace that a file of /proc/PID/ns stands for."""
    _checked(_libc.setns(ctypes.c_int(descriptor), ctypes.c_int(kind)), f"setns({_NAMES[kind]} namespace)")


def map_ids(proc: int, inner: int, outer_user: int, outer_group: int) -> None:
    """Map ids in a new user namespace: `inner` inside is one single id outside.

    `proc` is a descriptor of /proc, which need not be mounted in sight.
    """
    for file, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{inner} {outer_user} 1"),
        ("gid_map", f"{inner} {outer_group} 1"),
    ):
        try:
            write_file(f"self/{file}", text, directory=proc)
        except OSError as error:
            raise OSError(error.errno, f"write /proc/self/{file}: {error.strerror}") from None


# -- mounts


def mount_private() -> None:
    """From here on mounts are this namespace's own business."""
    _mount(None, "/", None, _RECURSIVE | _PRIVATE, "")


def mount_tmpfs(target: str, options: str) -> None:
    _mount("tmpfs", target, "tmpfs", _NO_SUID | _NO_DEVICES | _NO_EXEC, options)


def mount_bind(source: str, target: str) -> None:
    """Bind-mount a file or folder at a second place."""
    try:
        _mount(source, target, None, _BIND, "")
    except OSError as error:
        # Submounts are left out, unless we are in a user namespace, which may not separate inherited mounts.
        if error.errno != errno.EINVAL:
            raise
        _mount(source, target, None, _BIND | _RECURSIVE, "")


def mount_read_only(target: str, *, devices: bool = False) -> None:
    """Make a mount and all below it read-only, without set-uid files and, unless told otherwise, without devices."""
    wanted = _ATTR_READ_ONLY | _ATTR_NO_SUID | (0 if devices else _ATTR_NO_DEVICES)
    attributes = struct.pack("=QQQQ", wanted, 0, 0, 0)
    _syscall("mount_setattr", _AT_FDCWD, os.fsencode(target), _AT_RECURSIVE, attributes, len(attributes), about=target)


def pivot_root(new: str) -> None:
    """Make `new` the root and let go of the old one, with everything below it."""
    os.chdir(new)
    # "." twice, pivot_root(2): the old root lands on top of the new one and is taken away from there.
    _syscall("pivot_root", b".", b".")
    _checked(_libc.umount2(b".", ctypes.c_int(_DETACH)), "umount2(old root)")
    os.chdir("/")


# -- privileges


def become(user: int, group: int) -> None:
    """Change from root to another user, for good."""
    os.setgroups([])
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)


def keep_capabilities(wanted: Iterable[int]) -> None:
    """Have these capabilities and no other."""
    low = sum(1 << capability for capability in wanted)
    header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    _syscall("capset", header, struct.pack("=6I", low, low, 0, 0, 0, 0))


def keep_capabilities_over_setuid(keep: bool) -> None:
    _prctl("PR_SET_KEEPCAPS", _SET_KEEP_CAPABILITIES, int(keep))


def drop_privileges() -> None:
    """No capability any more, and no way to gain one."""
    for capability in range(64):
        try:
            _prctl("PR_CAPBSET_DROP", _DROP_BOUND, capability)
        except OSError:  # the first number that this kernel doesn't know, or no CAP_SETPCAP: then nothing to drop
            break
    _prctl("PR_CAP_AMBIENT", _AMBIENT, _AMBIENT_CLEAR)
    keep_capabilities([])
    no_new_privileges()


def no_new_privileges() -> None:
    _prctl("PR_SET_NO_NEW_PRIVS", _NO_NEW_PRIVILEGES, 1)


def set_dumpable(dumpable: bool) -> None:
    """Whether this process may dump core, and owns its own files in /proc."""
    _prctl("PR_SET_DUMPABLE", _SET_DUMPABLE, int(dumpable))


def no_huge_pages() -> None:
    """Turn huge pages off: a small part of one keeps all of it, even memory that was unmapped and no limit counts."""
    _prctl("PR_SET_THP_DISABLE", _SET_HUGE_PAGES_OFF, 1)


def die_with_parent() -> None:
    """SIGKILL when the parent's thread ends. A change of user forgets it."""
    _prctl("PR_SET_PDEATHSIG", _SET_PARENT_DEATH_SIGNAL, 9)


def install_filter(program: Sequence[tuple[int, int, int, int]]) -> None:
    """Filter every system call by this BPF program, from now on and forever."""
    raw = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(raw, len(raw))
    description = struct.pack("@HP", len(program), ctypes.addressof(buffer))
    set_mode_filter, all_threads = 1, 1
    _syscall("seccomp", set_mode_filter, all_threads, description)


# -- Landlock


def landlock_version() -> int:
    """Landlock's ABI in this kernel."""
    return _syscall("landlock_create_ruleset", None, 0, 1)


def landlock_rules(readable: Iterable[str], writable: Iterable[str], version: int) -> int:
    """A descriptor of a rule set: read these files and folders, write those files, and reach nothing else.

    Also no TCP (from ABI 4), no device commands (5), no signals and no abstract sockets to the outside (6).
    """
    write, read_file, read_folder, truncate = 1 << 1, 1 << 2, 1 << 3, 1 << 14
    files = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 4: 0x7FFF}.get(version, 0xFFFF)
    network = 3 if version >= 4 else 0
    scopes = 3 if version >= 6 else 0
    size = 8 if version < 4 else 16 if version < 6 else 24
    rules = _syscall("landlock_create_ruleset", struct.pack("=QQQ", files, network, scopes), size, 0)
    for paths, access in ((readable, read_file | read_folder), (writable, read_file | write | truncate)):
        for path in paths:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            fits = access if stat.S_ISDIR(os.fstat(descriptor).st_mode) else access & ~read_folder
            beneath = 1
            rule = struct.pack("=Qi", fits & files, descriptor)
            _syscall("landlock_add_rule", rules, beneath, rule, 0, about=path)
            os.close(descriptor)
    return rules


def landlock_restrict(rules: int) -> None:
    """Apply these rules to this process for good. Needs `no_new_privileges`."""
    _syscall("landlock_restrict_self", rules, 0)


# -- small files


def write_file(path: str, text: str, *, directory: int | None = None) -> None:
    descriptor = os.open(path, os.O_WRONLY, dir_fd=directory)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _mount(source: str | None, target: str, kind: str | None, flags: int, options: str) -> None:
    def encoded(text: str | None) -> bytes | None:
        return None if text is None else os.fsencode(text)

    result = _libc.mount(
        encoded(source), encoded(target), encoded(kind), ctypes.c_ulong(flags), os.fsencode(options) or None
    )
    _checked(result, f"mount({source or target}{f', {kind}' if kind else ''})")


def _prctl(name: str, option: int, argument: int) -> None:
    none = ctypes.c_ulong(0)
    _checked(_libc.prctl(ctypes.c_int(option), ctypes.c_ulong(argument), none, none, none), f"prctl({name})")


def _syscall(name: str, *arguments: int | bytes | None, about: str = "") -> int:
    words = [ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments]
    result = _libc.syscall(ctypes.c_long(number(name, MACHINE)), *words)
    return _checked(int(result), f"{name}({about})")


def _checked(result: int, call: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{call}: {os.strerror(code)}")
    return result
