"""The class's loop, over ten real submissions: each gets its verdict, none stops the others, and nothing is lost."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from autograder.cli import main
from autograder.course import Course
from autograder.errors import GradebookProblem, UsageError
from autograder.grading import classroom, grade, pool, progress
from autograder.grading.demo import write_submission
from autograder.grading.grade import Grader
from autograder.grading.pool import Job, Setting, grade_class
from autograder.judging.result import Behaviour, Result
from autograder.nbgrader import save
from autograder.notebook.answer import find_answer, read_cells
from autograder.notebook.handin import open_submission
from autograder.pages.roll import Brief
from autograder.sandbox.child import ZygoteDied
from autograder.sandbox.host import Box
from autograder.sandbox.session import Session
from autograder.sandbox.tiers import SandboxUnavailable
from benchmarks.regrade import load
from faultlab.pictures.sheet import clean
from faultlab.scenario import Played

pytestmark = [pytest.mark.xdist_group("class_of_ten"), pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[3]
SECTION = "02_retry"
NO_ID = "undecodable\udcff"
"""A folder's name whose last byte is no UTF-8."""
FIELDS = ["student", "section", "score", "max_score", "verdict", "sandbox", "seconds", "behaviours"]
FIELDS += ["notes", "mistakes", "needs", "version"]

HEAD = """
async def retry(
    op, *, max_attempts=4, base=0.1, cap=2.0, retry_on=(ConnectionError, TimeoutError), rng=None, deadline=None
):
"""
SOLVED = (
    HEAD
    + """
    if max_attempts < 1:
        raise ValueError("max_attempts must be at least 1")
    rng = rng or random.Random()
    clock = asyncio.get_running_loop().time
    start = clock()
    for n in range(max_attempts):
        try:
            return await op()
        except retry_on as error:
            pause = max(rng.uniform(0, min(cap, base * 2 ** min(n, 60))), getattr(error, "retry_after", 0))
            if n + 1 == max_attempts or (deadline is not None and clock() + pause - start >= deadline):
                raise
        await asyncio.sleep(pause)
"""
)
HALF = (
    HEAD
    + """
    for n in range(max_attempts):
        try:
            return await op()
        except retry_on:
            if n + 1 == max_attempts:
                raise
        await asyncio.sleep(base)
"""
)

VERDICTS = {
    "solved": "graded",
    "half": "graded",
    "untouched": "graded",
    "syntax": "graded",
    "endless": "timeout",
    "exits": "crashed",
    "no_checks": "graded",
    "cheats": "graded",
    "not_json": "unreadable",
    "old_format": "unreadable",
}


def hand_in(course: Course) -> None:
    """The ten, as files."""
    section = course.section(SECTION)

    def place(student: str) -> Path:
        return course.submitted / student / SECTION

    def changed(student: str, answer: str | None, change: Callable[[dict[str, Any]], None]) -> None:
        path = write_submission(section, place(student), answer)
        body = json.loads(path.read_bytes())
        change(body)
        path.write_text(json.dumps(body))

    def without_checks(body: dict[str, Any]) -> None:
        body["cells"] = [cell for cell in body["cells"] if not cell["metadata"].get("nbgrader", {}).get("grade")]

    def with_better_checks(body: dict[str, Any]) -> None:
        for cell in body["cells"]:
            if cell["metadata"].get("nbgrader", {}).get("grade"):
                cell["source"] = "7.5"
                cell["metadata"]["nbgrader"]["points"] = 1000

    answers = {
        "solved": SOLVED,
        "half": HALF,
        "untouched": None,
        "syntax": "async def retry(:\n    pass\n",
        "endless": "async def retry(op, **options):\n    while True:\n        pass\n",
        "exits": "import os\nos._exit(0)\n",
    }
    for student, text in answers.items():
        write_submission(section, place(student), text)
    changed("no_checks", SOLVED, without_checks)
    changed("cheats", None, with_better_checks)
    for student in ("not_json", "old_format"):
        place(student).mkdir(parents=True)
    (place("not_json") / "retry.ipynb").write_text('{"cells": [\n<<<<<<< mine\n=======\n>>>>>>> theirs\n')
    old = {"metadata": {}, "nbformat": 3, "nbformat_minor": 0, "worksheets": [{"cells": []}]}
    (place("old_format") / "retry.ipynb").write_text(json.dumps(old))


