"""The ways to lock a submission in, best first: Full and Landlock.

Each has the same four steps. `enter`: before it imports anything, the zygote moves to where it will live. `seal`: it
has imported all that submissions need; from now on nothing is writable. `fork`: start one child. `lock`: the child,
which has only run our code so far, gives up everything that it doesn't need. After that comes the student's code.

Full gives each child namespaces of its own: it sees no other process, and no file but the runtime's (read-only) and its
own /tmp. Its network is the zygote's, which is empty. Landlock forbids where namespaces aren't allowed, as in a default
container: no writable folder, no signal to anybody. Under both a seccomp filter refuses most system calls, and every
socket but a pair.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket
import sys
import threading
from pathlib import Path
from typing import Protocol

assert sys.platform == "linux"

from autograder.sandbox import linux
from autograder.sandbox.limits import MEBI, Limits
from autograder.sandbox.seccomp import filter_program

CACHE = "/cache"
"""The full tier's folder for what libraries write while they are imported (a font cache, say)."""

KEPT_DESCRIPTORS = 5
"""Standard input, output and errors, the socket, and the pipe for what goes wrong while locking."""

_SYSTEM = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/share/fonts",
    "/usr/share/zoneinfo",
    "/etc/ld.so.cache",
)
_DEVICES = ("/dev/null", "/dev/random", "/dev/urandom")
"""Not /dev/zero: mapped, it is shared memory without a file, see `seccomp`."""
_SLOTS = 63
_SPARE_TASKS = 1000


class Unsuitable(Exception):
    """The sandbox could be built, but must not or cannot be used here; no lower tier would help."""


class Confinement(Protocol):
    """The interface of a tier, for the zygote."""

    def enter(self, folder: str) -> None:
        """Move to where submissions will be; `folder` is empty and ours."""

    def seal(self) -> None:
        """Everything is imported: nothing changes any more."""

    def fork(self) -> int:
        """Fork: return the child's id, or 0 in the child."""

    def lock(self, limits: Limits) -> None:
        """In the child: give up everything."""

    def ended(self, pid: int) -> None:
        """In the zygote: this child is reaped."""


class Full:
    """Namespaces for everything. `proc` is a descriptor of /proc, which is mounted nowhere in here."""

    def __init__(self, proc: int) -> None:
        self._proc = proc

    def enter(self, folder: str) -> None:
        user, group = os.getuid(), os.getgid()
        if user == 0:
            # Mount the files first, because Python may lie where only root can go; then give up root for good.
            linux.unshare(linux.NEW_MOUNTS)
            user = group = first_user()
            _move_to_new_root(folder, cache_owner=user)
            linux.become(user, group)
            linux.set_dumpable(True)  # otherwise our own files in /proc are root's
            linux.unshare(linux.ALL_NAMESPACES)
            linux.map_ids(self._proc, 0, user, group)
        else:
            linux.unshare(linux.ALL_NAMESPACES)
            linux.map_ids(self._proc, 0, user, group)
            _move_to_new_root(folder, cache_owner=0)
        socket.sethostname("sandbox")
        _go_on_as_first_process()
        self._own_pids = os.open("self/ns/pid", os.O_RDONLY, dir_fd=self._proc)

    def seal(self) -> None:
        linux.mount_read_only("/", devices=True)
        self._taken = _address_space(self._proc)

    def fork(self) -> int:
        linux.unshare(linux.NEW_PIDS)
        pid = -1
        try:
            pid = os.fork()
        finally:
            if pid:
                linux.enter_namespace(self._own_pids, linux.NEW_PIDS)
        return pid

    def lock(self, limits: Limits) -> None:
        linux.unshare(linux.NEW_MOUNTS | linux.NEW_IPC | linux.NEW_UTS)
        self._cover_tmp(limits)
        # Enter a user namespace of its own: the limit on threads counts per user and namespace, and the mounts are no
        # longer ours.
        linux.unshare(linux.NEW_USER)
        linux.map_ids(self._proc, 1000, 0, 0)
        os.chdir("/tmp")
        _close_descriptors()
        impose(limits, taken=self._taken, tasks=0)
        linux.drop_privileges()
        _last_steps(own_files=True)

    def ended(self, pid: int) -> None:
        pass

    def _cover_tmp(self, limits: Limits) -> None:
        """Mount a /tmp of the child's own, with those parts of Python and of this project that lie below the real
        one."""
        beneath = {place: os.open(place, os.O_PATH) for place in visible() if _beneath(place, "/tmp")}
        linux.mount_tmpfs("/tmp", f"size={limits.disk},nr_inodes={limits.files},mode=1777")
        os.chdir(self._proc)
        for place, descriptor in beneath.items():
            Path(place).mkdir(parents=True, exist_ok=True)
            linux.mount_bind(f"self/fd/{descriptor}", place)
            linux.mount_read_only(place)
            os.close(descriptor)


