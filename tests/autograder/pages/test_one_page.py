"""The page that a student gets: one maker for both ways, with the final score, what makes it, and what people wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from nbgrader.apps.api import NbGraderAPI
from nbgrader.converters import Autograde, GenerateFeedback

from autograder.course import Course
from autograder.judging.result import Behaviour, Result, Standing
from autograder.nbgrader import database, save
from autograder.nbgrader.release import nbgrader_config
from autograder.nbgrader.stamps import SECRET, TIMESTAMP
from autograder.pages import feedback
from tests.attacks.afterwards import MARKDOWN, WORDS
from tests.attacks.test_afterwards import live

SECTION = "90_sample"
SECRET_TEXT = "0123456789abcdef" * 8
LATE = "2026-03-01 12:00:00 UTC"


def result(student: str = "ada", score: float = 1.5, note: str = "") -> Result:
    behaviours = (
        Behaviour("small", "Adds small numbers.", score > 0, score, 2.5, "" if score else "another sum"),
        Behaviour("small", "Adds small numbers.", True, 0.5, 0.5, hidden=True),
    )
    return Result(student, SECTION, "sample", "graded", "none", 0.0, behaviours, notes=(note,) if note else ())


def hand_in(course: Course, student: str = "ada", **files: str) -> bytes:
    folder = course.submitted / student / SECTION
    folder.mkdir(parents=True, exist_ok=True)
    data = (course.notebooks / SECTION / "sample.ipynb").read_bytes()
    (folder / "sample.ipynb").write_bytes(data)
    for name in (TIMESTAMP, SECRET):
        (folder / name).unlink(missing_ok=True)
    for name, text in files.items():
        (folder / f"{name}.txt").write_text(text)
    return data


def write(course: Course, *results: Result) -> None:
    notebooks = {(one.student, SECTION): (course.notebooks / SECTION / "sample.ipynb").read_bytes() for one in results}
    save.write(course, results, notebooks)


def page_of(course: Course, student: str = "ada") -> str:
    return (course.feedback / student / SECTION / "sample.html").read_text(encoding="utf-8")


def enter(course: Course, comment: str = "Well done.") -> None:
    """What formgrader writes."""
    with database.opened(database.database(course)) as book:
        book.find_grade("sample_score", "sample", SECTION, "ada").manual_score = 2.25
        book.find_comment("sample", "sample", SECTION, "ada").manual_comment = comment
        book.db.commit()


def generate_feedback(course: Course) -> None:
    """`nbgrader generate_feedback`, as formgrader's button does it, too."""
    place = database.database(course)
    place.assignment_id = SECTION
    GenerateFeedback(coursedir=place, config=nbgrader_config(course)).start()


class TestPage:
    def test_says_what_makes_the_score(self) -> None:
        """Nothing but the tests: nothing is said. Otherwise each part, with its sign."""
        assert feedback.made_of(Standing(2.0, 3.0, 2.0)) == ""
        mixed = Standing(2.0, 3.0, 2.5, by_hand=-0.25, extra=0.75, penalty=1.0)
        assert feedback.made_of(mixed) == "tests 2.5, by hand −0.25, extra credit +0.75, handed in late −1"

    def test_has_both_parts_and_the_answer(self, course: Course) -> None:
        """As the graded copy has them."""
        write(course, result())
        page = page_of(course)
        assert "<strong>2 of 3 points</strong><" in page
        assert "The tests that you have" in page and "The tests that were kept back" in page
        assert "Your answer" in page and "def add(a, b):\n    &quot;&quot;&quot;The sum.&quot;&quot;&quot;" in page

    def test_a_missing_one_has_a_page(self, course: Course) -> None:
        """It says so, and that there are no points."""
        save.write(course, [Result("ada", SECTION, "sample", "missing", "", 0.0, line="Nothing was handed in.")], {})
        assert "0 of 3 points" in page_of(course) and "Nothing was handed in." in page_of(course)

    @pytest.mark.parametrize("name", [*WORDS, *MARKDOWN])
    def test_shows_hostile_words_as_words(self, name: str) -> None:
        """An answer, a comment, a name: nothing of them is live."""
        words = (WORDS | MARKDOWN)[name]
        marks = {"grade_id": "sample", "solution": True}
        copy = {"cells": [{"cell_type": "code", "source": [words], "metadata": {"nbgrader": marks}, "outputs": []}]}
        page = feedback.copy_page(words, SECTION, copy, Standing(1, 2, 1, comments=(words,)))
        assert live(page, ours=frozenset({"style"})) == []
        assert not [letter for letter in page if letter < " " and letter not in "\n\t"]
        assert not set(page) & set("\u202e\u2066\u200f\ufffe\uffff\x7f")


class TestBothWays:
    def test_generate_feedback_writes_the_same_page(self, course: Course) -> None:
        """Whichever of the two ran last, nothing is lost."""
        hand_in(course, timestamp=LATE)
        write(course, result())
        before = page_of(course)
        generate_feedback(course)
        assert page_of(course) == before
        enter(course)
        generate_feedback(course)
        after = page_of(course)
        assert "Well done." in after and "2.75 of 3 points" in after and "by hand +0.75" in after
        write(course, result())
        assert page_of(course) == after

    def test_refresh_writes_what_people_entered_since(self, course: Course) -> None:
        """Only pages that say something else by now; a lost one is written, too."""
        for student in ("ada", "bob", "eve"):
            hand_in(course, student)
        write(course, result(), result("bob"), result("eve"))
        enter(course)
        page = course.feedback / "bob" / SECTION / "sample.html"
        page.write_text(page.read_text() + "<!-- as it was -->")
        (course.feedback / "eve" / SECTION / "sample.html").unlink()
        save.refresh(course, [(name, SECTION) for name in ("ada", "bob", "eve", "nobody", "..")])
        assert "Well done." in page_of(course) and "as it was" in page_of(course, "bob")
        assert "2 of 3 points" in page_of(course, "eve")
        enter(course, "Even better.")
        save.refresh(course, [("ada", SECTION)])
        assert "Even better." in page_of(course) and "Well done." not in page_of(course)

    def test_a_page_of_before_is_made_anew(self, course: Course) -> None:
        """One that nbgrader wrote, or an earlier version."""
        write(course, result())
        (course.feedback / "ada" / SECTION / "sample.html").write_text("<html>nbgrader's own</html>")
        save.refresh(course, [("ada", SECTION)])
        assert "2 of 3 points" in page_of(course)


