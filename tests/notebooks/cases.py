"""Right answers to `retry` as real notebooks carry them: above, in and below the answer's cell, whatever people write.

Each is made from the released notebook, without the cells that only show something. `both` runs it in a kernel and
grades it.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograder.notebook.answer import find_answer, read_cells
from autograder.notebook.cells import planned

Body = dict[str, Any]
EXERCISE, SECTION = "retry", "02_retry"
COURSE = Path(__file__).parents[2]


@dataclass(frozen=True)
class Case:
    """What is done to the notebook whose answer's cell has the number `at`."""

    change: Callable[[Body, int], object]
    note: str = ""
    """What one of the notes says; empty when there is none."""
    kernel: bool = True
    """Whether a kernel comes to its end with it."""
    full: bool = True
    """Whether it has full marks."""


def code(source: Any, **metadata: Any) -> Body:
    return {"cell_type": "code", "metadata": metadata, "source": source, "outputs": [], "execution_count": None}


def right() -> str:
    return (COURSE / "solutions" / SECTION / "right" / "loop.py").read_text(encoding="utf-8")


def released() -> Body:
    """The notebook as students get it."""
    body: Body = json.loads((COURSE / "notebooks" / SECTION / f"{EXERCISE}.ipynb").read_text(encoding="utf-8"))
    return body


def plain() -> tuple[Body, int]:
    """The notebook with the right answer, and the number of its cell."""
    notebook = released()
    place = next(n for n, cell in enumerate(notebook["cells"]) if grade_id(cell) == EXERCISE)
    notebook["cells"][place]["source"] = right()
    ours = read_cells(json.dumps(released()).encode())
    counted = find_answer(read_cells(json.dumps(notebook).encode()), ours, EXERCISE).cells
    kept = {counted[number].number for number in planned(counted, [EXERCISE]).needed}
    notebook["cells"] = [
        cell
        for number, cell in enumerate(notebook["cells"])
        if number in kept or grade_id(cell) or "import check" in "".join(cell["source"])
    ]
    return notebook, next(n for n, cell in enumerate(notebook["cells"]) if grade_id(cell) == EXERCISE)


def grade_id(cell: Body) -> str:
    return str(cell["metadata"].get("nbgrader", {}).get("grade_id", ""))


def made(case: Case) -> bytes:
    """The notebook's file."""
    notebook, at = plain()
    for number, cell in enumerate(notebook["cells"]):
        cell["id"] = f"cell-{number}"
    case.change(notebook, at)
    for number, cell in enumerate(notebook["cells"]):
        if isinstance(cell, dict) and cell.get("cell_type") == "code":
            cell["id"] = f"cell-{number}"
    return json.dumps(notebook).encode()


# -- ways to change it


def top(text: str) -> Callable[[Body, int], object]:
    """Put this above the answer, in its cell."""

    def change(notebook: Body, at: int) -> None:
        notebook["cells"][at]["source"] = text + notebook["cells"][at]["source"]

    return change


def above(*sources: str) -> Callable[[Body, int], object]:
    """Put cells above the answer's."""

    def change(notebook: Body, at: int) -> None:
        notebook["cells"][at:at] = [code(source) for source in sources]

    return change


def below(*sources: str) -> Callable[[Body, int], object]:
    """Put cells at the notebook's end."""

    def change(notebook: Body, at: int) -> None:
        notebook["cells"] += [code(source) for source in sources]

    return change


def rewritten(change_text: Callable[[str], str]) -> Callable[[Body, int], object]:
    """Write the answer another way."""

    def change(notebook: Body, at: int) -> None:
        notebook["cells"][at]["source"] = change_text(notebook["cells"][at]["source"])

    return change


def both(*changes: Callable[[Body, int], object]) -> Callable[[Body, int], object]:
    """One after the other."""

    def change(notebook: Body, at: int) -> None:
        for one in changes:
            one(notebook, next(n for n, cell in enumerate(notebook["cells"]) if grade_id(cell) == EXERCISE))

    return change


def inside(line: str) -> Callable[[Body, int], object]:
    """Put a line into the answer's function."""
    return rewritten(lambda text: text.replace("    while True:", f"    {line}\n    while True:", 1))


def split(notebook: Body, at: int) -> None:
    """JupyterLab's Split Cell: both halves keep the metadata."""
    second = copy.deepcopy(notebook["cells"][at])
    imports, _, rest = notebook["cells"][at]["source"].partition("\nasync def")
    notebook["cells"][at]["source"], second["source"] = imports + "\n", "async def" + rest
    notebook["cells"].insert(at + 1, second)


