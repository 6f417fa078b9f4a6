"""What is handed in, however it is named: ids as nbgrader accepts them, and which notebook of a folder is graded."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

import pytest

from autograder.course import file_name, stage, student_problem, write_alone

ODD_IDS = (
    "ada lovelace",
    " ada ",
    "O'Neill",
    "ada (2)",
    "a\\b",
    'say "hi"',
    "Ada Lovelace_123456_assignsubmission_file_",
    "x" * 252,
    "\u65e5" * 84,
    unicodedata.normalize("NFD", "zo\u00e9"),
    unicodedata.normalize("NFC", "zo\u00e9"),
    "\U0001f469\u200d\U0001f52c",
    "100%",
    "a#b",
    "a&b",
    "a?b=c",
    "[ada]",
    "{student_id}",
    "a*",
    "<b>bold<",
    "$(id)",
    "-rf",
    "--force",
    "CON",
    "nul.txt",
    "LPT1",
    "twin",
    "Twin",
    "a:b",
    "a~b",
    "ada.",
    "a\tb",
    "a\x1b[31mb",
    "\u202eadA",
    "\u200f",
    "x" * 65,
)
"""Ids that nbgrader accepts as folders and in its database."""


class TestIds:
    @pytest.mark.parametrize("name", ["", "..", "..x", ".x", "x\n", "a\nb", "a/b", "../x", "ad\udcff", "\ud800"])
    def test_ids_that_no_gradebook_can_hold(self, name: str) -> None:
        """Refused in one printable line that names them."""
        problem = student_problem(name)
        assert problem.isascii() and problem.isprintable() and ascii(name) in problem

    @pytest.mark.parametrize("name", ODD_IDS, ids=ascii)
    def test_ids_that_nbgrader_accepts(self, name: str) -> None:
        """Whatever they hold: a space, quotes, markup, 252 bytes, a name that Windows keeps for itself."""
        assert student_problem(name) == ""

    def test_file_names(self) -> None:
        """Every id has a file name of its own: short, plain letters, no other directory, none that Windows reserves."""
        names = {student: file_name(student) for student in (*ODD_IDS, "ad\udcff", "..", "a\nb", "ada", "a/b")}
        assert len(set(names.values())) == len(names)
        for name in names.values():
            assert re.fullmatch(r"[\w@+~][\w.@+~-]*", name) and len(name.encode()) <= 150
            assert name.split(".")[0].casefold() not in ("con", "nul", "lpt1")

    @pytest.mark.parametrize("name", ["ada", "Ada", "grace.hopper-1906", "a@b.example", "x" * 64, "\u65e5\u672c"])
    def test_plain_ids_name_their_files(self, name: str) -> None:
        """So that what an earlier version has written is found again."""
        assert file_name(name) == name

    def test_a_file_with_the_longest_name_is_written(self, tmp_path: Path) -> None:
        """Staging it beside its place needs no longer name; what a killed process left staged goes."""
        path = tmp_path / ("x" * 250 + ".json")
        left = stage(path, b"half").rename(tmp_path / stage(path, b"half").name.replace(str(os.getpid()), "1"))
        write_alone(path, b"whole")
        assert path.read_bytes() == b"whole" and not left.exists() and list(tmp_path.iterdir()) == [path]