class TestStamps:
    def test_go_along_with_copy_and_page(self, course: Course) -> None:
        """nbgrader's release_feedback needs both; on the page neither is read."""
        hand_in(course, timestamp=LATE, submission_secret=SECRET_TEXT)
        write(course, result())
        for step in (course.autograded, course.feedback):
            assert (step / "ada" / SECTION / SECRET).read_text() == SECRET_TEXT
            assert (step / "ada" / SECTION / TIMESTAMP).read_text() == LATE
        for path in (*course.root.rglob("*.html"), *course.autograded.rglob("*.ipynb")):
            assert SECRET_TEXT not in path.read_text()

    def test_of_an_earlier_submission_go(self, course: Course) -> None:
        """A later one without a secret isn't released under the old one."""
        hand_in(course, timestamp=LATE, submission_secret=SECRET_TEXT)
        write(course, result())
        hand_in(course)
        write(course, result())
        assert not list(course.autograded.rglob("*.txt")) and not list(course.feedback.rglob("*.txt"))

    @pytest.mark.parametrize("text", ["yesterday", "2026-02-30 10:00:00 UTC", "", "\0"])
    def test_a_bad_timestamp_stops_nobody(self, course: Course, text: str, monkeypatch) -> None:
        """In batch grading, in nbgrader's autograde, also with `--force`, in formgrader's list, in the feedback."""
        monkeypatch.setattr("autograder.grading.grade.need_sandbox", lambda course: None)
        monkeypatch.setattr("autograder.grading.grade.grade_bytes", lambda data, section, student: result(student))
        hand_in(course, "eve", timestamp=text)
        hand_in(course, "ada", timestamp=LATE)
        write(course, result("eve"), result())
        place = database.database(course)
        place.assignment_id = SECTION
        for force in (False, True):
            stock = Autograde(coursedir=place, config=nbgrader_config(course))
            stock.force = force
            stock.start()
            generate_feedback(course)
        found = {student: standing.score for (student, _), standing in database.standings(course).items()}
        assert found.keys() == {"ada", "eve"}
        assert "timestamp.txt beside the notebook can&#x27;t be read" in page_of(course, "eve")
        assert "timestamp.txt" not in page_of(course)
        listed = {entry["student"]: entry for entry in formgrader(course).get_submissions(SECTION)}
        assert {student: entry["autograded"] for student, entry in listed.items()} == {"ada": True, "eve": True}
        assert listed["eve"]["timestamp"] is None


def formgrader(course: Course) -> NbGraderAPI:
    """What formgrader's lists are made of."""
    config = nbgrader_config(course)
    config.Exchange.root = str(course.root / "exchange")
    return NbGraderAPI(database.database(course), config=config)


def test_formgrader_sees_what_was_graded(course: Course) -> None:
    """A resubmission waits until it is graded, then it counts as graded again."""

    def status() -> str:
        (entry,) = formgrader(course).get_submissions(SECTION)
        return json.dumps([entry["autograded"], entry["submitted"], entry["needs_manual_grade"]])

    hand_in(course, timestamp="2026-01-01 00:00:00 UTC")
    write(course, result())
    assert status() == "[true, true, false]"
    hand_in(course, timestamp=LATE)
    assert status() == "[false, true, false]"
    write(course, result())
    assert status() == "[true, true, false]"
    enter(course)
    write(course, result())
    assert status() == "[true, true, true]"  # as with nbgrader: points by hand are to be looked at again


def test_a_courses_own_plugin_lies_beside_its_configuration(course: Course, tmp_path: Path, monkeypatch) -> None:
    """nbgrader finds it there when it is started in the course's folder; so do we, wherever one stands."""
    (course.root / "own_lateness.py").write_text(
        "from nbgrader.plugins import LateSubmissionPlugin\n\n\nclass Half(LateSubmissionPlugin):\n"
        "    def late_submission_penalty(self, student_id, score, total_seconds_late):\n        return 0.5\n"
    )
    config = course.root / "nbgrader_config.py"
    config.write_text(config.read_text() + '\nc.AssignLatePenalties.plugin_class = "own_lateness.Half"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))  # put back afterwards
    with database.opened(database.database(course)) as book:
        book.update_or_create_assignment(SECTION, duedate="2026-01-01 00:00:00 UTC")
    hand_in(course, timestamp=LATE)
    write(course, result())
    assert database.standings(course)["ada", SECTION].penalty == 0.5
    assert "handed in late −0.5" in page_of(course)
    with database.opened(database.database(course)) as book:
        book.grant_extension(SECTION, "ada", weeks=100)
    write(course, result())
    assert database.standings(course)["ada", SECTION].penalty == 0
    assert "late" not in page_of(course).partition("<h2>")[0]
