"""Collecting and releasing through nbgrader's exchange: regular files only, and one student's trouble is no other's."""

from __future__ import annotations

import logging
import os
import pwd
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from nbgrader.auth import Authenticator
from nbgrader.exchange import ExchangeFactory

from autograder.course import Course
from autograder.nbgrader import database, exchange
from autograder.nbgrader.release import nbgrader_config
from autograder.nbgrader.stamps import SECRET, TIMESTAMP

SECTION = "90_sample"
MINE = pwd.getpwuid(os.getuid()).pw_name
STAMP = "2026-01-02 03:04:05.000006 UTC"
LATER = "2026-01-03 03:04:05.000006 UTC"


@pytest.fixture
def inbound(course: Course, tmp_path: Path) -> Path:
    """Where students lay what they hand in."""
    config = course.root / "nbgrader_config.py"
    config.write_text(config.read_text() + f"\nc.Exchange.root = {str(tmp_path / 'exchange')!r}\n")
    folder = tmp_path / "exchange" / "resilience" / "inbound"
    folder.mkdir(parents=True)
    return folder


def hand_in(inbound: Path, student: str = MINE, stamp: str = STAMP, secret: str = "ab" * 64, **texts: str) -> Path:
    """A submission as nbgrader lays it there."""
    folder = inbound / f"{student}+{SECTION}+{stamp}+{len(os.listdir(inbound))}"
    folder.mkdir()
    for name, text in {"sample.ipynb": "{}", TIMESTAMP: stamp, SECRET: secret, **texts}.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def run(course: Course, step: str, **settings: Any) -> Any:
    """One of the exchange's steps, as nbgrader's own commands start it."""
    config = nbgrader_config(course)
    place = database.database(course)
    place.assignment_id = SECTION
    factory = ExchangeFactory(config=config)
    one = getattr(factory, step)(coursedir=place, authenticator=Authenticator(config=config), config=config)
    for name, value in settings.items():
        setattr(one, name, value)
    one.log = logging.getLogger("exchange")
    return one.start()


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def submitted(course: Course, student: str = MINE) -> Path:
    return course.submitted / student / SECTION


