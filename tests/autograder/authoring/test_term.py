"""The chapter on a term, `solutions/term.md`: its commands exist, with the options that it names."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from nbgrader.apps.nbgraderapp import NbGraderApp
from traitlets.config import Application
from traitlets.utils.importstring import import_item

from autograder.cli import main

PAGE = (Path(__file__).parents[3] / "solutions" / "term.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = list(dict.fromkeys(line.removeprefix("uv run ") for block in BLOCKS for line in block.splitlines()))
MENTIONED = list(dict.fromkeys(re.findall(r"`(nbgrader \w+[^`]*)`", PAGE)))


def options(words: list[str]) -> set[str]:
    return {word.lstrip("-").partition("=")[0] for word in words if word.startswith("--")}


def nbgrader_app(words: list[str]) -> tuple[type[Application], list[str]]:
    """The application that nbgrader starts for these words, and what is left of them."""
    app: type[Application] = NbGraderApp
    while words:
        commands = {name: found[0] for name, found in app().subcommands.items()}
        if words[0] not in commands:
            break
        found = commands[words.pop(0)]
        app = import_item(found) if isinstance(found, str) else found
    return app, words


@pytest.mark.parametrize("line", [line for line in COMMANDS + MENTIONED if line.startswith("nbgrader ")])
def test_nbgrader_has_the_command(line: str) -> None:
    """The command, and each option of it."""
    _, *words = shlex.split(line)
    app, left = nbgrader_app(words)
    assert app is not NbGraderApp and len([word for word in left if word[:1] != "-"]) <= 1, line
    one = app()
    assert options(left) <= {*one.aliases, *one.flags}, line


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("autograder ")])
def test_autograder_has_the_command(line: str) -> None:
    """The command, and each option of it."""
    _, name, *words = shlex.split(line)
    known = {text.lstrip("-") for option in main.commands[name].params for text in option.opts}
    assert options(words) <= known


def test_nothing_else_is_typed() -> None:
    """No command of another kind, which these tests would pass over."""
    others = [line for line in COMMANDS if not line.startswith(("nbgrader ", "autograder "))]
    assert [line.split()[0:2] for line in others] == [["jupyter", "lab"], ["python", "-c"]]