def split_without_id(notebook: Body, at: int) -> None:
    """The second half went through another editor, and lost its metadata."""
    split(notebook, at)
    notebook["cells"][at + 1]["metadata"] = {}


def older_copy(notebook: Body, at: int) -> None:
    """An older copy of the answer stands above it."""
    older = copy.deepcopy(notebook["cells"][at])
    older["source"] = "async def retry(op, **options):\n    return await op()\n"
    notebook["cells"].insert(at, older)


def moved_up(notebook: Body, at: int) -> None:
    """The answer's cell is the first one."""
    notebook["cells"].insert(0, notebook["cells"].pop(at))


def moved_down(notebook: Body, at: int) -> None:
    """The answer's cell is the last one, below its check."""
    notebook["cells"].append(notebook["cells"].pop(at))


def gone(notebook: Body, at: int) -> None:
    """The answer stands in a new cell; its own was deleted."""
    notebook["cells"][at] = code(notebook["cells"][at]["source"])


def elsewhere(notebook: Body, at: int) -> None:
    """The answer stands in a new cell above its own, which is as it was released."""
    notebook["cells"].insert(at, code(notebook["cells"][at]["source"]))
    stub = next(cell for cell in released()["cells"] if grade_id(cell) == EXERCISE)
    notebook["cells"][at + 1]["source"] = stub["source"]


def future(notebook: Body, at: int) -> None:
    """What is imported from __future__ holds for later cells."""
    notebook["cells"].insert(at, code("from __future__ import annotations"))
    notebook["cells"][at + 1]["source"] = (
        "class Plan:\n    def next(self) -> Later: ...\n\n\n" + notebook["cells"][at + 1]["source"]
    )


def odd(*cells: Any) -> Callable[[Body, int], object]:
    """Put these where cells should be, at the notebook's beginning."""

    def change(notebook: Body, at: int) -> None:
        notebook["cells"][0:0] = list(cells)

    return change


def answer_with(**fields: Any) -> Callable[[Body, int], object]:
    """Change fields of the answer's cell; None as a value of `drop` removes it."""

    def change(notebook: Body, at: int) -> None:
        notebook["cells"][at].update(fields)

    return change


def untyped(notebook: Body, at: int) -> None:
    del notebook["cells"][at]["cell_type"]


def in_a_magic(magic: str) -> Callable[[Body, int], object]:
    return top(magic + "\n")


SLEEPS_UNTIL = """
import asyncio
import random


async def retry(
    op, *, max_attempts=4, base=0.1, cap=2.0, retry_on=(ConnectionError, TimeoutError), rng=None, deadline=None
):
    if max_attempts < 1:
        raise ValueError("max_attempts must be 1 or more")
    rng, loop = rng or random.Random(), asyncio.get_running_loop()
    start = loop.time()
    for attempt in range(max_attempts):
        try:
            return await op()
        except retry_on as error:
            pause = rng.uniform(0, min(cap, base * 2 ** min(attempt, 60)))
            pause = max(pause, getattr(error, "retry_after", 0) or 0)
            if attempt == max_attempts - 1 or (deadline is not None and loop.time() + pause >= start + deadline):
                raise
        end = loop.time() + pause
        while (left := end - loop.time()) > 0:
            await asyncio.sleep(left)
"""
HELPER = "KINDS = (ConnectionError, TimeoutError)\n"
USES_HELPER = rewritten(lambda text: re.sub(r"\(ConnectionError, TimeoutError\)", "KINDS", text, count=1))
DEMO = "import asyncio\nasync def demo(n):\n    await asyncio.sleep(n)\n    return n\n"
SERVER = "server = await asyncio.start_server(lambda r, w: None, '127.0.0.1', 0)"
PYTHON_2 = "print 'ready'"
BROKEN = "def broken(:\n    pass"
BUSY = "while True:\n    pass"
DEADLOCK = "import asyncio\nawait asyncio.Event().wait()"
TICKS = "import asyncio\nwhile True:\n    await asyncio.sleep(1)"
THREAD = (
    "import asyncio, threading\nloop = asyncio.get_running_loop()\nfuture = loop.create_future()\n"
    "threading.Timer(0.2, lambda: loop.call_soon_threadsafe(future.set_result, 1)).start()\nawait future"
)
LOCK = "import threading\nthreading.Event().wait()"
SOCKET = "import socket\nends = socket.socketpair()\nends[0].recv(1)"
SUBPROCESS = "import asyncio\nprocess = await asyncio.create_subprocess_exec('true')\nawait process.wait()"