class TestCollect:
    def test_takes_what_was_handed_in(self, course: Course, inbound: Path) -> None:
        """The newest of each student, folders included; what nbgrader ignores stays behind, and the data folder."""
        hand_in(inbound)
        newest = hand_in(inbound, stamp=LATER, data__csv="1,2")
        (newest / "pictures").mkdir()
        (newest / "pictures" / "a.svg").write_text("<svg/>")
        (newest / ".ipynb_checkpoints").mkdir()
        (newest / "checks").mkdir()
        (newest / "checks" / "test_sample.py").write_text("raise SystemExit")
        os.utime(newest / "sample.ipynb", (1_000_000_000, 1_000_000_000))
        run(course, "Collect")
        found = submitted(course)
        assert files(found) == {"sample.ipynb", TIMESTAMP, SECRET, "data.csv", "pictures", "pictures/a.svg"}
        assert (found / TIMESTAMP).read_text() == LATER
        assert (found / "sample.ipynb").stat().st_mtime == 1_000_000_000

    @pytest.mark.parametrize(
        ("name", "make"),
        [
            ("sample.ipynb", lambda path, target: path.symlink_to(target)),
            ("deep", lambda path, target: path.symlink_to(target.parent)),
            ("broken", lambda path, target: path.symlink_to("nowhere")),
            ("pipe", lambda path, target: os.mkfifo(path)),
        ],
    )
    def test_never_follows_a_link(
        self, course: Course, inbound: Path, name: str, make: Callable[[Path, Path], None], caplog
    ) -> None:
        """A link to the solution once got full marks, and the solution on the page."""
        folder = hand_in(inbound)
        (folder / name).unlink(missing_ok=True)
        make(folder / name, course.source / SECTION / "sample.ipynb")
        run(course, "Collect")
        assert files(submitted(course)) == {"sample.ipynb", TIMESTAMP, SECRET} - {name}
        assert f"{name!r} was left out: it is" in caplog.text

    def test_a_linked_hand_in_is_nobodys(self, course: Course, inbound: Path, tmp_path: Path, caplog) -> None:
        """Another student's folder, or the instructor's, under one's own name."""
        shutil.move(hand_in(inbound), tmp_path / "other")
        (inbound / f"{MINE}+{SECTION}+{STAMP}+x").symlink_to(tmp_path / "other")
        run(course, "Collect")
        assert not submitted(course).exists() and "it isn't a folder" in caplog.text

    @pytest.mark.skipif(os.getuid() != 0, reason="giving files away needs root")
    def test_takes_no_other_users_file(self, course: Course, inbound: Path, caplog) -> None:
        """A second name of a file, a hard link, shows whose it is."""
        folder = hand_in(inbound)
        os.chown(folder / "sample.ipynb", 65001, 65001)
        run(course, "Collect")
        assert files(submitted(course)) == {TIMESTAMP, SECRET}
        assert "it is another user's file" in caplog.text

    @pytest.mark.skipif(os.getuid() != 0, reason="giving files away needs root")
    def test_what_others_made_in_ones_name_does_not_count(self, course: Course, inbound: Path, caplog) -> None:
        """Where there is nothing else it is collected with a warning, as by nbgrader: accounts may have other names."""
        foreign = hand_in(inbound, stamp=LATER, foreign__txt="")
        for path in (foreign, *foreign.iterdir()):
            os.chown(path, 65001, 65001)
        run(course, "Collect")
        assert "foreign.txt" in files(submitted(course)) and "cheating attempt?" in caplog.text
        shutil.rmtree(course.submitted)
        hand_in(inbound)
        run(course, "Collect")
        assert "foreign.txt" not in files(submitted(course)) and "another user made it" in caplog.text

    @pytest.mark.parametrize("stamp", ["yesterday", "2026-02-30 10:00:00 UTC", "", "99999-01-01 00:00:00 UTC"])
    def test_an_odd_name_stops_nobody(self, course: Course, inbound: Path, stamp: str, caplog) -> None:
        """Every account may write into that folder."""
        (inbound / f"mallory+{SECTION}+{stamp}").mkdir()
        (inbound / f"+{SECTION}+{STAMP}+x").mkdir()
        (inbound / f"file+{SECTION}+{STAMP}+x").touch()
        hand_in(inbound)
        run(course, "Collect")
        assert submitted(course).is_dir()
        assert {path.name for path in course.submitted.iterdir()} == {MINE}
        assert caplog.text.count("Skipped") == 3

    @pytest.mark.parametrize("text", ["yesterday", "", "\0", "9" * 500])
    def test_a_bad_timestamp_is_the_folders(self, course: Course, inbound: Path, text: str, caplog) -> None:
        """nbgrader has written it into the folder's name, too."""
        (hand_in(inbound) / TIMESTAMP).write_text(text)
        run(course, "Collect")
        place = database.database(course)
        assert place.get_existing_timestamp(str(submitted(course))) == datetime(2026, 1, 2, 3, 4, 5, 6)  # noqa: DTZ001
        assert "Its folder's name says when; that is taken." in caplog.text

    def test_another_time_than_the_folders_is_told(self, course: Course, inbound: Path, caplog) -> None:
        """The student could have written it since."""
        (hand_in(inbound, stamp=LATER) / TIMESTAMP).write_text(STAMP)
        run(course, "Collect")
        assert "its timestamp.txt says 2026-01-02" in caplog.text

    def test_a_name_is_no_command_to_a_terminal(self, course: Course, inbound: Path, caplog) -> None:
        """Any account may name a folder there as it likes."""
        caplog.set_level(logging.INFO)
        hand_in(inbound, **{"\x1b[2J.txt": ""})
        hand_in(inbound, "\x1b[2Jada", **{"\x1b]0;owned\x07.txt": ""})
        (inbound / f"\x1b[31meve+{SECTION}+never").mkdir()
        run(course, "Collect")
        run(course, "Collect", update=True)
        run(course, "List", inbound=True)
        assert caplog.text and "\x1b" not in caplog.text and "\x07" not in caplog.text

    def test_updates_only_when_asked(self, course: Course, inbound: Path) -> None:
        """As nbgrader: with `--update` a newer one, with `--before-duedate` the last that was in time."""
        hand_in(inbound)
        run(course, "Collect")
        hand_in(inbound, stamp=LATER, more__txt="")
        run(course, "Collect")
        assert "more.txt" not in files(submitted(course))
        run(course, "Collect", update=True)
        assert "more.txt" in files(submitted(course))
        with database.opened(database.database(course)) as book:
            book.update_or_create_assignment(SECTION, duedate="2026-01-02 12:00:00 UTC")
        run(course, "Collect", before_duedate=True)
        assert "more.txt" not in files(submitted(course))

    def test_updates_what_has_a_bad_timestamp(self, course: Course, inbound: Path) -> None:
        """Stock nbgrader ended there, for the whole class."""
        hand_in(inbound, stamp=LATER)
        submitted(course).mkdir(parents=True)
        (submitted(course) / TIMESTAMP).write_text("yesterday")
        run(course, "Collect", update=True)
        assert (submitted(course) / TIMESTAMP).read_text() == LATER

    @pytest.mark.parametrize("what", ["bytes", "files", "folders"])
    def test_too_large_a_one_costs_its_student(
        self, course: Course, inbound: Path, what: str, caplog, monkeypatch
    ) -> None:
        """What was collected before stays, and the others are collected."""
        hand_in(inbound, "zoe", secret="cd" * 64)
        hand_in(inbound)
        run(course, "Collect")
        before = files(submitted(course))
        folder = hand_in(inbound, stamp=LATER)
        hand_in(inbound, "zoe", stamp=LATER, secret="cd" * 64, new__txt="")
        if what == "bytes":
            with open(folder / "huge", "wb") as file:
                file.truncate(99_000_000)
            (folder / "large").write_bytes(b"x" * 2_000_000)
        elif what == "files":
            for number in range(exchange.MAX_FILES + 1):
                (folder / str(number)).touch()
        else:
            (folder / Path(*"d" * 60)).mkdir(parents=True)
        run(course, "Collect", update=True)
        if what == "folders":
            assert "folders lie in one another" in caplog.text
            assert len(max(submitted(course).rglob("*")).relative_to(submitted(course)).parts) < 10
        else:
            assert files(submitted(course)) == before and "ask the student to submit again" in caplog.text
        assert "new.txt" in files(submitted(course, "zoe"))
        assert not [path for path in course.submitted.rglob(".*") if path.name.endswith(".new")]


