"""The list of system calls and the filter made of it, for both architectures on either: numbers and verdicts."""

from __future__ import annotations

import errno
import os
import re
import signal
from collections import Counter
from pathlib import Path

import pytest

from autograder.sandbox.seccomp import ALLOW, KILL_PROCESS, Instruction, filter_program
from autograder.sandbox.syscalls import Machine, number, rows

MACHINES: list[Machine] = ["x86_64", "aarch64"]
AUDIT: dict[str, int] = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7, "i386": 0x40000003, "arm": 0x40000028}
"""linux/audit.h"""
PERMISSION, ABSENT = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
ME = 4711

# Written down a second time, from linux/arch/x86/entry/syscalls/syscall_64.tbl and linux/scripts/syscall.tbl (6.18):
# what a wrong number would open, and the two that a prototype had confused. Name, x86-64, arm64.
KERNEL = """
read 0 63           write 1 64          lseek 8 62          open 2 -            openat 257 56       creat 85 -
openat2 437 437     unlinkat 263 35     renameat2 316 276   linkat 265 37       symlinkat 266 36    truncate 76 45
ftruncate 77 46     chmod 90 -          fchmod 91 52        fchmodat 268 53     fchmodat2 452 452   chown 92 -
fchown 93 55        lchown 94 -         fchownat 260 54     utime 132 -         utimes 235 -        futimesat 261 -
utimensat 280 88    mknod 133 -         mknodat 259 33      setxattr 188 5      lsetxattr 189 6     fsetxattr 190 7
setxattrat 463 463  removexattr 197 14  lremovexattr 198 15 fremovexattr 199 16 removexattrat 466 466
name_to_handle_at 303 264               open_by_handle_at 304 265               fork 57 -           vfork 58 -
clone 56 220        clone3 435 435      execve 59 221       execveat 322 281    exit_group 231 94   kill 62 129
tkill 200 130       tgkill 234 131      rt_sigqueueinfo 129 138                 rt_tgsigqueueinfo 297 240
pidfd_open 434 434  pidfd_getfd 438 438 pidfd_send_signal 424 424               ptrace 101 117      kcmp 312 272
process_vm_readv 310 270                process_vm_writev 311 271               prlimit64 302 261   setrlimit 160 164
setpriority 141 140 ioprio_set 251 30   sched_setaffinity 203 122               sched_setattr 314 274
sched_setparam 142 118                  sched_setscheduler 144 119              prctl 157 167       seccomp 317 277
capset 126 91       setuid 105 146      setgid 106 144      setreuid 113 145    setregid 114 143    setresuid 117 147
setresgid 119 149   setgroups 116 159   setfsuid 122 151    setfsgid 123 152    setpgid 109 154     setsid 112 157
unshare 272 97      setns 308 268       mount 165 40        umount2 166 39      pivot_root 155 41   chroot 161 51
mount_setattr 442 442                   open_tree 428 428   move_mount 429 429  fsopen 430 430      fsconfig 431 431
fsmount 432 432     fspick 433 433      statmount 457 457   listmount 458 458   socket 41 198       socketpair 53 199
connect 42 203      bind 49 200         listen 50 201       accept 43 202       accept4 288 242     setsockopt 54 208
sendmsg 46 211      sendmmsg 307 269    sendto 44 206       recvmsg 47 212      mmap 9 222          fcntl 72 25
ioctl 16 29         flock 73 32         memfd_create 319 279                    memfd_secret 447 447
userfaultfd 323 282 io_uring_setup 425 425                  io_uring_enter 426 426
io_uring_register 427 427               io_setup 206 0      bpf 321 280         perf_event_open 298 241
keyctl 250 219      add_key 248 217     request_key 249 218 shmget 29 194       shmat 30 196        shmctl 31 195
msgget 68 186       msgsnd 69 189       semget 64 190       semop 65 193        mq_open 240 180     inotify_init 253 -
inotify_init1 294 26                    inotify_add_watch 254 27                fanotify_init 300 262
personality 135 92  modify_ldt 154 -    iopl 172 -          ioperm 173 -        clock_settime 227 112
settimeofday 164 170                    init_module 175 105 finit_module 313 273                    kexec_load 246 104
delete_module 176 106                   reboot 169 142      swapon 167 224      sethostname 170 161 syslog 103 116
acct 163 89         quotactl 179 60     move_pages 279 239  migrate_pages 256 238                   mbind 237 235
process_madvise 440 440                 landlock_create_ruleset 444 444         landlock_add_rule 445 445
landlock_restrict_self 446 446          splice 275 76       vmsplice 278 75     tee 276 77
"""
HARMLESS = "read write lseek ftruncate exit_group sendto recvmsg"
"""Of these, what may be done with what is open already."""
JUDGED = "open openat clone kill tgkill prlimit64 prctl fcntl ioctl socketpair mmap"
"""By their arguments."""
ON_FILES = """
    unlinkat renameat2 linkat symlinkat truncate chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat
    utime utimes futimesat utimensat
"""
"""Where all files that can be reached are the submission's own."""
OLD_ONES = """
    dup2 pipe poll select epoll_create epoll_wait eventfd signalfd stat lstat access readlink getdents open mkdir rmdir
    unlink rename link symlink chmod chown lchown utime utimes futimesat pause alarm time getpgrp fork vfork
    inotify_init mknod creat modify_ldt iopl ioperm
"""
"""What x86-64 has and arm64, which is younger, never had."""
HEADERS: dict[Machine, str] = {
    "x86_64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
    "aarch64": "/usr/include/asm-generic/unistd.h",
}


