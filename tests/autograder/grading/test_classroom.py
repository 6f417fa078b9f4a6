"""`autograder grade` around the grading: what is done again and why, what is kept, printed, written and counted."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner
from rich.console import Console

from autograder.authoring.build import build
from autograder.cli import main
from autograder.course import Course
from autograder.errors import GradebookProblem
from autograder.grading import classroom, keys, ledger, progress
from autograder.grading.demo import write_submission
from autograder.grading.jobs import read_submission
from autograder.grading.pool import Job, Setting
from autograder.grading.rows import Rows
from autograder.judging.result import Behaviour, Result, Standing
from autograder.nbgrader import database, save
from autograder.pages.report import write_index
from autograder.pages.roll import Brief, Roll

SECTION = "90_sample"
CLASS = ("ada", "bob", "cy")
Grade = Callable[..., SimpleNamespace]


def hand_in(course: Course, *students: str) -> None:
    """Submissions of which no two are alike."""
    for student in students:
        answer = f"# {student}\ndef add(a, b):\n    return a + b\n"
        write_submission(course.section(SECTION), course.submitted / student / SECTION, answer)


def judged(student: str, **more: Any) -> Result:
    """A result without a run; students whose ids begin with `n` need a person."""
    behaviours = (
        Behaviour("small", "Adds small numbers.", True, 1.5, 1.5),
        Behaviour("zero", "Adds up to zero.", student < "b", 1.0 * (student < "b"), 1.0, "another sum"),
        Behaviour("small", "Adds small numbers, kept back.", True, 0.5, 0.5, hidden=True),
    )
    needs = "two notebooks lay there" if student.startswith("n") else ""
    return Result(
        student, SECTION, "sample", "graded", "full", 0.1, **{"behaviours": behaviours, "needs": needs, **more}
    )


@pytest.fixture
def graded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The students that come to be graded; their results are plain ones."""
    found: list[str] = []

    def everything(course: Course, submissions: Any, setting: Setting) -> Iterator[tuple[Job | None, Result]]:
        for one in submissions:
            handed = read_submission(one)
            found.append(one.student)
            if isinstance(handed, Result):
                yield None, handed
            else:
                yield Job(one, handed.data, handed.notes, handed.needs), judged(one.student, notes=handed.notes)

    monkeypatch.setattr(classroom, "everything", everything)
    return found


@pytest.fixture
def grade(course: Course, graded: list[str], monkeypatch: pytest.MonkeyPatch) -> Grade:
    """`autograder grade` in the course: code, outputs, the rows of --json, and the students it graded."""
    monkeypatch.setattr(progress, "out", Console(highlight=False, width=200))
    hand_in(course, *CLASS)

    def run(*arguments: str, at: Path = course.root) -> SimpleNamespace:
        graded.clear()
        monkeypatch.chdir(at)
        done = CliRunner().invoke(main, ["grade", "--json", str(course.root / "rows.json"), *arguments])
        assert isinstance(done.exception, SystemExit | None), done.exc_info
        file = course.root / "rows.json"
        rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return SimpleNamespace(code=done.exit_code, out=done.stdout, err=done.stderr, rows=rows, graded=sorted(graded))

    return run


def in_gradebook(course: Course) -> dict[str, tuple[float, float | None]]:
    """Each student's automatic score and late penalty."""
    query = """
        SELECT student_id, total(auto_score), max(book.late_submission_penalty) FROM submitted_assignment AS one
        JOIN submitted_notebook AS book ON book.assignment_id = one.id JOIN grade ON grade.notebook_id = book.id
        GROUP BY one.id
    """
    with closing(sqlite3.connect(course.gradebook)) as connection:
        return {student: (score, penalty) for student, score, penalty in connection.execute(query)}


def tell_gradebook(course: Course, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(course.gradebook)) as connection:
        assert connection.execute(statement, values).rowcount > 0
        connection.commit()