class TestReleaseFeedback:
    @pytest.fixture
    def feedback(self, course: Course, inbound: Path) -> Path:
        """The folder with everybody's pages; it is the instructor's own."""
        for student, secret in (("ada", "ab"), ("bob", ""), ("eve", "zz"), ("dan", "cd"), ("don", "cd")):
            folder = course.feedback / student / SECTION
            folder.mkdir(parents=True)
            (folder / "sample.html").write_text(f"page of {student}")
            if secret:
                (folder / SECRET).write_text(secret * 64)
        return inbound.parent / "feedback"

    def test_goes_on_without_a_secret(self, course: Course, feedback: Path, caplog) -> None:
        """And says whose page the instructor has to hand out; a secret of two is nobody's."""
        umask = os.umask(0o077)
        try:
            run(course, "ReleaseFeedback")
        finally:
            os.umask(umask)
        (released,) = feedback.iterdir()
        assert released.read_text() == "page of ada"
        assert released.stat().st_mode & 0o777 == 0o644
        assert "No feedback was released for bob, eve (no submission_secret.txt" in caplog.text
        assert "for dan, don (several students have the same secret)" in caplog.text

    def test_lies_where_the_students_nbgrader_looks(self, course: Course, feedback: Path) -> None:
        """Under the name that nbgrader's own step gives it."""
        from nbgrader.utils import notebook_hash

        run(course, "ReleaseFeedback")
        assert (feedback / f"{notebook_hash(secret='ab' * 64, notebook_id='sample')}.html").is_file()

    def test_a_link_is_not_released(self, course: Course, feedback: Path, caplog) -> None:
        """Neither a page that is one, nor a secret."""
        (course.feedback / "ada" / SECTION / "sample.html").unlink()
        (course.feedback / "ada" / SECTION / "sample.html").symlink_to(course.root / "nbgrader_config.py")
        (course.feedback / "bob" / SECTION / SECRET).symlink_to(course.feedback / "ada" / SECTION / SECRET)
        run(course, "ReleaseFeedback")
        assert list(feedback.iterdir()) == []

    def test_excluded_students_wait(self, course: Course, feedback: Path) -> None:
        """As nbgrader's option says."""
        config = course.root / "nbgrader_config.py"
        config.write_text(config.read_text() + '\nc.CourseDirectory.student_id_exclude = "ada,bob"\n')
        run(course, "ReleaseFeedback")
        assert list(feedback.iterdir()) == []


class TestList:
    def test_inbound_reads_no_links(self, course: Course, inbound: Path, caplog, tmp_path: Path) -> None:
        """What nbgrader didn't make is left out, the others are listed."""
        hand_in(inbound)
        odd = hand_in(inbound, "mallory")
        (odd / SECRET).unlink()
        (odd / SECRET).symlink_to("/etc/passwd")
        (inbound / f"eve+{SECTION}+{STAMP}+x").symlink_to(tmp_path)
        bytes_ = hand_in(inbound, "bin")
        (bytes_ / SECRET).write_bytes(b"\xff" * 128)
        listed = run(course, "List", inbound=True)
        assert [entry["student_id"] for entry in listed] == [MINE]
        assert caplog.text.count("Left out") == 3
