"""A real kernel, as `autograder lab` starts it: what the set-up cell changes."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

from autograder.course import Course
from autograder.learner.lab import LABCONFIG
from faultlab.notebook import FIX
from tests.notebooks.cases import SECTION, Case, made, top

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


REMEMBERED = """
import sys, IPython
main, shell, modules = sys.modules["__main__"], get_ipython(), set(sys.modules)
kept = {"magics": dict(shell.magics_manager.magics["line"]), "events": str(shell.events.callbacks), "ps1": sys.ps1}
41 + 1
"""
ASKED = """
from pathlib import Path
from autograder import own_answer
own = own_answer("retry", Path({folder!r}))
print(own.line)
"""
AS_BEFORE = """
assert sys.modules["__main__"] is main and main.__dict__ is globals()
assert get_ipython() is shell is IPython.get_ipython() and type(shell).__module__ == "ipykernel.zmqshell"
assert Out == {1: 42} and _ == 42 and In[1].strip().startswith("import sys") and len(In) == 4, (Out, In)
assert kept == {"magics": shell.magics_manager.magics["line"], "events": str(shell.events.callbacks), "ps1": sys.ps1}
assert "retry" not in globals() and callable(own.names["retry"]) and own.names["KINDS"] == [1]
assert sys.modules["autograder.notebook.shell"].shell.cache_info().currsize == 0
print("as before")
"""
MEDDLES = """%reset -f
get_ipython().run_line_magic("reset", "-f")
from IPython import get_ipython as theirs
theirs().events.register("pre_run_cell", print)
%alias_magic t time
%time KINDS = [1]
"""


def test_a_learners_kernel_stays_as_it_is(kernel, tmp_path):
    """An answer taken from another notebook leaves names, histories, magics and shell alone, whatever is in it."""
    _, client = kernel
    folder = Path(shutil.copytree(Course.find(Path(__file__)).section(SECTION).released, tmp_path / SECTION))
    (folder / "retry.ipynb").write_bytes(made(Case(top(MEDDLES + "import asyncio, random\n"))))
    for source, printed in [
        (REMEMBERED, ""),
        (ASKED.format(folder=str(tmp_path / "99_last")), "retry: yours\n"),
        (AS_BEFORE, "as before\n"),
    ]:
        assert run(client, source) == (printed, "")


def run_cell(client: BlockingKernelClient, name: str, source: str) -> str:
    """Run a cell as a front end does, which says its id; what it shows as markup."""
    content = {"code": source, "silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": False}
    sent = client.session.msg("execute_request", content, metadata={"cellId": name})
    client.shell_channel.send(sent)
    shown: list[str] = []
    while True:
        message = client.get_iopub_msg(timeout=SECONDS)
        if message["parent_header"].get("msg_id") != sent["header"]["msg_id"]:
            continue
        if message["msg_type"] == "execute_result":
            shown.append(message["content"]["data"].get("text/html", ""))
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            return "".join(shown)


STUB = "async def retry(op, *, max_attempts=4, **options):\n    return await op()\n"


def test_check_judges_no_names_of_an_earlier_run(monkeypatch, tmp_path):
    """A cell that failed when it was last run is told, with the error's line, and so is one that a saved file holds
    otherwise; what the kernel still has of it isn't judged."""
    monkeypatch.setenv("JUPYTER_PATH", str(LABCONFIG))
    folder = tmp_path / "02_retry"
    shutil.copytree(Course.find(Path(__file__)).root / "notebooks" / "02_retry", folder)
    path = next(folder.glob("*.ipynb"))
    book = json.loads(path.read_text())
    cell = next(one for one in book["cells"] if one["metadata"].get("nbgrader", {}).get("grade_id") == "retry")

    def saved(source: str) -> None:
        cell["source"] = source
        path.write_text(json.dumps(book))
        os.utime(path, (time.time() + 5, time.time() + 5))

    manager, client = start_new_kernel(startup_timeout=SECONDS, cwd=str(folder))
    try:
        run_cell(client, "set-up", SET_UP + "\nfrom autograder import check")
        run_cell(client, cell["id"], STUB)
        saved(STUB)
        assert "visible points" in run_cell(client, "check", 'check("retry")')
        run_cell(client, cell["id"], STUB.replace("):", ")"))
        said = run_cell(client, "check", 'check("retry")')
        assert "SyntaxError: expected &#x27;:&#x27;, line 1 of your cell" in said or "line 1 of your cell" in said
        assert "failed when it was last run" in said and "visible points" not in said
        run_cell(client, cell["id"], STUB)
        assert "visible points" in run_cell(client, "check", 'check("retry")')
        saved(STUB + "# another word\n")
        assert "edited since it was last run" in run_cell(client, "check", 'check("retry")')
        run_cell(client, cell["id"], STUB + "# another word\n")
        assert "visible points" in run_cell(client, "check", 'check("retry")')
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
