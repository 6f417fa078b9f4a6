"""What nobody may touch: files, a port, an abstract name; and whether somebody did."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECRET = "the-secret-of-the-canary"


@dataclass
class Canaries:
    """Files that anybody may read and write, and listeners that anybody may reach: only the sandbox is in the way."""

    files: dict[str, Path]
    listeners: dict[str, socket.socket]

    def state(self) -> list[Any]:
        """Everything that a change would change."""
        found: list[Any] = []
        for path in self.files.values():
            status = path.lstat()
            facts = (
                status.st_mode,
                status.st_uid,
                status.st_size,
                status.st_mtime_ns,
                status.st_ctime_ns,
                status.st_nlink,
            )
            found.append((path, path.read_bytes(), facts, os.listxattr(path), sorted(os.listdir(path.parent))))
        return found

    def heard(self) -> list[str]:
        """The listeners that somebody spoke to since the last time."""
        found = []
        for name, listener in self.listeners.items():
            try:
                if listener.type == socket.SOCK_DGRAM:
                    listener.recv(1)
                else:
                    listener.accept()[0].close()
                found.append(name)
            except BlockingIOError:
                pass
        return found

    def facts(self) -> dict[str, Any]:
        """Where they are, as names for an attack."""
        ports = {
            name: listener.getsockname()[1]
            for name, listener in self.listeners.items()
            if listener.family == socket.AF_INET
        }
        names = {"ABSTRACT": self.listeners["abstract"].getsockname().decode()}
        return {name.upper(): str(path) for name, path in self.files.items()} | {
            "PORT": ports["tcp"],
            "UDP": ports["udp"],
            **names,
            "DOOR": self.listeners["door"].getsockname(),
        }


@contextmanager
def canaries(course: Path) -> Iterator[Canaries]:
    """Canaries in the course (gradebook, another's submission), in /tmp and at home; a port and some names."""
    tmp = Path(tempfile.mkdtemp(prefix="canary-", dir="/tmp"))
    home = Path(tempfile.mkdtemp(prefix=".canary-", dir=Path.home()))
    files = {
        "gradebook": course / "gradebook.db",
        "neighbour": course / "submitted" / "ada" / "90_fetch" / "fetch.ipynb",
        "canary": tmp / "canary.txt",
        "home": home / "canary.txt",
    }
    for path in files.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SECRET, encoding="utf-8")
        path.chmod(0o666)
        path.parent.chmod(0o777)
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX) as abstract,
        socket.socket(socket.AF_UNIX) as door,
    ):
        udp.bind(("127.0.0.1", 0))
        abstract.bind(f"\0canary-{os.getpid()}-{tmp.name}")
        door.bind(str(tmp / "door"))
        (tmp / "door").chmod(0o777)
        for listener in (abstract, door):
            listener.listen()
        listeners = {"tcp": tcp, "udp": udp, "abstract": abstract, "door": door}
        for listener in listeners.values():
            listener.setblocking(False)
        try:
            yield Canaries(files, listeners)
        finally:
            shutil.rmtree(tmp)
            shutil.rmtree(home)