DOORS: dict[str, Case] = {
    "cell magic above the answer": Case(in_a_magic("%%time")),
    "shell line above the answer": Case(top("!pip install tenacity\n"), "shell command pip"),
    "shell output assigned": Case(top("files = !ls\n"), "shell command ls"),
    "display above the answer": Case(top("display('ready')\n")),
    "get_ipython imported": Case(
        top("from IPython import get_ipython\nget_ipython().run_line_magic('load_ext', 'autoreload')\n")
    ),
    "answer cell split in two": Case(split, "twice"),
    "future import in another cell": Case(future),
    "a demonstration that waits": Case(below("import asyncio\nawait asyncio.sleep(2.1)")),
    "a text cell without text": Case(odd({"cell_type": "markdown", "metadata": {}, "source": None}), "no text", False),
    "second download": Case(top("")),
    "a student's id with a space": Case(top("")),
    "sleeps until an instant": Case(rewritten(lambda text: SLEEPS_UNTIL)),
    "prints while it works": Case(top("print('loaded')\n")),
}

MAGICS: dict[str, Case] = {
    "capture": Case(in_a_magic("%%capture")),
    "capture into a name": Case(both(in_a_magic("%%capture out"), below("len(out.stdout)"))),
    "prun": Case(in_a_magic("%%prun -q")),
    "timeit binds nothing": Case(in_a_magic("%%timeit"), full=False),
    "timeit of a statement": Case(top("%timeit -n 100000 -r 5 sum(range(10))\n")),
    "time of a statement": Case(both(above("%time import asyncio, random"), rewritten(lambda text: text))),
    "time that binds what the answer uses": Case(both(above("%time " + HELPER.strip()), USES_HELPER)),
    "capture that binds what the answer uses": Case(both(above("%%capture\n" + HELPER), USES_HELPER)),
    "matplotlib inline": Case(top("%matplotlib inline\n")),
    "autoreload": Case(above("%load_ext autoreload\n%autoreload 2")),
    "config": Case(top("%config InteractiveShell.ast_node_interactivity = 'all'\n")),
    "config of a class that isn't there": Case(top("%config Nobody.knows = 1\n")),
    "env and cd": Case(top("%env RETRIES=3\n%cd .\n%pwd\n")),
    "pip": Case(top("%pip install tenacity\n"), "%pip"),
    "automagic": Case(above("pip list"), "%pip"),
    "an unknown line magic": Case(top("%sql SELECT 1\n"), "%sql"),
    "an unknown cell magic above": Case(above("%%sql\nSELECT 1"), "%%sql"),
    "an extension that isn't there": Case(top("%load_ext no_such_extension\n"), "%load_ext"),
    "bash": Case(above("%%bash --out listing\ntrue", "len(listing)"), "%%bash"),
    "html": Case(above("%%html\n<b>hello</b>"), "%%html"),
    "a file that the answer imports": Case(
        both(above("%%writefile kinds_of_mine.py\n" + HELPER, "from kinds_of_mine import KINDS"), USES_HELPER),
        "%%writefile",
    ),
    "a file that is run": Case(
        both(above("%%writefile kinds_of_mine.py\n" + HELPER, "%run kinds_of_mine.py"), USES_HELPER), "%%writefile"
    ),
    "reset": Case(both(above("%reset -f", "import asyncio, random\nfrom autograder import check"))),
    "reset below": Case(below("%reset -f")),
    "who": Case(both(above("names = %who_ls"), below("%whos"))),
    "a magic of one's own": Case(
        both(
            above(
                "from IPython.core.magic import register_line_magic\n@register_line_magic\ndef kinds(line):\n    "
                "return (ConnectionError, TimeoutError)",
                "KINDS = %kinds",
            ),
            USES_HELPER,
        )
    ),
    "shell in a block": Case(
        top("if True:\n    !true\n\ndef listing():\n    !ls\n    return 1\n"), "shell command true"
    ),
    "two bangs": Case(above("!!ls"), "shell command ls"),
    "help": Case(top("import random\nrandom?\nrandom.random??\n")),
    "get_ipython inside": Case(
        top(
            "from IPython.core.getipython import get_ipython\nshell = get_ipython()\n"
            "assert shell.__class__.__name__ == 'ZMQInteractiveShell' and 'zmqshell' in str(type(shell))\n"
            "shell.ast_node_interactivity = 'all'\nshell.events.register('post_run_cell', lambda result: None)\n"
            "shell.system('true'); shell.getoutput('ls')\nshell.run_cell_magic('time', '', 'x = 1')\nassert x == 1\n"
        ),
        "shell command true",
    ),
}