def copied(root: Path) -> Course:
    """A copy of the course, built, without submissions."""
    root.mkdir(parents=True)
    shutil.copy(ROOT / "nbgrader_config.py", root)
    for name in ("solutions", "notebooks"):
        shutil.copytree(ROOT / name / SECTION, root / name / SECTION)
    return Course(root)


def run(course: Course, *arguments: str) -> SimpleNamespace:
    """`autograder grade` in this course: exit code, both outputs and the rows of --json by student."""
    file = course.root / "rows.json"
    file.unlink(missing_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(course.root)
        patch.setattr(progress, "out", Console(highlight=False, width=120))
        patch.setattr(progress, "err", Console(highlight=False, stderr=True, width=120))
        done = CliRunner().invoke(main, ["grade", "--jobs", "2", "--json", str(file), *arguments])
    lines = file.read_text().splitlines() if file.exists() else []
    return SimpleNamespace(
        code=done.exit_code, out=done.stdout, err=done.stderr, error=done.exception, rows=[json.loads(x) for x in lines]
    )


def without_pace(err: str) -> str:
    """What else is said than how far it is."""
    return "".join(line for line in err.splitlines(keepends=True) if not re.match("graded [0-9,]+ of", line))


def by_student(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    found = {row["student"]: row for row in rows}
    assert len(found) == len(rows), "somebody is there twice"
    return found


def timeless(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def in_gradebook(course: Course) -> dict[str, tuple[float, bool]]:
    """Each student's score, and whether a person has to look."""
    from autograder.gradebook import database, opened

    with opened(database(course)) as book:
        return {
            one.student_id: (one.score, bool(one.needs_manual_grade)) for one in book.assignment_submissions(SECTION)
        }


@pytest.fixture(scope="module")
def ten(tmp_path_factory: pytest.TempPathFactory) -> tuple[Course, SimpleNamespace]:
    """The ten, graded once; and beside them one who handed in nothing and one whose id is no id."""
    course = copied(tmp_path_factory.mktemp("ten") / "course")
    hand_in(course)
    (course.submitted / "absent" / SECTION).mkdir(parents=True)
    write_submission(course.section(SECTION), course.submitted / NO_ID / SECTION, SOLVED)
    return course, run(course)


@pytest.fixture
def whole(ten: tuple[Course, SimpleNamespace], tmp_path: Path) -> Course:
    """A copy of the graded course, to change."""
    return Course(Path(shutil.copytree(ten[0].root, tmp_path / "course")))


@pytest.fixture
def again(whole: Course) -> Course:
    """The same, of the ten alone."""
    for student in (NO_ID, "absent"):
        shutil.rmtree(whole.submitted / student)
    return whole


@pytest.fixture
def graded_now(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The students that come to be graded, without grading them: their result is a plain one."""
    found: list[str] = []

    def everything(course: Course, submissions: Any, setting: Setting) -> Any:
        for one in submissions:
            found.append(one.student)
            yield Job(one, open_submission(one).data), plain_result(one.student)

    monkeypatch.setattr(classroom, "everything", everything)
    return found


def plain_result(student: str, **more: Any) -> Result:
    behaviours = (
        Behaviour("one", "One.", False, 0.0, 6.0, "seen"),
        Behaviour("one", "One.", True, 1.5, 1.5, hidden=True),
    )
    return Result(student, SECTION, "retry", "graded", "full", 0.1, **{"behaviours": behaviours, **more})


class TestVerdicts:
    def test_each_has_its_own(self, ten):
        """One run for everybody; exit code 0, because each has a verdict and is written."""
        _, done = ten
        assert done.code == 0 and without_pace(done.err) == ""
        rows = by_student(done.rows)
        assert {student: row["verdict"] for student, row in rows.items()} == {
            **VERDICTS,
            "absent": "missing",
            NO_ID: "unreadable",
        }

    def test_scores(self, ten):
        """Full marks with and without the check cells, something for half an answer, nothing for anything else."""
        rows = by_student(ten[1].rows)
        best = rows["solved"]["max_score"]
        assert rows["solved"]["score"] == rows["no_checks"]["score"] == best > 0
        assert 0 < rows["half"]["score"] < best
        assert {row["max_score"] for row in rows.values()} == {best}
        assert not any(rows[name]["score"] for name in {*rows} - {"solved", "no_checks", "half"})

    def test_rows(self, ten):
        """The fields that other tools rely on, and their order."""
        for row in ten[1].rows:
            assert list(row) == FIELDS
            assert all(list(one) == ["test", "passed", "points", "max_points", "message"] for one in row["behaviours"])
            assert row["score"] == sum(one["points"] for one in row["behaviours"])
            assert row["sandbox"] == ("" if row["verdict"] in ("unreadable", "missing") else row["sandbox"])
        assert by_student(ten[1].rows)["solved"]["sandbox"] in ("full", "landlock")

    @pytest.mark.parametrize(
        ("student", "said"),
        {
            "syntax": "SyntaxError",
            "endless": "still computing",
            "exits": "ended its own run",
            "not_json": "merge conflict",
            "old_format": "old notebook format",
            "absent": "no notebook",
            NO_ID: "UTF-8",
        }.items(),
    )
    def test_lines(self, ten, student, said):
        """The table says what happened, a line each."""
        (line,) = [line for line in ten[1].out.splitlines() if line.split()[:1] == [clean(student)]]
        assert said in line and len(line) <= 120

    def test_files(self, ten):
        """Copies and feedback where nbgrader looks, also where no notebook is; nothing for what is no id."""
        course, _ = ten
        for student in (*VERDICTS, "absent"):
            assert (course.autograded / student / SECTION / "retry.ipynb").is_file()
            page = (course.feedback / student / SECTION / "retry.html").read_text()
            assert "points" in page and "def test_" not in page
        assert not (course.feedback / NO_ID).exists() and not (course.autograded / NO_ID).exists()

    def test_gradebook(self, ten):
        """The same scores; what couldn't be read, or isn't there, waits for a person."""
        course, done = ten
        rows = by_student(done.rows)
        found = in_gradebook(course)
        assert {student: score for student, (score, _) in found.items()} == {
            student: row["score"] for student, row in rows.items() if student != NO_ID
        }
        assert {student for student, (_, look) in found.items() if look} == {"not_json", "old_format", "absent"}

    def test_repeated(self, whole, ten):
        """Grading everything anew gives the same results file, but for `seconds`."""
        done = run(whole, "--force")
        assert timeless(done.rows) == timeless(ten[1].rows)

    @pytest.mark.heavy
    @pytest.mark.timeout(1200)
    def test_repeated_ten_times(self, whole, ten):
        """Once with both cores busy."""
        for turn in range(10):
            with load(2 if turn == 9 else 0):
                assert timeless(run(whole, "--force").rows) == timeless(ten[1].rows)

    @pytest.mark.heavy
    @pytest.mark.timeout(900)
    def test_nbgrader_agrees(self, ten, tmp_path):
        """`nbgrader autograde` and `generate_feedback` leave the same scores in the gradebook as `autograder grade`."""
        course = copied(tmp_path / "course")
        hand_in(course)
        env = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        for command in (["autograder", "build"], ["nbgrader", "autograde"], ["nbgrader", "generate_feedback"]):
            done = subprocess.run([*command, SECTION], cwd=course.root, env=env, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
        stock, ours = in_gradebook(course), in_gradebook(ten[0])
        assert stock == {student: ours[student] for student in VERDICTS}
        for student in VERDICTS:
            assert (course.feedback / student / SECTION / "retry.html").is_file()


class TestAgain:
    def test_unchanged_isn_t_graded_again(self, again, ten, graded_now):
        """The rows are the same as before, seconds included."""
        done = run(again)
        assert graded_now == []
        assert done.rows == [row for row in ten[1].rows if row["student"] in VERDICTS]

    def test_changed_is(self, again, graded_now):
        """One submission, and nobody else's."""
        path = again.submitted / "half" / SECTION / "retry.ipynb"
        path.write_bytes(path.read_bytes() + b"\n")
        run(again)
        assert graded_now == ["half"]

    def test_another_seed_is(self, again, graded_now):
        """It may change results."""
        run(again, "--seed", "5", "--student", "half")
        assert graded_now == ["half"]

    def test_force(self, again, graded_now):
        """Everybody."""
        run(again, "--force")
        assert sorted(graded_now) == sorted(VERDICTS)

    @pytest.mark.parametrize("lost", ["gradebook.db", f"feedback/half/{SECTION}/retry.html"])
    def test_what_was_lost(self, again, graded_now, lost):
        """A gradebook or a page that is gone is written again, the very same, and nothing is graded for it."""
        before, rows = (again.root / lost).read_bytes(), in_gradebook(again)
        (again.root / lost).unlink()
        done = run(again)
        assert graded_now == [] and done.code == 0
        found = in_gradebook(again)
        assert {student: found[student] for student in VERDICTS} == {student: rows[student] for student in VERDICTS}
        assert lost == "gradebook.db" or (again.root / lost).read_bytes() == before
        assert "written again" in done.out

    def test_a_lost_copy(self, again, ten, graded_now):
        """It holds the pictures: without it the submission is graded again."""
        (again.autograded / "half" / SECTION / "retry.ipynb").unlink()
        done = run(again)
        assert graded_now == ["half"] and "1 was graded again: its graded copy is gone" in done.out

    def test_interrupted(self, again, graded_now, monkeypatch):
        """After four results: they are kept, and the next run does the rest; nothing lost, nothing twice."""
        grades = vars(classroom)["everything"]
        shutil.rmtree(again.build / "graded")

        def interrupted(*arguments: Any) -> Any:
            for number, one in enumerate(grades(*arguments)):
                if number == 4:
                    raise KeyboardInterrupt
                yield one

        with monkeypatch.context() as patch:
            patch.setattr(classroom, "everything", interrupted)
            done = run(again)
        assert done.code == 130 and done.err.count("\n") == 1 and "run the same command again" in done.err
        before = set(graded_now[:4])
        graded_now.clear()
        done = run(again)
        assert set(graded_now) == set(VERDICTS) - before and len(graded_now) == len(VERDICTS) - 4
        assert set(by_student(done.rows)) == set(VERDICTS)
        assert set(in_gradebook(again)) >= set(VERDICTS)


class TestProblems:
    def test_gradebook_in_use(self, again, graded_now, monkeypatch):
        """The results are shown and written to the file; one line says what to do, exit code 1."""

        def write(*arguments: Any) -> None:
            raise GradebookProblem("it is in use: close formgrader")

        monkeypatch.setattr(save, "write", write)
        done = run(again, "--force")
        assert done.code == 1 and done.err.count("\n") == 1 and "close formgrader" in done.err
        assert set(VERDICTS) <= set(by_student(done.rows)) and "half" in done.out

    @pytest.mark.parametrize("jobs", ["1", "2"])
    def test_no_sandbox(self, again, monkeypatch, jobs):
        """One line and exit code 2, also when a grading process finds out."""
        if jobs == "1":
            monkeypatch.setattr(grade, "start", no_sandbox)
        else:
            monkeypatch.setattr(pool, "_start_grading", no_sandbox_process)
        done = run(again, "--force", "--jobs", jobs)
        assert (done.code, done.err) == (2, "autograder: nothing locks here: do this\n")

    def test_json_in_no_folder(self, again, graded_now):
        """Found before anything is graded."""
        done = run(again, "--force", "--json", "nowhere/rows.json")
        assert done.code == 2 and "nowhere" in done.err and not graded_now

    @pytest.mark.parametrize("width", [80, 120])
    def test_table(self, monkeypatch, capsys, width):
        """A line each within the width; ids whole, words cut with an ellipsis, no control character."""
        monkeypatch.setattr(progress, "out", Console(highlight=False, width=width))
        long = plain_result("a-rather-long-id.2027", line="several words " * 30 + "\x1b[31m\nsecond")
        progress.show_table([Brief.of(long), Brief.of(plain_result("ada"))])
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 3 and all(len(line) <= width for line in lines)
        assert lines[1].startswith("a-rather-long-id.2027 ") and lines[1].rstrip().endswith("…")
        assert "One.: seen" in lines[2] and "\x1b" not in "".join(lines)


def no_sandbox(**options: Any) -> Box:
    raise SandboxUnavailable("nothing locks here: do this", [])


def no_sandbox_process(*arguments: Any) -> Any:
    raise SandboxUnavailable("nothing locks here: do this", [])


def dying_process(*arguments: Any) -> Any:
    def grade(given: pool.ToGrade) -> Result:
        if given[2] == "half":
            os._exit(9)
        return plain_result(given[2])

    return contextlib.nullcontext(grade)


class TestGrader:
    def test_a_worker_dies(self, ten, monkeypatch):
        """It costs the submission that it was at; another one takes the place."""
        course = ten[0]
        monkeypatch.setattr(pool, "_start_grading", dying_process)
        jobs = [Job(one, b"") for one in course.submissions(section=SECTION) if one.student in VERDICTS]
        found = {result.student: result for _, result in grade_class(course, jobs, Setting(jobs=2))}
        assert set(found) == set(VERDICTS)
        assert {name for name, result in found.items() if result.verdict != "graded"} == {"half"}
        assert found["half"].verdict == "unreadable" and "manual" in found["half"].line and found["half"].max_score

    def test_the_grader_fails(self, ten, monkeypatch):
        """Whatever happens in handling one submission is its own verdict; a person looks at it."""
        grader = Grader(ten[0])
        monkeypatch.setattr(grader, "_play", lambda *arguments: 1 / 0)
        result = grader.grade((ten[0].submitted / "half" / SECTION / "retry.ipynb").read_bytes(), section(ten[0]))
        grader.close()
        assert result.verdict == "unreadable" and "ZeroDivisionError" in result.line and "manual" in result.line

    def test_the_sandbox_dies(self, ten, monkeypatch):
        """Once: it is graded in another one. Twice: its own verdict."""
        grader, data = Grader(ten[0]), (ten[0].submitted / "half" / SECTION / "retry.ipynb").read_bytes()
        play, deaths = grader._play, [ZygoteDied("out of memory")]

        def dying(*arguments: Any) -> Any:
            if deaths:
                raise deaths.pop()
            return play(*arguments)

        monkeypatch.setattr(grader, "_play", dying)
        try:
            result = grader.grade(data, section(ten[0]))
            assert result.verdict == "graded", result.line
            deaths[:] = [ZygoteDied("out of memory")] * 2
            result = grader.grade(data, section(ten[0]))
        finally:
            grader.close()
        assert result.verdict == "crashed" and "out of memory" in result.line and result.score == 0

    def test_only_the_child_s_doing_is_counted(self, ten, monkeypatch):
        """The garbage collector's walk through the grader's memory isn't in the time that a child may cost."""
        receive, seen = Session.receive, []

        def watched(session: Session, data: bytes) -> bytes:
            seen.append(gc.isenabled())
            return receive(session, data)

        monkeypatch.setattr(Session, "receive", watched)
        grader = Grader(ten[0])
        try:
            grader.grade((ten[0].submitted / "half" / SECTION / "retry.ipynb").read_bytes(), section(ten[0]))
        finally:
            grader.close()
        assert set(seen) == {False} and gc.isenabled()

    def test_the_intended_run_has_the_same_numbers(self, ten):
        """Beside a submission's own run stands the solution's under its seed: the world answers both alike."""
        grader = Grader(ten[0])
        try:
            data = (ten[0].submitted / "half" / SECTION / "retry.ipynb").read_bytes()
            behaviours = grader.grade(data, section(ten[0])).behaviours
        finally:
            grader.close()
        pairs = [(one.timeline, one.intended) for one in behaviours if one.timeline and one.intended]
        firsts = [[run.of("ok", "error")[:1] for run in pair] for pair in pairs]
        assert pairs and any(own for own, _ in firsts)
        assert all(own == intended for own, intended in firsts)

    def test_each_meets_its_own_values(self, ten, monkeypatch):
        """Another answer, another seed in each scenario, the same each time; only fixed ones have one for everybody."""
        grader = Grader(ten[0])
        kit = grader.kit(section(ten[0]))
        monkeypatch.setattr(kit.scenarios["many"], "fixed", True)

        def seeds(student: str) -> dict[Played, int]:
            data = (ten[0].submitted / student / SECTION / "retry.ipynb").read_bytes()
            found = find_answer(read_cells(data), kit.released, "retry")
            return {one: grader._seed(kit, found, one) for one in kit.judge.scenarios}

        first, again, other = seeds("solved"), seeds("solved"), seeds("half")
        grader.close()
        fixed = {one for one in first if kit.scenarios[one.name].fixed}
        assert first == again and fixed and {one for one in first if first[one] == other[one]} == fixed
        assert len({*first.values(), *other.values()}) == 2 * len(first) - len(fixed)

    @pytest.mark.parametrize("luck", ["random.random()", "random.Random().random()", "time.time_ns() % 97 / 97"])
    def test_chance_at_module_level_repeats(self, ten, luck, tmp_path):
        """The same bytes get the same result, however often; the cells' chance is seeded as the scenarios' is."""
        text = f"import random, time\nLUCK = {luck}\n{SOLVED}".replace("max(rng.uniform", "LUCK + max(rng.uniform")
        data = write_submission(section(ten[0]), tmp_path, text).read_bytes()
        grader = Grader(ten[0])
        try:
            first, *others = ([b.message for b in grader.grade(data, section(ten[0])).behaviours] for _ in range(4))
        finally:
            grader.close()
        assert others == [first] * 3 and any(first)

    def test_an_answer_in_a_markdown_cell(self, ten, tmp_path):
        """Every behaviour says what has become of the cell, and none that a name may be misspelt."""
        path = write_submission(section(ten[0]), tmp_path, SOLVED)
        body = json.loads(path.read_bytes())
        for cell in body["cells"]:
            if cell["metadata"].get("nbgrader", {}).get("grade_id") == "retry":
                cell["cell_type"] = "markdown"
        grader = Grader(ten[0])
        try:
            result = grader.grade(json.dumps(body).encode(), section(ten[0]))
        finally:
            grader.close()
        said = "your answer's cell is a Markdown cell now: change it back to Code"
        assert result.score == 0 and result.line == said and result.notes == (said,)
        assert {behaviour.message for behaviour in result.behaviours} == {said}

    def test_one_secret(self, tmp_path):
        """Made once, readable by its owner alone."""
        course = Course(tmp_path)
        secret = grade.course_secret.__wrapped__(course)
        assert grade.course_secret.__wrapped__(course) == secret and len(secret) == 64
        assert (tmp_path / ".course-secret").stat().st_mode & 0o777 == 0o600
        assert [path.name for path in tmp_path.iterdir()] == [".course-secret"]

    def test_an_author_s_mistake(self, ten, tmp_path):
        """Broken tests or scenarios stop the grading with a line that names the section."""
        course = copied(tmp_path / "course")
        (course.section(SECTION).scenarios).write_text("def broken(:\n")
        with pytest.raises(UsageError, match=SECTION):
            Grader(course).kit(course.section(SECTION))


def section(course: Course) -> Any:
    return course.section(SECTION)


def test_however_it_is_named(tmp_path):
    """The whole command: notes and needs reach the rows and the gradebook, and go when the names are put right."""
    course = copied(tmp_path / "course")
    for student in ("download", "ada lovelace", "two"):
        write_submission(course.section(SECTION), course.submitted / student / SECTION, SOLVED)
    path = course.submitted / "download" / SECTION / "retry.ipynb"
    path.rename(path.with_name("retry (1).ipynb"))
    two = course.submitted / "two" / SECTION
    (two / "retry.ipynb").rename(two / "retry-Copy1.ipynb")
    (two / "retry-Copy2.ipynb").write_bytes((two / "retry-Copy1.ipynb").read_bytes() + b"\n")
    (course.submitted / "absent" / SECTION).mkdir(parents=True)
    rows = by_student(run(course).rows)
    best = rows["ada lovelace"]["max_score"]
    assert {student: row["score"] for student, row in rows.items()} == dict.fromkeys(rows, best) | {"absent": 0}
    assert rows["download"]["notes"] == ["there is no retry.ipynb in the folder: `retry (1).ipynb` was graded"]
    assert {student for student, row in rows.items() if row["needs"]} == {"two", "absent"}
    assert {student for student, (_, look) in in_gradebook(course).items() if look} == {"two", "absent"}
    (two / "retry-Copy2.ipynb").rename(two / "retry.ipynb")
    path.with_name("retry (1).ipynb").rename(path)
    rows = by_student(run(course).rows)
    assert rows["download"]["notes"] == [] and rows["two"]["needs"] is None
    assert {student for student, (_, look) in in_gradebook(course).items() if look} == {"absent"}
