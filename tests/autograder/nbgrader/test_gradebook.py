"""Results -> nbgrader: both ways write the same, people's entries stay, and a copy holds nothing that could run."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from copy import deepcopy
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbgrader.api import Gradebook, SubmittedAssignment

import autograder.grading.grade
import autograder.pages.feedback
from autograder import gradebook
from autograder.course import CHECKS, Course
from autograder.errors import GradebookProblem, NothingHandedIn, UnreadableSubmission
from autograder.judging.result import Behaviour, Result
from autograder.nbgrader import copy, database, save
from autograder.nbgrader.release import graded_notebook, nbgrader_config
from autograder.notebook.handin import open_submission

SECTION = "90_sample"
RIGHT = "def add(a, b):\n    return a + b"

FAKES = """
import json
import autograder.nbgrader.copy
import autograder.grading.grade
from autograder.judging.result import Behaviour, Result

def grade_bytes(data, section, student, **options):
    try:
        cells = json.loads(data)["cells"]
    except ValueError:
        return Result(student, section.name, "sample", "unreadable", "", 0.0, line="no notebook", needs="no notebook")
    right = any("return a + b" in "".join(cell["source"]) for cell in cells)
    return Result(student, section.name, "sample", "graded", "none", 0.0, (
        Behaviour("small", "Adds.", right, 1.5 * right, 1.5),
        Behaviour("zero", "Adds to zero.", True, 0.25 + 0.75 * right, 1.0),
        Behaviour("small", "Adds.", right, 0.5 * right, 0.5, hidden=True),
    ))

def part_html(result, hidden=False):
    picture = "<svg viewBox='0 0 1 1' role='img' aria-label='a picture'></svg>"
    return f"<p>{result.verdict}, {'hidden' if hidden else 'visible'}</p>{picture}"

autograder.grading.grade.need_sandbox = lambda course: None
autograder.grading.grade.grade_bytes = grade_bytes
autograder.nbgrader.copy.part_html = part_html
"""


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A grader and a feedback that are nothing but what these tests need."""
    monkeypatch.setattr(copy, "part_html", None)  # all are put back at the end
    monkeypatch.setattr(autograder.grading.grade, "need_sandbox", None)
    monkeypatch.setattr(autograder.grading.grade, "grade_bytes", None)
    exec(FAKES, {})


def release(course: Course) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((course.notebooks / SECTION / "sample.ipynb").read_bytes())
    return body


def answered(course: Course, source: str = RIGHT) -> dict[str, Any]:
    body = release(course)
    next(cell for cell in body["cells"] if cell["id"] == "sample")["source"] = source
    return body


def hand_in(course: Course, student: str, body: dict[str, Any] | bytes, **files: str) -> None:
    folder = course.submitted / student / SECTION
    folder.mkdir(parents=True)
    (folder / "sample.ipynb").write_bytes(body if isinstance(body, bytes) else json.dumps(body).encode())
    for name, text in files.items():
        (folder / f"{name}.txt").write_text(text)


def grade_class(course: Course) -> tuple[list[Result], dict[tuple[str, str], bytes]]:
    """What batch grading hands over."""
    results, notebooks = [], {}
    for submission in course.submissions():
        try:
            data = open_submission(submission).data
        except NothingHandedIn:
            results.append(Result(submission.student, SECTION, "sample", "missing", "", 0.0))
            continue
        except UnreadableSubmission:
            data = b""
        results.append(gradebook._graded(submission.path, submission.section, submission.student))
        if results[-1].verdict == "graded":
            notebooks[submission.student, SECTION] = data
    return results, notebooks


def write_class(course: Course) -> None:
    save.write(course, *grade_class(course))


def stock(course: Course) -> None:
    """nbgrader's own converter, as `nbgrader autograde` runs it."""
    from nbgrader.converters import Autograde

    place = database.database(course)
    place.assignment_id = SECTION
    Autograde(coursedir=place, config=nbgrader_config(course)).start()


