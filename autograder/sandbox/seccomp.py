"""The list of system calls as a seccomp filter: a program that the kernel asks about every call.

The program splits the call numbers into stretches that share an answer, lowest first: "below 17? then allow; below 19?
then refuse; ..." so that a number is compared at most once for each stretch. Where the arguments decide, the answer is
a few instructions instead of one. All of this is pure: bytes for any machine can be made, and tested, on any machine.

A wrong architecture, or x86-64's second set of numbers (x32), is an attempt to evade the filter, and ends the process.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys

from autograder.sandbox.syscalls import Machine, rows

assert sys.platform == "linux"

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, constant: struct sock_filter."""

ALLOW, KILL_PROCESS = 0x7FFF0000, 0x80000000
ARCHITECTURES: dict[Machine, int] = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_EQUAL, _ANY_BIT, _AT_LEAST = 0x15, 0x45, 0x35
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_X32 = 0x40000000

_NEW_THREAD = 0x10000
_NEW_NAMESPACES = 0x7E020080
_UNIX = 1
_MAP_SHARED, _MAP_ANONYMOUS = 1, 0x20
_THREAD_NAMES = (15, 16, 0x53564D41)  # PR_SET_NAME, PR_GET_NAME, PR_SET_VMA (glibc names its memory)
# Not the locks (a channel between neighbours), not F_SETOWN and F_SETSIG (a signal to anybody).
_FCNTL = (
    fcntl.F_DUPFD,
    fcntl.F_GETFD,
    fcntl.F_SETFD,
    fcntl.F_GETFL,
    fcntl.F_SETFL,
    1030,  # F_DUPFD_CLOEXEC
)
# TCGETS and TIOCGWINSZ ("is this a terminal, how wide"), FIONREAD, FIONBIO, FIONCLEX, FIOCLEX; not FIOSETOWN and kin.
_IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)


def filter_program(machine: Machine, *, own_process: int, own_files: bool) -> list[Instruction]:
    """The filter for one submission: `own_process` is its process id inside its namespace.

    `own_files`: it can change no files but its own (full tier).
    """
    program: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, ARCHITECTURES[machine]),
        (_RETURN, 0, 0, KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, KILL_PROCESS),
    ]
    for answer, end in _stretches(_answers(machine, own_process, own_files)):
        program += [(_AT_LEAST, len(answer), 0, end), *answer] if end else answer
    return program


FilterAnswer = tuple[Instruction, ...]
"""Instructions that end by returning: what becomes of a call."""


def _returning(value: int) -> FilterAnswer:
    return ((_RETURN, 0, 0, value),)


_YES = _returning(ALLOW)
_NO = _returning(0x00050000 | errno.EPERM)
_ABSENT = _returning(0x00050000 | errno.ENOSYS)


def _answers(machine: Machine, own_process: int, own_files: bool) -> dict[int, FilterAnswer]:
    by_verdict = {
        "allow": _YES,
        "refuse": _NO,
        "absent": _ABSENT,
        "files": _YES if own_files else _NO,
        "no_fork": _thread_only(),
        "own_process": _one_of(0, (own_process,)),
        "own_limits_read": _own_limits_read(),
        "thread_name": _one_of(0, _THREAD_NAMES),
        "fcntl_commands": _one_of(1, _FCNTL),
        "ioctl_commands": _one_of(1, _IOCTL),
        "unix_only": _one_of(0, (_UNIX,)),
        "unshared": _unshared(3),
        "open": _no_truncation(1),
        "openat": _no_truncation(2),
    }
    return {row.numbers[machine]: by_verdict[row.verdict] for row in rows() if machine in row.numbers}


def _stretches(answers: dict[int, FilterAnswer]) -> list[tuple[FilterAnswer, int]]:
    """Neighbouring numbers with the same answer together: (answer, first number after it), the last one without end."""
    stretches: list[tuple[FilterAnswer, int]] = []
    for number in range(max(answers) + 1):
        answer = answers.get(number, _ABSENT)
        if stretches and stretches[-1][0] == answer:
            stretches[-1] = (answer, number + 1)
        else:
            stretches.append((answer, number + 1))
    return [*stretches, (_ABSENT, 0)]


def _argument(index: int, *, high: bool = False) -> Instruction:
    return (_LOAD, 0, 0, _ARGUMENTS + 8 * index + (4 if high else 0))


def _one_of(index: int, values: tuple[int, ...]) -> FilterAnswer:
    """The argument is one of these. Only for arguments that the kernel itself reads as 32 bits."""
    tests = tuple((_EQUAL, len(values) - place, 0, value) for place, value in enumerate(values))
    return (_argument(index), *tests, *_NO, *_YES)


def _thread_only() -> FilterAnswer:
    """clone: a thread of this process; no process of its own, no namespaces."""
    return (_argument(0), (_ANY_BIT, 1, 0, _NEW_NAMESPACES), (_ANY_BIT, 1, 0, _NEW_THREAD), *_NO, *_YES)


def _own_limits_read() -> FilterAnswer:
    """prlimit64: of this process, and without a pointer to a new limit."""
    return (
        _argument(0),
        (_EQUAL, 0, 5, 0),
        _argument(2),
        (_EQUAL, 0, 3, 0),
        _argument(2, high=True),
        (_EQUAL, 0, 1, 0),
        *_YES,
        *_NO,
    )


def _unshared(index: int) -> FilterAnswer:
    """mmap: no shared memory without a file. There a single page keeps all others, even those that were unmapped and
    that no limit on address space counts."""
    return (
        _argument(index),
        (_ANY_BIT, 0, 2, _MAP_ANONYMOUS),
        (_ANY_BIT, 0, 1, _MAP_SHARED),
        *_NO,
        *_YES,
    )


def _no_truncation(index: int) -> FilterAnswer:
    """Opening to read may not empty the file: Landlock before ABI 3 doesn't see that (O_RDONLY|O_TRUNC)."""
    return (
        _argument(index),
        (_ANY_BIT, 0, 2, os.O_TRUNC),
        (_AND, 0, 0, os.O_ACCMODE),
        (_EQUAL, 1, 0, os.O_RDONLY),
        *_YES,
        *_NO,
    )
