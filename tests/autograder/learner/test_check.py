"""The student's loop: it judges, explains, and never gets in the way."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autograder.course import CHECKS, Course
from autograder.grading.demo import write_submission
from autograder.learner.checking import check, judge_answer
from faultlab import scenario as scenario_module
from faultlab.clock import uninstall
from tests.autograder.conftest import SECTION, lay_out_as_before


def right(a, b):
    return a + b


@pytest.fixture
def beside(course: Course, tmp_path: Path) -> Path:
    """The files of the section as a student has them, outside any course."""
    return Path(shutil.copytree(course.notebooks / SECTION, tmp_path / "mine" / SECTION))


@pytest.fixture(params=["one data folder", "as before"])
def either(beside: Path, request: pytest.FixtureRequest) -> Path:
    """The same, and as an earlier version laid it out."""
    if request.param == "as before":
        lay_out_as_before(beside)
    return beside


class TestCheck:
    def test_outside_a_course(self, either, monkeypatch):
        """With the section's files, wherever they lie; as plain text it is the score, so that nbgrader reads partial
        credit."""
        monkeypatch.chdir(either)
        namespace = {"check": check, "add": right}
        found = eval("check('sample')", namespace)
        assert repr(found) == "2.5" and "every behaviour was seen" in found._repr_html_()
        assert [b.test for b in found.result.behaviours] == ["small", "zero"]
        assert found.result.section == SECTION

    def test_a_clock_that_was_bound_before(self, beside, monkeypatch, capsys):
        """A name that was bound to a real clock is named above the table, whatever the answer earns."""
        monkeypatch.chdir(beside)
        uninstall()
        namespace = {"check": check, "add": right, "monotonic": time.monotonic}
        eval("check('sample')", namespace)
        assert capsys.readouterr().out.startswith("monotonic was bound before the set-up cell ran")

    def test_partial_credit(self, beside):
        """What passes counts; what doesn't is explained."""
        found = judge_answer("sample", {"add": lambda a, b: 0}, beside)
        assert repr(found) == "1" and found.result.behaviours[0].message == "another sum"

    def test_nothing_written(self, beside):
        """No name, no points, and a line that says what is missing."""
        found = judge_answer("sample", {}, beside)
        assert repr(found) == "0" and "defines no `add`" in found.result.behaviours[0].message

    def test_hidden(self, course, beside):
        """Where the hidden tests are they are judged; elsewhere a line says where they are."""
        folder = course.section(SECTION).folder
        assert repr(judge_answer("sample", {"add": right}, folder, hidden=True)) == "0.5"
        found = judge_answer("sample", {"add": right}, beside, hidden=True)
        assert repr(found) == "0" and "instructor" in found.result.line

    @pytest.mark.parametrize("step", ["none", 7])
    def test_unknown_step(self, beside, step):
        """It says which there are."""
        found = judge_answer("sample", {"add": right}, beside, step=step)
        assert repr(found) == "0" and "there is no step" in found.result.line

    @pytest.mark.parametrize("change", ["scenarios", "tests", "intended", "gone", "other"])
    def test_never_raises(self, beside, change, capfd):
        """Whatever became of the files beside the notebook; nor does it write to stderr."""
        if change == "scenarios":
            (beside / CHECKS / "scenarios.py").write_text("def broken(:")
        elif change == "tests":
            (beside / CHECKS / "test_sample.py").write_text("1 / 0")
        elif change == "intended":
            (beside / CHECKS / "intended.json").write_text("{")
        elif change == "gone":
            (beside / CHECKS / "scenarios.py").unlink()
        found = judge_answer("other" if change == "other" else "sample", {"add": right}, beside)
        assert repr(found) == "0" and found.result.line and "\n" not in found.result.line
        assert capfd.readouterr().err == ""

    def test_an_answer_without_an_end(self, beside, monkeypatch):
        """It is stopped by its CPU time, and after two the rest isn't played."""
        monkeypatch.setattr(scenario_module, "CPU_SECONDS", 0.2)

        def add(a, b):
            while True:
                pass

        found = judge_answer("sample", {"add": add}, beside)
        assert repr(found) == "0" and "still computing" in found.result.behaviours[0].message

    def test_slips_are_named(self, beside, capfd):
        """A forgotten await and a blocking sleep; no warning reaches the page."""

        async def later():
            return 3

        def forgets(a, b):
            later()  # type: ignore[unused-coroutine]
            return 7

        def blocks(a, b):
            import time

            time.sleep(2)
            return 7

        assert "never awaited" in judge_answer("sample", {"add": forgets}, beside).result.behaviours[0].message
        assert "time.sleep" in judge_answer("sample", {"add": blocks}, beside).result.behaviours[0].message
        assert capfd.readouterr() == ("", "")


class TestBarePytest:
    """`pytest` on a section's test file."""

    def run(self, path: Path, *more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(path), *more]
        return subprocess.run(command, cwd=path if path.is_dir() else path.parent, capture_output=True, text=True)

    def test_the_solution_or_a_submission(self, course, beside):
        """Under solutions/ it judges the solution; `--submission` names a text of the answer's cell, or a notebook."""
        folder = course.section(SECTION).folder
        done = self.run(folder / "test_sample.py")
        assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout
        wrong = self.run(folder / "test_sample.py", "--submission", str(folder / "wrong" / "minus.py"))
        assert wrong.returncode == 1 and "failed" in wrong.stdout
        stub = self.run(folder / "test_sample.py", "--submission", str(beside / "sample.ipynb"))
        assert stub.returncode == 1 and "2 failed" in stub.stdout

    def test_in_a_student_s_folder(self, course, either):
        """It finds the tests in the data folder, or beside the notebook, and judges the notebook."""
        assert "2 failed" in self.run(either).stdout
        write_submission(course.section(SECTION), either, "add = lambda a, b: a + b\n")
        assert "2 passed" in self.run(either).stdout
