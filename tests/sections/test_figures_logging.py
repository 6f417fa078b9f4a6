"""What the logging notebook says of its exercise and of its listings, from the notebook's own cells."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from autograder.notebook.answer import read_cells
from autograder.notebook.cells import CodeCell
from autograder.notebook.execution import run_notebook
from tests.sections.conftest import SECTIONS, notebook

SECTION = next(section for section in SECTIONS if section.notebook == "logging")


@pytest.fixture(scope="module")
def names() -> Mapping[str, Any]:
    cells = [CodeCell(cell.source, False, n) for n, cell in enumerate(read_cells(notebook(SECTION)))]
    found, errors = run_notebook(cells, ["Logger", "bind", "day", "errors_logged", "careful_handler"])
    assert not errors
    return found


def logged(names: Mapping[str, Any], *args: Any, **fields: Any) -> dict[str, Any]:
    """The one line that this call of the worked logger writes."""
    written: list[str] = []
    names["Logger"](written.append).log(*args, **fields)
    (line,) = written
    return dict(json.loads(line))


def test_who_wins(names):
    """A field of the call wins over a bound field of the same name."""
    with names["bind"](user="bound", tenant="north"):
        line = logged(names, "info", "event", user="given")
    assert (line["user"], line["tenant"]) == ("given", "north")


def test_texts_are_exempt(names):
    """Redaction hides values by their keys: what stands in a text, deeper or under another name is written."""
    line = logged(names, "error", "login of a@b", exc=ValueError("bad password hunter2"), password="hunter2")
    assert line["password"] == "[redacted]" and "hunter2" in line["error_msg"] and "a@b" in line["event"]
    line = logged(names, "info", "event", user={"email": "a@b"}, api_key="k")
    assert line["user"] == {"email": "a@b"} and line["api_key"] == "k"


def test_numbers(names):
    """Eleven lines, bob's voucher twice; seven error lines for one failed request."""
    log = names["day"]()
    assert len(log) == 11 and log.count(("bob", "takes the voucher off")) == 2
    assert len(names["errors_logged"](names["careful_handler"])) == 7