IPYTHON: dict[str, Case] = {
    "In and Out": Case(above("1 + 1", "_ + 1", "assert Out[2] == 2 and _ == 3 and '1 + 1' in In[2]; _i, _2, __")),
    "display inside the answer": Case(inside("display(1)")),
    "an import of display": Case(top("from IPython.display import HTML, Markdown, clear_output, display\n")),
    "exit below": Case(below("exit"), "end", kernel=False),
    "quit in a cell of code": Case(below("x = 1\nquit()"), "end", kernel=False),
    "exits": Case(below("import sys\nsys.exit()"), "SystemExit"),
    "input above": Case(above("name = input('name? ')"), "asks for input"),
    "breakpoint below": Case(below("breakpoint()"), "breakpoint()", kernel=False),
    "main": Case(top("if __name__ == '__main__':\n    print('main')\n")),
    "its own file": Case(above("print(__file__)"), "NameError"),
    "asyncio.run above": Case(above(DEMO, "asyncio.run(demo(1))"), "RuntimeError"),
    "run_until_complete above": Case(
        above(DEMO, "asyncio.get_event_loop().run_until_complete(demo(1))"), "RuntimeError"
    ),
    "nested loops": Case(
        both(above("import nest_asyncio2\nnest_asyncio2.apply()"), top(DEMO + "assert asyncio.run(demo(1)) == 1\n"))
    ),
    "nested loops by the old name": Case(
        top(
            "import nest_asyncio\nnest_asyncio.apply()\n"
            + DEMO
            + "asyncio.get_event_loop().run_until_complete(demo(1))\n"
        ),
        kernel=False,
    ),
    "await above": Case(above(DEMO, "assert await demo(0.1) == 0.1")),
    "async for and with": Case(
        above(
            DEMO + "from contextlib import asynccontextmanager\n@asynccontextmanager\nasync def open_():\n    yield 1\n"
            "async def three():\n    for n in range(3):\n        yield await demo(0)\n",
            "async with open_() as one:\n    assert one == 1\nassert [n async for n in three()] == [0] * 3",
        )
    ),
    "a task that goes on in later cells": Case(
        both(
            above(
                "import asyncio\nready = asyncio.Event()\n"
                "async def later():\n    await asyncio.sleep(0.3)\n    ready.set()\n"
                "task = asyncio.create_task(later())",
                "await ready.wait()\n" + HELPER,
            ),
            USES_HELPER,
        )
    ),
    "a context variable": Case(
        both(
            above("from contextvars import ContextVar\nwho = ContextVar('who')\nwho.set('me')"),
            inside("who.get()"),
        )
    ),
    "a class that is looked up by name": Case(
        both(
            above("from __future__ import annotations"),
            top("import typing\n@typing.final\nclass Plan:\n    kinds: tuple\n\n    later: Plan\n\n\n"),
            inside("typing.get_type_hints(Plan)"),
        )
    ),
    "widgets": Case(above("import ipywidgets\nslider = ipywidgets.IntSlider()\nslider")),
}

TEXTS: dict[str, Case] = {
    "Windows line ends": Case(rewritten(lambda text: text.replace("\n", "\r\n"))),
    "a byte order mark": Case(top("\ufeff"), "invisible mark"),
    "tabs": Case(rewritten(lambda text: text.replace("    ", "\t"))),
    "a form feed": Case(top("\f\n")),
    "a backslash at the end": Case(above("x = 1 \\"), "SyntaxError"),
    "comments alone": Case(above("# nothing\n\n# here")),
    "empty cells": Case(above("", "   \n")),
    "lines": Case(lambda notebook, at: answer_with(source=right().splitlines(keepends=True))(notebook, at)),
    "a long cell": Case(top("x = 0\n" + "x += 1\n" * 5_000)),
    "other letters": Case(top("größe = 1\nπ = 3.14\nナマエ = 'me'\n")),
    "a prompt": Case(above(">>> x = 1\n>>> x\n")),
    "indented": Case(above("    x = 1\n    y = 2\n")),
    "Python 2 above": Case(above(PYTHON_2), "SyntaxError"),
    "Python 2 below": Case(below(PYTHON_2), "SyntaxError"),
    "a syntax error above": Case(above(BROKEN), "SyntaxError"),
    "a syntax error below": Case(below(BROKEN), "SyntaxError"),
    "a name error above": Case(above("nobody"), "NameError"),
    "a failure after the answer": Case(rewritten(lambda text: text + "\n1 / 0\n"), "ZeroDivisionError"),
}

