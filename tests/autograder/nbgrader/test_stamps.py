"""When a submission was handed in, and its secret: read as nbgrader reads them, whatever lies there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from nbgrader.utils import parse_utc

from autograder.course import Course
from autograder.nbgrader.stamps import SECRET, TIMESTAMP, Stamps, read_stamps, read_time

GOOD = [
    "2026-01-02 03:04:05.678901 UTC",
    "2026-01-02 03:04:05 UTC",
    "2026-01-02 03:04:05",
    "2026-01-02 03:04:05 Europe/Vienna",
    "2026-01-02 03:04:05 CET",
    "2026-01-02 03:04:05 XYZ",
    "2026-01-02 03:04:05 +0530",
    "2026-01-02 03:04:05 -3600",
    "2026-01-02T03:04:05Z",
    "2026-01-02T03:04:05.5+02:00",
    "2026-01-02",
    "20260102T030405",
    "Jan 2 2026 10:00",
    "Fri, 02 Jan 2026 10:00:00 +0000",
    "2026-06-15 10:00:00 America/New_York",
    "\n 2026-01-02 03:04:05 UTC \n",
]
BAD = [
    "yesterday",
    "2026-02-30 10:00:00 UTC",
    "2026-13-01 10:00:00",
    "2026-01-02 25:00:00",
    "99999-01-01 00:00:00 UTC",
    "0000-00-00 00:00:00",
    "0001-01-01 00:00:00 +2300",
    "9999-12-31 23:59:59 -2300",
    "2026-01-02 03:04:05 99999999999999999999",
    "10:30",
    "Monday",
    "12",
    "2026",
    "March 2026",
    "2026-01-02 03:04:05 /etc/passwd",
    "2026-01-02 03:04:05 ../../../../etc/passwd",
    "1" * 300,
    "9" * 30 + "-01-01",
    "<script>alert(1)</script>",
    "2026-01-02\0",
    "2026-01-02 \u0661\u0662:00",
    "{0.__class__}",
    "",
    " \n ",
]


@pytest.mark.parametrize("text", GOOD)
def test_a_timestamp_is_read_as_nbgrader_reads_it(text: str) -> None:
    """With and without a zone, in the forms that nbgrader's commands and people write."""
    assert read_time(text) == parse_utc(text.strip())


@pytest.mark.parametrize("text", BAD)
def test_a_timestamp_that_names_no_instant_is_a_note(tmp_path: Path, text: str) -> None:
    """Nothing is raised and nothing guessed: it isn't late, and its student hears why."""
    (tmp_path / TIMESTAMP).write_text(text, encoding="utf-8")
    found = read_stamps(tmp_path)
    assert found.handed_in is None and not found.files
    assert found.note.startswith("The file timestamp.txt beside the notebook can't be read (")
    assert found.note.isascii() and found.note.isprintable() and len(found.note) < 200


@pytest.mark.parametrize("kind", ["bytes", "huge", "link", "broken link", "pipe", "folder"])
def test_a_file_that_is_none_is_a_note(tmp_path: Path, kind: str) -> None:
    """Bytes, a huge one, a link to a good one, a pipe that would wait forever."""
    path = tmp_path / "here" / TIMESTAMP
    path.parent.mkdir()
    good = tmp_path / "good.txt"
    good.write_text(GOOD[0])
    {
        "bytes": lambda: path.write_bytes(b"\xff\xfe2026"),
        "huge": lambda: path.write_bytes(b" " * 10_000_000),
        "link": lambda: path.symlink_to(good),
        "broken link": lambda: path.symlink_to(tmp_path / "nowhere"),
        "pipe": lambda: os.mkfifo(path),
        "folder": lambda: path.mkdir(),
    }[kind]()
    found = read_stamps(path.parent)
    assert found.handed_in is None and not found.files and found.note


def test_nothing_there_is_no_note(tmp_path: Path) -> None:
    """A folder, a zip or an LMS brings no timestamp: that is no mistake."""
    assert read_stamps(tmp_path) == Stamps()
    assert read_stamps(tmp_path / "nowhere") == Stamps()


def test_a_secret_is_nbgraders_own(tmp_path: Path) -> None:
    """Kept to the byte; anything that nbgrader can't have written counts as none."""
    (tmp_path / TIMESTAMP).write_text(GOOD[0])
    (tmp_path / SECRET).write_text("0123abcd" * 16)
    assert read_stamps(tmp_path).files == {TIMESTAMP: GOOD[0].encode(), SECRET: b"0123abcd" * 16}
    for text in ("", "short", "g" * 128, "a" * 500, "<script>" * 20, "a" * 128 + "\n"):
        (tmp_path / SECRET).write_text(text)
        assert SECRET not in read_stamps(tmp_path).files, text
    (tmp_path / SECRET).unlink()
    (tmp_path / "other").write_text("ab" * 64)
    (tmp_path / SECRET).symlink_to(tmp_path / "other")
    assert SECRET not in read_stamps(tmp_path).files


def test_a_linked_folder_has_no_stamps(tmp_path: Path) -> None:
    """Another student's secret isn't taken through a link to their folder."""
    folder = tmp_path / "ada" / "90_sample"
    folder.mkdir(parents=True)
    (folder / SECRET).write_text("ab" * 64)
    (tmp_path / "mallory").mkdir()
    (tmp_path / "mallory" / "90_sample").symlink_to(folder)
    (tmp_path / "eve").symlink_to(folder.parent)
    assert read_stamps(folder).secret
    assert read_stamps(tmp_path / "mallory" / "90_sample") == read_stamps(tmp_path / "eve" / "90_sample") == Stamps()


def test_reading_the_configuration_imports_no_nbgrader(course: Course) -> None:
    """`grade` reads it before anything is graded, and importing nbgrader would take longer than grading one."""
    program = "import sys; from autograder.cli import main\ntry: main(['grade', '--dry-run'])\n"
    program += "finally: assert 'nbgrader' not in sys.modules"
    (course.submitted / "ada" / "90_sample").mkdir(parents=True)
    done = subprocess.run([sys.executable, "-c", program], cwd=course.root, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "1 would be graded: 1 new" in done.stdout, done.stderr
