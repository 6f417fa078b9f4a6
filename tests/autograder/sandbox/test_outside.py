"""Memory that a limit on address space doesn't see: what a submission could make the kernel hold for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autograder.sandbox import linux
from autograder.sandbox.host import Box
from autograder.sandbox.limits import MEBI, Limits
from autograder.sandbox.syscalls import number
from tests.autograder.sandbox.boxes import attempt, descendants, heard, program

PAIRS = """
import socket
socketpair = socket.socketpair
def filled(write):
    held = 0
    try:
        while True:
            held += write(bytes(1 << 16))
    except OSError:
        return held
def fill(kind, piece=1 << 16):
    held, kept = 0, []
    try:
        while True:
            kept += socketpair(socket.AF_UNIX, kind)
            for end in kept[-2:]:
                end.setblocking(False)
                held += filled(lambda data: end.send(data[:piece]))
    except OSError:
        pass
    for end in kept:
        end.close()
    return held
"""


def test_socket_pairs(box: Box) -> None:
    """Pairs work, an event loop's own too; all that fit into the descriptors hold some megabytes, whatever is sent."""
    seen = attempt(
        box,
        PAIRS
        + """
import asyncio
async def talk():
    one, other = socketpair()
    reader, writer = await asyncio.open_connection(sock=one)
    other.send(b"hello")
    said = await reader.read(5)
    writer.write(b"bye")
    await writer.drain()
    return said.decode() + other.recv(3).decode()
kinds = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET
tell([outcome(asyncio.run, talk()), max(fill(kind) for kind in kinds), max(fill(kind, 1) for kind in kinds)])
""",
    )
    said, large, small = seen.told
    assert said == "'hellobye'"
    assert 0 < large < 8 * MEBI and 0 < small < MEBI


@pytest.mark.parametrize("name", ["AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"])
def test_no_other_socket(box: Box, name: str) -> None:
    """What waits to be accepted is no descriptor and no address space: four hundred of those held 2.2 GB."""
    seen = attempt(box, f"import socket\ntell(outcome(socket.socket, socket.{name}))")
    assert seen.told == "EPERM"


TALKING = "bind listen accept accept4 connect setsockopt sendmsg sendmmsg"


def test_pairs_do_nothing_but_talk(box: Box) -> None:
    """No name, no queue, no larger buffer, and no descriptor is on its way: 270 could be, each a full socket."""
    seen = attempt(
        box,
        """
        import socket
        a, b = socket.socketpair()
        tell([
            *(call(number, a.fileno(), 0, 0, 0, 0, 0) for number in numbers),
            outcome(socket.send_fds, a, [b"x"], [b.fileno()]),
            outcome(a.setsockopt, socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22),
        ])
        """,
        numbers=[number(name, linux.MACHINE) for name in TALKING.split()],
    )
    assert set(seen.told) == {"EPERM"}


def test_pipes(box: Box) -> None:
    """As large as they are made, and no larger."""
    seen = attempt(
        box,
        PAIRS
        + """
import fcntl
larger, held, kept = [], 0, []
try:
    while True:
        ends = os.pipe2(os.O_NONBLOCK)
        kept += ends
        larger.append(outcome(fcntl.fcntl, ends[1], 1031, 1 << 20))
        held += filled(lambda data: os.write(ends[1], data))
except OSError:
    pass
for end in kept:
    os.close(end)
tell([larger, held])
""",
    )
    larger, held = seen.told
    assert set(larger) == {"EPERM"} and 0 < held <= MEBI


def test_shared_memory(box: Box) -> None:
    """Of what is shared a page that is left keeps everything: gigabytes, in a few kilobytes of address space."""
    seen = attempt(
        box,
        """
        import mmap
        def keep(*how, **more):
            held = 0
            for _ in range(20):
                area = mmap.mmap(*how, **more)
                for at in range(0, len(area), 4096):
                    area[at] = 1
                libc.munmap(ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(area)) + 4096),
                            ctypes.c_size_t(len(area) - 4096))
                held += len(area)
            return held
        size = 64 << 20
        tell([
            outcome(keep, -1, size),
            outcome(keep, -1, size, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | 0x4000),
            outcome(keep, -1, size, flags=3 | mmap.MAP_ANONYMOUS),
            outcome(lambda: keep(os.open("/dev/zero", os.O_RDWR), size)),
            outcome(lambda: keep(os.open("/dev/null", os.O_RDWR), size)),
            len(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)),
        ])
        """,
    )
    *held, private = seen.told
    assert set(held) <= {"EPERM", "EACCES", "ENOENT", "ENODEV"} and private == 64 * MEBI


SPARSE = """
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
tell("begun")
for n in range(60_000):
    at = libc.mmap((1 << 40) + (n << 30), 4096, 3, 0x22, -1, 0)
    ctypes.memset(at, 1, 1)
    if n % 5000 == 0:
        time.sleep(pause)
tell("done")
"""


def test_page_tables(box: Box) -> None:
    """A page here and there needs three of the kernel's: stopped in time, and called what it is."""
    seen = attempt(box, SPARSE, pause=0.1)
    assert seen.exit.status == -9 and seen.exit.starved


def test_memory_in_one_piece(box: Box) -> None:
    """All the memory that there is may be used, in large and in small pieces, and nobody is stopped for it."""
    seen = attempt(
        box,
        """
        large = bytearray(b"x") * (300 << 20)
        del large
        small = [bytearray(b"x") * 5000 for _ in range(50_000)]
        time.sleep(0.5)
        tell(len(small))
        """,
    )
    assert (seen.told, seen.exit.status) == (50_000, 0)


def test_no_huge_pages(box: Box) -> None:
    """Of a huge page four kilobytes keep two megabytes: the kernel gives none."""
    child = box.launch(program("tell('here'); sock.recv(9)"), Limits())
    with child.socket:
        assert heard(child) == "here"
        (running,) = (path for path in _statuses() if "Seccomp:\t2" in path)
        assert "THP_enabled:\t0" in running
        box.kill(child)
        box.reap(child)


def _statuses() -> list[str]:
    return [Path(f"/proc/{number}/status").read_text() for number in descendants(os.getpid())]
