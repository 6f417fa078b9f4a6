"""Notebook files as they come: broken, odd, edited, and made to look like something else."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from functools import partial
from typing import Any

from autograder.files import MAX_NOTEBOOK
from tests.attacks.corpus import FULL, HONEST, Attack, answered, code
from tests.autograder.notebook.test_answer import BROKEN, GOOD

Body = dict[str, Any]


def right() -> Body:
    return answered(HONEST)


def lost(name: str, data: Callable[[], bytes], says: str = "", **more: Any) -> Attack:
    """There is no notebook in it: marked for a person, with a line that says why."""
    return Attack(name, file=data, verdicts=("unreadable",), says=f"(?s){says}.*manual grading", **more)


def changed(name: str, change: Callable[[Body], object], says: str = "", **more: Any) -> Attack:
    """A right answer whose file was changed: it keeps its marks."""

    def data() -> bytes:
        body = right()
        change(body)
        return json.dumps(body).encode()

    return Attack(name, file=data, says=says, **{"points": FULL, "least": FULL, **more})


def written(name: str, data: Callable[[bytes], bytes], **more: Any) -> Attack:
    """A right answer written in another way: it keeps its marks."""
    return Attack(name, file=lambda: data(json.dumps(right()).encode()), **{"points": FULL, "least": FULL, **more})


def broken(name: str) -> bytes:
    data: bytes = BROKEN[name][0]
    return data


def checks(body: Body) -> list[Body]:
    return [cell for cell in body["cells"] if cell["metadata"].get("nbgrader", {}).get("grade")]


def solution(body: Body) -> Body:
    found: Body = next(cell for cell in body["cells"] if cell["metadata"].get("nbgrader", {}).get("solution"))
    return found


def without(body: Body, *cells: Body) -> None:
    body["cells"] = [cell for cell in body["cells"] if cell not in cells]


def claims_points(body: Body) -> None:
    for cell in checks(body):
        cell["source"] = "6.0"
        cell["metadata"]["nbgrader"]["points"] = 1000
        cell["outputs"] = [{"output_type": "execute_result", "data": {"text/plain": "1000"}, "metadata": {}}]


def only_claims(body: Body) -> None:
    claims_points(body)
    without(body, solution(body))


def every_cell_a_check(body: Body) -> None:
    for number, cell in enumerate(body["cells"]):
        cell["metadata"] = {"nbgrader": {"grade_id": f"mine_{number}", "grade": True, "points": 1000}}


def many_outputs(body: Body) -> None:
    body["cells"][1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["x" * 100] * 1000}] * 20


def of_wrong_shape(key: str, value: Any) -> Attack:
    def data() -> bytes:
        body = right()
        body[key] = value
        return json.dumps(body).encode()

    return lost(f"{key} is {value!r:.30}", data)


def cell_of_wrong_shape(key: str, value: Any) -> Attack:
    """Of another cell than the answer's: that one is skipped, or read as far as it can be."""
    return changed(f"a cell's {key} is {value!r:.30}", lambda body: body["cells"][0].update({key: value}))


