"""The commands' promises to a person who types them: exit codes, and one clear line on stderr, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from autograder.cli import main
from autograder.course import Course

SECTION = "90_sample"


def typed(folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str, str]:
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(main, list(arguments))
    assert isinstance(done.exception, SystemExit | None), done.exc_info
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.parametrize("command", ["build", "grade", "demo", "lab", "progress", "compare x"])
def test_outside_a_course(tmp_path, monkeypatch, command):
    """Every command that needs one says that there is none."""
    code, _, err = typed(tmp_path, monkeypatch, *command.split())
    assert code == 2 and err.count("\n") == 1 and "no course here" in err


@pytest.mark.parametrize(
    ("command", "said"),
    {
        "nonsense": "No such command",
        "grade --bogus": "--bogus",
        "grade --jobs 0": "--jobs",
        "grade --jobs many": "--jobs",
        "check": "NOTEBOOKS",
        "compare": "EXERCISE",
        "build 99_none": "no section '99_none'",
        "build --check 99_none": "no section '99_none'",
        "grade": "there is no folder",
        "grade nowhere": "there is no folder nowhere",
        "grade notebooks --section 99_none": "no section '99_none'",
        "grade solutions": "nothing to grade",
        "grade handed --json nowhere/rows.json": "nowhere",
        "grade handed --json notebooks": "folder",
        "grade handed --student nobody": "no submission of nobody in handed",
        "grade handed --student nobody --section 90_sample": "no submission of nobody for 90_sample in handed",
        "check nowhere.ipynb": "no file nowhere.ipynb",
        "check notebooks": "not a regular file",
        "check broken.ipynb": "broken.ipynb",
        "check notebooks/91_plain/plain.ipynb": "no graded exercise",
        "compare nonsense": "no exercise 'nonsense'",
        "progress --html handed": "handed",
    }.items(),
)
def test_wrong_usage(course, monkeypatch, command, said):
    """Exit code 2, and a line that names what was wrong."""
    (course.root / "broken.ipynb").write_text("{")
    (course.root / "handed" / "ada" / SECTION).mkdir(parents=True)
    code, _, err = typed(course.root, monkeypatch, *command.split())
    assert code == 2 and said in err
    assert err.startswith("autograder: ") and err.count("\n") == 1


def test_something_is_wrong(course, monkeypatch):
    """Exit code 1: what was checked isn't as it should be."""
    stub = str(course.notebooks / SECTION / "sample.ipynb")
    assert typed(course.root, monkeypatch, "check", stub)[0] == 1
    (course.notebooks / SECTION / "sample.ipynb").write_text("{}")
    code, _, err = typed(course.root, monkeypatch, "build", "--check", SECTION)
    assert code == 1 and "Traceback" not in err
    assert typed(course.root, monkeypatch, "compare", "sample")[0] == 1


def test_done(course, monkeypatch):
    """Exit code 0."""
    assert typed(course.root, monkeypatch, "build", "--check")[0] == 0
    assert typed(course.root, monkeypatch, "progress")[0] == 0
    assert typed(course.root, monkeypatch, "--help")[0] == typed(course.root, monkeypatch, "grade", "-h")[0] == 0


def test_as_a_process(tmp_path):
    """The installed command behaves so too."""
    command = [str(Path(sys.executable).with_name("autograder")), "grade"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1


def test_two_at_once(course, monkeypatch):
    """A second grading waits for nobody, and says why it doesn't begin."""
    (course.root / "submitted" / "ada" / SECTION).mkdir(parents=True)
    with Course(course.root).lock():
        code, _, err = typed(course.root, monkeypatch, "grade")
    assert code == 2 and "graded already" in err


def test_where_not_every_sign_can_be_written(course):
    """As on Windows, where what goes to a file is in an old code page: a question mark instead of a traceback."""
    notebook = course.section(SECTION).released / "sample.ipynb"
    command = [str(Path(sys.executable).with_name("autograder")), "check", str(notebook)]
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252", "COLUMNS": "300"}
    done = subprocess.run(command, env=environment, cwd=course.root, capture_output=True)
    assert done.returncode == 1 and b"? Adds small numbers" in done.stdout and not done.stderr, done.stderr