def rows(course: Course) -> dict[str, Any]:
    """All that the gradebook says of each student."""
    found = {}
    with Gradebook(f"sqlite:///{course.gradebook}", "resilience") as book:
        for submission in book.db.query(SubmittedAssignment):
            (notebook,) = submission.notebooks
            grades = {
                g.name: (g.auto_score, g.manual_score, g.extra_credit, g.needs_manual_grade) for g in notebook.grades
            }
            comments = {c.name: (c.auto_comment, c.manual_comment) for c in notebook.comments}
            penalty = notebook.late_submission_penalty
            found[submission.student_id] = (submission.score, submission.timestamp, penalty, grades, comments)
    return found


def copies(course: Course) -> dict[str, Any]:
    found = {}
    for path in sorted(course.autograded.glob("*/*/sample.ipynb")):
        body = nbformat.read(path, as_version=4)
        nbformat.validate(body)
        found[path.parts[-3]] = body
    return found


def elements(page: str) -> list[tuple[str, dict[str, str | None]]]:
    """A page's tags with their attributes, as a browser reads them."""
    found: list[tuple[str, dict[str, str | None]]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append((tag, dict(attrs)))

    Reader().feed(page)
    return found


def outputs(course: Course, student: str) -> dict[str, str]:
    cells = copies(course)[student].cells
    return {cell.id: cell.outputs[0].data["text/plain"] for cell in cells if cell.get("outputs")}


@pytest.fixture
def class_of_six(course: Course) -> Course:
    """Right, untouched, hostile, unreadable, a link, and on time or late."""
    hand_in(course, "ada", answered(course), timestamp="2026-01-02 03:04:05 UTC")
    hand_in(course, "stub", release(course))
    hand_in(course, "junk", b"this is no notebook")
    hand_in(course, "mess", hostile(course))
    (course.submitted / "mess" / SECTION / "mine.db").symlink_to(course.gradebook)
    (course.submitted / "link" / SECTION).mkdir(parents=True)
    (course.submitted / "link" / SECTION / "sample.ipynb").symlink_to(
        course.submitted / "ada" / SECTION / "sample.ipynb"
    )
    return course


def put_data_folder(course: Course, place: Path, kind: str) -> None:
    """A data folder as a student might hand it in: it would give full marks, or the instructor's files."""
    if kind == "a file":
        place.write_text("raise SystemExit")
    elif kind == "a link":
        place.symlink_to(course.source)
    else:
        place.mkdir()
        (place / "sample.ipynb").write_text(json.dumps(answered(course)))
        for name in ("test_sample.py", "scenarios.py", "conftest.py"):
            (place / name).write_text("raise SystemExit")
        (place / "mistakes.json").symlink_to(course.gradebook)
        if kind == "a folder of links":
            (place / "deep").symlink_to(course.root)


def hostile(course: Course) -> dict[str, Any]:
    """No solution cell, a check cell that claims 999 points twice, and whatever a browser would run."""
    body = release(course)
    body["cells"] = [cell for cell in body["cells"] if cell["id"] != "sample"]
    score = next(cell for cell in body["cells"] if cell["id"] == "sample_score")
    score["metadata"]["nbgrader"]["points"] = 999
    score["outputs"] = [{"output_type": "execute_result", "data": {"text/plain": "999"}, "metadata": {}}]
    body["cells"] += [deepcopy(score)]
    body["cells"] += [
        {"cell_type": "markdown", "metadata": {"tags": ["<script>"]}, "source": source, "attachments": {"a": {}}}
        for source in (
            "<img src=x onerror=alert(1)>",
            "[click](javascript:alert(1))",
            "![](https://tracker.example/pixel.png)",
            r"$\href{javascript:alert(1)}{x}$",
            "[click][1]\n\n[1]: java&#115;cript:alert(1)",
            "````\n<script>alert(1)</script>\n```",
        )
    ]
    body["cells"].append(
        {"cell_type": "raw", "metadata": {"raw_mimetype": "text/html"}, "source": "<script>a()</script>"}
    )
    body["metadata"]["widgets"] = {"application/x": "</script><script>alert(1)</script>"}
    return body


class TestBothWays:
    def test_stock_and_batch_write_the_same(self, class_of_six: Course) -> None:
        """Gradebook and graded copies agree, whoever wrote them."""
        other = Course(Path(shutil.copytree(class_of_six.root, class_of_six.root.with_name("other"), symlinks=True)))
        write_class(class_of_six)
        stock(other)
        assert rows(class_of_six) == rows(other)
        assert copies(class_of_six) == copies(other)

    def test_scores(self, class_of_six: Course) -> None:
        """Partial credit, part by part; what couldn't be read waits for a person."""
        write_class(class_of_six)
        found = rows(class_of_six)
        assert {student: row[0] for student, row in found.items()} == {
            "ada": 3.0, "stub": 0.25, "mess": 0.25, "junk": 0.0, "link": 0.0,
        }  # fmt: skip
        assert outputs(class_of_six, "ada") == {"sample_score": "2.5", "sample_hidden": "0.5"}
        assert {student for student, row in found.items() if row[3]["sample_score"][3]} == {"junk", "link"}
        assert found["stub"][4] == {"sample": ("No response.", None)}
        assert str(found["ada"][1]) == "2026-01-02 03:04:05"

    def test_a_score_is_never_above_the_cells_points(self, course: Course) -> None:
        """nbgrader would die of it."""
        hand_in(course, "ada", answered(course))
        rich = Behaviour("small", "Adds.", True, 50.0, 50.0)
        save.write(course, [Result("ada", SECTION, "sample", "graded", "none", 0.0, (rich,))], {})
        assert rows(course)["ada"][0] == 2.5

    def test_what_lies_beside_a_submission_is_not_copied(self, class_of_six: Course) -> None:
        """A link to the gradebook would be handed out with the feedback."""
        stock(class_of_six)
        beside = {path.name for path in (class_of_six.autograded / "mess" / SECTION).iterdir()}
        released = {path.name for path in (class_of_six.notebooks / SECTION).iterdir()}
        assert beside == released - {CHECKS}
        assert "timestamp.txt" in {path.name for path in (class_of_six.autograded / "ada" / SECTION).iterdir()}

    @pytest.mark.parametrize("kind", ["a folder", "a file", "a link", "a folder of links"])
    def test_a_submission_s_data_folder_counts_for_nothing(self, course: Course, kind: str) -> None:
        """Tests, scenarios and mistakes of one's own, and whatever else is called `checks`: the score is the answer's,
        and nothing of it stays beside the copy."""
        hand_in(course, "ada", answered(course))
        hand_in(course, "mess", release(course))
        for student in ("ada", "mess"):
            put_data_folder(course, course.submitted / student / SECTION / CHECKS, kind)
        stock(course)
        assert {student: row[0] for student, row in rows(course).items()} == {"ada": 3.0, "mess": 0.25}
        assert {path.name for path in (course.autograded / "mess" / SECTION).iterdir()} == {"assets", "sample.ipynb"}
        before = rows(course)
        write_class(course)
        assert rows(course) == before

    def test_other_assignments_are_refused(self, course: Course) -> None:
        """Nothing is executed here, so a notebook that we don't grade must not get its points."""
        nb = nbformat.v4.new_notebook()
        names = {"student": "ada", "assignment": "elsewhere", "notebook": "sample"}
        step = gradebook.GradeAnswers(config=nbgrader_config(course))
        with pytest.raises(ValueError, match="no section 'elsewhere'"):
            step.preprocess(nb, {"nbgrader": names})


class TestCopies:
    def test_nothing_in_a_copy_runs_or_fetches(self, class_of_six: Course) -> None:
        """Rendered as nbgrader renders it, only the course's own markup is left."""
        from nbconvert.filters import markdown2html

        write_class(class_of_six)
        body = copies(class_of_six)["mess"]
        found = []
        for cell in body.cells:
            assert cell.cell_type in ("code", "markdown")
            assert "attachments" not in cell
            if cell.cell_type == "markdown":
                found += elements(markdown2html(cell.source))
        assert {tag for tag, _ in found} <= {"h1", "a", "p", "pre", "code", "details", "summary", "div", "span"}
        assert not [name for _, names in found for name in names if name.startswith("on")]
        links = {names.get("href") or "#" for _, names in found}
        assert {link for link in links if not link.startswith("#")} <= {"../91_plain/plain.ipynb"}
        assert set(body.metadata) == {"kernelspec", "language_info"}

    @pytest.mark.parametrize(
        "text",
        ["plain *prose* with `code`", "- a < b\n- c", "see [this](https://docs.python.org/3/?a=b&c=d#e)", "# Title"],
    )
    def test_plain_prose_stays_as_it_is(self, course: Course, text: str) -> None:
        """Students' notes remain readable, links to the web included."""
        body = {"cells": [{"cell_type": "markdown", "metadata": {}, "source": text}]}
        source = graded_notebook(course.section(SECTION))
        assert copy.sanitise(body, source).cells[0].source == text

    def test_our_own_cells_stay_as_they_are(self, course: Course) -> None:
        """Hints are HTML that we wrote."""
        found = copy.sanitise(release(course), graded_notebook(course.section(SECTION)))
        assert "<details>" in found.cells[0].source and not found.cells[0].source.startswith("```")
        assert ["plumbing"] in [cell.metadata.get("tags") for cell in found.cells]

    def test_missing_cells_come_back_in_their_places(self, course: Course) -> None:
        """An empty solution, and the check cells whole, hidden line included."""
        source = graded_notebook(course.section(SECTION))
        body = release(course)
        body["cells"] = [
            cell for cell in body["cells"] if "nbgrader" not in cell["metadata"] or cell["id"] == "sample_score"
        ]
        found = copy.sanitise(body, source)
        names = [cell.id for cell in found.cells if "nbgrader" in cell.metadata]
        assert names == ["sample", "sample_score", "sample_hidden"]
        sources = {cell.id: cell.source for cell in found.cells}
        assert sources["sample"] == "" and "hidden=True" in sources["sample_hidden"]

    def test_doubled_and_edited_check_cells_count_once(self, course: Course) -> None:
        """Whatever they say, their text and points are the course's."""
        found = copy.sanitise(hostile(course), graded_notebook(course.section(SECTION)))
        scores = [cell for cell in found.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == "sample_score"]
        assert [(cell.source, cell.metadata.nbgrader.points) for cell in scores] == [('check("sample")', 2.5)]
        assert all(not cell.outputs for cell in found.cells if cell.cell_type == "code")

    def test_all_pieces_of_an_answer_are_there(self, course: Course) -> None:
        """In order, since all of them are run; nbgrader knows the last one with code, the others are plain."""
        body = release(course)
        at = next(number for number, cell in enumerate(body["cells"]) if cell["id"] == "sample")
        pieces = [deepcopy(body["cells"][at]) | {"source": f"piece = {number}"} for number in range(3)]
        pieces[2] |= {"cell_type": "markdown"}
        body["cells"][at : at + 1] = pieces
        found = copy.sanitise(body, graded_notebook(course.section(SECTION)))
        kept = [cell for cell in found.cells if "piece" in cell.source]
        assert [cell.source for cell in kept] == ["piece = 0", "piece = 1", "piece = 2"]
        assert [cell.metadata.get("nbgrader", {}).get("grade_id") for cell in kept] == [None, "sample", None]
        assert len({cell.id for cell in found.cells}) == len(found.cells)

    @pytest.mark.parametrize(
        "data",
        [
            b"", b"null", b"[]", b"{", b"\xff\xfe", b'{"cells": 5}', b'{"cells": [5, null, {}]}', b"[" * 100_000,
            b'{"cells": [{"cell_type": [], "source": {}, "metadata": {"nbgrader": {"grade_id": {}}}}]}',
            b'{"worksheets": [{"cells": 7}, 8]}',
            b'{"cells": [{"cell_type": "code", "source": "\\ud800\\u202e\\u0000"}]}',
            b'{"nbformat": 3, "worksheets": [{"cells": [{"cell_type": "code", "input": "x = 1"}]}]}',
        ],
    )  # fmt: skip
    def test_any_bytes_make_a_valid_copy(self, course: Course, data: bytes) -> None:
        """Nothing in a file stops the class."""
        found = copy.sanitise(copy.load_copy(data), graded_notebook(course.section(SECTION)))
        nbformat.validate(found)
        nbformat.writes(found).encode()
        assert [cell.id for cell in found.cells if "nbgrader" in cell.metadata] == [
            "sample",
            "sample_score",
            "sample_hidden",
        ]

    def test_many_cells_are_capped(self, course: Course) -> None:
        """Doubled marks don't get round it."""
        cell = {"cell_type": "code", "metadata": {"nbgrader": {"grade_id": "sample"}}, "source": ""}
        found = copy.sanitise({"cells": [cell] * 5000}, graded_notebook(course.section(SECTION)))
        assert len(found.cells) <= copy.MAX_CELLS + 3


class TestDatabase:
    def test_writing_twice_is_writing_once(self, class_of_six: Course) -> None:
        """Rows and copies are the same after a second time."""
        write_class(class_of_six)
        before = rows(class_of_six), copies(class_of_six)
        write_class(class_of_six)
        assert (rows(class_of_six), copies(class_of_six)) == before
        assert not [path for path in class_of_six.autograded.rglob("*") if path.name.startswith(".")]

    def test_what_people_entered_stays(self, class_of_six: Course) -> None:
        """Manual scores, extra credit and comments; as with stock nbgrader such a cell asks to be looked at again."""
        write_class(class_of_six)
        with Gradebook(f"sqlite:///{class_of_six.gradebook}", "resilience") as book:
            grade = book.find_grade("sample_score", "sample", SECTION, "stub")
            grade.manual_score, grade.extra_credit, grade.needs_manual_grade = 2.0, 0.5, False
            book.find_comment("sample", "sample", SECTION, "stub").manual_comment = "Look at the sum."
            book.db.commit()
        write_class(class_of_six)
        score, _, _, grades, comments = rows(class_of_six)["stub"]
        assert score == 2.5
        assert grades["sample_score"] == (0.25, 2.0, 0.5, True)
        assert comments["sample"] == ("No response.", "Look at the sum.")

    def test_late_penalties_are_the_courses_own(self, class_of_six: Course) -> None:
        """By the configured plugin, as with stock nbgrader."""
        config = class_of_six.root / "nbgrader_config.py"
        config.write_text(config.read_text() + '\nc.LateSubmissionPlugin.penalty_method = "zero"\n')
        with Gradebook(f"sqlite:///{class_of_six.gradebook}", "resilience") as book:
            book.update_or_create_assignment(SECTION, duedate="2026-01-01 00:00:00 UTC")
        other = Course(Path(shutil.copytree(class_of_six.root, class_of_six.root.with_name("late"), symlinks=True)))
        write_class(class_of_six)
        stock(other)
        assert rows(class_of_six)["ada"][2] == 3.0
        assert rows(class_of_six) == rows(other)

    def test_a_missing_notebook_gets_no_points_and_an_empty_copy(self, course: Course) -> None:
        """In place of an earlier copy: formgrader shows only what has one."""
        hand_in(course, "ada", answered(course))
        write_class(course)
        (course.submitted / "ada" / SECTION / "sample.ipynb").unlink()
        write_class(course)
        assert rows(course)["ada"][0] == 0.0
        assert not next(cell for cell in copies(course)["ada"].cells if cell.id == "sample").source

    def test_an_unregistered_section_is_registered(self, course: Course) -> None:
        """On a fresh clone with nothing built."""
        course.gradebook.unlink()
        shutil.rmtree(course.build)
        hand_in(course, "ada", answered(course))
        write_class(course)
        assert rows(course)["ada"][0] == 3.0

    @pytest.mark.parametrize("student", ["..", "a\nb", "a\udcff", "a/../../b"])
    def test_an_id_that_is_none_is_never_a_path(self, course: Course, student: str) -> None:
        """Nothing is written for it anywhere."""
        before = sorted(course.root.parent.rglob("*"))
        save.write(course, [Result(student, SECTION, "sample", "unreadable", "", 0.0)], {})
        assert sorted(course.root.parent.rglob("*")) == before and not rows(course)

    def test_a_locked_gradebook_is_one_line(self, course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
        """And nothing has changed: the old copy is there, the new one isn't."""
        hand_in(course, "ada", release(course))
        write_class(course)
        before = copies(course)
        (course.submitted / "ada" / SECTION / "sample.ipynb").write_text(json.dumps(answered(course)))
        connect = sqlite3.connect
        monkeypatch.setattr(sqlite3, "connect", lambda path, **options: connect(path, **options | {"timeout": 0.1}))
        with connect(course.gradebook) as holder:
            holder.execute("BEGIN EXCLUSIVE")
            with pytest.raises(GradebookProblem, match=r"gradebook.db is in use .* run again$"):
                write_class(course)
        assert copies(course) == before
        assert not [path for path in course.autograded.rglob("*") if path.name.startswith(".")]

    @pytest.mark.parametrize("content", [b"not a database" * 100, b"SQLite format 3\x00" + b"\xff" * 4096])
    def test_a_damaged_gradebook_is_one_line(self, course: Course, content: bytes) -> None:
        """It says what to do, and isn't touched."""
        course.gradebook.write_bytes(content)
        hand_in(course, "ada", release(course))
        with pytest.raises(GradebookProblem) as caught:
            write_class(course)
        assert "move it away or restore a backup" in str(caught.value) and "\n" not in str(caught.value)
        assert course.gradebook.read_bytes() == content

    def test_formgrader_sees_the_scores(self, class_of_six: Course) -> None:
        """The queries behind its pages."""
        write_class(class_of_six)
        with Gradebook(f"sqlite:///{class_of_six.gradebook}", "resilience") as book:
            found = {entry["student"]: entry for entry in book.notebook_submission_dicts("sample", SECTION)}
            assert found["ada"]["score"] == 3.0 and found["ada"]["max_score"] == 3.0
            assert found["junk"]["needs_manual_grade"] and found["stub"]["failed_tests"]
            assert {entry["student"]: entry["score"] for entry in book.submission_dicts(SECTION)}["ada"] == 3.0


@pytest.mark.heavy
class TestCommands:
    def run(self, course: Course, *arguments: str) -> subprocess.CompletedProcess[str]:
        env = os.environ | {"PYTHONPATH": str(Path(autograder.__file__).parents[1])}
        command = [sys.executable, "-m", "nbgrader", *arguments]
        return subprocess.run(command, cwd=course.root, env=env, capture_output=True, text=True, check=False)

    def test_autograde_then_feedback(self, class_of_six: Course) -> None:
        """Stock commands go through, whatever was handed in; the page fetches nothing and runs no script."""
        config = class_of_six.root / "nbgrader_config.py"
        config.write_text(config.read_text() + FAKES)
        graded = self.run(class_of_six, "autograde", SECTION)
        assert graded.returncode == 0, graded.stderr
        assert rows(class_of_six)["ada"][0] == 3.0
        made = self.run(class_of_six, "generate_feedback", SECTION)
        assert made.returncode == 0, made.stderr
        for student in ("ada", "mess", "junk"):
            page = (class_of_six.feedback / student / SECTION / "sample.html").read_text()
            assert "<svg" in page and "default-src 'none'" in page
            found = elements(page)
            assert not {tag for tag, _ in found} & {
                "script",
                "link",
                "img",
                "iframe",
                "object",
                "embed",
                "base",
                "form",
            }
            links = {names.get("href") or "#" for _, names in found}
            assert {link for link in links if not link.startswith("#")} <= {"../91_plain/plain.ipynb"}
            assert not [name for _, names in found for name in names if name.startswith("on") or name == "src"]
        listed = self.run(class_of_six, "list", f"--Exchange.root={class_of_six.root / 'submitted'}")
        assert listed.returncode == 0, listed.stderr
