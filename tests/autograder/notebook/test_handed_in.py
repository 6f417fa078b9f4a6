"""What is handed in, however it is named: ids as nbgrader accepts them, and which notebook of a folder is graded."""

from __future__ import annotations

import io
import json
import os
import random
import re
import tracemalloc
import unicodedata
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

import pytest

from autograder.course import Course, Section, student_problem
from autograder.errors import NothingHandedIn, UnreadableSubmission
from autograder.files import file_name, stage, write_alone
from autograder.judging.result import Behaviour, Result
from autograder.notebook import handin
from autograder.notebook.handin import HandedIn, handed_in
from autograder.pages.report import write_report
from tests.autograder.conftest import SECTION

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

    def test_every_id_has_its_page_in_the_report(self, tmp_path: Path) -> None:
        """Each line leads to the page of that very student, and shows a name that can be read."""
        students = (*ODD_IDS, "ad\udcff", "a\nb")
        results = [
            Result(student, SECTION, "sample", "graded", "", 0.0, (Behaviour("one", f"Page {n}.", True, 1, 1),))
            for n, student in enumerate(students)
        ]
        index = write_report(tmp_path / "report", results, title="x").read_text()
        links = re.findall(r'<a href="([^"]*)">([^<]+)</a>', index)
        assert len(links) == len(students)
        for n, (link, shown) in enumerate(links):
            assert f"Page {n}." in (tmp_path / "report" / unquote(link)).read_text()
            assert shown.strip() and shown.isprintable()


# --- which notebook of a folder

RIGHT = "def add(a, b):\n    return a + b\n"
OTHER = "def add(a, b):\n    return b + a\n"


@pytest.fixture(scope="module")
def section(pristine: Course) -> Section:
    return pristine.section(SECTION)


def notebook(section: Section, answer: str | None = RIGHT, extra: str = "") -> bytes:
    """The released notebook with this answer (as released when None), and a cell of one's own."""
    body = json.loads((section.released / "sample.ipynb").read_bytes())
    cell = next(cell for cell in body["cells"] if cell["id"] == "sample")
    cell["source"] = cell["source"] if answer is None else answer
    if extra:
        body["cells"].append({"cell_type": "code", "metadata": {}, "source": extra, "outputs": [], "id": "extra"})
    return json.dumps(body).encode()


def unmarked(section: Section) -> bytes:
    """The notebook as it comes out of an editor that drops metadata."""
    body = json.loads(notebook(section))
    for cell in body["cells"]:
        cell["metadata"] = {}
    return json.dumps(body).encode()


