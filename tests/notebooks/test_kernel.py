"""A real kernel, as `autograder lab` starts it: what the set-up cell changes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

from autograder.lab import LABCONFIG
from faultlab.notebook import FIX

pytestmark = [pytest.mark.heavy, pytest.mark.xdist_group("kernels")]

SECONDS = 60
SET_UP = "from faultlab.notebook import start\nstart()"
WAITS = """
import asyncio
try:
    print("waits", flush=True)
    await asyncio.sleep(1000)
finally:
    print("ended")
"""


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[KernelManager, BlockingKernelClient]]:
    """A kernel of ours."""
    monkeypatch.setenv("JUPYTER_PATH", str(LABCONFIG))
    manager, client = start_new_kernel(startup_timeout=SECONDS)
    try:
        yield manager, client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def run(client: BlockingKernelClient, source: str) -> tuple[str, str]:
    """What a cell prints, and the error that it ends with."""
    printed: list[str] = []

    def hear(message: dict) -> None:
        if message["msg_type"] == "stream":
            printed.append(message["content"]["text"])

    reply = client.execute_interactive(source, output_hook=hear, timeout=SECONDS, allow_stdin=False)["content"]
    return "".join(printed), reply.get("ename", "")


def test_forgotten_set_up_names_the_fix(kernel):
    """A name that isn't there is explained until the set-up cell has run, and no longer."""
    _, client = kernel
    assert run(client, "World(seed=1)") == (FIX + "\n", "NameError")
    assert run(client, "1 / 0") == ("", "ZeroDivisionError")
    said, error = run(client, SET_UP)
    assert "clock is virtual" in said and error == ""
    assert run(client, "World(seed=1)") == ("", "NameError")


def test_stop_reaches_an_awaiting_cell(kernel):
    """Interrupted while everything waits, the cell ends, its `finally` runs, and the next cell works."""
    manager, client = kernel
    run(client, SET_UP)
    printed: list[str] = []

    def interrupt(message: dict) -> None:
        if message["msg_type"] == "stream":
            printed.append(message["content"]["text"])
            if printed == ["waits\n"]:
                manager.interrupt_kernel()

    reply = client.execute_interactive(WAITS, output_hook=interrupt, timeout=SECONDS, allow_stdin=False)
    assert reply["content"]["status"] == "error"
    assert "".join(printed) == "waits\nended\n"
    assert run(client, "print(1 + 1)") == ("2\n", "")
