"""Whatever was handed in has its row: in our gradebook and in nbgrader's, under its own id, where a person sees it."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
import zipfile
from pathlib import Path

import pytest
from nbgrader.api import Gradebook
from nbgrader.apps.api import NbGraderAPI

from autograder import gradebook
from autograder.course import Course
from autograder.nbgrader import database, save
from autograder.nbgrader.release import nbgrader_config
from autograder.notebook.handin import open_submission
from tests.autograder.nbgrader.test_gradebook import (
    SECTION,
    answered,
    copies,
    engine,  # noqa: F401  (a fixture: no real grading here)
    hand_in,
    outputs,
    rows,
    stock,
)
from tests.autograder.notebook.test_handed_in import ODD_IDS


def write_class(course: Course) -> dict[str, str]:
    """What `autograder grade` writes of the class, with the results that it gets."""
    results, notebooks = [], {}
    for one in course.submissions(section=SECTION):
        results.append(gradebook._graded(one.path, one.section, one.student))
        if results[-1].verdict == "graded":
            notebooks[one.student, SECTION] = open_submission(one).data
    return save.write(course, results, notebooks)


def packed(**files: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/"), text)
    return data.getvalue()


def statuses(course: Course) -> dict[str, tuple[bool, bool]]:
    """What formgrader says of each submission: whether it was autograded, whether a person is to grade it."""
    place = database.database(course)
    api = NbGraderAPI(place, config=nbgrader_config(course))
    return {one["student"]: (one["autograded"], one["needs_manual_grade"]) for one in api.get_submissions(SECTION)}


@pytest.fixture
def mixed(course: Course) -> Course:
    """Notebooks under other names, in a folder, in a zip; none at all; one that can't be read; and a plain one."""
    text = json.dumps(answered(course))
    hand_in(course, "plain", answered(course))
    hand_in(course, "Ada Lovelace_123456_assignsubmission_file_", answered(course))
    hand_in(course, "junk", b"this is no notebook")
    for student, name in (("download", "sample (1).ipynb"), ("deep", "work/sample.ipynb")):
        path = course.submitted / student / SECTION / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    zipped = course.submitted / "zipped" / SECTION / "homework.zip"
    zipped.parent.mkdir(parents=True)
    zipped.write_bytes(packed(**{"homework__sample.ipynb": text, "__MACOSX__._sample.ipynb": "junk"}))
    (course.submitted / "nothing" / SECTION).mkdir(parents=True)
    (course.submitted / "a\nb" / SECTION).mkdir(parents=True)
    return course


class TestRows:
    def test_every_id_that_nbgrader_accepts(self, course: Course) -> None:
        """Its row with the points, and its graded copy."""
        for student in ODD_IDS:
            hand_in(course, student, answered(course))
        assert write_class(course) == {}
        assert {student: row[0] for student, row in rows(course).items()} == dict.fromkeys(ODD_IDS, 3.0)
        assert set(copies(course)) == set(ODD_IDS)

    def test_nbgrader_itself_gives_the_same(self, mixed: Course, tmp_path: Path) -> None:
        """`nbgrader autograde` grades the same notebook of each folder; what it can't read ends nothing."""
        other = Course(Path(shutil.copytree(mixed.root, tmp_path / "other", symlinks=True)))
        write_class(mixed)
        stock(other)
        assert rows(mixed) == rows(other) and copies(mixed) == copies(other)
        points = {student: row[0] for student, row in rows(mixed).items()}
        assert points.pop("nothing") == 0.0 and points.pop("junk") == 0.0
        assert len(points) == 5 and set(points.values()) == {3.0}

    def test_formgrader_shows_what_needs_a_person(self, mixed: Course) -> None:
        """A missing notebook and an unreadable one need manual grading; nothing is left to be autograded."""
        write_class(mixed)
        found = statuses(mixed)
        assert "a\nb" not in found  # nbgrader can't read it
        assert {student for student, (autograded, _) in found.items() if not autograded} == set()
        assert {student for student, (_, look) in found.items() if look} == {"nothing", "junk"}

    def test_a_missing_one_with_a_timestamp_too(self, course: Course) -> None:
        """As nbgrader's own collecting leaves it."""
        folder = course.submitted / "late" / SECTION
        folder.mkdir(parents=True)
        (folder / "timestamp.txt").write_text("2026-01-02 03:04:05 UTC")
        write_class(course)
        assert statuses(course)["late"] == (True, True)

    def test_points_by_hand_stay(self, mixed: Course) -> None:
        """When a person has decided about a missing notebook, grading again keeps that."""
        write_class(mixed)
        with Gradebook(f"sqlite:///{mixed.gradebook}", "resilience") as book:
            for name in ("sample_score", "sample_hidden"):
                grade = book.find_grade(name, "sample", SECTION, "nothing")
                grade.manual_score, grade.needs_manual_grade = 0.5, False
            book.db.commit()
        write_class(mixed)
        assert rows(mixed)["nothing"][0] == 1.0

    def test_a_notebook_that_comes_later_is_graded(self, course: Course) -> None:
        """Nobody is asked any more."""
        folder = course.submitted / "ada" / SECTION
        folder.mkdir(parents=True)
        write_class(course)
        (folder / "sample.ipynb").write_text(json.dumps(answered(course)))
        write_class(course)
        assert rows(course)["ada"][0] == 3.0 and statuses(course)["ada"] == (True, False)
        assert outputs(course, "ada")

    def test_ids_that_a_database_takes_for_one(self, course: Course) -> None:
        """The first has its row; the other is named in a line, and the class goes on."""
        with sqlite3.connect(course.gradebook) as connection:
            connection.execute("PRAGMA writable_schema = ON")
            connection.execute(
                "UPDATE sqlite_master SET sql = replace(sql, 'id VARCHAR(128) NOT NULL', "
                "'id VARCHAR(128) NOT NULL COLLATE NOCASE') WHERE name = 'student'"
            )
        with sqlite3.connect(course.gradebook) as connection:
            connection.execute("REINDEX")
        for student in ("Twin", "other", "twin"):
            hand_in(course, student, answered(course))
        refused = write_class(course)
        assert list(refused) == ["twin"] and "can't tell this id from 'Twin'" in refused["twin"]
        assert set(rows(course)) == {"Twin", "other"} == set(copies(course))

    def test_ids_that_are_too_long_for_a_database(self, course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
        """PostgreSQL takes 128 characters: a longer id is named in a line, and the class goes on."""
        monkeypatch.setattr(save, "_longest_id", lambda session: 128)
        for student in ("a" * 128, "b" * 129):
            hand_in(course, student, answered(course))
        refused = write_class(course)
        assert list(refused) == ["b" * 129] and "up to 128 characters" in refused["b" * 129]
        assert list(rows(course)) == ["a" * 128] == list(copies(course))


def test_a_linked_folder_is_nobody_s_work(course: Course) -> None:
    """Neither way: the neighbour's notebook isn't graded under another name."""
    hand_in(course, "ada", answered(course))
    (course.submitted / "eve").mkdir()
    (course.submitted / "eve" / SECTION).symlink_to(course.submitted / "ada" / SECTION)
    (course.submitted / "mallory").symlink_to(course.submitted / "ada")
    stock(course)
    points = {student: row[0] for student, row in rows(course).items()}
    assert points == {"ada": 3.0, "eve": 0.0, "mallory": 0.0}
