"""The file of `--json`: each result's line is written as soon as it is there; at the end the lines are sorted."""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from autograder.errors import UsageError
from autograder.files import cannot_write, sweep
from autograder.judging.result import Result


@dataclass
class Rows:
    """Writes lines into a new file, or nothing if there is no file."""

    path: Path | None
    problem: str = ""
    """Why lines are missing, if any: a failed write doesn't stop the grading."""
    _descriptor: int = -1
    _places: list[tuple[str, str, int, int]] = field(default_factory=list)
    """Section, student, and where the line begins and ends."""

    def __enter__(self) -> Rows:
        """Remove the old file. Raises UsageError if none can be written: before an hour of grading, not after it."""
        if self.path is None:
            return self
        if self.path.is_dir():
            raise UsageError(f"--json {self.path}: that is a folder; name a file")
        folder = self.path.parent
        if not self.path.exists() and not (folder.is_dir() and os.access(folder, os.W_OK)):
            raise UsageError(f"--json {self.path}: there is no folder {folder} that can be written to; make it first")
        if self.path.exists() and not os.access(self.path, os.W_OK):
            raise UsageError(f"--json {self.path}: it can't be written to; name another file")
        if self.path.is_file():
            with suppress(OSError):  # then it's emptied
                self.path.unlink()
        return self

    def __exit__(self, *how: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def add(self, result: Result) -> None:
        """Append a result's line."""
        if self.path is None or self.problem:
            return
        line = f"{json.dumps(result.row())}\n".encode()
        begin = self._places[-1][3] if self._places else 0
        try:
            self._open()
            _write(self._descriptor, line)
        except BaseException as error:
            self._cut(begin)
            if not isinstance(error, OSError):
                raise
            self.problem = cannot_write(error, self.path)
            return
        self._places.append((result.section, result.student, begin, begin + len(line)))

    def _open(self) -> None:
        if self._descriptor < 0 and self.path is not None:
            # a pipe or a terminal can't always be opened for reading, too
            how = os.O_RDWR | os.O_TRUNC if self.path.is_file() or not self.path.exists() else os.O_WRONLY
            self._descriptor = os.open(self.path, how | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)

    def sort(self) -> None:
        """Sort the lines by section and student, in one step, so that a reader sees the whole file."""
        if self.path is None or self.problem or not self._is_file() or self._places == sorted(self._places):
            return
        sweep(self.path)
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}.new")
        try:
            with open(beside, "wb") as file:
                for _, _, begin, end in sorted(self._places):
                    os.lseek(self._descriptor, begin, os.SEEK_SET)
                    file.write(os.read(self._descriptor, end - begin))
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self.path)
        except OSError as error:
            self.problem = cannot_write(error, self.path)
        finally:
            beside.unlink(missing_ok=True)

    def _is_file(self) -> bool:
        return self._descriptor >= 0 and stat.S_ISREG(os.fstat(self._descriptor).st_mode)

    def _cut(self, size: int) -> None:
        """Half a line doesn't count, nor does a file without a line."""
        if self._is_file() and self.path is not None:
            os.ftruncate(self._descriptor, size)
            if size == 0:
                self.path.unlink(missing_ok=True)


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
