"""The bundled class: small, and of every kind that a real one has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from autograder.course import Course
from autograder.grading.demo import REAL_LIFE, SHOWN, demo_answers, make_class

ROOT = Path(__file__).resolve().parents[3]


def test_every_kind_is_in_it(pristine: Course) -> None:
    """Right answers, mistakes, an untouched notebook, code that doesn't compile, doesn't end, ends the process."""
    students = dict(demo_answers(pristine.section("90_sample")))
    assert {"some_untouched", "some_syntax_error", "some_endless_loop", "some_exits", "wrong_minus"} <= set(students)
    assert students["some_untouched"] is None


def test_it_stays_small(tmp_path: Path, pristine: Course) -> None:
    """However many mistakes a section knows."""
    section = pristine.section("90_sample")
    course = Course(tmp_path)
    for name in ("solutions", "notebooks"):
        (tmp_path / name).mkdir()
        (tmp_path / name / section.name).symlink_to(pristine.root / name / section.name)
    many = tmp_path / "solutions" / "91_many"
    (many / "wrong").mkdir(parents=True)
    (many / "many.py").write_text('# %% exercise="many"\n')
    for number in range(40):
        (many / "wrong" / f"m{number:02}.py").write_text("pass\n")
    found = [student for student, _ in demo_answers(course.section("91_many")) if student.startswith("wrong_")]
    assert len(found) == SHOWN["wrong"]
    assert found[0] == "wrong_m00"
    assert found[-1] > "wrong_m30"


def test_the_submissions_lie_where_grading_looks(tmp_path: Path, pristine: Course) -> None:
    """One folder for each student, made anew."""
    folder = make_class(pristine, tmp_path / "submitted")
    found = list(pristine.submissions(folder))
    assert len(found) == len(list(demo_answers(pristine.section("90_sample"))))
    assert {f"some_{name}" for name in REAL_LIFE} <= {submission.student for submission in found}


@pytest.mark.heavy
@pytest.mark.timeout(1800)
def test_graded_twice_it_is_the_same() -> None:
    """A sample of all answers, every result to the byte but for the seconds; the command does it with all of them."""
    command = [sys.executable, str(ROOT / "benchmarks" / "regrade.py"), "--times", "2", "--load", "4"]
    command += ["--sample", "150"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2" in done.stdout