def configure(course: Course, line: str) -> None:
    path = course.root / "nbgrader_config.py"
    path.write_text(f"{path.read_text()}\n{line}\n")


def every_file(course: Course) -> dict[str, str]:
    return {
        str(path.relative_to(course.root)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in course.root.rglob("*")
    }


class TestWhere:
    def test_where_one_stands_counts(self, course, grade, tmp_path, new_course):
        """FOLDER may lie anywhere, also in another course: the results go to the course that one stands in."""
        other = new_course(tmp_path / "other")
        shutil.move(course.submitted, other.root / "handed")
        (course.root / "notebooks" / "deep").mkdir()
        done = grade(str(other.root / "handed"), at=course.root / "notebooks" / "deep")
        assert done.code == 0 and done.graded == list(CLASS)
        assert set(in_gradebook(course)) == set(CLASS) and not other.gradebook.exists()

    def test_the_folder_s_own_course(self, course, grade, tmp_path):
        """When one stands in no course."""
        done = grade(str(course.submitted), at=tmp_path)
        assert done.code == 0 and set(in_gradebook(course)) == set(CLASS)

    def test_a_folder_s_own_timestamps(self, course, grade):
        """What lies beside a submission says when it was handed in, wherever the class's folder lies."""
        due(course, "2026-01-01 00:00:00.000000")
        configure(course, PLUGIN)
        late(course)
        shutil.move(course.submitted, course.root / "handed")
        assert grade("handed").code == 0
        assert {penalty for _, penalty in in_gradebook(course).values()} == {0.5}

    @pytest.mark.parametrize("command", ["grade", "lab", "progress --folder", "compare sample --folder"])
    def test_neither(self, tmp_path, monkeypatch, command):
        """Exit code 2 and a line, also when the folder is there."""
        (tmp_path / "handed").mkdir()
        monkeypatch.chdir(tmp_path)
        done = CliRunner().invoke(main, [*command.split(), "handed"])
        assert done.exit_code == 2 and done.stderr.count("\n") == 1 and "no course here" in done.stderr

    def test_other_commands(self, course, tmp_path, monkeypatch):
        """A folder in a course will do for them, too."""
        monkeypatch.chdir(tmp_path)
        shutil.copytree(course.notebooks, course.root / "work")
        done = CliRunner().invoke(main, ["progress", "--folder", str(course.root / "work")])
        assert done.exit_code == 0 and SECTION in done.stdout


class TestTheWholeClass:
    def test_one_student_updates_the_report(self, course, grade):
        """Only the chosen one is graded and in the table; the report and the last lines are about everybody."""
        grade()
        hand_in(course, "dee")
        done = grade("--student", "dee")
        assert done.graded == ["dee"] and [row["student"] for row in done.rows] == ["dee"]
        table = done.out.partition("1 was")[0]
        assert "dee" in table and "ada" not in table
        assert "the whole class: 4 submissions: 4 graded" in done.out
        index = (course.build / "report" / "index.html").read_text()
        assert all(student in index for student in (*CLASS, "dee")) and "4 submissions" in index

    def test_who_is_gone_is_gone(self, course, grade):
        """A student whose folder was removed isn't in the report any more; one that waits is counted."""
        grade()
        shutil.rmtree(course.submitted / "cy")
        hand_in(course, "dee")
        done = grade("--student", "ada")
        assert "the whole class: 3 submissions: 2 graded, 1 not graded yet" in done.out
        index = (course.build / "report" / "index.html").read_text()
        assert "cy.html" not in index and "bob.html" in index

    def test_pages_of_the_report(self, course, grade):
        """Each is the page that the student gets, also when that has changed since."""
        grade()
        (course.feedback / "bob" / SECTION / "sample.html").write_text("another page\n")
        grade("--student", "ada")
        for student in CLASS:
            page = course.feedback / student / SECTION / "sample.html"
            assert (course.build / "report" / SECTION / f"{student}.html").read_bytes() == page.read_bytes()

    def test_behaviours_that_are_missed(self, course, grade):
        """Counted over the whole class, whoever was graded now."""
        grade()
        grade("--student", "cy", "--force")
        assert "missed by 2<" in (course.build / "report" / "index.html").read_text()

    def test_order_of_what_is_missed(self, tmp_path):
        """The most frequent first, and then always the same order: a report says the same whenever it is made."""
        titles = [f"does {letter}" for letter in "hgfedcba"]
        for turned in (titles, titles[::-1]):
            roll = Roll(missed=Counter({("90_sample", title): 1 for title in turned}) + Counter({("90_z", "last"): 2}))
            text = write_index(tmp_path, roll, title="Graded").read_text()
            assert re.findall("<li>([^<]*) <small>", text) == ["last", *sorted(titles)]


class TestPrinted:
    def pace(self, monkeypatch: pytest.MonkeyPatch, seconds: list[float]) -> list[str]:
        said: list[str] = []
        monkeypatch.setattr(progress, "tell", said.append)
        ticks = iter([0.0, *seconds])
        found = [(None, judged(f"s{n}")) for n in range(len(seconds))]
        assert list(progress._lines(found, 2000, lambda: next(ticks))) == found
        return said

    def test_a_line_every_few_seconds(self, monkeypatch):
        """How many, of how many, and how long it takes; at most one in five seconds."""
        said = self.pace(monkeypatch, [n * 0.15 for n in range(1, 341)])
        assert said[0] == "graded 34 of 2,000, about 5 min left" and len(said) == 10
        assert said[-1] == "graded 340 of 2,000, about 4 min left"

    def test_what_is_quick_says_nothing(self, monkeypatch):
        """Nor does it after the last one."""
        assert self.pace(monkeypatch, [0.1] * 10) == []
        monkeypatch.setattr(progress, "tell", pytest.fail)
        assert list(progress._lines([(None, judged("a"))], 1, iter([0.0, 60.0]).__next__))

    @pytest.mark.parametrize(
        ("seconds", "words"), [(0.2, "1 s"), (99, "99 s"), (240, "4 min"), (5000, "83 min"), (9000, "2.5 h")]
    )
    def test_durations(self, seconds, words):
        """In a unit that fits."""
        assert progress._duration(seconds) == words

    def test_summary(self):
        """How many, their verdicts, how many need a person, and the first names."""
        roll = Roll.of(judged(f"n{n}") for n in range(12))
        for n in range(1988):
            roll.add(replace(judged(f"s{n}"), verdict="graded" if n > 54 else "missing"))
        assert roll.sort().summary() == (
            "2,000 submissions: 1,945 graded, 55 missing, 12 need you: n0 90_sample, n1 90_sample, n10 90_sample "
            "and 9 more"
        )
        assert Roll.of([judged("nia")]).summary() == "1 submission: 1 graded, 1 needs you: nia 90_sample"

    def test_where_the_list_is(self, course, grade):
        """The report begins with those that need a person, and the last line names the report."""
        hand_in(course, "nia")
        done = grade()
        assert "4 submissions: 4 graded, 1 needs you: nia 90_sample" in done.out
        assert done.out.splitlines()[-1] == "report: build/report/index.html"
        index = (course.build / "report" / "index.html").read_text()
        assert index.index("two notebooks lay there") < index.index("<table")

    def test_notes(self, course, grade):
        """In the line when nothing is more important; all of them with --student."""
        text = "def add(a, b):\n    return a + b\n"
        write_submission(course.section(SECTION), course.submitted / "abe" / SECTION, text)
        folder = course.submitted / "abe" / SECTION
        (folder / "sample.ipynb").rename(folder / "Sample (1).ipynb")
        (line,) = [line for line in grade().out.splitlines() if line.startswith("abe")]
        assert "Sample (1).ipynb" in line
        assert "abe 90_sample: " in grade("--student", "abe").out

    def test_final_scores(self, course, grade):
        """Table and report show the gradebook's; the file of --json keeps the tests'."""
        grade()
        tell_gradebook(course, "UPDATE grade SET extra_credit = 0.25 WHERE auto_score = 2.5", *())
        done = grade()
        (line,) = [line for line in done.out.splitlines() if line.startswith("ada")]
        assert "3.25 / 3" in line and "tests 3, extra credit +0.25" in line
        assert "tests 3, extra credit +0.25" in (course.build / "report" / "index.html").read_text()
        assert {row["student"]: row["score"] for row in done.rows} == {"ada": 3.0, "bob": 2.0, "cy": 2.0}


class TestExitCodes:
    def test_a_verdict_is_enough(self, course, grade):
        """0 with an empty folder in the class; 1 when one asks for it with --strict, then and the next time."""
        (course.submitted / "nobody" / SECTION).mkdir(parents=True)
        assert grade().code == 0
        assert grade("--strict").code == 1
        assert grade("--strict", "--student", "ada").code == 0

    def test_what_can_t_be_written(self, course, grade, monkeypatch):
        """1, and a line that names it."""
        shutil.rmtree(course.build / "report", ignore_errors=True)
        (course.build / "report").write_text("a file in its place")
        done = grade()
        assert done.code == 1 and "build/report" in done.err and done.err.count("\n") == 1

    def test_a_damaged_report_folder_costs_no_grade(self, course, grade):
        """The results are in the gradebook all the same."""
        (course.build / "report").write_text("a file in its place")
        grade()
        assert set(in_gradebook(course)) == set(CLASS)


class TestRows:
    def test_as_they_come(self, course, grade, monkeypatch):
        """Each line is in the file, whole, before the next submission is taken; the old ones are gone."""
        grade()
        seen: list[list[str]] = []
        everything = vars(classroom)["everything"]

        def watched(*given: Any) -> Iterator[Any]:
            for one in everything(*given):
                file = course.root / "rows.json"
                text = file.read_text() if file.exists() else ""
                assert text == "" or text.endswith("\n")
                seen.append([json.loads(line)["student"] for line in text.splitlines()])
                yield one

        monkeypatch.setattr(classroom, "everything", watched)
        assert [row["student"] for row in grade("--force").rows] == list(CLASS)
        assert seen == [[], ["ada"], ["ada", "bob"]]

    def test_interrupted(self, course, grade, monkeypatch):
        """Whole lines only; the next run has everybody once, graded now or not."""
        everything = vars(classroom)["everything"]

        def interrupted(*given: Any) -> Iterator[Any]:
            for number, one in enumerate(everything(*given)):
                if number == 2:
                    raise KeyboardInterrupt
                yield one

        with monkeypatch.context() as patch:
            patch.setattr(classroom, "everything", interrupted)
            done = grade()
        assert done.code == 130 and [row["student"] for row in done.rows] == ["ada", "bob"]
        done = grade()
        assert done.graded == ["cy"] and [row["student"] for row in done.rows] == list(CLASS)

    def test_in_order(self, tmp_path):
        """However they came, at the end they stand by section and student."""
        with Rows(tmp_path / "rows.json") as rows:
            for student in ("bob", "cy", "ada"):
                rows.add(judged(student))
            rows.sort()
        found = [json.loads(line) for line in (tmp_path / "rows.json").read_text().splitlines()]
        assert [row["student"] for row in found] == ["ada", "bob", "cy"] and list(found[0]) == list(judged("x").row())
        assert [path.name for path in tmp_path.iterdir()] == ["rows.json"]

    def test_half_a_line_is_none(self, tmp_path, monkeypatch):
        """A full disk in the middle of a line: it's taken away, the problem is told, the grading goes on."""
        write, room = os.write, [3000]

        def full(descriptor: int, data: bytes) -> int:
            if room[0] <= 0:
                raise OSError(28, "No space left on device")
            done = write(descriptor, data[: room[0]])
            room[0] -= done
            return done

        with Rows(tmp_path / "rows.json") as rows:
            with monkeypatch.context() as patch:
                patch.setattr(os, "write", full)
                for n in range(20):
                    rows.add(judged(f"s{n}"))
            rows.sort()
        assert "no room is left" in rows.problem
        lines = (tmp_path / "rows.json").read_text().splitlines(keepends=True)
        assert 0 < len(lines) < 20 and all(json.loads(line) and line.endswith("\n") for line in lines)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such pipes")
    def test_to_a_pipe(self, tmp_path):
        """What can't be put in order comes as it comes."""
        path = tmp_path / "pipe"
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with Rows(path) as rows:
            for student in ("bob", "ada"):
                rows.add(judged(student))
            rows.sort()
        lines = os.read(reader, 100_000).decode().splitlines()
        os.close(reader)
        assert [json.loads(line)["student"] for line in lines] == ["bob", "ada"] and not rows.problem


class TestAgain:
    """What decides an entry is noticed; what decides only what is written of it costs no grading."""

    OPTIONS: ClassVar = {"seed": ["--seed", "7"], "limit": ["--limit", "60"], "sandbox": ["--allow-unsandboxed"]}

    def change(self, course: Course, what: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Make the change; returns options of the command."""
        if what in self.OPTIONS:
            return self.OPTIONS[what]
        section = course.section(SECTION)
        if what == "submission":
            hand_in(course, *CLASS)
            for student in CLASS:
                path = course.submitted / student / SECTION / "sample.ipynb"
                path.write_bytes(path.read_bytes() + b" ")
        elif what in ("tests", "hidden", "scenarios"):
            path = getattr(section, what)
            path.write_text(f"{path.read_text()}\n# another line\n")
        elif what == "mistakes":
            (section.released / "checks" / "mistakes.json").write_text("[]\n")
        elif what == "notebook":
            path = section.released / "sample.ipynb"
            path.write_bytes(path.read_bytes() + b" ")
        elif what == "engine":
            monkeypatch.setattr(keys, "code_digest", lambda: "other code")
        elif what == "library":
            monkeypatch.setattr(keys, "_libraries", lambda: "another one")
        elif what == "secret":
            (course.root / ".course-secret").write_text("f" * 64)
        return []

    @pytest.mark.parametrize(
        ("what", "why"),
        {
            "submission": "the submission changed",
            "tests": "the section's tests changed",
            "hidden": "the section's tests changed",
            "scenarios": "the section's tests changed",
            "mistakes": "the section's tests changed",
            "notebook": "the section's notebook changed",
            "engine": "the grader changed",
            "library": "Python or a library changed",
            "secret": "another seed",
            "seed": "another seed",
            "sandbox": "the choice of sandbox changed",
            "limit": "another limit",
        }.items(),
    )
    def test_graded_again(self, course, grade, monkeypatch, what, why):
        """Each with its reason, before it's done and afterwards; and once it's done, nothing is left to do."""
        grade()
        options = self.change(course, what, monkeypatch)
        dry = grade("--dry-run", *options)
        assert dry.graded == [] and f"ada  {SECTION}  would be graded: {why}" in dry.out
        done = grade(*options)
        assert done.graded == list(CLASS) and f"3 were graded again: {why}" in done.out
        assert grade(*options).graded == []

    @pytest.mark.parametrize(
        ("what", "why"),
        {
            "timestamp": "the due date or the lateness changed",
            "due date": "the due date or the lateness changed",
            "extension": "the due date or the lateness changed",
            "plugin": "the due date or the lateness changed",
            "configuration": "nbgrader's configuration changed",
            "address": "another gradebook",
            "gradebook": "the gradebook lacks it",
            "rows": "the gradebook lacks it",
            "pages": "its feedback page is gone",
        }.items(),
    )
    def test_written_again(self, course, grade, what, why):
        """With its reason, without grading; and once it's done, nothing is left to do."""
        due(course, "2026-01-01 00:00:00.000000")
        late(course, "2026-01-05 00:00:00 UTC")
        grade()
        CHANGES[what](course)
        dry = grade("--dry-run")
        assert dry.graded == [] and f"would be written again: {why}" in dry.out
        done = grade()
        assert done.code == 0 and done.graded == [] and f"written again: {why}" in done.out
        assert len(done.rows) == len(CLASS)
        again = grade()
        assert again.graded == [] and "again" not in again.out

    @pytest.mark.parametrize(
        "line",
        [
            "c.Exchange.root = '/somewhere/else'",
            "c.Application.log_level = 10",
            "# a word",
            "c.CourseDirectory.groupshared = True",
        ],
    )
    def test_what_decides_nothing(self, course, grade, line):
        """Configuration that has no part in a grade."""
        grade()
        configure(course, line)
        done = grade()
        assert done.graded == [] and "again" not in done.out

    def test_a_course_that_moves(self, course, grade, tmp_path, monkeypatch):
        """Where it lies decides nothing."""
        grade()
        moved = Course(Path(shutil.move(course.root, tmp_path / "moved")))
        monkeypatch.chdir(moved.root)
        done = CliRunner().invoke(main, ["grade"])
        assert done.exit_code == 0 and "again" not in done.stdout

    def test_an_extension_takes_the_penalty_back(self, course, grade):
        """The penalty is computed anew with the course's plugin, and the copy with its pictures stays as it was."""
        configure(course, PLUGIN)
        due(course, "2026-01-01 00:00:00.000000")
        late(course, "2026-01-05 00:00:00 UTC")
        grade()
        copy = course.autograded / "bob" / SECTION / "sample.ipynb"
        before = copy.read_bytes()
        assert in_gradebook(course) == {"ada": (3.0, 0.5), "bob": (2.0, 0.5), "cy": (2.0, 0.5)}
        extend(course, "bob")
        done = grade()
        assert done.graded == [] and "1 was written again: the due date or the lateness changed" in done.out
        assert in_gradebook(course) == {"ada": (3.0, 0.5), "bob": (2.0, None), "cy": (2.0, 0.5)}
        assert copy.read_bytes() == before
        (line,) = [line for line in done.out.splitlines() if line.startswith("ada")]
        assert "2.5 / 3" in line and "late" in line

    def test_an_earlier_version_s_ledger(self, course, grade):
        """Its entries are read without a stumble: graded by another version, and still in the report."""
        grade()
        for path in (course.build / "graded" / SECTION).iterdir():
            entry = json.loads(path.read_bytes())
            old = {name: entry["result"][name] for name in entry["result"] if name not in NEW}
            old["more"] = [{"title": more["title"], "hidden": more["hidden"]} for more in old["more"]]
            path.write_text(json.dumps({"key": "0" * 64, "result": {**old, "notes": []}}))
        assert "2 of 3" not in grade("--dry-run").out
        done = grade("--student", "ada")
        assert done.graded == ["ada"] and "1 was graded again: the grader changed" in done.out
        assert "the whole class: 3 submissions: 3 graded" in done.out

    @pytest.mark.parametrize("damage", ["", "{", "[]", '{"parts": 3, "result": {}}', "null"])
    def test_a_damaged_entry(self, course, grade, damage):
        """Is none."""
        grade()
        (course.build / "graded" / SECTION / "bob.json").write_text(damage)
        assert grade().graded == ["bob"]

    def test_an_unsettled_result(self, course, grade, monkeypatch):
        """Is graded again the next time, and in the report until then."""
        everything = vars(classroom)["everything"]

        def unsettled(*given: Any) -> Iterator[Any]:
            for job, result in everything(*given):
                yield job, judged(result.student, unsettled=result.student == "bob")

        with monkeypatch.context() as patch:
            patch.setattr(classroom, "everything", unsettled)
            grade()
        assert "would be graded: the last result was unsettled" in grade("--dry-run").out
        assert "the whole class: 3 submissions" in grade("--student", "ada").out
        assert grade().graded == ["bob"]

    def test_a_change_in_between(self, course, grade, monkeypatch):
        """A submission that is replaced after it was read is graded anew."""
        grade()
        course.gradebook.unlink()
        step = ledger.Ledger.step

        def replaced(*given: Any, **more: Any) -> Any:
            found = step(*given, **more)
            if found.submission.student == "cy":
                hand_in(course, "cy")
                path = course.submitted / "cy" / SECTION / "sample.ipynb"
                path.write_bytes(path.read_bytes() + b" ")
            return found

        monkeypatch.setattr(ledger.Ledger, "step", replaced)
        assert grade().graded == ["cy"] and set(in_gradebook(course)) == set(CLASS)


CHANGES: dict[str, Callable[[Course], object]] = {
    "timestamp": lambda course: late(course),
    "due date": lambda course: due(course),
    "extension": lambda course: extend(course, "bob"),
    "plugin": lambda course: configure(course, PLUGIN),
    "configuration": lambda course: configure(course, "c.LimitOutput.max_lines = 7"),
    "address": lambda course: configure(course, 'c.CourseDirectory.db_url = "sqlite:///new.db"'),
    "gradebook": lambda course: course.gradebook.unlink(),
    "rows": lambda course: forget(course, "bob"),
    "pages": lambda course: shutil.rmtree(course.feedback),
}
NEW = ("mistakes", "needs", "version", "unsettled")
PLUGIN = """
import sys
from nbgrader.plugins import BasePlugin

class HalfAPoint(BasePlugin):
    def late_submission_penalty(self, student_id, score, total_seconds_late):
        return 0.5

c.AssignLatePenalties.plugin_class = HalfAPoint
"""


def due(course: Course, when: str = "2026-02-01 00:00:00.000000") -> None:
    tell_gradebook(course, "UPDATE assignment SET duedate = ? WHERE name = ?", when, SECTION)


def late(course: Course, when: str = "2026-01-07 00:00:00 UTC") -> None:
    for student in CLASS:
        (course.submitted / student / SECTION / "timestamp.txt").write_text(when)


def forget(course: Course, student: str) -> None:
    with database.opened(database.database(course)) as book:
        book.remove_submission(SECTION, student)


def extend(course: Course, student: str) -> None:
    with database.opened(database.database(course)) as book:
        book.grant_extension(SECTION, student, days=30)


class TestDryRun:
    def test_nothing_changes(self, course, grade):
        """Not a file, a lock or the gradebook, whatever there would be to do."""
        (course.submitted / "empty" / SECTION).mkdir(parents=True)
        grade()
        hand_in(course, "dee")
        (course.submitted / "ada" / SECTION / "sample.ipynb").write_text("{}")
        late(course)
        (course.root / "rows.json").unlink()
        (course.build / "lock").unlink()
        before = every_file(course)
        done = grade("--dry-run")
        assert every_file(course) == before and done.code == 0 and done.graded == []
        assert f"dee  {SECTION}  would be graded: new" in done.out and "2 would be graded: " in done.out
        assert "2 would be written again: 2 the due date or the lateness changed" in done.out
        assert "1 of 5 would stay as they are" in done.out

    def test_of_a_course_that_isn_t_built(self, course, grade):
        """It would be built; nothing is made of it yet."""
        shutil.rmtree(course.build)
        course.gradebook.unlink()
        before = every_file(course)
        done = grade("--dry-run")
        assert every_file(course) == before and done.code == 0
        assert f"would be built first: {SECTION}" in done.out and "3 would be graded: 3 new" in done.out

    def test_force(self, grade):
        """Everybody would."""
        grade()
        assert "3 would be graded: 3 forced" in grade("--dry-run", "--force").out
        assert "3 of 3 would stay as they are" in grade("--dry-run").out


class TestPoints:
    def test_changed_without_build(self, course, grade):
        """Nothing is graded with stale points: the command to run is said, and once it was run all is well."""
        grade()
        tests = course.section(SECTION).tests
        tests.write_text(tests.read_text().replace("points(1)", "points(2)"))
        contract = course.section(SECTION).folder / "contract.toml"
        contract.write_text(contract.read_text().replace("zero = 1", "zero = 2"))
        before = in_gradebook(course)
        for options in ([], ["--dry-run"]):
            done = grade(*options)
            assert (done.code, done.graded) == (2, []) and done.err.count("\n") == 1
            assert f"run: autograder build {SECTION}" in done.err
        assert in_gradebook(course) == before
        assert build(course, [SECTION]) == []
        assert grade().graded == list(CLASS)

    def test_moved_from_one_part_to_the_other(self, course, grade):
        """The same in all, and yet not what is registered."""
        section = course.section(SECTION)
        section.tests.write_text(section.tests.read_text().replace("points(1.5)", "points(1)"))
        section.hidden.write_text(section.hidden.read_text().replace("points(0.5)", "points(1)"))
        assert grade().code == 2

    def test_other_sections_points(self, course, grade):
        """A word in the tests that leaves the points alone is no reason to build."""
        tests = course.section(SECTION).tests
        tests.write_text(tests.read_text() + "\n# a word\n")
        assert grade().code == 0


class TestWriting:
    def test_one_that_can_t_be_written(self, course, grade, monkeypatch):
        """It alone isn't; the others of its portion are; exit code 1 and a line that names it."""
        write = save.write

        def stumbles(course: Course, results: list[Result], *more: Any) -> Any:
            if any(result.student == "bob" for result in results):
                raise TypeError("what nbgrader says of bob")
            return write(course, results, *more)

        with monkeypatch.context() as patch:
            patch.setattr(save, "write", stumbles)
            done = grade()
        assert done.code == 1 and done.err.count("\n") == 1
        assert "bob 90_sample: " in done.err and "what nbgrader says of bob" in done.err
        assert set(in_gradebook(course)) == {"ada", "cy"} and len(done.rows) == 3
        assert grade().graded == ["bob"] and set(in_gradebook(course)) == set(CLASS)

    def test_a_problem_of_all(self, course, grade, monkeypatch):
        """Is one line, and later portions aren't tried one by one for it."""
        hand_in(course, *(f"s{n:03}" for n in range(57)))
        calls: list[int] = []

        def locked(course: Course, results: list[Result], *more: Any) -> None:
            calls.append(len(results))
            raise GradebookProblem("it is in use")

        monkeypatch.setattr(save, "write", locked)
        done = grade()
        assert done.code == 1 and done.err.count("\n") == 1 and "it is in use" in done.err and "and 57 more" in done.err
        assert sorted(calls) == [1] * 20 + [20] * 3

    def test_a_file_in_the_way(self, course, grade):
        """Of one student: the others are written."""
        course.feedback.mkdir()
        (course.feedback / "cy").write_text("not a folder")
        done = grade()
        assert done.code == 1 and "cy" in done.err and done.err.count("\n") == 1
        assert set(in_gradebook(course)) >= {"ada", "bob"}
        (course.feedback / "cy").unlink()
        assert grade().code == 0 and set(in_gradebook(course)) == set(CLASS)


def test_the_table_of_finals_takes_the_tests_score_of_what_wasn_t_written():
    """A row that holds another result says nothing of this one."""
    brief = Brief.of(judged("ada"))
    assert brief.final(Standing(9, 10, 8, 1)) is brief
    assert brief.final(Standing(4, 3, 3, 1)).score == 4
