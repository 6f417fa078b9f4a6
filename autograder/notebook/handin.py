"""Find the one notebook to grade in a student's folder of a section.

The exact name wins. If it is missing, or was never worked in, the folder and its zips are searched. A notebook is found
by the exercise's cell, or by a name that differs only by what browsers, people and learning platforms add. A note names
the choice, and a person is asked whenever another notebook could have been meant.

The folder is a stranger's: links are never followed, only regular files of bounded size and number are read, and
nothing of an archive is ever written to disk.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import time
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path, PurePosixPath

from autograder.course import CHECKS, Section, Submission, file_for_check
from autograder.errors import NothingHandedIn, UnreadableSubmission
from autograder.files import MAX_NOTEBOOK, read_regular
from autograder.notebook.answer import Cell, Unreadable, is_answered, read_cells
from faultlab.pictures.sheet import clean

MAX_ENTRIES = 2_000
"""The most files and folders of a student's folder that are examined."""
MAX_LISTED = 50 * MAX_ENTRIES
"""The most names that are read in one folder, which a file system lists in any order."""
MAX_DEPTH = 5
"""The deepest nesting of folders, also in an archive."""
MAX_NOTEBOOKS = 16
"""The most notebooks that are read for the choice, those in archives included."""
MAX_READ = 4 * MAX_NOTEBOOK
"""The most bytes of all of these together."""
MAX_ARCHIVES = 4
"""The most archives that are opened."""
MAX_ARCHIVE = 2 * MAX_NOTEBOOK
"""The most bytes of an archive."""
MAX_MEMBERS = 1_000
"""The most files in an archive."""
MAX_RATIO = 250
"""The largest compression ratio of a notebook above one megabyte; an honest one stays below 50."""
ANSWERED = 3
"""The rank of a notebook with something written into the exercise's cell."""
LONGEST = 80
"""The most characters of a name that are shown."""

_NOTEBOOK = re.compile(r"\.ipynb(?:[ ._-]?\(?\d{1,3}\)?)?(?:\.(?:txt|json))?$", re.IGNORECASE)
_ARCHIVE = re.compile(r"\.(?:zip|tar|tgz|gz|bz2|xz|7z|rar)$", re.IGNORECASE)
_OF_NBGRADER = ("timestamp.txt", "submission_secret.txt")
_ENTRY = b"PK\x01\x02"
"""How each entry of a zip's directory begins."""


@dataclass
class _Candidate:
    """A notebook that the student may have meant."""

    shown: str
    """Its name with that of its folder or archive, cleaned for people."""
    alike: bool
    """Whether its name is the notebook's, apart from additions on the way."""
    saved: float
    """Its last change, in seconds since 1970."""
    open: Callable[[], bytes]
    holds: bool = False
    """Whether the exercise's cell is in it."""
    worked: int = 0
    """Its rank: ANSWERED; 2 for own code without the exercise's cell; 1 for that cell as released; 0 for everything as
    released."""
    content: str = ""
    """The hash of its bytes."""
    said: str = "is as it was released"
    """Why it isn't chosen, if so."""