def test_numbers():
    """As the kernel has them."""
    said = {name: (int(x86_64), None if arm64 == "-" else int(arm64)) for name, x86_64, arm64 in triples(KERNEL)}
    assert len(said) > 120
    ours = {row.name: (row.numbers.get("x86_64"), row.numbers.get("aarch64")) for row in rows()}
    assert {name: ours[name] for name in said} == said


def triples(text: str) -> list[tuple[str, str, str]]:
    words = text.split()
    return list(zip(words[::3], words[1::3], words[2::3], strict=True))


@pytest.mark.parametrize("machine", MACHINES)
def test_numbers_of_this_machine_s_headers(machine):
    """Every call of the list that they know, where they are installed; `test_numbers` needs none."""
    header = Path(HEADERS[machine])
    text = header.read_text(encoding="utf-8") if header.exists() else ""
    known = {name: int(n) for name, n in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)}
    known["newfstatat"] = known.get("newfstatat", number("newfstatat", machine))  # spelt otherwise in the one of arm64
    ours = {row.name: row.numbers[machine] for row in rows() if machine in row.numbers}
    assert {name: ours[name] for name in ours.keys() & known} == {name: known[name] for name in ours.keys() & known}


def test_one_list():
    """Every name is there once, every number once for each architecture, and none is left out but what there isn't."""
    assert max(Counter(row.name for row in rows()).values()) == 1
    for machine in MACHINES:
        assert max(Counter(row.numbers[machine] for row in rows() if machine in row.numbers).values()) == 1
    assert {row.name for row in rows() if "aarch64" not in row.numbers} == set(OLD_ONES.split())
    assert all("x86_64" in row.numbers for row in rows())


def run(program: list[Instruction], data: dict[int, int]) -> int:
    """What the kernel's own machine makes of it: classic BPF, as far as a filter may use it."""
    accumulator = at = 0
    while True:
        code, if_true, if_false, constant = program[at]
        at += 1
        if code == 0x20:
            accumulator = data[constant]
        elif code == 0x54:
            accumulator &= constant
        elif code == 0x06:
            return constant
        else:
            holds = {
                0x15: accumulator == constant,
                0x35: accumulator >= constant,
                0x45: accumulator & constant != 0,
            }[code]
            at += if_true if holds else if_false


def verdict(program: list[Instruction], call: int, *args: int, architecture: int) -> int:
    """Of a call with these arguments: struct seccomp_data, in words of 32 bits."""
    data = {0: call & 0xFFFFFFFF, 4: architecture}
    for index, value in enumerate((*args, *[0] * (6 - len(args)))):
        data[16 + 8 * index], data[20 + 8 * index] = value & 0xFFFFFFFF, value >> 32 & 0xFFFFFFFF
    return run(program, data)


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> Machine:
    found: Machine = request.param
    return found


