"""A warm process: Python started, libraries imported, locked in; it forks a child for each submission.

Started as a program by `host.Box`, with a socket and a clean environment, so that nothing of the judge is in its
memory. Starting Python and importing take a hundred times as long as a fork.

The socket brings one JSON object per message: first the settings; then `{"launch": id, "limits": ...}` with
the child's socket and a file that holds its payload, or `{"kill": id}`. It sends back `{"ready": ...}` or
`{"refused": line}` once, then `{"exit": id, ...}` for each child. When the socket ends, all processes die.
"""

from __future__ import annotations

import sys
from pathlib import Path

# The packages lie where this file lies, whether or not they are installed. The path comes last, so that it hides
# nothing.
if (_root := str(Path(__file__).resolve().parents[2])) not in sys.path:
    sys.path.append(_root)

assert sys.platform == "linux"

import contextlib
import fcntl
import gc
import importlib
import json
import os
import re
import resource
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from autograder.sandbox import confinement
from autograder.sandbox.cgroup import Group
from autograder.sandbox.confinement import Confinement, Unsuitable
from autograder.sandbox.limits import Limits

Entry = Callable[[socket.socket, bytes], object]
"""The child's main function after the lock: `main(sock, payload)`."""


@dataclass(slots=True)
class Running:
    """One child, as the zygote knows it."""

    id: int
    pid: int
    limits: Limits
    began: float
    problem: int
    """The read end of a pipe into which the child writes only if it can't be locked in."""
    status: int
    """Its file in /proc, or -1."""
    late: bool = False
    """Whether it was killed because its wall-clock time was up."""
    greedy: bool = False
    """Whether it was killed because of its page tables."""

    @property
    def left(self) -> float:
        """Seconds until its wall-clock time is up, as far as is known now."""
        return self.began + self.limits.wall(cpu_time(self.pid)) - time.monotonic()

    @property
    def page_tables(self) -> int:
        """Bytes of its page tables.

        A single page anywhere in the address space needs three of them, and no limit of a process counts these.
        """
        found = _PAGE_TABLES.search(os.pread(self.status, 4096, 0)) if self.status >= 0 else None
        return int(found[1]) << 10 if found else 0


_PAGE_TABLES = re.compile(rb"^VmPTE:\s+(\d+) kB", re.MULTILINE)
GLANCE = 0.1
"""Seconds between two looks at the page tables of those that run."""


@dataclass(frozen=True, slots=True)
class Home:
    """How children are forked: their confinement, their control group, their main function."""

    confined: Confinement
    group: Group | None
    entries: dict[str, Entry]
    proc: int


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    setup = json.loads(control.recv(1 << 16))
    try:
        home = prepare(setup)
    except Exception as error:
        no_tier_would_do = isinstance(error, Unsuitable)
        control.send(json.dumps({"refused": line(error), "final": no_tier_would_do}).encode())
        return
    control.send(json.dumps({"ready": os.getpid()}).encode())
    serve(control, home)


def prepare(setup: dict[str, Any]) -> Home:
    """Move into the sandbox, import there what submissions need, and seal it."""
    while os.open("/dev/null", os.O_RDONLY) < REPORT:
        pass  # later descriptors must not use the numbers that a child redefines
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
    if setup["core"] is not None:
        os.sched_setaffinity(0, {setup["core"]})
    group = Group(setup["group"]) if setup["group"] else None
    confined: Confinement
    full = setup["tier"] == "full"
    confined = confinement.Full(proc) if full else confinement.Landlock(proc, setup["landlock_version"])
    if group and os.getuid() == 0:
        group.give_to(confinement.first_user())
    confinement.refuse_visible(setup["private"])
    os.chdir("/")
    confined.enter(setup["folder"])
    for name in setup["preload"]:
        load_module(name)
    entries = {name: entry(name) for name in setup["entries"]}
    threads = len(os.listdir(os.open("self/task", os.O_RDONLY, dir_fd=proc)))
    if threads != 1:
        raise Unsuitable(
            f"importing {', '.join(setup['preload'])} started {threads - 1} threads, which no fork survives"
        )
    confined.seal()
    gc.collect()
    gc.freeze()
    gc.disable()
    return Home(confined, group, entries, proc)


def load_module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise Unsuitable(f"submissions couldn't import {name}: {line(error)}") from error


def entry(name: str) -> Entry:
    """Import the function `module:function`; call its module's `warm`, if any, once for all children."""
    place, _, function = name.partition(":")
    module = load_module(place)
    getattr(module, "warm", lambda: None)()
    found: Entry = getattr(module, function)
    return found


def serve(control: socket.socket, home: Home) -> NoReturn:
    """Launch, kill and reap until the judge's end of the socket closes."""
    running: dict[int, Running] = {}
    poller = select.poll()
    poller.register(control, select.POLLIN)
    while True:
        for ready, _ in poller.poll(until_next_look(running)):
            if ready != control.fileno():
                poller.unregister(ready)
                control.send(json.dumps(reap(home, ready, running.pop(ready))).encode())
            else:
                obey(control, home, poller, running)
        for pidfd, child in running.items():
            child.late = child.late or child.left <= 0
            child.greedy = child.greedy or child.page_tables > child.limits.page_tables
            if child.late or child.greedy:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)