ATTACKS = [
    *(lost(name, partial(broken, name), BROKEN[name][1]) for name in BROKEN),
    lost(
        "400,000 cells",
        lambda: GOOD.replace(b'"cells": [', b'"cells": [' + b'{"cell_type":"code"},' * 400_000),
        "cells",
    ),
    lost("half of a file", lambda: json.dumps(right()).encode()[:-40], "no notebook"),
    lost("bytes of no encoding", lambda: GOOD.replace(b"x = 1", b"\xff\xfe\xfa"), "no notebook"),
    lost("a PDF", lambda: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + bytes(range(256)) * 100, "no notebook"),
    lost("a zip of many zeros", lambda: __import__("zlib").compress(bytes(1 << 26)), "no notebook"),
    lost("a Python file", lambda: HONEST.encode(), "no notebook"),
    lost("a web page", lambda: b"<!doctype html><script>alert(1)</script>", "no notebook"),
    lost("a number of a million digits", lambda: b'{"cells": [], "nbformat": ' + b"4" * 10**6 + b"}", ""),
    lost("deep objects", lambda: b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "no notebook"),
    lost("deep metadata", lambda: GOOD[:-1] + b', "deep": ' + b"[" * 10**6 + b"]" * 10**6 + b"}", "no notebook"),
    of_wrong_shape("cells", None),
    of_wrong_shape("cells", {"0": {}}),
    changed("cells is [1, 2]", lambda body: body.update(cells=[1, 2]), points=0, least=0),
    of_wrong_shape("cells", "cells"),
    of_wrong_shape("nbformat", "four"),
    of_wrong_shape("nbformat", -4),
    of_wrong_shape("nbformat", None),
    of_wrong_shape("nbformat", 10**400),
    cell_of_wrong_shape("source", 7),
    cell_of_wrong_shape("source", [1, 2]),
    cell_of_wrong_shape("source", {"x": 1}),
    cell_of_wrong_shape("cell_type", None),
    cell_of_wrong_shape("metadata", "none"),
    cell_of_wrong_shape("metadata", {"nbgrader": {"grade_id": 7}}),
    cell_of_wrong_shape("metadata", {"nbgrader": {"grade": "yes"}}),
    changed("no check cells", lambda body: without(body, *checks(body)), "deleted"),
    changed("check cells twice", lambda body: body["cells"].extend(copy.deepcopy(checks(body))), "2 times"),
    changed("edited check cells", claims_points, "edited"),
    changed("check cells first", lambda body: body.update(cells=[*checks(body), *body["cells"][:3]])),
    changed("check cells that are Markdown", lambda body: [cell.update(cell_type="markdown") for cell in checks(body)]),
    changed("cells backwards", lambda body: body["cells"].reverse()),
    changed(
        "the answer twice, the right one first",
        lambda body: body["cells"].insert(3, code("1 / 0", "fetch", solution=True)),
        "twice",
    ),
    changed(
        "the answer twice, the stub first",
        lambda body: body["cells"].insert(2, code("async def fetch(op): ...", "fetch", solution=True)),
        "twice",
    ),
    changed("the answer in a cell of another name", lambda body: solution(body)["metadata"].clear(), "gone"),
    changed("the answer's cell gone", lambda body: without(body, solution(body)), "gone", points=0, least=0),
    changed(
        "the answer's cell is Markdown",
        lambda body: solution(body).update(cell_type="markdown"),
        "Markdown",
        points=0,
        least=0,
    ),
    changed(
        "the answer's cell says that it is a check",
        lambda body: solution(body)["metadata"]["nbgrader"].update(grade=True, solution=False),
        "",
        points=FULL,
        least=0,
    ),
    changed(
        "only check cells that claim points",
        only_claims,
        "gone",
        points=0,
        least=0,
    ),
    changed("every cell a check", every_cell_a_check, "", points=0, least=0),
    changed("one id for all cells", lambda body: [cell.update(id="same") for cell in body["cells"]]),
    changed("ids that are none", lambda body: [cell.update(id="<script>../../x") for cell in body["cells"]]),
    changed("another kernel", lambda body: body["metadata"].update(kernelspec={"name": "bash", "language": "bash"})),
    changed("metadata of a million letters", lambda body: body["metadata"].update(x="y" * 10**6)),
    changed("many outputs", many_outputs),
    changed("outputs that hold NaN", lambda body: body["cells"][1].update(outputs=[{"data": float("nan")}])),
    changed(
        "outputs that hold infinities",
        lambda body: body["cells"][1].update(outputs=[{"data": [float("inf"), -float("inf")]}]),
    ),
    changed("a thousand empty cells", lambda body: body["cells"].extend(code("") for _ in range(1000))),
    changed(
        "a thousand cells of comments",
        lambda body: body["cells"].extend(code(f"# {n}") for n in range(1000)),
        heavy=True,
    ),
    changed(
        "a thousand copies of a released cell",
        lambda body: body["cells"].extend(code("import asyncio") for _ in range(1000)),
    ),
    changed("a cell of 10 MB", lambda body: body["cells"].append(code("#" + "x" * (10 << 20)))),
    changed("a cell of a million lines", lambda body: body["cells"].append(code("\n" * 10**6))),
    changed("a cell with half a character", lambda body: body["cells"].append(code("x = '\ud800'"))),
    changed("a cell with NUL", lambda body: body["cells"].append(code("x = '\0'"))),
    changed("a cell that isn't Python", lambda body: body["cells"].append(code("def (:"))),
    changed(
        "cells of kinds that nobody knows",
        lambda body: body["cells"].append({"cell_type": "heading", "source": "x", "metadata": {}}),
    ),
    changed(
        "unknown fields", lambda body: body.update(score=1000, cells=[{**cell, "points": 7} for cell in body["cells"]])
    ),
    changed(
        "names like ours in the answer's cell",
        lambda body: solution(body).update(source="__builtins__ = None\n"),
        points=0,
        least=0,
    ),
    written("a mark of byte order", lambda data: b"\xef\xbb\xbf" + data, verdicts=("graded", "unreadable"), least=0),
    written("space around it", lambda data: b"\r\n \t" + data + b"\r\n" * 1000),
    written("the cells twice, wrong ones last", lambda data: data[:-1] + b', "cells": []}', points=FULL, least=0),
    written("lines that end in CR LF", lambda data: data.replace(rb"\n", rb"\r\n")),
    written("letters spelled out", lambda data: data.replace(b"async def", rb"\u0061sync def")),
    written("almost as long as may be", lambda data: data + b" " * (MAX_NOTEBOOK - len(data))),
]