class Landlock:
    """Landlock and seccomp; as root also a user id for each child, and one for the zygote."""

    def __init__(self, proc: int, version: int = sys.maxsize) -> None:
        self._proc = proc
        self._version = version
        self._users: list[int] = []
        self._users_taken: dict[int, int] = {}

    def enter(self, folder: str) -> None:
        self._version = min(self._version, linux.landlock_version())
        self._readable = [*visible(), folder, "/dev/random", "/dev/urandom"]
        self._tasks = 0
        if os.getuid() == 0:
            zygote = first_user()
            self._users = list(range(zygote + 1, zygote + 1 + _SLOTS))
            os.chown(folder, zygote, zygote)
            linux.keep_capabilities_over_setuid(True)
            linux.become(zygote, zygote)
            linux.keep_capabilities((linux.CAP_KILL, linux.CAP_SETGID, linux.CAP_SETUID, linux.CAP_SETPCAP))
            linux.set_dumpable(True)
            _require_readable(self._readable, zygote)
        else:
            self._tasks = _tasks_of_user(self._proc) + _SPARE_TASKS

    def seal(self) -> None:
        self._rules = linux.landlock_rules(self._readable, ["/dev/null"], self._version)
        self._taken = _address_space(self._proc)

    def fork(self) -> int:
        if self._users_taken and not self._users:
            raise OSError(errno.EAGAIN, f"there are user ids for {_SLOTS} submissions at once, and not more")
        user = self._users.pop() if self._users else None
        pid = os.fork()
        if user is not None:
            self._users_taken[pid] = user
        return pid

    def lock(self, limits: Limits) -> None:
        _close_descriptors(self._rules)
        impose(limits, taken=self._taken, tasks=self._tasks)
        if 0 in self._users_taken:  # os.fork() said 0: the entry is our own
            linux.become(self._users_taken[0], self._users_taken[0])
        linux.drop_privileges()
        linux.landlock_restrict(self._rules)
        os.close(self._rules)
        _last_steps(own_files=False)

    def ended(self, pid: int) -> None:
        if pid in self._users_taken:
            self._users.append(self._users_taken.pop(pid))


def visible() -> list[str]:
    """What a submission may read: Python, its packages and the libraries under them, `faultlab` and `autograder`.

    Of a project installed in place, only the two packages, never their folder, which also holds answers.
    """
    prefixes = {sys.prefix, sys.base_prefix}
    wanted = [*_SYSTEM, *(f"{prefix}/lib" for prefix in prefixes), *_packages()]
    wanted += [place for place in sys.path if any(_beneath(place, prefix) for prefix in prefixes)]
    places = {path for place in wanted if os.path.exists(place) for path in (place, os.path.realpath(place))}
    return sorted(place for place in places if not any(_beneath(place, other) for other in places - {place}))


def refuse_visible(private: list[str]) -> None:
    """Raises Unsuitable if any of these lies where submissions can read."""
    for path in map(os.path.realpath, private):
        for place in visible():
            if _beneath(path, os.path.realpath(place)):
                raise Unsuitable(
                    f"{path} lies in {place}, which every submission can read as a part of Python: move it elsewhere"
                )


def _packages() -> list[str]:
    root = Path(__file__).resolve().parents[2]
    return [str(root / "autograder"), str(root / "faultlab")]


