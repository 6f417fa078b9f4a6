"""A course of one tiny section (and one without an exercise), written out so that tests can be read against it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from autograder.course import CHECKS, Course

ROOT = Path(__file__).resolve().parents[2]
SECTION = "90_sample"

NOTEBOOK = '''\
# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %% [markdown]
# # A sample
# `add(a, b)` returns the sum of two numbers.
# <details><summary>Hint 1</summary>Add them.</details>
# <details><summary>Hint 2</summary>With a plus.</details>
# <details><summary>Hint 3</summary>Return it.</details>

# %% tags=["plumbing"] jupyter={"source_hidden": true}
from autograder import check

# %%
def lecture_add(a, b):
    return a - b


# %% exercise="sample"
def add(a, b):
    """The sum."""
    ### BEGIN SOLUTION
    total = a
    total = total + b
    return total
    ### END SOLUTION


# %% [markdown]
# Afterwards.
'''

TESTS = '''\
import pytest


@pytest.mark.points(1.5)
@pytest.mark.scenario("sums", a=1, b=2)
def test_small(run):
    """Adds small numbers."""
    assert run.marks("result")[0].value.get("value") == 3, "another sum"


@pytest.mark.points(1)
@pytest.mark.scenario("sums", a=-1, b=1)
def test_zero(run):
    """Adds up to zero."""
    assert run.marks("result")[0].value.get("value") == 0, "another sum"
'''

HIDDEN = '''\
import pytest

LIARS = 3


@pytest.mark.points(0.5)
@pytest.mark.scenario("sums", a=1111, b=2222)
def test_small(run):
    """Adds small numbers, kept back."""
    assert run.marks("result")[0].value.get("value") == 3333, "a secret expectation"
'''

SCENARIOS = """\
from faultlab.scenario import scenario


@scenario(group="main")
def sums(world, a, b):
    return {"a": a, "b": b}


@sums.driver
async def _(lab, a, b):
    await lab.outcome("result", lab.answer("add"), a, b)
"""

RIGHT = {
    "lambda": "add = lambda a, b: a + b\n",
    "minus_minus": "def add(a, b):\n    return a - -b\n",
    "summed": "def add(*numbers):\n    return sum(numbers)\n",
}


def make_course(root: Path) -> Course:
    """A fresh course below `root`, with this project's nbgrader configuration."""
    root.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "nbgrader_config.py", root)
    course = Course(root.resolve())
    folder = course.solutions / SECTION
    (folder / "hidden").mkdir(parents=True)
    (folder / "wrong").mkdir()
    (folder / "right").mkdir()
    (folder / "assets").mkdir()
    (folder / "sample.py").write_text(NOTEBOOK)
    (folder / "test_sample.py").write_text(TESTS)
    (folder / "hidden" / "test_sample.py").write_text(HIDDEN)
    (folder / "wrong" / "minus.py").write_text("# Subtracts.\n# fails: small\nreturn a - b\n")
    for name, text in RIGHT.items():
        (folder / "right" / f"{name}.py").write_text(text)
    (folder / "contract.toml").write_text("small = 2\nzero = 1\n")
    (folder / "teaching.md").write_text("# A sample\n")
    (folder / "scenarios.py").write_text(SCENARIOS)
    (folder / "assets" / "picture.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>\n")
    plain = course.solutions / "91_plain"
    plain.mkdir()
    (plain / "plain.py").write_text("# %% [markdown]\n# Nothing to do here.\n")
    (plain / "teaching.md").write_text("# Plain\n")
    return course


def lay_out_as_before(folder: Path) -> None:
    """Make of a section's released folder one that an earlier version built: all files beside the notebook."""
    for path in (folder / CHECKS).iterdir():
        path.rename(folder / path.name)
    (folder / CHECKS).rmdir()


@pytest.fixture(scope="session")
def new_course() -> Callable[[Path], Course]:
    """Makes a fresh sample course in a folder."""
    return make_course


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Course:
    """A sample course that was built; tests only read it."""
    from autograder.authoring import build

    course = make_course(tmp_path_factory.mktemp("pristine") / "course")
    assert build.build(course) == []
    return course


@pytest.fixture
def course(tmp_path: Path, pristine: Course) -> Course:
    """A copy of the built course, to change."""
    return Course(Path(shutil.copytree(pristine.root, tmp_path.resolve() / "course")))