@pytest.mark.parametrize("own_files", [True, False], ids=["full", "landlock"])
def test_every_call(machine, own_files):
    """Is answered as its row says; what has no row doesn't exist; whatever another architecture calls ends it all."""
    program = filter_program(machine, own_process=ME, own_files=own_files)
    by_number = {row.numbers[machine]: row.verdict for row in rows() if machine in row.numbers}
    answers = {"allow": ALLOW, "refuse": PERMISSION, "absent": ABSENT, "files": ALLOW if own_files else PERMISSION}
    for call in range(1000):
        found = verdict(program, call, architecture=AUDIT[machine])
        rule = by_number.get(call, "absent")
        assert found == answers[rule] if rule in answers else found in (ALLOW, PERMISSION), (call, rule)
        for foreign in AUDIT.keys() - {machine}:
            assert verdict(program, call, architecture=AUDIT[foreign]) == KILL_PROCESS
        assert verdict(program, call | 0x40000000, architecture=AUDIT[machine]) == KILL_PROCESS, "x32"
    assert verdict(program, -1, architecture=AUDIT[machine]) == KILL_PROCESS


def test_what_opens_nothing(machine):
    """Of the calls written down here none is let through but those that are named."""
    for own_files in (True, False):
        program = filter_program(machine, own_process=ME, own_files=own_files)
        open_ones = {*HARMLESS.split(), *JUDGED.split(), *(ON_FILES.split() if own_files else ())}
        for name, *numbers in triples(KERNEL):
            call = numbers[MACHINES.index(machine)]
            if call != "-" and name not in open_ones:
                assert verdict(program, int(call), architecture=AUDIT[machine]) in (PERMISSION, ABSENT), name


THREAD = 0x3D0F00  # as glibc's pthread_create
HIGH = 1 << 32
NAMESPACES = [(THREAD | flag,) for flag in (0x80, 0x20000, *(1 << bit for bit in range(25, 31)))]
BY_ARGUMENTS = [
    ("clone", [(THREAD,)], [(signal.SIGCHLD,), (THREAD & ~0x10000,), *NAMESPACES]),
    ("kill", [(ME, 9)], [(0, 9), (-1, 9), (-ME, 9), (1, 9), (ME + 1, 9)]),
    ("tgkill", [(ME, ME + 1, 9)], [(1, 1, 9), (0, ME, 9), (-1, ME, 9)]),
    ("prlimit64", [(0, 7, 0, 1)], [(0, 7, 1), (0, 7, HIGH), (1, 7, 0), (ME + 1, 7, 0)]),
    ("prctl", [(15,), (16,)], [(1,), (4, 1), (22, 2), (24, 1), (38, 1), (40,)]),
    ("fcntl", [(3, 3), (3, 0), (3, 1030)], [(3, 8, 1), (3, 10, 9), (3, 15), (3, 6), (3, 7), (3, 38), (3, 1024)]),
    ("ioctl", [(1, 0x5401), (3, 0x541B)], [(3, 0x8901), (3, 0x8902), (0, 0x5412), (0, 0x541C), (3, 0x5452)]),
    ("socketpair", [(1, 1)], [(2, 1), (16, 3)]),
    ("mmap", [(0, 9, 3, flags) for flags in (2, 1, 0x22, 0x32)], [(0, 9, 3, flags) for flags in (0x21, 0x23, 0x31)]),
    ("openat", [(-100, 1, os.O_RDONLY), (-100, 1, os.O_WRONLY | os.O_TRUNC)], [(-100, 1, os.O_RDONLY | os.O_TRUNC)]),
]


@pytest.mark.parametrize(("name", "fine", "refused"), BY_ARGUMENTS, ids=[name for name, *_ in BY_ARGUMENTS])
def test_calls_by_their_arguments(machine, name, fine, refused):
    """Threads but no processes, oneself but nobody else, looking but not setting; in both tiers."""
    for own_files in (True, False):
        program = filter_program(machine, own_process=ME, own_files=own_files)
        for args, expected in [*((args, ALLOW) for args in fine), *((args, PERMISSION) for args in refused)]:
            found = verdict(program, number(name, machine), *args, architecture=AUDIT[machine])
            assert found == expected, (name, args)


@pytest.mark.parametrize("family", [1, 2, 10, 16, 17, 38])
def test_sockets(machine, family):
    """None in either tier, but for pairs."""
    for own_files in (True, False):
        program = filter_program(machine, own_process=ME, own_files=own_files)
        assert verdict(program, number("socket", machine), family, 1, architecture=AUDIT[machine]) == PERMISSION


def test_the_kernel_takes_it(machine):
    """Short enough, forward jumps that stay inside, an answer at the end."""
    program = filter_program(machine, own_process=ME, own_files=False)
    assert len(program) <= 4096 and program[-1][0] == 0x06
    for at, (code, *jumps, _) in enumerate(program):
        assert all(0 <= jump < 256 and at + 1 + jump < len(program) for jump in jumps if code & 7 == 5)