@dataclass
class _Search:
    """The contents of a folder."""

    folder: Path
    section: Section
    notebooks: list[_Candidate] = field(default_factory=list)
    archives: list[Path] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    read: int = 0
    """Bytes that were read."""

    def look_around(self) -> None:
        """List the folder and the folders in it, the nearest to the top first."""
        waiting, seen = [(self.folder, 0)], 0
        while waiting:
            place, depth = waiting.pop(0)
            for entry in _entries(place):
                seen += 1
                if seen > MAX_ENTRIES:
                    self.problems.append(f"there are more than {MAX_ENTRIES:,} files: not all were looked at")
                    return
                if entry.is_dir(follow_symlinks=False):
                    waiting += [(Path(entry.path), depth + 1)] if depth < MAX_DEPTH else []
                elif entry.is_file(follow_symlinks=False):
                    self._sort_in(Path(entry.path))

    def _sort_in(self, path: Path) -> None:
        name, shown = path.name, clean(path.relative_to(self.folder).as_posix(), LONGEST)
        if path == self.folder / f"{self.section.notebook}.ipynb":
            return
        if _is_notebook(name, self.section):
            saved = path.lstat().st_mtime
            self.notebooks.append(_Candidate(shown, _alike(name, self.section), saved, lambda: read_regular(path)))
        elif name.lower().endswith(".zip"):
            self.archives.append(path)
        elif name not in _OF_NBGRADER and not self._is_released(path):
            self.others.append(shown)

    def _is_released(self, path: Path) -> bool:
        """Whether students get a file of this name, or got it where it lies."""
        return file_for_check(self.section.released, str(path.relative_to(self.folder))).exists()

    def meant(self, candidates: list[_Candidate]) -> list[_Candidate]:
        """The notebooks that may be meant, by the exercise's cell or by their name. Each is read, up to the limits."""
        found = []
        for number, one in enumerate(candidates):
            if number >= MAX_NOTEBOOKS or self.read > MAX_READ:
                self.problems.append(f"there are more notebooks than are looked at, `{one.shown}` is one of them")
                break
            try:
                self._look_into(one)
            except UnreadableSubmission as error:
                self.problems.append(f"`{one.shown}` can't be read: {_reason(error)}")
                continue
            if one.holds or one.alike:
                found.append(one)
            else:
                self.others.append(one.shown)
        return found

    def _look_into(self, one: _Candidate) -> None:
        data = one.open()
        self.read += len(data)
        one.content = hashlib.sha256(data).hexdigest()
        released = _released(self.section)
        try:
            cells = read_cells(data)
        except Unreadable:
            one.said = "holds no notebook"
            return
        ours = {cell.source.strip() for cell in released}
        answers = [cell for cell in cells if cell.grade_id == self.section.exercise]
        own = [cell for cell in cells if cell.kind != "grade" and cell.source.strip() not in {"", *ours}]
        one.holds = bool(answers)
        if is_answered(cells, released, self.section.exercise):
            one.worked = ANSWERED
        elif own:
            one.worked = 1 if answers else 2
            one.said = "holds no answer" if answers else "doesn't hold the exercise's cell"


@dataclass(frozen=True, slots=True)
class HandedIn:
    """The notebook that is graded."""

    data: bytes
    notes: tuple[str, ...] = ()
    """Sentences for the student about the choice."""
    needs: str = ""
    """Why a person has to look at the choice, in a sentence; "" if nobody has to."""


def open_submission(submission: Submission) -> HandedIn:
    """The notebook to grade, with notes about the choice; links aren't followed.

    Raises NothingHandedIn when there is none, UnreadableSubmission when it isn't opened, with a line that says why.
    """
    if submission.problem:
        raise UnreadableSubmission(submission.problem)
    return handed_in(submission.path.parent, submission.section)


def handed_in(folder: Path, section: Section) -> HandedIn:
    """The notebook in a student's folder of a section, with notes about the choice.

    Raises NothingHandedIn when there is none, UnreadableSubmission when what there is can't be read.
    """
    exact = folder / f"{section.notebook}.ipynb"
    search = _Search(folder, section)
    search.look_around()
    if os.path.lexists(exact):
        return _rather(exact, search)
    found = search.meant(search.notebooks)
    if not any(one.worked == ANSWERED for one in found):
        found += search.meant(list(_packed(search)))
    if not found:
        _refuse(search, exact.name)
    best = _best(found)
    note = f"there is no {exact.name} in the folder: `{best.shown}` was graded"
    needs = _doubts(best, found, search)
    return HandedIn(best.open(), (note,), f"{note}; {needs}" if needs else "")


