"""Read files that students wrote, and write files so that nobody sees half of one."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import sys
import unicodedata
from contextlib import suppress
from glob import escape
from pathlib import Path

from autograder.errors import UnreadableSubmission

MAX_NOTEBOOK = 16 * 1024 * 1024
"""The most bytes of a submission that are read; honest notebooks with pictures stay far below."""
NO_ROOM = "no room is left on its disk; make room, then run again"
"""The end of a line about a file that a full disk has no room for: of all such files one line is enough."""
_FILE_NAME = re.compile(r"[\w@+][\w.@+-]{0,63}")
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}


def lock_file(descriptor: int) -> None:
    """The lock holds until it is closed or this process ends, however it ends."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def file_name(student: str) -> str:
    """A file name (without a suffix) for a student: short, safe on every system, and different for every id.

    It is the id itself if that is a plain name, otherwise its plain characters and a hash.
    """
    composed = unicodedata.normalize("NFC", student) == student
    reserved = student.split(".")[0].casefold() in _RESERVED
    if composed and not reserved and _FILE_NAME.fullmatch(student) and len(student.encode()) <= 150:
        return student
    letters = unicodedata.normalize("NFKD", student).encode("ascii", "ignore").decode().lower()
    words = "-".join(re.findall("[a-z0-9]+", letters))[:40]
    digest = hashlib.sha256(student.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{words or 'student'}~{digest[:16]}"  # no plain name holds a tilde


def read_regular(path: Path, limit: int = MAX_NOTEBOOK) -> bytes:
    """The bytes of a regular file; a link, a pipe or a device is never opened for reading.

    Raises UnreadableSubmission, with a line that says why.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        reason = "a link, not a file" if path.is_symlink() else (error.strerror or "can't be opened").lower()
        raise UnreadableSubmission(f"{str(path)!a}: {reason}") from None
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode):
        os.close(descriptor)
        raise UnreadableSubmission(f"{str(path)!a}: not a regular file")
    with open(descriptor, "rb") as file:
        if facts.st_size > limit:
            raise UnreadableSubmission(f"{str(path)!a}: larger than {limit // 1024 // 1024} MB")
        return file.read(limit)


def write_atomically(path: Path, data: bytes) -> None:
    """Write beside `path`, sync, rename: a reader sees the old bytes or the new ones."""
    staged = stage(path, data)
    os.replace(staged, path)


def write_alone(path: Path, data: bytes) -> None:
    """Like `write_atomically` when nobody else can be writing `path`: first remove what killed processes left
    staged."""
    sweep(path)
    write_atomically(path, data)


def cannot_write(error: OSError, path: object = None) -> str:
    """A line for what couldn't be written: `path`, or the file that the error names."""
    if error.errno == errno.ENOSPC:
        return f"{path or error.filename}: {NO_ROOM}"
    return f"{path or error.filename}: {error.strerror}; make room or allow writing, then run again"


def stage(path: Path, data: bytes, mode: int = 0o666) -> Path:
    """Write `data` beside `path` and sync it; renaming what is returned to `path` completes the write."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f"{_staged_beside(path)}{os.getpid()}.new")
    try:
        with open(staged, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException as error:
        with suppress(OSError):
            staged.unlink()
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a full disk is found out while writing, which names no file
        raise
    return staged


def sweep(path: Path) -> None:
    """Remove what killed processes left staged beside `path`; only where nobody else can be writing it now."""
    beside = _staged_beside(path)
    for left in path.parent.glob(f"{escape(beside)}*.new"):
        if left.name.removeprefix(beside).removesuffix(".new").isdigit():
            left.unlink(missing_ok=True)


def _staged_beside(path: Path) -> str:
    """How the names of files staged for `path` begin: a name of 250 bytes leaves no room for more."""
    name = os.fsencode(path.name)
    return f".{path.name}." if len(name) <= 200 else f".{hashlib.sha256(name).hexdigest()[:16]}."
