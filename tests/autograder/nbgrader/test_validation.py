"""Nothing that was handed in runs without the sandbox; one's own notebook is validated, and says what is missing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from autograder.course import Course, unprotected_problem
from autograder.errors import UsageError
from autograder.grading.demo import write_submission
from autograder.learner.checking import check, judge_answer
from autograder.learner.local import check_file
from autograder.learner.nearby import nearby
from autograder.learner.own import own_answer
from tests.autograder.conftest import SECTION

RIGHT = "def add(a, b):\n    return a + b\n"
HALF = "def add(a, b):\n    return 0\n"
ADVICE = f"autograder grade --student ada --section {SECTION}"


def as_student(course: Course, folder: Path, answer: str | None = RIGHT, marker: Path | None = None) -> Path:
    """The section's files with this answer; a cell of the notebook writes the marker, if it is ever run."""
    shutil.copytree(course.notebooks / SECTION, folder, dirs_exist_ok=True)
    path = write_submission(course.section(SECTION), folder, answer)
    if marker is not None:
        body = json.loads(path.read_bytes())
        body["cells"][1]["source"] = f"open({str(marker)!r}, 'w').close()\n{body['cells'][1]['source']}"
        path.write_text(json.dumps(body))
    return path


@pytest.fixture
def submission(course: Course) -> Path:
    return as_student(course, course.submitted / "ada" / SECTION, marker=course.root / "ran")


def through_the_file(path: Path, root: Path) -> Path:
    (root / "mine").mkdir()
    (root / "mine" / path.name).symlink_to(path)
    return root / "mine" / path.name


def through_its_folder(path: Path, root: Path) -> Path:
    (root / "linked").symlink_to(path.parent)
    return root / "linked" / path.name


def through_the_course(path: Path, root: Path) -> Path:
    (root / "course2").symlink_to(root / "course")
    return root / "course2" / path.relative_to(root / "course")


def around(path: Path, root: Path) -> Path:
    return root / "course" / "notebooks" / ".." / path.relative_to(root / "course")


WAYS: list[Callable[[Path, Path], Path]] = [
    lambda path, root: path,
    through_the_file,
    through_its_folder,
    through_the_course,
    around,
    lambda path, root: Path(os.path.relpath(path)),
]