def _rather(exact: Path, search: _Search) -> HandedIn:
    """The notebook of the exact name. If it was never worked in, another one may be chosen, and a person is asked."""
    if not search.notebooks and not search.archives:
        return HandedIn(read_regular(exact))
    there = _Candidate(exact.name, True, 0.0, lambda: read_regular(exact))
    try:
        search._look_into(there)
    except UnreadableSubmission as error:
        there.said = f"can't be read ({_reason(error)})"
    if there.worked == ANSWERED:
        copies = [one.shown for one in search.notebooks if one.alike]
        return HandedIn(there.open(), (f"`{exact.name}` was graded, and not {_listed(copies)}",) if copies else ())
    found = search.meant(search.notebooks)
    if not any(one.worked == ANSWERED for one in found):
        found += search.meant(list(_packed(search)))
    found = [one for one in found if one.worked > there.worked]
    if not found:
        return HandedIn(there.open())
    best = _best(found)
    note = f"{exact.name} {there.said}: `{best.shown}` was graded"
    return HandedIn(best.open(), (note,), f"{note}; {_doubts(best, found, search) or _LOOK}")


_LOOK = "look whether that is the one that was meant"


def _best(found: list[_Candidate]) -> _Candidate:
    """The one with the most work in it; of equals the newest, then the one whose name comes first."""
    return max(found, key=lambda one: (one.worked, one.holds, one.saved, one.alike))


def _doubts(best: _Candidate, found: list[_Candidate], search: _Search) -> str:
    """Why a person should look at the choice; "" if there was no choice."""
    others = [one.shown for one in found if one.content != best.content]
    if others:
        return f"{_listed(others)} could be meant, too: {_LOOK}"
    if search.problems:
        return f"{search.problems[0]}: {_LOOK}"
    return "" if best.holds else f"the exercise's cell isn't in it: {_LOOK}"


def _refuse(search: _Search, exact: str) -> None:
    """Raise NothingHandedIn or UnreadableSubmission, with a line about what is there instead."""
    archives = [name for name in search.others if _ARCHIVE.search(name)]
    if search.problems:
        raise UnreadableSubmission(f"there is no {exact} in the folder, and {search.problems[0]}")
    if archives:
        raise UnreadableSubmission(
            f"there is no {exact} in the folder, only {_listed(archives)}: hand in the notebook, or one zip with it"
        )
    raise NothingHandedIn(
        f"there is no notebook in the folder{f', only {_listed(search.others)}' if search.others else ''}"
    )


@cache
def _released(section: Section) -> tuple[Cell, ...]:
    try:
        return tuple(read_cells((section.released / f"{section.notebook}.ipynb").read_bytes()))
    except (OSError, Unreadable):
        return ()


# --- names


def _entries(place: Path) -> list[os.DirEntry[str]]:
    """The entries that aren't hidden, notebooks first, up to the limit; none if the folder can't be read."""
    try:
        with os.scandir(place) as found:
            some = [one for one in islice(found, MAX_LISTED) if not _hidden(one.name)]
    except OSError:
        return []
    return sorted(some, key=lambda one: (_NOTEBOOK.search(one.name) is None, one.name))[: MAX_ENTRIES + 1]


def _hidden(name: str) -> bool:
    """What isn't looked at: what systems and Python keep, and the data folder, which the course has itself."""
    return name.startswith(".") or name in ("__MACOSX", "__pycache__", CHECKS)


def _is_notebook(name: str, section: Section) -> bool:
    """Whether it is a notebook by its name, also with what a browser or wget appends, or without an ending."""
    plain = (section.notebook, f"{section.notebook}.json", f"{section.notebook}.txt")
    return _NOTEBOOK.search(name) is not None or _folded(name) in plain


def _alike(name: str, section: Section) -> bool:
    """Whether the notebook's name is in this one as words of its own: in `ada_retry-Copy1`, not in `retrying`."""
    words = re.findall(r"[^\W\d_]+", _folded(_NOTEBOOK.sub("", name)))
    wanted = re.findall(r"[^\W\d_]+", section.notebook)
    return any(words[n : n + len(wanted)] == wanted for n in range(len(words))) or "".join(wanted) in words


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()


