"""Runs in a zygote's first child, to try whether the sandbox works and is closed.

`execute` runs any program in the sandbox; that is how the tests try to get out.
"""

from __future__ import annotations

import importlib
import json
import os
import socket
import sys
import threading
import traceback

assert sys.platform == "linux"

FINE = b"fine"


def main(sock: socket.socket, payload: bytes) -> None:
    """Try what honest submissions need and what none may do; answer FINE, or the problem."""
    task = json.loads(payload)
    try:
        for name in task["preload"]:
            importlib.import_module(name)
        _think()
        _stay_inside(task["tier"])
    except BaseException as error:
        sock.send(f"{type(error).__name__}: {error}".encode()[:4000])
    else:
        sock.send(FINE)


def execute(sock: socket.socket, payload: bytes) -> None:
    """Run a Python program that answers through `sock`; an exception counts as an answer too."""
    try:
        exec(compile(payload, "<probe>", "exec"), {"sock": sock})
    except Exception:
        sock.send(json.dumps(traceback.format_exc()).encode())
        raise


def _think() -> None:
    """Memory, a thread, a socket pair, randomness."""
    bytearray(1 << 20)
    thread = threading.Thread(target=os.urandom, args=(8,))
    thread.start()
    thread.join()
    for end in socket.socketpair():
        end.close()


def _stay_inside(tier: str) -> None:
    try:
        os.fork()
    except PermissionError:
        pass
    else:
        raise RuntimeError("the sandbox lets a submission fork")
    for path in ("/etc/shadow", "/sys", "/proc/self") if tier == "full" else ():
        if os.path.lexists(path):
            raise RuntimeError(f"the sandbox shows {path}")
    try:
        os.open("/usr/lib/written-by-a-submission", os.O_CREAT | os.O_WRONLY)
    except OSError:
        pass
    else:
        raise RuntimeError("the sandbox lets a submission write")
