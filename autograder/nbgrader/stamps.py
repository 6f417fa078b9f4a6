"""The two small files that nbgrader's exchange lays beside a submission: when it was handed in, and its secret.

`timestamp.txt` decides about lateness; `submission_secret.txt` is what a student's own nbgrader asks for the feedback
with. Both come from a folder that a student could write to. Links aren't followed. An unreadable file counts as
missing: its student gets a note, and nobody else is affected.
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
# characters of dates and time zones; a zone is never the path of a file
_DATE = re.compile(r"(?!.*(\.\.|(^|\s)/))[\w :.,+/-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Stamps:
    """The stamps beside a submission, as far as they can be read."""

    handed_in: datetime | None = None
    """In UTC without a zone, as in the gradebook."""
    timestamp: bytes = b""
    """The file's bytes; empty if there is none or it can't be read."""
    secret: bytes = b""
    note: str = ""
    """A sentence for the student."""

    @property
    def files(self) -> dict[str, bytes]:
        """The files that belong beside the graded copy and the feedback, by name."""
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
    """The submission's secret; "" if there is none that nbgrader could have written."""
    try:
        data = read_regular(folder / SECRET, _LIMIT)
    except UnreadableSubmission:
        return b""
    return data if _SECRET.fullmatch(data) else b""


def read_time(text: str) -> datetime:
    """Parse a timestamp to an instant in UTC without a zone, as nbgrader's `parse_utc` does.

    Raises ValueError with a few words for other text: words that no date has, no year, no such day.
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
        (when,) = found  # without a day or a year it would mean another instant each day
        offset = when.utcoffset()
        return when.replace(tzinfo=None) - offset if offset is not None else when
    except Exception:  # any error of the date parser
        raise ValueError(shown) from None


def with_note(result: Result, folder: Path) -> Result:
    """Add a note to the result if the timestamp of the submission in `folder` can't be read."""
    note = read_stamps(folder).note
    return replace(result, notes=(*result.notes, note)) if note and note not in result.notes else result


def forgive_bad_timestamps() -> None:
    """Let nbgrader's own commands and formgrader read timestamps as `read_stamps` does.

    nbgrader ends with a traceback for the whole class if one submission's timestamp can't be read, and has no setting
    for it. So `nbgrader_config.py` calls this function, which replaces the two functions that read such a file. We also
    read that configuration before a class is graded. Then nbgrader, whose import takes seconds, isn't loaded, and there
    is nothing to replace. A program that imports nbgrader reads the configuration again afterwards.
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
