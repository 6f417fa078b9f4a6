"""What a hostile submission tries, in every tier that locks, as root and as a normal user."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import venv
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from autograder.sandbox import host, linux
from autograder.sandbox.host import Box
from autograder.sandbox.limits import Limits
from autograder.sandbox.syscalls import number
from autograder.sandbox.tiers import SandboxUnavailable
from tests.autograder.sandbox.boxes import (
    EXECUTE,
    Setting,
    attempt,
    descendants,
    ends,
    eventually,
    heard,
    processes_of,
    program,
    staged,
    started,
)

NAMELESS = ("EPERM", "EACCES", "ENOSYS", "ENOENT", "EROFS")
"""The answers of a wall."""


@pytest.fixture
def canary() -> Iterator[Path]:
    """A file that only the sandbox keeps from being read and changed: everybody else may."""
    folder = Path(tempfile.mkdtemp(prefix="canary-"))
    folder.chmod(0o777)
    file = folder / "gradebook.db"
    file.write_text("all the marks", encoding="utf-8")
    file.chmod(0o666)
    os.utime(file, (1_000_000, 1_000_000))
    yield file
    shutil.rmtree(folder)


def condition(file: Path) -> tuple[str, int, float, list[str]]:
    status = file.stat()
    return file.read_text(encoding="utf-8"), status.st_mode, status.st_mtime, os.listxattr(file)


def test_runs_a_program(box: Box) -> None:
    """An honest program runs, and tells what it has to tell."""
    seen = attempt(box, "import asyncio\ntell(asyncio.run(asyncio.sleep(0.01, 'slept')))")
    assert seen.told == "slept"
    assert seen.exit.status == 0
    assert not seen.exit.failure


FILES = """
import shutil
tell([
    outcome(lambda: open(path).read()),
    outcome(lambda: open(path, "w")),
    outcome(lambda: open(path, "a")),
    outcome(lambda: os.open(path, os.O_RDONLY | os.O_TRUNC)),
    outcome(os.truncate, path, 0),
    outcome(os.chmod, path, 0),
    outcome(os.chown, path, 0, 0),
    outcome(os.utime, path, (1, 1)),
    outcome(os.setxattr, path, "user.a", b"1"),
    outcome(os.rename, path, path + "2"),
    outcome(os.link, path, path + "2"),
    outcome(os.symlink, path, path + "2"),
    outcome(os.unlink, path),
    outcome(os.listdir, os.path.dirname(path)),
    outcome(os.mkdir, path + "2"),
    outcome(lambda: open(path + "2", "w")),
    outcome(shutil.rmtree, os.path.dirname(path)),
    call(creat, path.encode(), 0o600),
])
"""


def creat_or_openat2() -> int:
    return 85 if linux.MACHINE == "x86_64" else number("openat2", linux.MACHINE)


def test_leaves_files_alone(box: Box, canary: Path) -> None:
    """A file that anybody may write is neither read nor changed, in no way that Linux knows."""
    before = condition(canary)
    seen = attempt(box, FILES, path=str(canary), creat=creat_or_openat2())
    assert [answer for answer in seen.told if answer not in NAMELESS] == []
    assert condition(canary) == before
    assert os.listdir(canary.parent) == [canary.name]


@pytest.mark.parametrize("version", range(1, 8))
def test_leaves_files_alone_under_any_landlock(setting: Setting, canary: Path, version: int) -> None:
    """The same with each ABI of Landlock that there is (what an old one doesn't cover, seccomp does)."""
    if setting.tier != "landlock":
        return
    before = condition(canary)
    with started(setting, landlock_version=version) as box:
        seen = attempt(box, FILES, path=str(canary), creat=creat_or_openat2())
    assert [answer for answer in seen.told if answer not in NAMELESS] == []
    assert condition(canary) == before


@pytest.mark.parametrize("version", range(1, 8))
def test_harms_no_neighbour_under_any_landlock(setting: Setting, version: int) -> None:
    """Without pid namespaces others have numbers, and before ABI 6 Landlock lets signals pass: seccomp doesn't."""
    if setting.tier != "landlock":
        return
    with started(setting, landlock_version=version) as box:
        neighbour = box.launch(program("tell('here')\nsock.recv(10)\ntell('still here')"))
        heard(neighbour)
        seen = attempt(
            box,
            """
            import fcntl, resource, signal
            tell([outcome(os.kill, other, signal.SIGKILL) for other in others]
               + [outcome(resource.prlimit, other, resource.RLIMIT_CPU, (0, 0)) for other in others]
               + [outcome(fcntl.fcntl, sock, fcntl.F_SETOWN, other) for other in others]
               + [outcome(os.sched_setaffinity, other, {0}) for other in others]
               + [call(tgkill, other, other, 9) for other in others])
            """,
            others=[os.getpid(), *descendants(os.getpid())],
            tgkill=number("tgkill", linux.MACHINE),
        )
        assert set(seen.told) == {"EPERM"}
        neighbour.socket.send(b"go on")
        assert heard(neighbour) == "still here"
        ends(box, neighbour)
        neighbour.socket.close()


def test_shows_nothing_of_the_machine(box: Box) -> None:
    """Neither secrets nor other processes, answers nor grades: only Python and the two packages."""
    root = Path(__file__).parents[3]
    hidden = ["/etc/shadow", "/etc/ssh", "/sys/kernel", "/proc/self/status", "/proc/1/environ", "/dev/sda", "/dev/tty"]
    beside = [str(path) for path in root.iterdir() if path.name not in ("autograder", "faultlab", ".venv")]
    seen = attempt(
        box,
        """
        tell([
            [outcome(os.listdir if os.path.isdir(path) else open, path) for path in hidden],
            outcome(os.listdir, "/proc"),
            outcome(os.listdir, "/work"),
            sorted(os.environ),
            os.getcwd(),
        ])
        """,
        hidden=[*hidden, str(root), *beside],
    )
    found, processes, _, environment, folder = seen.told
    # The full tier's empty folders that lead to the packages can be listed.
    assert {answer for answer in found if answer not in NAMELESS} <= {str(["autograder", "faultlab", ".venv"])} or all(
        name not in str(found) for name in ("solutions", "tests", "pyproject")
    )
    assert processes in ("[]", *NAMELESS)
    assert not [name for name in environment if name.startswith(("USER", "SSH", "VIRTUAL", "PWD", "PYTEST"))]
    assert folder in ("/tmp", "/")


def test_reaches_no_network(box: Box) -> None:
    """No address of the internet, no server on this machine, no socket in a file or of an abstract name."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as named:
        named.bind(f"\0sandbox-test-{os.getpid()}")
        named.listen()
        seen = attempt(
            box,
            """
            import socket
            def connect(family, address):
                with socket.socket(family) as s:
                    s.settimeout(2)
                    s.connect(address)
            tell([
                outcome(connect, socket.AF_INET, ("1.1.1.1", 53)),
                outcome(connect, socket.AF_INET, ("127.0.0.1", port)),
                outcome(connect, socket.AF_UNIX, name),
                outcome(socket.getaddrinfo, "example.org", 80),
                outcome(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 0),
                outcome(socket.socket, socket.AF_NETLINK, socket.SOCK_RAW, 0),
                outcome(socket.socket, socket.AF_VSOCK, socket.SOCK_STREAM, 0),
                outcome(socket.socket, socket.AF_ALG, socket.SOCK_SEQPACKET, 0),
            ])
            """,
            port=server.getsockname()[1],
            name=named.getsockname().decode(),
        )
    walls = (*NAMELESS, "ENETUNREACH", "ECONNREFUSED", "gaierror", "EAI_AGAIN", "EBADF")
    assert all(answer in walls or answer.lstrip("-").isdigit() for answer in seen.told), seen.told


def test_starts_no_process(box: Box) -> None:
    """Neither by fork, spawn, exec, nor by the raw calls."""
    seen = attempt(
        box,
        """
        import multiprocessing, subprocess
        tell([
            outcome(os.fork),
            outcome(os.execv, "/bin/true", ["true"]),
            outcome(os.posix_spawn, "/bin/true", ["true"], {}),
            outcome(subprocess.run, ["/bin/true"]),
            outcome(os.system, "true"),
            outcome(multiprocessing.Process(target=print).start),
            call(clone, 17, 0, 0, 0, 0),
            call(435, b"\\0" * 88, 88),
        ])
        """,
        clone=number("clone", linux.MACHINE),
    )
    assert all(answer in (*NAMELESS, "-1", "32512") for answer in seen.told), seen.told


@pytest.mark.parametrize(
    "target", ["0", "-1", "os.getppid() or 1", "zygote", "judge"], ids=["group", "all", "parent", "zygote", "judge"]
)
def test_kills_nobody(box: Box, target: str) -> None:
    """Not its group, not everybody, not the zygote, not the judge: they all live on."""
    zygote = processes_of(box)[-1]
    seen = attempt(
        box,
        f"""
        import signal
        target = {target}
        tell([
            outcome(os.kill, target, 0) if target > 1 else "EPERM",
            outcome(os.kill, target, signal.SIGKILL) if target != os.getpid() else "EPERM",
            call(tkill, target, 9),
            call(tgkill, target, target, 9) if target != os.getpid() else "EPERM",
            call(sigqueue, target, 9, b"\\0" * 128),
            outcome(os.pidfd_open, abs(target) or 1),
        ])
        """,
        zygote=zygote,
        judge=os.getpid(),
        tkill=number("tkill", linux.MACHINE),
        tgkill=number("tgkill", linux.MACHINE),
        sigqueue=number("rt_sigqueueinfo", linux.MACHINE),
    )
    assert set(seen.told) == {"EPERM"}
    assert seen.exit.status == 0
    assert attempt(box, "tell('still here')").told == "still here"


def test_may_signal_itself(box: Box) -> None:
    """What Python itself needs: raise_signal, abort, pthread_kill, an alarm."""
    seen = attempt(
        box,
        """
        import signal, threading
        heard = []
        signal.signal(signal.SIGUSR1, lambda *_: heard.append("usr1"))
        signal.signal(signal.SIGALRM, lambda *_: heard.append("alarm"))
        signal.raise_signal(signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGUSR1)
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        time.sleep(0.1)
        tell(heard)
        """,
    )
    assert seen.told == ["usr1", "usr1", "usr1", "alarm"]


REFUSED = [
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "kcmp",
    "unshare",
    "setns",
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "mount_setattr",
    "open_tree",
    "move_mount",
    "fsopen",
    "statmount",
    "keyctl",
    "add_key",
    "request_key",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "io_uring_setup",
    "memfd_create",
    "memfd_secret",
    "shmget",
    "msgget",
    "semget",
    "mq_open",
    "flock",
    "inotify_init1",
    "fanotify_init",
    "setpriority",
    "ioprio_set",
    "sched_setaffinity",
    "sched_setattr",
    "sched_setscheduler",
    "pidfd_open",
    "pidfd_getfd",
    "process_madvise",
    "setxattr",
    "mknodat",
    "open_by_handle_at",
    "setuid",
    "setresuid",
    "setgroups",
    "capset",
    "setpgid",
    "setsid",
    "seccomp",
    "landlock_create_ruleset",
    "personality",
    "syslog",
    "sethostname",
    "clock_settime",
    "init_module",
    "quotactl",
    "sync",
    "openat2",
    "move_pages",
    "get_robust_list",
    "rt_tgsigqueueinfo",
    "modify_ldt",
]


def test_refuses_what_no_submission_needs(box: Box) -> None:
    """Dangerous system calls are refused before the kernel looks at their arguments."""
    numbers = {}
    for name in REFUSED:
        try:
            numbers[name] = number(name, linux.MACHINE)
        except LookupError:
            continue
    seen = attempt(box, "tell({name: call(n, 0, 0, 0, 0, 0, 0) for name, n in numbers.items()})", numbers=numbers)
    assert {name: answer for name, answer in seen.told.items() if answer not in ("EPERM", "ENOSYS")} == {}


def test_refuses_commands_by_their_arguments(box: Box) -> None:
    """fcntl, ioctl, prctl and prlimit do what is harmless and nothing else."""
    seen = attempt(
        box,
        """
        import fcntl, resource, socket, termios
        a, b = socket.socketpair()
        tell([
            outcome(fcntl.fcntl, a, fcntl.F_SETOWN, 1),
            outcome(fcntl.fcntl, a, fcntl.F_SETSIG, 9),
            outcome(fcntl.fcntl, a, 15, b"\\1\\0\\0\\0\\1\\0\\0\\0"),
            outcome(fcntl.ioctl, a, 0x8901, b"\\1\\0\\0\\0"),
            outcome(fcntl.ioctl, a, 0x8902, b"\\1\\0\\0\\0"),
            outcome(fcntl.ioctl, a, termios.TIOCSTI, b"x"),
            outcome(fcntl.lockf, a, fcntl.LOCK_EX),
            outcome(fcntl.flock, a, fcntl.LOCK_EX),
            *(call(prlimit, who, resource.RLIMIT_NOFILE, new, 0)
              for who, new in ((0, bytes(16)), (judge, 0), (judge, bytes(16)), (zygote, bytes(16)))),
            outcome(os.sched_setaffinity, 0, {0}),
            outcome(os.nice, 1),
            outcome(os.setpriority, os.PRIO_PROCESS, judge, 19),
            str(libc.prctl(4, 1, 0, 0, 0)),
            str(libc.prctl(1, 0, 0, 0, 0)),
            outcome(os.setsid),
        ])
        """,
        judge=os.getpid(),
        zygote=processes_of(box)[-1],
        prlimit=number("prlimit64", linux.MACHINE),
    )
    assert set(seen.told) <= {"EPERM", "-1"}, seen.told


def test_holds_only_what_it_was_given(box: Box) -> None:
    """Four descriptors open; three lead nowhere."""
    seen = attempt(
        box,
        """
        import stat
        def kind(number):
            try:
                mode = os.fstat(number).st_mode
            except OSError:
                return None
            return "socket" if stat.S_ISSOCK(mode) else os.major(os.fstat(number).st_rdev)
        tell([kind(number) for number in range(1200)][:8] + [sum(kind(n) is not None for n in range(1200))])
        """,
    )
    assert seen.told == [1, 1, 1, "socket", None, None, None, None, 4]


def test_limits_descriptors(box: Box) -> None:
    """Sixteen, so that no memory hides in the buffers of sockets."""
    seen = attempt(box, "tell([outcome(os.dup, 0) for _ in range(20)])")
    assert seen.told == [*map(str, range(4, 16)), *["EMFILE"] * 8]


def test_limits_memory(box: Box) -> None:
    """384 MB on top of what Python takes; what is asked beyond raises MemoryError."""
    seen = attempt(box, "tell([outcome(lambda: len(bytearray(n << 20))) for n in (300, 400)])")
    assert seen.told == [str(300 << 20), "MemoryError"]


def test_limits_threads(box: Box, setting: Setting) -> None:
    """Some dozens of threads, not thousands; forty are never too many."""
    seen = attempt(
        box,
        """
        import threading
        stop = threading.Event()
        count = 0
        try:
            while count < 5000:
                threading.Thread(target=stop.wait, daemon=True).start()
                count += 1
        except (RuntimeError, MemoryError):
            pass
        tell(count)
        stop.set()
        """,
    )
    as_itself = (setting.tier == "landlock" and os.getuid() != 0) or "nobody" in setting.roles
    assert 40 <= seen.told < (1500 if setting.tier == "landlock" and as_itself else 64)


# Where the project lies beneath /tmp, submissions see the way to its packages there, read-only.
PACKAGES = str(Path(linux.__file__).resolve())
OWN_IN_TMP = [PACKAGES.split("/")[2]] if PACKAGES.startswith("/tmp/") else []


def test_limits_disk(box: Box, setting: Setting) -> None:
    """16 MB and 2,000 files in a /tmp of its own (full tier), no writable folder at all (Landlock)."""
    seen = attempt(
        box,
        """
        def fill():
            for number in range(5):
                with open(f"/tmp/{number}", "wb") as file:
                    for _ in range(5):
                        file.write(b"x" * (1 << 20))
        def scatter():
            for number in range(3000):
                open(f"/tmp/n{number}", "w").close()
        before = outcome(os.listdir, "/tmp")
        tell([before, outcome(fill), outcome(scatter), outcome(open, "/tmp/nothing"), outcome(open, "/x", "w")])
        """,
    )
    if setting.tier == "full":
        assert seen.told == [str(OWN_IN_TMP), "ENOSPC", "ENOSPC", "ENOENT", "EROFS"]
        assert attempt(box, "tell(os.listdir('/tmp'))").told == OWN_IN_TMP
    else:
        assert set(seen.told) <= {"EPERM", "EACCES", "ENOENT"}


def test_limits_processor_time(box: Box) -> None:
    """A loop without end is killed when its seconds of processor time are used up, threads together."""
    seen = attempt(
        box,
        """
        import threading
        def burn():
            while True: pass
        threading.Thread(target=burn, daemon=True).start()
        burn()
        """,
        Limits(cpu=1),
    )
    assert seen.exit.status == -9
    assert seen.exit.spent == "cpu"
    assert 0.5 < seen.exit.cpu < 2  # the kernel's limit counts ticks, and on a busy machine its statistics fewer


def test_limits_waiting(box: Box) -> None:
    """A sleep without end is killed when its wall-clock time is up."""
    seen = attempt(box, "time.sleep(1000)", Limits(idle=0.2))
    assert (seen.exit.status, seen.exit.spent) == (-9, "idle")


def test_computing_is_no_waiting(box: Box) -> None:
    """A process that gets little of the processor has more time: each CPU second buys several wall-clock seconds."""
    burns = "until = time.process_time() + 1.2\nwhile time.process_time() < until: pass\ntell('done')"
    assert attempt(box, burns, Limits(idle=1.0)).told == "done"


def test_limits_in_all(box: Box) -> None:
    """Not without end: a process that computes a little and waits is killed too."""
    waits = "while True:\n    for _ in range(10_000): pass\n    time.sleep(0.01)"
    seen = attempt(box, waits, Limits(idle=0.2, total=1.0))
    assert (seen.exit.status, seen.exit.spent) == (-9, "total")


def test_kill_ends_a_child_and_its_neighbour_stays(box: Box) -> None:
    """Killing one leaves the others alone; killing one that has ended is no mistake."""
    first, second = (box.launch(program("tell('here')\nsock.recv(10)\ntell('done')")) for _ in range(2))
    assert heard(first) == heard(second) == "here"
    box.kill(first)
    (ended,) = ends(box, first)
    assert (ended.status, ended.spent) == (-9, "")
    box.kill(first)
    second.socket.send(b"go on")
    assert heard(second) == "done"
    ends(box, second)
    first.socket.close()
    second.socket.close()


def test_neighbours_see_nothing_of_each_other(box: Box) -> None:
    """Two at the same time: no process, no file, no name, no memory in common."""
    source = """
        import socket
        tell(outcome(lambda: open("/tmp/message", "w").write("x")))
        sock.recv(10)
        tell([outcome(open, "/tmp/message2"), outcome(socket.socket, socket.AF_UNIX), outcome(os.kill, other, 0)])
    """
    first = box.launch(program(source, other=999999))
    heard(first)
    second = box.launch(program(source.replace("message", "message2"), other=999999))
    heard(second)
    first.socket.send(b"go on")
    assert set(heard(first)) <= {"EPERM", "EACCES", "ENOENT"}
    first.socket.close()
    second.socket.close()
    box.kill(second)
    ends(box, first, second)


def test_dumps_no_core(box: Box) -> None:
    """A crash is an exit like any other: no core file, no handler started."""
    seen = attempt(
        box,
        """
        import resource
        tell([resource.getrlimit(resource.RLIMIT_CORE), libc.prctl(3, 0, 0, 0, 0)])
        ctypes.string_at(0)
        """,
    )
    assert seen.exit.status in (-11, -6)
    assert seen.told[0] == [1, 1]


def test_a_hundred_crashes(box: Box) -> None:
    """Each is an exit, with no program of the machine's started for it, and no file left."""
    before = descendants(os.getpid())
    for _ in range(100):
        assert attempt(box, "ctypes.string_at(0)").exit.status in (-11, -6)
    assert descendants(os.getpid()) == before
    assert attempt(box, "tell(outcome(os.listdir, '/tmp'))").told in (str(OWN_IN_TMP), *NAMELESS)


def test_is_not_root(box: Box) -> None:
    """Inside and outside: the kernel knows it as a user without rights."""
    child = box.launch(program("tell([os.getuid(), os.geteuid(), os.getgid(), os.getgroups()])\nsock.recv(1)"))
    inside = heard(child)
    status = Path(f"/proc/{processes_of(box)[-1]}/status").read_text(encoding="utf-8")
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    child.socket.close()
    ends(box, child)
    assert 0 not in inside[:3]
    assert set(inside[3]) <= {65534}
    assert "0" not in facts["Uid"].split()
    assert {facts[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
    assert facts["NoNewPrivs"] == "1"
    assert facts["Seccomp"] == "2"


def test_has_a_user_of_its_own(box: Box, setting: Setting) -> None:
    """Where root grades without namespaces: two at the same time and the zygote are three users, none of them root."""
    if setting.tier != "landlock" or os.getuid() != 0 or "nobody" in setting.roles:
        return
    children = [box.launch(program("tell(os.getuid())\nsock.recv(1)")) for _ in range(2)]
    users = {heard(child) for child in children}
    zygote = processes_of(box)[-3]
    users.add(os.stat(f"/proc/{zygote}").st_uid)
    for child in children:
        child.socket.close()
    ends(box, *children)
    assert len(users) == 3 and 0 not in users


def test_hashes_repeat(box: Box) -> None:
    """Sets of strings have the same order in every submission: PYTHONHASHSEED counts."""
    seen = attempt(box, "tell([hash('resilience'), sys.flags.hash_randomization])")
    assert seen.told == [hash_of("resilience"), 0]


def hash_of(text: str) -> int:
    import subprocess
    import sys

    found = subprocess.run(
        [sys.executable, "-c", f"print(hash({text!r}))"], env={"PYTHONHASHSEED": "0"}, capture_output=True, check=True
    )
    return int(found.stdout)


def test_a_hundred_leave_nothing_behind(box: Box) -> None:
    """No process, no descriptor, neither here nor in the zygote."""
    zygote = processes_of(box)[-1]
    attempt(box, "pass")
    before = len(os.listdir("/proc/self/fd")), len(os.listdir(f"/proc/{zygote}/fd")), descendants(os.getpid())
    for _ in range(100):
        assert attempt(box, "tell(1)").exit.status == 0
    after = len(os.listdir("/proc/self/fd")), len(os.listdir(f"/proc/{zygote}/fd")), descendants(os.getpid())
    assert after == before


def test_close_ends_everybody(setting: Setting) -> None:
    """Nothing runs any more after close, whatever submissions were doing."""
    before = descendants(os.getpid())
    with started(setting) as box:
        children = [box.launch(program("tell('here')\nwhile True: pass")) for _ in range(3)]
        for child in children:
            heard(child)
        assert len(descendants(os.getpid())) >= len(before) + 4
    for child in children:
        child.socket.close()
    assert eventually(lambda: descendants(os.getpid()) == before)


def test_a_library_that_is_missing(setting: Setting) -> None:
    """Nobody is graded by a machine that can't import what the course needs."""
    with (
        pytest.raises(SandboxUnavailable, match="couldn't import no_such_library"),
        started(setting, preload=["no_such_library"]),
    ):
        pass


def test_nothing_private_where_python_is(setting: Setting) -> None:
    """What submissions must not see must not lie where all of them can read."""
    with (
        pytest.raises(SandboxUnavailable, match="every submission can read"),
        started(setting, private=[Path(os.__file__)]),
    ):
        pass


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A Python environment under /tmp, whose Python zygotes are started with."""
    folder = Path(tempfile.mkdtemp(prefix="environment-", dir="/tmp"))
    venv.create(folder / "env", symlinks=True)
    python, command = str(folder / "env" / "bin" / "python"), host._command
    monkeypatch.setattr(host, "_command", lambda control: [python, *command(control)[1:]])
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("mode", [0o700, 0o755], ids=["closed", "open"])
@pytest.mark.parametrize("tier", ["full", "landlock"])
def test_an_environment_under_tmp(environment: Path, tier: str, mode: int) -> None:
    """Also in a folder that others can't enter: it works as anywhere, or is refused with the folder's name."""
    environment.chmod(mode)
    roles = ["exposed"] if os.getuid() == 0 and tier == "landlock" else []
    refused = pytest.raises(SandboxUnavailable, match=f"{environment}.* can't be read by user")
    with staged(*roles), refused if roles and mode == 0o700 else nullcontext():
        with Box(tier=tier, runner=EXECUTE) as box:  # type: ignore[arg-type]
            seen = attempt(box, "tell([sys.prefix, outcome(open, sys.prefix + '/lib/mine', 'w')])")
        assert seen.told[0] == str(environment / "env") and seen.told[1] in NAMELESS


def test_a_library_that_starts_threads(environment: Path) -> None:
    """None of them would live on in a submission's process: refused, with its name."""
    (packages,) = (environment / "env" / "lib").glob("python3*/site-packages")
    (packages / "busy.py").write_text(
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    with pytest.raises(SandboxUnavailable, match="importing busy started 1 thread"):
        Box(tier="full", preload=["busy"], runner=EXECUTE)
