"""The two small files that nbgrader's exchange lays beside a submission: when it was handed in, and its secret.

`timestamp.txt` decides about lateness; `submission_secret.txt` is what a student's own nbgrader asks for the feedback
with. Both come from a folder that a student could write to. Links aren't followed, and what can't be read counts as
not there: it costs its student a note, nobody else anything.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from pathlib import Path

from autograder.errors import UnreadableSubmission
from autograder.files import read_regular
from autograder.judging.result import Result

TIMESTAMP = "timestamp.txt"
SECRET = "submission_secret.txt"

_LIMIT = 400
"""Bytes of either file; nbgrader writes 31 and 128."""
_SECRET = re.compile(rb"[0-9a-f]{32,256}")
# letters and signs of dates and of the names of zones; a zone is never the path of a file
_DATE = re.compile(r"(?!.*(\.\.|(^|\s)/))[\w :.,+/-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Stamps:
    """What lies beside a submission, where it can be read."""

    handed_in: datetime | None = None
    """In UTC, without a zone, as the gradebook has it."""
    timestamp: bytes = b""
    """The file that says so, as it is; empty when there is none or nobody can read it."""
    secret: bytes = b""
    note: str = ""
    """What the student should know, in a sentence."""

    @property
    def files(self) -> dict[str, bytes]:
        """What belongs beside the graded copy and beside the feedback, by name."""
        return {name: data for name, data in ((TIMESTAMP, self.timestamp), (SECRET, self.secret)) if data}


def read_stamps(folder: Path) -> Stamps:
    """The stamps of the submission in `folder`, `submitted/<student>/<section>`."""
    if folder.is_symlink() or folder.parent.is_symlink():
        return Stamps()
    secret = read_secret(folder)
    path = folder / TIMESTAMP
    try:
        data = read_regular(path, _LIMIT)
    except UnreadableSubmission as problem:
        there = path.is_symlink() or path.exists()
        return Stamps(secret=secret, note=_note(str(problem).rpartition(": ")[2]) if there else "")
    try:
        return Stamps(read_time(data.decode()), data, secret)
    except UnicodeDecodeError:
        return Stamps(secret=secret, note=_note("it isn't text"))
    except ValueError as problem:
        return Stamps(secret=secret, note=_note(str(problem)))


def read_secret(folder: Path) -> bytes:
    """The submission's secret, empty when there is none, or none that nbgrader could have written."""
    try:
        data = read_regular(folder / SECRET, _LIMIT)
    except UnreadableSubmission:
        return b""
    return data if _SECRET.fullmatch(data) else b""


def read_time(text: str) -> datetime:
    """The instant that a timestamp names, in UTC and without a zone, as nbgrader's `parse_utc` reads it.

    Raises ValueError, with a few words, for what names none: other words than a date's, no year, no such day.
    """
    from dateutil.parser import parse

    text = text.strip()
    if not text:
        raise ValueError("it is empty")
    shown = ascii(text if len(text) <= 40 else f"{text[:40]}...")
    if not _DATE.fullmatch(text):
        raise ValueError(shown)
    zones: dict[str, tzinfo | int | None] = {}
    parts = text.split(" ")
    if len(parts) == 3:
        text, zones = f"{parts[0]} {parts[1]} TZ", {"TZ": _zone(parts[2])}
    try:
        found = {parse(text, tzinfos=zones, default=datetime(*today)) for today in ((2000, 1, 1), (2001, 2, 2))}  # noqa: DTZ001
        (when,) = found  # one that lacks its day or its year would be another one each day
        offset = when.utcoffset()
        return when.replace(tzinfo=None) - offset if offset is not None else when
    except Exception:  # whatever a parser of dates stumbles over
        raise ValueError(shown) from None


def with_note(result: Result, folder: Path) -> Result:
    """The result with a note if the timestamp of the submission in `folder` can't be read."""
    note = read_stamps(folder).note
    return replace(result, notes=(*result.notes, note)) if note and note not in result.notes else result


def forgive_bad_timestamps() -> None:
    """Let nbgrader's own commands and formgrader read timestamps as `read_stamps` does.

    nbgrader ends with a traceback for the whole class when one submission's timestamp can't be read, and offers no
    setting for it; so `nbgrader_config.py` calls this, and the two functions that read such a file are replaced. We
    read that configuration too, before a class is graded: then nbgrader isn't imported, which takes seconds, and there
    is nothing to replace yet. A program that imports nbgrader reads it again after that.
    """
    if "nbgrader" not in sys.modules:
        return
    from nbgrader.apps.api import NbGraderAPI
    from nbgrader.coursedir import CourseDirectory

    def get_existing_timestamp(place: CourseDirectory, dest_path: str) -> datetime | None:
        stamps = read_stamps(Path(dest_path))
        if stamps.note:
            place.log.warning("%a: %s", dest_path, stamps.note)
        return stamps.handed_in

    def get_submitted_timestamp(api: NbGraderAPI, assignment_id: str, student_id: str) -> datetime | None:
        place = api.coursedir
        return read_stamps(Path(place.format_path(place.submitted_directory, student_id, assignment_id))).handed_in

    CourseDirectory.get_existing_timestamp = get_existing_timestamp
    NbGraderAPI.get_submitted_timestamp = get_submitted_timestamp


def _note(why: str) -> str:
    return f"The file {TIMESTAMP} beside the notebook can't be read ({why}), so it counts as handed in on time."


def _zone(name: str) -> tzinfo | int | None:
    from dateutil.tz import gettz

    try:
        return int(name)
    except ValueError:
        return gettz(name)