PLACES: dict[str, Case] = {
    "split, and half of it without its id": Case(split_without_id),
    "an older copy above": Case(older_copy, "twice"),
    "moved to the top": Case(moved_up),
    "moved below its check": Case(moved_down, "below its check"),
    "in a cell of its own": Case(gone, "gone"),
    "beside the stub": Case(elsewhere, "as it was released"),
    "a helper in another cell": Case(both(above(HELPER), USES_HELPER)),
    "a helper below": Case(
        both(
            below("def ready():\n    return True"),
            inside("assert ready()"),
        ),
        "below the check",
    ),
    "another answer tried out below": Case(below("async def retry(op, **options):\n    return await op()")),
    "a name of the answer's bound anew below": Case(
        both(above(HELPER), USES_HELPER, below("KINDS = ()\nasyncio = None"))
    ),
    "a library patched below": Case(
        below("import asyncio\nasync def fast(seconds):\n    pass\nasyncio.sleep = fast\nawait asyncio.sleep(9)")
    ),
    "a registry that a cell fills": Case(
        both(
            above("KINDS = []", "KINDS += [ConnectionError, TimeoutError]"),
            rewritten(lambda text: text.replace("(ConnectionError, TimeoutError)", "tuple(KINDS)", 1)),
        )
    ),
}


def above_and_below(name: str, source: str, note: str, *, kernel: bool = True) -> dict[str, Case]:
    return {
        f"{name}, above": Case(above(source), note, kernel),
        f"{name}, below": Case(below(source), note, kernel),
    }


LACKS: dict[str, Case] = {
    **above_and_below("a server", "import asyncio\n" + SERVER, "hasn't got"),
    **above_and_below("a subprocess", SUBPROCESS, "hasn't got"),
    **above_and_below("a thread's callback", THREAD, "hasn't got"),
    **above_and_below("a deadlock", DEADLOCK, "never comes", kernel=False),
    **above_and_below("an endless wait", TICKS, "doesn't come to an end", kernel=False),
    **above_and_below("an endless loop", BUSY, "takes too long", kernel=False),
    **above_and_below("a lock that nobody frees", LOCK, "hasn't got", kernel=False),
    **above_and_below("a socket that nobody writes to", SOCKET, "takes too long", kernel=False),
    **above_and_below("an hour", "import asyncio, time\nawait asyncio.sleep(1800)\ntime.sleep(1800)", "", kernel=False),
    "four endless loops": Case(both(above(BUSY, BUSY), below(BUSY, BUSY)), "takes too long", kernel=False),
    "a task that spins": Case(
        below(
            "import asyncio\nasync def spin():\n    while True:\n        await asyncio.sleep(0)\n"
            "task = asyncio.create_task(spin())",
            "await asyncio.sleep(1)",
        ),
        "doesn't come to an end",
        kernel=False,
    ),
}

ODD: dict[str, Case] = {
    "no metadata": Case(odd(code("x = 1") | {"metadata": None}), "metadata", False),
    "metadata that is text": Case(odd(code("x = 1") | {"metadata": "none"}), "metadata", False),
    "no grade id": Case(odd(code("x = 1", nbgrader={"grade_id": None, "grade": False})), "metadata", False),
    "a number as a grade id": Case(odd(code("x = 1", nbgrader={"grade_id": 7})), "metadata", False),
    "nbgrader without anything": Case(odd(code("x = 1", nbgrader=None)), "", False),
    "a number as text": Case(odd(code(7)), "no text", False),
    "a dictionary as text": Case(odd(code({"x": 1})), "no text", False),
    "lines that are none": Case(odd(code(["x = 1\n", None, "y = 2"])), "lines that are no text", False),
    "cells that are none": Case(odd(None, 7, "x = 1", [code("x = 1")]), "is no cell", False),
    "no kind": Case(odd({"metadata": {}, "source": "x = 1"}), "what kind", False),
    "a kind that isn't known": Case(odd({"cell_type": "heading", "metadata": {}, "source": "# x"}), "what kind", False),
    "an answer without a kind": Case(untyped, "read as code", False),
    "NaN in an output": Case(
        odd(
            code("x = 1") | {"outputs": [{"output_type": "display_data", "data": {"x": float("nan")}, "metadata": {}}]}
        ),
        "",
        False,
    ),
    "a check without text": Case(lambda notebook, at: notebook["cells"][at + 1].update(source=None), "no text", False),
}

CASES: dict[str, Case] = {**DOORS, **MAGICS, **IPYTHON, **TEXTS, **PLACES, **LACKS, **ODD}
