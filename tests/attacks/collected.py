"""What lies in the folder of submissions: ids that are none, links, pipes, archives; beside honest neighbours."""

from __future__ import annotations

import io
import json
import os
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.attacks.corpus import HONEST, SECTION, answered
from tests.autograder.notebook.test_handed_in import ODD_IDS

RIGHT = json.dumps(answered(HONEST)).encode()
NEIGHBOURS = ("ada", "grace.hopper-1906", "x" * 64, "日本", "a@b.example")


@dataclass(frozen=True)
class Case:
    """What one student's folder holds; `place` gets the folder that all students' folders lie in."""

    student: str
    place: Callable[[Path], object]
    verdict: str = "unreadable"
    """Empty: nobody is graded under that name."""
    says: str = ""


def notebook(root: Path, student: str) -> Path:
    path = root / student / SECTION / "fetch.ipynb"
    path.parent.mkdir(parents=True)
    return path


def named(student: str, says: str) -> Case:
    """A right answer under an id that is none."""
    return Case(student, lambda root: notebook(root, student).write_bytes(RIGHT), says=says)


def holding(student: str, data: Callable[[], bytes]) -> Case:
    """Something else in the notebook's place."""
    return Case(student, lambda root: notebook(root, student).write_bytes(data()), says="no notebook in the file")


def linked(student: str, target: str, *, level: int) -> Case:
    """A link in the place of the notebook, its folder or the student's: `target` is relative to all students'."""

    def place(root: Path) -> None:
        path = notebook(root, student)
        for _ in range(level):
            path.rmdir() if path.is_dir() else None
            path = path.parent
        if path.is_dir():
            path.rmdir()
        path.symlink_to(os.path.relpath(root / target, path.parent))

    return Case(student, place, says="a link")


def bomb() -> bytes:
    """A zip of a hundred megabytes of nothing, in a zip."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("fetch.ipynb", bytes(100 << 20))
    outer = io.BytesIO()
    with zipfile.ZipFile(outer, "w") as file:
        file.writestr("again.zip", inner.getvalue())
        file.writestr("../../../ada/fetch.ipynb", b"mine")
    return outer.getvalue()


def tar() -> bytes:
    """A tar that leads out of its folder."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as file:
        for name, target in (("fetch.ipynb", "/etc/passwd"), ("../../gradebook.db", "")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = (tarfile.SYMTYPE, target) if target else (tarfile.REGTYPE, "")
            file.addfile(info)
    return packed.getvalue()


def archive(student: str, name: str, data: bytes, mode: int = 0o100644, says: str = "") -> Case:
    """A zip in the notebook's place, with this in it."""

    def place(root: Path) -> None:
        with zipfile.ZipFile(notebook(root, student).with_name("fetch.zip"), "w", zipfile.ZIP_DEFLATED) as file:
            info = zipfile.ZipInfo(name)
            info.external_attr, info.compress_type = mode << 16, zipfile.ZIP_DEFLATED
            file.writestr(info, data)

    return Case(student, place, says=says)


def large(root: Path, student: str) -> None:
    with open(notebook(root, student), "wb") as file:
        file.truncate(200 << 20)


def beside(root: Path, student: str) -> None:
    """A right answer with links and archives beside it: nobody looks at them."""
    path = notebook(root, student)
    path.write_bytes(RIGHT)
    (path.parent / "gradebook.db").symlink_to(root.parent / "gradebook.db")
    (path.parent / "mine.zip").write_bytes(bomb())
    (path.parent / "loop").symlink_to(".")
    (path.parent / "conftest.py").write_text("raise SystemExit")


CASES = [
    *(Case(student, named(student, "").place, "graded") for student in ODD_IDS),
    named("a\nb", "line break"),
    named("\udcff\udcfe", "UTF-8"),
    Case(".hidden", lambda root: notebook(root, ".hidden").write_bytes(RIGHT), ""),
    Case("..hidden", lambda root: notebook(root, "..hidden").write_bytes(RIGHT), ""),
    linked("to_gradebook", "../gradebook.db", level=0),
    linked("to_neighbour", f"ada/{SECTION}/fetch.ipynb", level=0),
    linked("to_passwd", "/etc/passwd", level=0),
    linked("to_nothing", "nowhere", level=0),
    linked("to_itself", f"to_itself/{SECTION}/fetch.ipynb", level=0),
    linked("their_section", f"ada/{SECTION}", level=1),
    linked("their_all", "ada", level=2),
    linked("the_root", "/", level=1),
    Case("a_folder", lambda root: notebook(root, "a_folder").mkdir(), says="not a regular file"),
    Case("a_pipe", lambda root: os.mkfifo(notebook(root, "a_pipe")), says="not a regular file"),
    Case("long", lambda root: large(root, "long"), says="larger than"),
    Case("nothing", lambda root: notebook(root, "nothing"), "missing", "no notebook"),
    Case("beside", lambda root: beside(root, "beside"), "graded"),
    Case("renamed", lambda root: notebook(root, "renamed").with_name("Fetch.ipynb").write_bytes(RIGHT), "graded"),
    holding("a_bomb", bomb),
    archive("packed_bomb", "fetch.ipynb", bytes(16 << 20), says="more tightly"),
    archive("packed_too_large", "fetch.ipynb", bytes(100 << 20), says="larger than"),
    archive("packed_link", "fetch.ipynb", b"/etc/passwd", 0o120777, says="a link or a device"),
    archive("packed_device", "fetch.ipynb", b"", 0o020666, says="a link or a device"),
    archive("packed_upwards", "../../ada/90_fetch/fetch.ipynb", RIGHT, says="leads out"),
    archive("packed_archive", "again.zip", bomb(), says="only `fetch.zip/again.zip`"),
    holding("a_tar", tar),
    holding("empty", bytes),
]