def _listed(names: list[str]) -> str:
    """Up to three names, and how many more."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(f"`{name}`" for name in names[:3]) + more


def _reason(error: UnreadableSubmission) -> str:
    """Without the path that it begins with."""
    return str(error).rpartition(": ")[2]


# --- archives


def _packed(search: _Search) -> Iterator[_Candidate]:
    """The notebooks in the folder's zips; problems with zips are added to the search's problems."""
    for path in search.archives[:MAX_ARCHIVES]:
        shown = clean(path.relative_to(search.folder).as_posix(), LONGEST)
        try:
            archive = _opened(read_regular(path, MAX_ARCHIVE))
        except UnreadableSubmission as error:
            search.problems.append(f"`{shown}` can't be read: {_reason(error)}")
            continue
        members = [member for member in archive.infolist() if not _left_out(member)]
        search.others += [f"{shown} (empty)"] if not members else []
        for member in members:
            name = clean(f"{shown}/{_name(member).as_posix()}", LONGEST)
            if not _is_notebook(_name(member).name, search.section):
                search.others.append(name)
            elif problem := _member_problem(member):
                search.problems.append(f"`{name}` {problem}")
            else:
                alike = _alike(_name(member).name, search.section)
                yield _Candidate(name, alike, _saved(member), _opener(archive, member))
    if len(search.archives) > MAX_ARCHIVES:
        search.problems.append(f"there are more than {MAX_ARCHIVES} archives: not all were looked into")


def _opened(data: bytes) -> zipfile.ZipFile:
    """A zip in memory. Raises UnreadableSubmission."""
    if data.count(_ENTRY) > MAX_MEMBERS:  # before its directory is read, which takes memory for each entry
        raise UnreadableSubmission(f"more than {MAX_MEMBERS:,} files are in it")
    try:
        return zipfile.ZipFile(io.BytesIO(data))
    except Exception as error:  # a stranger's bytes raise many kinds of errors in zipfile
        raise UnreadableSubmission(f"it is no zip ({type(error).__name__})") from None


def _name(member: zipfile.ZipInfo) -> PurePosixPath:
    return PurePosixPath(member.filename.replace("\\", "/"))


def _left_out(member: zipfile.ZipInfo) -> bool:
    """Whether an entry is a folder or a system's own file, such as `__MACOSX/._retry.ipynb`."""
    return member.is_dir() or any(_hidden(part) and part != ".." for part in _name(member).parts)


def _member_problem(member: zipfile.ZipInfo) -> str:
    """Why a packed notebook isn't read; "" if it is."""
    name, kind = _name(member), stat.S_IFMT(member.external_attr >> 16)
    if name.is_absolute() or ".." in name.parts or re.match("[A-Za-z]:", str(name)):
        return "has a name that leads out of the archive"
    if len(name.parts) > MAX_DEPTH + 1 or len(str(name)) > 1000:
        return "is too deep in the archive"
    if kind not in (0, stat.S_IFREG):
        return "is a link or a device, not a file"
    if member.flag_bits & 0x41:
        return "is locked with a password"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is packed in an uncommon way"
    if member.file_size > MAX_NOTEBOOK:
        return f"is larger than {MAX_NOTEBOOK // 1024 // 1024} MB"
    if member.file_size > max(1 << 20, MAX_RATIO * member.compress_size):
        return "is packed more tightly than a notebook can be"
    return ""


def _opener(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Callable[[], bytes]:
    def opened() -> bytes:
        try:
            with archive.open(member) as file:
                return file.read(MAX_NOTEBOOK)
        except Exception as error:  # as above; a wrong checksum is one
            raise UnreadableSubmission(f"it can't be unpacked ({type(error).__name__})") from None

    return opened


def _saved(member: zipfile.ZipInfo) -> float:
    try:
        return time.mktime((*member.date_time, 0, 0, -1))
    except (ValueError, OverflowError):
        return 0.0