def _beneath(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def impose(limits: Limits, *, taken: int, tasks: int) -> None:
    """Impose the limits on this process, for good.

    `taken`: bytes of address space in use already; `tasks`: processes and threads that this user runs elsewhere, which
    the kernel counts too.
    """
    processes = limits.threads + tasks
    for kind, value in (
        # 1 and not 0: a core handler behind a pipe is started even at 0, and isn't at 1.
        (resource.RLIMIT_CORE, 1),
        (resource.RLIMIT_CPU, limits.cpu),
        (resource.RLIMIT_AS, taken + limits.memory),
        (resource.RLIMIT_FSIZE, limits.disk),
        (resource.RLIMIT_NOFILE, limits.descriptors),
        (resource.RLIMIT_NPROC, processes),
        (resource.RLIMIT_SIGPENDING, 64),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_STACK, 8 * MEBI),
    ):
        _, hard = resource.getrlimit(kind)
        lowered = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (lowered, lowered))
    # Threads reserve their whole stack: with eight megabytes each, twenty threads would be the end.
    threading.stack_size(MEBI)


def _move_to_new_root(folder: str, *, cache_owner: int) -> None:
    """Build a root in memory: the visible files, read-only; harmless devices; two writable folders."""
    linux.mount_private()
    linux.mount_tmpfs(folder, "size=16m,mode=755")
    for place in visible():
        _show(folder, place)
        linux.mount_read_only(folder + place)
    for device in _DEVICES:
        _show(folder, device)
    for name in ("/proc", "/tmp", CACHE):
        os.makedirs(folder + name, exist_ok=True)  # the project may lie beneath /tmp
    for name in ("/tmp", CACHE):
        os.chown(folder + name, cache_owner, cache_owner)
    Path(folder, "etc").mkdir(exist_ok=True)
    Path(folder, "etc/passwd").write_text("student:x:1000:1000::/tmp:/bin/false\n", encoding="ascii")
    Path(folder, "etc/hosts").write_text("127.0.0.1 localhost\n", encoding="ascii")
    linux.pivot_root(folder)


def _show(root: str, path: str) -> None:
    target = Path(root + path)
    if Path(path).is_dir():
        target.mkdir(parents=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    linux.mount_bind(path, str(target))


def _go_on_as_first_process() -> None:
    """Fork into the new pid namespace: the child returns, and when it ends every process in there ends."""
    child = os.fork()
    if child:
        os.closerange(0, 1024)  # above all the control socket, whose end tells the judge that the zygote died
        os.waitpid(child, 0)
        os._exit(0)
    linux.die_with_parent()


def _close_descriptors(also: int = -1) -> None:
    """Close all descriptors except those that the child needs, and `also`."""
    os.closerange(KEPT_DESCRIPTORS, max(also, KEPT_DESCRIPTORS))
    os.closerange(max(also + 1, KEPT_DESCRIPTORS), 1024)


def _last_steps(*, own_files: bool) -> None:
    linux.die_with_parent()  # after the change of user, which forgets it
    linux.set_dumpable(False)
    linux.no_huge_pages()
    linux.install_filter(filter_program(linux.MACHINE, own_process=os.getpid(), own_files=own_files))


def first_user() -> int:
    """The first of 64 unused user ids; each running zygote has another block.

    By process id: two zygotes share one only if their ids are a multiple of 600 apart, and it then costs them no more
    than a common limit on threads.
    """
    return 20_000 + os.getpid() % 600 * (_SLOTS + 1)


def _require_readable(places: list[str], user: int) -> None:
    for place in places:
        if not os.access(place, os.R_OK):
            raise PermissionError(f"{place} can't be read by user {user}, under which submissions would run")


def _address_space(proc: int) -> int:
    """Bytes of address space that this process takes."""
    return int(_read(proc, "self/statm").split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _tasks_of_user(proc: int) -> int:
    """Processes and threads that our user runs on this machine."""
    tasks = 0
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdigit() and os.stat(name, dir_fd=proc).st_uid == os.getuid():
                tasks += int(_read(proc, f"{name}/stat").rpartition(")")[2].split()[17])
    return tasks


def _read(proc: int, path: str) -> str:
    with open(os.open(path, os.O_RDONLY, dir_fd=proc), encoding="utf-8", errors="replace") as file:
        return file.read()