def zipped(files: dict[str, bytes], change: Callable[[zipfile.ZipInfo], object] = lambda info: None) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name, (2026, 11, 1, 12, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            change(info)
            archive.writestr(info, data)
    return packed.getvalue()


def put(folder: Path, files: dict[str, bytes]) -> Path:
    """These files, each a minute newer than the one before."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, data) in enumerate(files.items()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (1_700_000_000 + 60 * number,) * 2)
    return folder


RENAMED = (
    "sample (1).ipynb",
    "sample-Copy1.ipynb",
    "Sample.ipynb",
    "SAMPLE.IPYNB",
    "sample_final_v2.ipynb",
    "ada_sample.ipynb",
    "Ada Lovelace_123456_assignsubmission_file_sample.ipynb",
    "lovelaceada_98765_4321_sample-1.ipynb",
    "sample2.ipynb",
    "sample.ipynb.txt",
    "sample.ipynb.json",
    "sample.ipynb.1",
    "sample.ipynb (1)",
    "sample.json",
    "sample",
    "\u2068sample\u2069.ipynb",
    "homework.ipynb",  # by what is in it
    "Untitled.ipynb",
    "work/sample.ipynb",
    "90_sample/90_sample/sample.ipynb",
)


class TestChoice:
    def test_the_exact_name_alone(self, section: Section, tmp_path: Path) -> None:
        """Nothing is to be said."""
        data = notebook(section)
        assert handed_in(put(tmp_path / "x", {"sample.ipynb": data, "notes.txt": b""}), section) == HandedIn(data)

    @pytest.mark.parametrize("name", RENAMED, ids=ascii)
    def test_renamed(self, section: Section, tmp_path: Path, name: str) -> None:
        """Taken, with a note in plain words; nobody has to look."""
        data = notebook(section)
        found = handed_in(put(tmp_path / "x", {name: data}), section)
        assert found.data == data and found.needs == ""
        shown = name.strip("\u2068").replace("\u2069", "")
        assert found.notes == (f"there is no sample.ipynb in the folder: `{shown}` was graded",)

    @pytest.mark.parametrize("name", ["Sample (2).ipynb", "ada-sample.ipynb"])
    def test_by_its_name_alone(self, section: Section, tmp_path: Path, name: str) -> None:
        """Where the marks of its cells are gone it is taken by its name, and a person is asked."""
        data = unmarked(section)
        found = handed_in(put(tmp_path / "x", {name: data}), section)
        assert found.data == data and "the exercise's cell isn't in it" in found.needs

    @pytest.mark.parametrize(
        "name", ["samples.ipynb", "resample.ipynb", "other.ipynb", "sample.py", "sample.ipynb.bak"]
    )
    def test_neither_by_name_nor_by_what_is_in_it(self, section: Section, tmp_path: Path, name: str) -> None:
        """It is missing, and the line says what is there instead."""
        with pytest.raises(NothingHandedIn, match=f"no notebook in the folder, only `{re.escape(name)}`"):
            handed_in(put(tmp_path / "x", {name: unmarked(section), "test_sample.py": b""}), section)

    def test_files_that_students_got_are_not_named(self, section: Section, tmp_path: Path) -> None:
        """Those of the release aren't named, where this version puts them or an earlier one did."""
        files = dict.fromkeys(("checks/scenarios.py", "scenarios.py", "test_sample.py", "intended.json"), b"")
        with pytest.raises(NothingHandedIn, match=r"^there is no notebook in the folder$"):
            handed_in(put(tmp_path / "x", files), section)

    def test_nothing_at_all(self, section: Section, tmp_path: Path) -> None:
        """Also where only what systems hide is there."""
        files = dict.fromkeys((".ipynb_checkpoints/sample.ipynb", "__MACOSX/sample.ipynb", "._sample.ipynb"), b"{}")
        for folder in (put(tmp_path / "x", {}), put(tmp_path / "y", files)):
            with pytest.raises(NothingHandedIn, match=r"^there is no notebook in the folder$"):
                handed_in(folder, section)

    def test_the_newest_that_was_worked_in(self, section: Section, tmp_path: Path) -> None:
        """Of several; a person is asked."""
        old, new = notebook(section), notebook(section, OTHER)
        files = {"sample-Copy1.ipynb": old, "sample (1).ipynb": new, "sample (2).ipynb": notebook(section, None)}
        found = handed_in(put(tmp_path / "x", files), section)
        assert found.data == new and found.notes[0].endswith("`sample (1).ipynb` was graded")
        assert "`sample (2).ipynb`, `sample-Copy1.ipynb` could be meant, too" in found.needs

    def test_the_same_twice(self, section: Section, tmp_path: Path) -> None:
        """There is nothing to choose."""
        files = dict.fromkeys(("sample (1).ipynb", "sample (2).ipynb"), notebook(section))
        assert handed_in(put(tmp_path / "x", files), section).needs == ""

    def test_the_exact_name_wins(self, section: Section, tmp_path: Path) -> None:
        """Where it was worked in, also over newer ones; a note names these."""
        data = notebook(section)
        found = handed_in(
            put(tmp_path / "x", {"sample.ipynb": data, "sample (1).ipynb": notebook(section, OTHER)}), section
        )
        assert found == HandedIn(data, ("`sample.ipynb` was graded, and not `sample (1).ipynb`",))

    @pytest.mark.parametrize("never", ["stub", "empty", "link", "text"])
    @pytest.mark.parametrize("where", ["sample (1).ipynb", "work/sample.ipynb", "sample.zip"])
    def test_work_in_another_copy(self, section: Section, tmp_path: Path, never: str, where: str) -> None:
        """The second copy was worked in, the first is as released, or isn't one: the work counts, a person is asked."""
        work = notebook(section)
        content = {"stub": notebook(section, None), "empty": b"", "link": b"", "text": b"{}"}[never]
        packed = zipped({"sample.ipynb": work}) if where.endswith(".zip") else work
        folder = put(tmp_path / "x", {where: packed, "sample.ipynb": content})
        if never == "link":
            (folder / "sample.ipynb").unlink()
            (folder / "sample.ipynb").symlink_to("/etc/passwd")
        found = handed_in(folder, section)
        assert found.data == work and "sample.ipynb " in found.notes[0] and "look whether" in found.needs
        assert ("as it was released" in found.needs) == (never == "stub")

    def test_nothing_worked_in(self, section: Section, tmp_path: Path) -> None:
        """The exact name, without a word."""
        stub = notebook(section, None)
        found = handed_in(put(tmp_path / "x", {"sample.ipynb": stub, "sample (1).ipynb": stub + b"\n"}), section)
        assert found == HandedIn(stub)

    def test_an_answer_beats_a_try_elsewhere(self, section: Section, tmp_path: Path) -> None:
        """In the first copy only a cell of one's own was added; the answer is in the second."""
        tried, work = notebook(section, None, "print(1)"), notebook(section)
        assert handed_in(put(tmp_path / "x", {"sample.ipynb": tried, "sample (1).ipynb": work}), section).data == work

    def test_another_section_s_notebook_under_this_name(self, section: Section, tmp_path: Path) -> None:
        """The one that holds this exercise's answer is meant; alone it is graded, whatever is in it."""
        wrong, work = unmarked(section), notebook(section)
        folder = put(tmp_path / "x", {"sample.ipynb": wrong})
        assert handed_in(folder, section) == HandedIn(wrong)
        found = handed_in(put(folder, {"Untitled.ipynb": work}), section)
        assert found.data == work and "doesn't hold the exercise's cell" in found.notes[0] and found.needs

    def test_links_and_pipes_are_never_followed(self, section: Section, tmp_path: Path) -> None:
        """Neither a notebook's, nor a folder's, nor an archive's; a pipe isn't waited for."""
        kept = put(tmp_path / "kept", {"sample.ipynb": notebook(section), "a.zip": zipped({"sample.ipynb": b"{}"})})
        folder = put(tmp_path / "x", {})
        (folder / "sample (1).ipynb").symlink_to(kept / "sample.ipynb")
        (folder / "work").symlink_to(kept)
        (folder / "a.zip").symlink_to(kept / "a.zip")
        (folder / "round").symlink_to(".")
        os.mkfifo(folder / "sample (2).ipynb")
        with pytest.raises(NothingHandedIn):
            handed_in(folder, section)

    def test_many_files(self, section: Section, tmp_path: Path) -> None:
        """A notebook among them is taken, whatever the order of the folder; a person hears that there were more."""
        folder = put(tmp_path / "x", {"homework.ipynb": notebook(section)})
        for number in range(handin.MAX_ENTRIES + 1):
            (folder / f"{'az'[number % 2]}{number}").touch()
        assert "not all were looked at" in handed_in(folder, section).needs

    def test_many_notebooks(self, section: Section, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """No more are read than the limits say, in number and in bytes."""
        files = {f"sample ({number:03}).ipynb": notebook(section, f"x = {number}") for number in range(40)}
        found = handed_in(put(tmp_path / "x", files), section)
        assert b"x = 15" in found.data and found.needs
        monkeypatch.setattr(handin, "MAX_READ", len(found.data))
        assert b'x = 1"' in handed_in(tmp_path / "x", section).data

    def test_a_deep_folder(self, section: Section, tmp_path: Path) -> None:
        """Some levels are looked into, a hundred aren't."""
        with pytest.raises(NothingHandedIn):
            handed_in(put(tmp_path / "x", {"d/" * 100 + "sample.ipynb": notebook(section)}), section)

    def test_names_are_shown_clean(self, section: Section, tmp_path: Path) -> None:
        """What a name holds for a terminal, and its length, stay out of the note."""
        name = "\x1b[31m\u202esample" + "x" * 200 + "-sample.ipynb"
        (note,) = handed_in(put(tmp_path / "x", {name: notebook(section)}), section).notes
        assert note.isprintable() and len(note) < 300


def named(name: str) -> Callable[[bytes], bytes]:
    return lambda notebook: zipped({name: notebook})


def beside(files: dict[str, bytes]) -> Callable[[bytes], bytes]:
    return lambda notebook: zipped({"sample.ipynb": notebook, **files})


def of_kind(mode: int) -> Callable[[bytes], bytes]:
    return lambda notebook: zipped({"sample.ipynb": notebook}, lambda info: setattr(info, "external_attr", mode << 16))


def stored(info: zipfile.ZipInfo) -> None:
    info.compress_type = zipfile.ZIP_STORED


def compressed_by_lzma(info: zipfile.ZipInfo) -> None:
    info.compress_type = zipfile.ZIP_LZMA


def locked(notebook: bytes) -> bytes:
    """As a program writes it that asks for a password: the first flag of the entry in the directory."""
    data = bytearray(zipped({"sample.ipynb": notebook}))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


HOSTILE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a link": (of_kind(0o120777), "a link or a device"),
    "a device": (of_kind(0o020666), "a link or a device"),
    "a password": (locked, "password"),
    "upwards": (named("../../sample.ipynb"), "leads out"),
    "absolute": (named("/etc/sample.ipynb"), "leads out"),
    "a drive": (named("C:\\sample.ipynb"), "leads out"),
    "deep": (named("d/" * 30 + "sample.ipynb"), "too deep"),
    "a bomb": (lambda _: zipped({"sample.ipynb": bytes(15 << 20)}), "more tightly"),
    "a large one": (lambda _: zipped({"sample.ipynb": os.urandom(17 << 20)}, stored), "larger than 16 MB"),
    "a large archive": (lambda it: zipped({"sample.ipynb": it, "x": bytes(33 << 20)}, stored), "larger than 32 MB"),
    "many files": (beside({f"f{n}": b"" for n in range(1000)}), "more than 1,000 files"),
    "an uncommon packing": (lambda it: zipped({"sample.ipynb": it}, compressed_by_lzma), "uncommon way"),
    "an archive in it": (lambda it: zipped({"again.zip": zipped({"sample.ipynb": it})}), "only `a.zip/again.zip`"),
    "a wrong checksum": (
        lambda it: zipped({"sample.ipynb": it}, stored).replace(b"nbformat", b"NBFORMAT", 1),
        "can't be unpacked",
    ),
    "half of one": (lambda it: zipped({"sample.ipynb": it})[:-40], "is no zip"),
    "no zip": (lambda _: b"Rar!\x1a\x07\x01\0", "is no zip"),
    "empty": (lambda _: b"", "is no zip"),
}


class TestZip:
    @pytest.mark.parametrize(
        "name", ["sample.ipynb", "homework/sample.ipynb", "homework\\sample.ipynb", "sample (1).ipynb", "any.ipynb"]
    )
    def test_one_notebook_in_it(self, section: Section, tmp_path: Path, name: str) -> None:
        """It is graded, whatever the system put beside it."""
        data = notebook(section)
        beside = {
            "homework/": b"",
            f"__MACOSX/._{name}": b"junk",
            ".ipynb_checkpoints/sample.ipynb": b"{}",
            ".DS_Store": b"",
        }
        found = handed_in(put(tmp_path / "x", {"Homework.ZIP": zipped({**beside, name: data})}), section)
        shown = name.replace("\\", "/")
        assert found == HandedIn(data, (f"there is no sample.ipynb in the folder: `Homework.ZIP/{shown}` was graded",))

    @pytest.mark.parametrize("name", ["checks/sample.ipynb", "homework/checks/sample.ipynb"])
    def test_the_data_folder_is_not_looked_into(self, section: Section, tmp_path: Path, name: str) -> None:
        """Neither loose nor packed: what lies there is the course's."""
        data = notebook(section)
        for files in ({name: data}, {"a.zip": zipped({name: data, "checks/test_sample.py": b""})}):
            with pytest.raises(NothingHandedIn):
                handed_in(put(tmp_path / str(len(files)) / next(iter(files))[:1], files), section)

    def test_several(self, section: Section, tmp_path: Path) -> None:
        """The one that was worked in, and a person is asked; another section's isn't meant."""
        data = notebook(section)
        files = {"a/sample.ipynb": notebook(section, None), "b/sample.ipynb": data, "plain.ipynb": unmarked(section)}
        found = handed_in(put(tmp_path / "x", {"all.zip": zipped(files)}), section)
        assert found.data == data and "`all.zip/a/sample.ipynb` could be meant, too" in found.needs

    def test_nothing_in_it(self, section: Section, tmp_path: Path) -> None:
        """The notebook is missing; the line says that the archive is empty."""
        with pytest.raises(NothingHandedIn, match=r"only `a\.zip \(empty\)`"):
            handed_in(put(tmp_path / "x", {"a.zip": zipped({})}), section)

    def test_a_loose_answer_is_enough(self, section: Section, tmp_path: Path) -> None:
        """An archive beside it isn't opened."""
        found = handed_in(put(tmp_path / "x", {"sample (1).ipynb": notebook(section), "b.zip": b"PK junk"}), section)
        assert found.needs == ""

    @pytest.mark.parametrize("name", HOSTILE)
    def test_hostile(self, section: Section, tmp_path: Path, name: str) -> None:
        """Refused with a line that says why; nothing is written anywhere."""
        make, says = HOSTILE[name]
        folder = put(tmp_path / "x", {"a.zip": make(notebook(section))})
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(UnreadableSubmission, match=says) as refused:
            handed_in(folder, section)
        assert not isinstance(refused.value, NothingHandedIn) and "\n" not in str(refused.value)
        assert sorted(tmp_path.rglob("*")) == before

    def test_what_it_says_of_sizes_isn_t_believed(self, section: Section, tmp_path: Path) -> None:
        """A member that unpacks to more than its directory says ends in a line, not in memory."""
        data = bytearray(zipped({"sample.ipynb": bytes(200 << 20)}))
        at = data.index(b"PK\x01\x02")
        data[at + 24 : at + 28] = (1000).to_bytes(4, "little")
        tracemalloc.start()
        with pytest.raises(UnreadableSubmission):
            handed_in(put(tmp_path / "x", {"a.zip": bytes(data)}), section)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 64 << 20

    @pytest.mark.parametrize("seed", range(30))
    def test_any_bytes(self, section: Section, tmp_path: Path, seed: int) -> None:
        """Damaged anywhere it is read, or refused in a line."""
        chance = random.Random(seed)
        data = bytearray(zipped({"sample.ipynb": notebook(section), "notes.txt": b"x"}))
        for _ in range(chance.randrange(1, 20)):
            place = chance.randrange(len(data)) if chance.random() < 0.3 else len(data) - 1 - chance.randrange(200)
            data[place] = chance.randrange(256)
        with suppress(UnreadableSubmission):
            handed_in(put(tmp_path / "x", {"a.zip": bytes(data)}), section)

    @pytest.mark.parametrize("name", ["sample.rar", "sample.7z", "sample.tar.gz"])
    def test_other_archives(self, section: Section, tmp_path: Path, name: str) -> None:
        """Aren't opened; a person sees that there is one."""
        with pytest.raises(UnreadableSubmission, match=rf"only `{re.escape(name)}`: hand in the notebook"):
            handed_in(put(tmp_path / "x", {name: b"x"}), section)