class TestRefused:
    @pytest.mark.parametrize("way", WAYS, ids=["plain", "file", "folder", "course", "around", "relative"])
    def test_autograder_check(self, course: Course, submission: Path, tmp_path: Path, way) -> None:
        """However it is named; the line says what to do instead."""
        with pytest.raises(UsageError, match=ADVICE):
            check_file(way(submission, tmp_path))
        assert not (course.root / "ran").exists()

    def test_the_notebook_s_check(self, submission: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where a submission is opened in Jupyter: no points, and the line; a test beside it isn't loaded."""
        (submission.parent / "test_sample.py").write_text("raise SystemExit")
        monkeypatch.chdir(submission.parent)
        found = check("sample")
        assert repr(found) == "0" and ADVICE in found.result.line and "autograder grade" in found._repr_html_()

    def test_a_configuration_of_the_student_s(self, submission: Path) -> None:
        """Makes no course of its own out of the folder."""
        (submission.parent / "nbgrader_config.py").write_text("# autograder.")
        assert ADVICE in unprotected_problem(submission)

    def test_a_copy_that_was_graded(self, course: Course, submission: Path) -> None:
        """It holds the same code."""
        copy = course.autograded / "ada" / SECTION / "sample.ipynb"
        copy.parent.mkdir(parents=True)
        shutil.copy(submission, copy)
        with pytest.raises(UsageError, match=ADVICE):
            check_file(copy)

    def test_bare_pytest_and_other_notebooks_answers(self, submission: Path) -> None:
        """Neither `pytest --submission` nor a later section's notebook runs it."""
        with pytest.raises(UsageError, match=ADVICE):
            nearby(submission.parent / "test_sample.py", None)
        with pytest.raises(UsageError, match=ADVICE):
            nearby(submission.parents[3] / "notebooks" / SECTION / "test_sample.py", str(submission))
        own = own_answer("sample", submission.parents[1] / "other")
        assert own.names is None and "autograder grade" in own.line

    @pytest.mark.parametrize(
        ("student", "said"),
        {
            "o'neill": """`autograder grade --student 'o'"'"'neill' --section """,
            "ada lovelace": "`autograder grade --student 'ada lovelace' --section ",
            "a\x1b[31m": "`autograder grade`",
        }.items(),
    )
    def test_ids_in_the_command(self, course: Course, student: str, said: str) -> None:
        """Quoted as a shell needs them; left out when they can't be typed."""
        problem = unprotected_problem(course.submitted / student / SECTION)
        assert said in problem and problem.isprintable()

    def test_a_learner_s_own(self, course: Course, tmp_path: Path) -> None:
        """Is checked as ever: in the course's `work/`, elsewhere, and in a folder that is only called like that."""
        for folder in (course.root / "work" / SECTION, tmp_path / "submitted" / "ada" / SECTION):
            path = as_student(course, folder)
            assert check_file(path)["score"] == 2.5 and unprotected_problem(path) == ""
        assert (
            repr(judge_answer("sample", {"add": lambda a, b: a + b}, tmp_path / "submitted" / "ada" / SECTION)) == "2.5"
        )


class TestSaid:
    def said(self, capsys: pytest.CaptureFixture[str], folder: Path, add: object) -> str:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            patch.setenv("NBGRADER_VALIDATING", "1")
            eval("check('sample')", {"check": check, "add": add})
        captured = capsys.readouterr()
        assert captured.out == ""
        return captured.err

    def test_what_is_missing(self, course: Course, tmp_path: Path, capsys) -> None:
        """Each behaviour that isn't there yet and what was seen, in lines that `nbgrader validate` doesn't cut."""
        folder = as_student(course, tmp_path / "x" / SECTION).parent
        said = self.said(capsys, folder, lambda a, b: 0)
        assert said == "1 of 2.5 points; not there yet:\n- Adds small numbers.\n  seen: another sum"

    def test_nothing_is_missing(self, course: Course, tmp_path: Path, capsys) -> None:
        """Nothing is written: nbgrader treats any word there as a failure."""
        folder = as_student(course, tmp_path / "x" / SECTION).parent
        assert self.said(capsys, folder, lambda a, b: a + b) == ""

    def test_no_tests(self, tmp_path: Path, capsys) -> None:
        """The line that says so."""
        assert "tests of 'sample' aren't beside the notebook" in " ".join(self.said(capsys, tmp_path, None).split())


@pytest.mark.heavy
@pytest.mark.timeout(300)
class TestNbgrader:
    def validate(self, path: Path | str, cwd: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "nbgrader", "validate", str(path)]
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)

    @pytest.mark.parametrize("way", WAYS[:-1], ids=["plain", "file", "folder", "course", "around"])
    def test_a_submission_is_refused(self, course: Course, submission: Path, tmp_path: Path, way) -> None:
        """In one line, from the course's root; no cell is run."""
        done = self.validate(way(submission, tmp_path), course.root)
        assert done.returncode == 1 and ADVICE in done.stderr.splitlines()[-1] and not done.stdout
        assert "Traceback" not in done.stderr and not (course.root / "ran").exists()

    def test_from_its_own_folder(self, course: Course, submission: Path) -> None:
        """Where nbgrader doesn't find the course's configuration."""
        done = self.validate("sample.ipynb", submission.parent)
        assert done.returncode == 1 and ADVICE in done.stderr and not (course.root / "ran").exists()

    def test_the_validate_button(self, course: Course, submission: Path) -> None:
        """JupyterLab's goes the same way: it shows the line, and runs nothing."""
        code = (
            "import sys; from types import SimpleNamespace as N; from pathlib import Path\n"
            "from nbgrader.server_extensions.validate_assignment.handlers import ValidateAssignmentHandler as H\n"
            "import logging; me = N(root_dir=sys.argv[1], log=logging.getLogger())\n"
            "me.load_config = lambda: H.load_config(me)\n"
            "print(H.validate_notebook(me, sys.argv[2]))"
        )
        for path, said in (
            (submission, ADVICE),
            (as_student(course, course.root / "work" / SECTION, HALF), "not there"),
        ):
            command = [sys.executable, "-c", code, str(course.root), str(path.relative_to(course.root))]
            done = subprocess.run(command, cwd=course.root, capture_output=True, text=True, check=True)
            assert said in done.stdout, done.stdout + done.stderr
        assert not (course.root / "ran").exists()

    @pytest.mark.parametrize(
        ("answer", "said"), [(RIGHT, "Success! Your notebook passes all the tests."), (HALF, "- Adds small numbers.")]
    )
    def test_one_s_own_is_validated(self, course: Course, answer: str, said: str) -> None:
        """And says which behaviours aren't there yet."""
        path = as_student(course, course.root / "work" / SECTION, answer)
        done = self.validate(path, course.root)
        assert done.returncode == 0 and said in done.stdout, done.stdout + done.stderr
        assert "Partial credit" not in done.stdout