def until_next_look(running: dict[int, Running]) -> int | None:
    """Milliseconds until a child has to be looked at again; None when there is none."""
    left = min((child.left for child in running.values()), default=None)
    return None if left is None else max(0, int(min(left, GLANCE) * 1000) + 1)


def obey(control: socket.socket, home: Home, poller: select.poll, running: dict[int, Running]) -> None:
    """Do what the judge asks for; if its end is closed, kill everything and end."""
    message, descriptors, _, _ = socket.recv_fds(control, 1 << 16, 2)
    if not message:
        end_all(home, running)
    request = json.loads(message)
    if "kill" in request:
        for pidfd in [pidfd for pidfd, child in running.items() if child.id == request["kill"]]:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        return
    try:
        pidfd, child = launch(home, request, descriptors)
    except OSError as error:  # no process left, no namespace left: not this submission's fault
        control.send(json.dumps(never_lived(request["launch"], error)).encode())
    else:
        running[pidfd] = child
        poller.register(pidfd, select.POLLIN)
    for descriptor in descriptors:
        os.close(descriptor)


def end_all(home: Home, running: dict[int, Running]) -> NoReturn:
    for pidfd in running:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    for child in running.values():
        os.waitpid(child.pid, 0)
        home.confined.ended(child.pid)
    os._exit(0)


def launch(home: Home, request: dict[str, Any], descriptors: list[int]) -> tuple[int, Running]:
    limits = Limits(**request["limits"])
    if home.group:
        home.group.add(request["launch"], limits)
    problem, report = os.pipe()
    try:
        pid = home.confined.fork()
    except OSError:
        os.close(problem)
        raise
    else:
        if pid == 0:
            talk, payload = descriptors
            be_the_child(home, request, limits, talk, payload, report)
    finally:
        os.close(report)
    pidfd = os.pidfd_open(pid)
    return pidfd, Running(request["launch"], pid, limits, time.monotonic(), problem, status_file(home.proc, pidfd))


def status_file(proc: int, pidfd: int) -> int:
    """A descriptor of a process's file in /proc, where its id may be another; -1 if there is none."""
    with contextlib.suppress(OSError):
        told = os.open(f"self/fdinfo/{pidfd}", os.O_RDONLY, dir_fd=proc)
        try:
            numbers = re.search(rb"^Pid:\s+(\d+)", os.read(told, 4096), re.MULTILINE)
        finally:
            os.close(told)
        if numbers:
            return os.open(f"{int(numbers[1])}/status", os.O_RDONLY, dir_fd=proc)
    return -1


def reap(home: Home, pidfd: int, child: Running) -> dict[str, Any]:
    """The report to the judge about the end of one child."""
    _, status, usage = os.wait4(child.pid, 0)
    home.confined.ended(child.pid)
    starved = home.group.end(child.id) if home.group else False
    os.close(pidfd)
    if child.status >= 0:
        os.close(child.status)
    failure = os.read(child.problem, 4096)
    os.close(child.problem)
    return {
        "exit": child.id,
        "status": os.waitstatus_to_exitcode(status),
        "cpu": usage.ru_utime + usage.ru_stime,
        "late": child.late,
        "failure": failure.decode(errors="replace"),
        "starved": starved or child.greedy,
    }


def cpu_time(pid: int) -> float:
    """CPU seconds that a process has used, all its threads together."""
    return time.clock_gettime(~pid << 3 | 2)  # as clock_getcpuclockid(3) numbers its clock


def never_lived(number: int, error: OSError) -> dict[str, Any]:
    """The end of a child that couldn't be forked."""
    failure = f"fork: {line(error)}"
    return {"exit": number, "status": 1, "cpu": 0.0, "late": False, "failure": failure, "starved": False}


def be_the_child(home: Home, request: dict[str, Any], limits: Limits, talk: int, payload: int, report: int) -> NoReturn:
    """In the child: lock, run, end. Whatever happens, nothing returns to the zygote's code."""
    status = 1
    try:
        # Signals to a process group reach across pid namespaces: kill(0, 9) ended the zygote.
        os.setsid()
        with open(payload, "rb") as file:
            file.seek(0)
            data = file.read()
        arrange_descriptors(talk, report)
        try:
            if home.group:
                home.group.enter(request["launch"])
            home.confined.lock(limits)
        except BaseException as error:
            os.write(REPORT, line(error).encode()[:4000])
            os._exit(1)
        os.close(REPORT)
        gc.enable()
        home.entries[request["entry"]](socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=TALK), data)
        status = 0
    finally:
        os._exit(status)


TALK, REPORT = 3, 4


def arrange_descriptors(talk: int, report: int) -> None:
    """Point the standard streams nowhere, move the child's socket to 3 and the report to 4; everything else is closed
    later."""
    nowhere = os.open("/dev/null", os.O_RDWR)
    high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 512) for descriptor in (nowhere, talk, report)]
    for source, target in zip((high[0], high[0], high[0], high[1], high[2]), range(5), strict=True):
        os.dup2(source, target, inheritable=False)


def line(error: BaseException) -> str:
    """An error in one line."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    text = " ".join((text or type(error).__name__).split())
    return text if isinstance(error, (OSError, Unsuitable)) else f"{type(error).__name__}: {text}"


if __name__ == "__main__":
    main()
