"""nbgrader's exchange where it reads students' files: collecting, listing, releasing feedback.

Students own the folders that they hand in until somebody collects them. A file there may be a link to the solution, a
pipe that never ends, or another student's file. So only regular files of the student's own are copied, and nothing is
opened through a link. A submission that can't be collected or released harms no other; stock nbgrader stops the class.
`nbgrader_config.py` names these classes; everything else is nbgrader's own.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import re
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from glob import glob
from pathlib import Path
from typing import Any

from nbgrader.exchange import ExchangeError
from nbgrader.exchange.default import ExchangeCollect, ExchangeList, ExchangeReleaseFeedback
from nbgrader.utils import notebook_hash

from autograder.course import CHECKS
from autograder.errors import UnreadableSubmission
from autograder.files import read_regular, stage, write_atomically
from autograder.nbgrader.stamps import SECRET, TIMESTAMP, read_secret, read_stamps
from faultlab.pictures.sheet import clean

MAX_FILES = 1000
"""The most files and folders of one submission that are read."""
MAX_DEPTH = 8
"""Folders within folders."""

_FOLDER = _FILE = os.O_RDONLY
if sys.platform != "win32":  # where nbgrader has no exchange
    _FOLDER |= os.O_DIRECTORY | os.O_NOFOLLOW
    _FILE |= os.O_NOFOLLOW | os.O_NONBLOCK

Record = dict[str, Any]
_NEVER = datetime.min  # noqa: DTZ901  (nbgrader's timestamps are in UTC, without a zone)


class Collect(ExchangeCollect):
    """`nbgrader collect`."""

    def init_src(self) -> None:
        """Like nbgrader's list, without entries that aren't submissions."""
        super().init_src()
        self.src_records: list[Record] = [record for record in self.src_records if record["username"]]

    def _path_to_record(self, path: str) -> Record:
        """Parse a folder's name. A link, or a name that says nothing, gets a warning and counts as nobody's."""
        try:
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                raise ValueError("it isn't a folder")
            record: Record = super()._path_to_record(path)
            if record["username"] in ("", ".", "..") or not record["username"].isprintable():
                raise ValueError("nobody is named like that")
            return record
        except (OSError, ValueError, OverflowError, ExchangeError) as error:
            self.log.warning("Skipped %a: %s", os.path.basename(path), error)
            return {"username": "", "filename": os.path.basename(path), "timestamp": _NEVER}

    def _sort_by_timestamp(self, records: list[Record]) -> list[Record]:
        """The newest first. If a student has submissions of their own, those that others made in their name don't
        count."""
        own = [one for one in records if _owner(self._path(one)) == one["username"]] if self.check_owner else []
        for record in records if own else ():
            if record not in own:
                self.log.warning("Skipped %a: another user made it", record["filename"])
        found: list[Record] = super()._sort_by_timestamp(own or records)
        return found

    def _path(self, record: Record) -> str:
        return os.path.join(self.inbound_path, record["filename"])

    def copy_files(self) -> None:
        """Copy each student's submission, unless it is here already."""
        where = f"submissions of '{self.coursedir.assignment_id}' for course '{self.coursedir.course_id}'"
        if not self.src_records:
            self.log.warning("No %s to collect", where)
        else:
            self.log.info("Processing %s %s", len(self.src_records), where)
        for record in self.src_records:
            try:
                self._collect(record)
            except (OSError, ValueError) as error:
                self.log.warning("Couldn't collect %a: %s; ask the student to submit again", record["filename"], error)

    def _collect(self, record: Record) -> None:
        student, assignment = record["username"], self.coursedir.assignment_id
        if self.check_owner and (owner := _owner(self._path(record))) != student:
            self.log.warning(
                "%a claims to be submitted by %s but is owned by %s; cheating attempt?\n"
                "you may disable this warning by unsetting the option ExchangeCollect.check_owner",
                *(record["filename"], student, owner),
            )
        place = Path(self.coursedir.format_path(self.coursedir.submitted_directory, student, assignment))
        if not place.is_dir():
            self.log.info("Collecting submission: %s %s", student, assignment)
        elif self._is_wanted(record, read_stamps(place).handed_in):
            self.log.info("Updating submission: %s %s", student, assignment)
        elif self.update:
            self.log.info("No newer submission to collect: %s %s", student, assignment)
            return
        else:
            self.log.info("Submission already exists, use --update to update: %s %s", student, assignment)
            return
        self._replace(record, place)

    def _is_wanted(self, record: Record, before: datetime | None) -> bool:
        newer = before is None or record["timestamp"] > before
        return bool((self.update and newer) or (self.before_duedate and before != record["timestamp"]))

    def _replace(self, record: Record, place: Path) -> None:
        """Remove the old one after the new one has arrived."""
        new = place.with_name(f".{place.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        try:
            new.mkdir(parents=True)
            for why in copy_submission(self._path(record), new, self.coursedir):
                self.log.warning("%a: %s", record["filename"], why)
            self._check_timestamp(record, new)
            if place.is_dir():
                shutil.rmtree(place)
            new.rename(place)
        finally:
            shutil.rmtree(new, ignore_errors=True)
        if self.coursedir.groupshared:
            for folder, _, files in os.walk(place):
                _share(Path(folder), 0o2770)
                for name in files:
                    _share(Path(folder, name), 0o660)

    def _check_timestamp(self, record: Record, folder: Path) -> None:
        """The folder's name says when it was handed in, which counts if `timestamp.txt` can't be read."""
        stamps = read_stamps(folder)
        if stamps.handed_in is None:
            if stamps.note:
                self.log.warning("%a: %s Its folder's name says when; that is taken.", record["filename"], stamps.note)
            write_atomically(folder / TIMESTAMP, f"{record['timestamp']} UTC".encode())
        elif stamps.handed_in != record["timestamp"]:
            self.log.warning("%a: its %s says %s", record["filename"], TIMESTAMP, stamps.handed_in)


class ReleaseFeedback(ExchangeReleaseFeedback):
    """`nbgrader release_feedback`, which skips submissions without a secret and names their students."""

    def copy_files(self) -> None:
        """Copy each page to the place where only the student's own nbgrader looks for it."""
        excluded = set(filter(None, self.coursedir.student_id_exclude.split(",")))
        pages = [(student, path) for student, path in self._pages() if student not in excluded]
        secrets = {path: read_secret(path.parent) for _, path in pages}
        kept_back: dict[str, list[str]] = {}
        for student, path in pages:
            secret = secrets[path]
            twins = [other for other, page in pages if other != student and secret and secrets[page] == secret]
            try:
                page = read_regular(path)
            except UnreadableSubmission as problem:
                kept_back.setdefault(f"the page can't be read ({problem})", []).append(student)
                continue
            if not secret:
                kept_back.setdefault(f"no {SECRET}: not handed in through the exchange", []).append(student)
            elif twins:
                kept_back.setdefault("several students have the same secret", []).append(student)
            else:
                self._release(student, path.stem, page, secret)
        for why, students in kept_back.items():
            self.log.warning(
                "No feedback was released for %s (%s); give them their page in %s yourself",
                *(clean(", ".join(students), 10_000), why, self.coursedir.feedback_directory),
            )

    def _pages(self) -> Iterator[tuple[str, Path]]:
        place = self.coursedir
        folder = place.format_path(place.feedback_directory, "(?P<student>.*)", place.assignment_id, escape=True)
        for path in sorted(glob(os.path.join(self.src_path, "*.html"))):
            found = re.fullmatch(folder, os.path.dirname(path))
            if found is not None:
                yield found["student"], Path(path)

    def _release(self, student: str, notebook: str, page: bytes, secret: bytes) -> None:
        place = Path(self.dest_path, f"{notebook_hash(secret=secret.decode(), notebook_id=notebook)}.html")
        new = stage(place, page)
        new.chmod(
            0o664 if self.coursedir.groupshared else 0o644
        )  # the student must be able to read it, whatever the umask here
        new.replace(place)
        self.log.info(
            "Released feedback for student '%s' on assignment '%s/%s/%s'",
            *(clean(student), self.coursedir.course_id, self.coursedir.assignment_id, notebook),
        )


class List(ExchangeList):
    """`nbgrader list`; `--inbound` reads what students own, and only lists folders with a secret of nbgrader's."""

    def init_dest(self) -> None:
        """What is listed."""
        super().init_dest()
        if self.inbound:
            odd = [path for path in self.assignments if not _is_nbgraders(path)]
            for path in odd:
                self.log.warning("Left out %a: nbgrader didn't make it", os.path.basename(path))
            self.assignments: list[str] = [path for path in self.assignments if path not in odd]


def copy_submission(source: str, place: Path, limits: Any) -> list[str]:
    """Copy the regular files below `source` that its owner owns into the folder `place`; links aren't followed.

    `limits` is nbgrader's CourseDirectory: what it ignores and includes, and how large files and folders may be.
    Returns the files that were left out, and why. Raises OSError when `source` can't be read, ValueError when it is too
    large.
    """
    descriptor = os.open(source, _FOLDER)
    try:
        copier = _Copier(limits, os.fstat(descriptor).st_uid, limits.max_dir_size * 1000)
        copier.copy_folder(descriptor, place, depth=1)
    finally:
        os.close(descriptor)
    return copier.left_out


class _LeftOut(Exception):
    """Why a file isn't copied."""


@dataclass
class _Copier:
    """Copies one submission; everything is opened relative to the folder's descriptor, so that nothing can be
    swapped."""

    limits: Any
    owner: int
    room: int
    """Bytes that may still be copied."""
    seen: int = 0

    def __post_init__(self) -> None:
        self.left_out: list[str] = []

    def copy_folder(self, descriptor: int, place: Path, depth: int) -> None:
        with os.scandir(descriptor) as entries:
            for entry in entries:
                self.seen += 1
                if self.seen > MAX_FILES:
                    raise ValueError(f"it has more than {MAX_FILES} files")
                if self._is_ignored(entry.name, depth):
                    continue
                try:
                    self._copy(descriptor, entry.name, place / entry.name, depth)
                except _LeftOut as why:
                    self.left_out.append(f"{entry.name!a} was left out: {why}")
                except OSError as error:
                    said = "it is a link" if error.errno == errno.ELOOP else error.strerror
                    self.left_out.append(f"{entry.name!a} was left out: {said}")

    def _is_ignored(self, name: str, depth: int) -> bool:
        """What nbgrader ignores, and the data folder: the course has its own."""
        patterns = [*self.limits.ignore, *([CHECKS] if depth == 1 else [])]
        return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)

    def _copy(self, folder: int, name: str, place: Path, depth: int) -> None:
        descriptor = os.open(name, _FILE, dir_fd=folder)
        try:
            facts = os.fstat(descriptor)
            if facts.st_uid != self.owner:  # a link of the other kind, to a file that is another user's
                raise _LeftOut("it is another user's file")
            if stat.S_ISDIR(facts.st_mode):
                if depth == MAX_DEPTH:
                    raise _LeftOut(f"more than {MAX_DEPTH} folders lie in one another")
                place.mkdir()
                self.copy_folder(descriptor, place, depth + 1)
            elif stat.S_ISREG(facts.st_mode):
                self._copy_file(descriptor, facts, place)
            else:
                raise _LeftOut("it isn't a regular file")
        finally:
            os.close(descriptor)

    def _copy_file(self, descriptor: int, facts: os.stat_result, place: Path) -> None:
        if not any(fnmatch.fnmatch(place.name, pattern) for pattern in self.limits.include):
            return
        if facts.st_size > self.limits.max_file_size * 1000:
            raise _LeftOut(f"it is larger than {self.limits.max_file_size} KB")
        if facts.st_size > self.room:
            raise ValueError(f"it is larger than {self.limits.max_dir_size} KB")
        with open(descriptor, "rb", closefd=False) as source, open(place, "xb") as copy:
            left = facts.st_size  # a file that grows meanwhile is cut off
            while left and (block := source.read(min(left, 1 << 20))):
                copy.write(block)
                left -= len(block)
        self.room -= facts.st_size
        os.utime(place, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def _is_nbgraders(hand_in: str) -> bool:
    return os.path.basename(hand_in).isprintable() and not os.path.islink(hand_in) and bool(read_secret(Path(hand_in)))


def _owner(path: str) -> str:
    if sys.platform == "win32":
        return ""
    import pwd

    try:
        return pwd.getpwuid(os.lstat(path).st_uid).pw_name
    except (KeyError, OSError):
        return "unknown id"


def _share(path: Path, bits: int) -> None:
    with suppress(PermissionError):
        path.chmod(stat.S_IMODE(path.stat().st_mode) | bits)
