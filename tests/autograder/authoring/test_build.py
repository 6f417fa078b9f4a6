"""Sources -> notebooks: the same bytes each time, nothing that students mustn't see, no work overwritten."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autograder.authoring import build
from autograder.authoring.rule import Rules
from autograder.authoring.rules import RULES
from autograder.authoring.trials import right_answers
from autograder.course import Course, Section
from autograder.errors import NothingHandedIn, UsageError
from autograder.notebook.handin import open_submission
from autograder.notebook.source import source_notebook
from autograder.processes import Tell
from tests.autograder.conftest import lay_out_as_before

SECTION = "90_sample"
NewCourse = Callable[[Path], Course]


def cells(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text())["cells"]
    return found


def released(course: Course) -> Path:
    return course.notebooks / SECTION / "sample.ipynb"


def _break_a_test(folder: Path) -> None:
    """Of a mistake that runs, the test raises an error of its own."""
    seen = 'run.marks("result")[0].value.get("value")'
    edit(folder / "wrong" / "minus.py", "return a", "def add(a, b):\n    return a")
    edit(folder / "test_sample.py", f"{seen} == 3", f"{{3: True}}[{seen}]")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def full_marks(section: Section, tell: Tell) -> list[str]:
    tell(f"{section.name} was looked at")
    return [f"{section.name}: the solution gets 2 of 3 points"]


def source(course: Course) -> Path:
    return course.solutions / SECTION / "sample.py"


class TestBuild:
    def test_students_get_their_files_and_nothing_else(self, pristine: Course) -> None:
        """Release and nbgrader's source hold the notebook, what a check reads in one folder beside it, and assets."""
        expected = [
            "assets/picture.svg",
            "checks/intended.json",
            "checks/mistakes.json",
            "checks/scenarios.py",
            "checks/test_sample.py",
            "sample.ipynb",
        ]
        for folder in (pristine.notebooks / SECTION, pristine.source / SECTION):
            found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
            assert found == expected

    def test_files_of_the_old_layout_go(self, course: Course) -> None:
        """What an earlier version built beside the notebook moves into `checks/`; nothing is judged anew for it, and
        a teacher's own file stays and is named."""
        folder = course.notebooks / SECTION
        lay_out_as_before(folder)
        (folder / "notes.txt").write_text("mine")
        told: list[str] = []
        assert build.build(course, [SECTION], tell=told.append) == [
            f"notebooks/{SECTION}/notes.txt: not built from solutions/{SECTION}; move it away or delete it"
        ]
        assert not any("judging" in line for line in told)
        assert sorted(path.name for path in folder.iterdir()) == ["assets", "checks", "notes.txt", "sample.ipynb"]

    def test_no_solution_and_no_hidden_test_leaves(self, pristine: Course) -> None:
        """Not a line of the solution and of the hidden tests is in the release."""
        text = "".join(path.read_text() for path in (pristine.notebooks / SECTION).rglob("*") if path.is_file())
        for secret in ("total = total + b", "SOLUTION", "HIDDEN TESTS", "a secret expectation", "hidden=True"):
            assert secret not in text

    def test_graded_cells_follow_the_students_cell(self, pristine: Course) -> None:
        """Two locked cells, worth what the visible and the hidden tests' marks say."""
        marked = [cell for cell in cells(pristine.source / SECTION / "sample.ipynb") if "nbgrader" in cell["metadata"]]
        marks = [cell["metadata"]["nbgrader"] for cell in marked]
        assert [(mark["grade_id"], mark["grade"], mark["locked"], mark.get("points")) for mark in marks] == [
            ("sample", False, False, None),
            ("sample_score", True, True, 2.5),
            ("sample_hidden", True, True, 0.5),
        ]
        assert "".join(marked[1]["source"]) == 'check("sample")'
        assert 'check("sample", hidden=True)' in "".join(marked[2]["source"])

    def test_the_stub_runs(self, pristine: Course) -> None:
        """An untouched notebook survives Run All: its stub is Python that raises nothing."""
        stub = next("".join(cell["source"]) for cell in cells(released(pristine)) if cell["id"] == "sample")
        names: dict[str, Any] = {}
        exec(stub, names)
        assert names["add"](1, 2) is None
        assert "your code here" in stub

    def test_metadata_is_only_ours(self, pristine: Course) -> None:
        """Tags and folded cells are kept; jupytext's own marks aren't."""
        plumbing = next(cell for cell in cells(released(pristine)) if "tags" in cell["metadata"])
        assert plumbing["metadata"] == {"jupyter": {"source_hidden": True}, "tags": ["plumbing"]}
        assert all("lines_to_next_cell" not in cell["metadata"] for cell in cells(released(pristine)))

    def test_building_again_gives_the_same_bytes(self, course: Course) -> None:
        """A second build changes nothing."""
        files = [path for path in course.notebooks.rglob("*") if path.is_file()]
        before = {path: path.read_bytes() for path in files}
        assert build.build(course) == []
        assert {path: path.read_bytes() for path in files} == before

    def test_ids_depend_on_what_a_cell_says(self, course: Course) -> None:
        """A new cell leaves the ids of the others as they are; equal cells get different ones."""
        before = [cell["id"] for cell in source_notebook(course.section(SECTION)).cells]
        edit(source(course), "# %% [markdown]\n# Afterwards.", "# %% [markdown]\n# New.\n\n# %% [markdown]\n# New.\n")
        after = [cell["id"] for cell in source_notebook(course.section(SECTION)).cells]
        assert after[: len(before) - 2] == before[:-2]  # all but the last cell and the links under it
        assert len(set(after)) == len(after)

    def test_a_section_without_exercise_is_fine(self, pristine: Course) -> None:
        """Its notebook is built and has no graded cell."""
        kinds = {cell["cell_type"] for cell in cells(pristine.notebooks / "91_plain" / "plain.ipynb")}
        assert kinds == {"markdown"}
        assert pristine.section("91_plain").exercise is None

    def test_the_gradebook_knows_the_assignment(self, pristine: Course) -> None:
        """Stock nbgrader finds assignment, notebook and points."""
        from nbgrader.api import Gradebook

        with Gradebook(f"sqlite:///{pristine.gradebook}", "resilience") as gradebook:
            assert gradebook.find_assignment(SECTION).max_score == 3.0
            assert gradebook.find_notebook("sample", SECTION).max_score == 3.0

    def test_leftovers_in_nbgraders_source_are_removed(self, course: Course) -> None:
        """What lies in the source folder would be handed out."""
        leftover = course.source / SECTION / "sample.py"
        leftover.write_text("total = total + b")
        build.build(course, [SECTION])
        assert not leftover.exists()

    @pytest.mark.heavy
    def test_stock_nbgrader_makes_the_same_release(self, course: Course) -> None:
        """`nbgrader generate_assignment` gives the very files that the build gives."""
        files = [path for path in (course.notebooks / SECTION).rglob("*") if path.is_file()]
        before = {path: path.read_bytes() for path in files}
        command = [sys.executable, "-m", "nbgrader", "generate_assignment", SECTION, "--force"]
        subprocess.run(command, cwd=course.root, check=True, capture_output=True)
        assert {path: path.read_bytes() for path in files} == before


class TestNobodysWorkIsOverwritten:
    def work(self, course: Course) -> bytes:
        body = json.loads(released(course).read_text())
        next(cell for cell in body["cells"] if cell["id"] == "sample")["source"] = "def add(a, b): return a + b"
        released(course).write_text(json.dumps(body))
        return released(course).read_bytes()

    def test_a_notebook_somebody_worked_in_stays(self, course: Course) -> None:
        """The build says so and what to run, and leaves the file."""
        work = self.work(course)
        (problem,) = build.build(course, [SECTION])
        assert "worked in it" in problem and problem.endswith(f"autograder build {SECTION} --force")
        assert released(course).read_bytes() == work

    def test_force_replaces_it(self, course: Course) -> None:
        """With --force the release is written again."""
        before = released(course).read_bytes()
        self.work(course)
        assert build.build(course, [SECTION], force=True) == []
        assert released(course).read_bytes() == before

    def test_a_new_version_of_an_untouched_release_is_written(self, course: Course) -> None:
        """Authors may change the stub, too."""
        edit(source(course), '"""The sum."""', '"""The sum of two."""')
        assert build.build(course, [SECTION]) == []
        assert "The sum of two" in released(course).read_text()


class TestCheck:
    def problems(self, course: Course) -> list[str]:
        return build.build(course, [SECTION], check=True)

    def test_all_is_well(self, pristine: Course) -> None:
        """A fresh build has no problems, and checking leaves everything as it is."""
        before = {path: path.stat().st_mtime_ns for path in pristine.root.rglob("*") if "pycache" not in str(path)}
        assert build.build(pristine, check=True) == []
        assert {p: p.stat().st_mtime_ns for p in pristine.root.rglob("*") if "pycache" not in str(p)} == before

    def test_touches_neither_source_nor_gradebook(self, tmp_path: Path, new_course: NewCourse) -> None:
        """`--check` on a fresh clone builds nothing."""
        course = new_course(tmp_path / "fresh")
        build.build(course, check=True)
        assert not course.build.exists() and not course.gradebook.exists() and not course.notebooks.exists()

    @pytest.mark.parametrize(
        ("spoil", "said"),
        [
            (lambda c: edit(source(c), "# Afterwards.", "# After that."), "not what its source says; run: autograder"),
            (
                lambda c: (c.notebooks / SECTION / "checks" / "test_sample.py").unlink(),
                "not built yet; run: autograder build",
            ),
            (lambda c: (c.notebooks / SECTION / "notes.txt").write_text("mine"), "notes.txt: not built from"),
            (lambda c: edit(source(c), "lecture_add", "add"), "binds add, the exercise's name"),
            (
                lambda c: edit(source(c), "def lecture_add(a, b):\n    return a - b", "if True:\n    add = 1"),
                "binds add, the exercise's",
            ),
            (lambda c: edit(source(c), "from autograder import check", "from operator import add"), "binds add, the"),
            (
                lambda c: edit(source(c), "# %%\ndef lecture", "# %%\n### BEGIN SOLUTION\ndef lecture"),
                "isn't the exercise",
            ),
            (lambda c: edit(source(c), "### BEGIN SOLUTION", "# here"), "needs its solution between"),
            (lambda c: edit(c.section(SECTION).tests, "(1.5)", "(POINTS)"), "must be a number written out"),
            (lambda c: edit(c.section(SECTION).tests, "@pytest.mark.points(1)\n", ""), "test_zero says no points"),
            (lambda c: c.section(SECTION).hidden.unlink(), "has visible and hidden tests"),
        ],
    )
    def test_what_is_wrong_is_named(self, course: Course, spoil: Callable[[Course], object], said: str) -> None:
        """One clear line for each thing that can go wrong."""
        spoil(course)
        problems = self.problems(course)
        assert any(said in problem for problem in problems), problems
        assert all("\n" not in problem for problem in problems)

    def test_a_toolkit_cell_may_give_the_name(self, course: Course) -> None:
        """Cells marked as toolkit are what the contract gives."""
        edit(source(course), "# %%\ndef lecture_add", '# %% toolkit="true"\ndef add')
        assert build.build(course, [SECTION]) == []

    def test_a_leaked_solution_is_found(self, course: Course) -> None:
        """In another file, and in an output of the notebook."""
        (course.solutions / SECTION / "assets" / "notes.md").write_text(
            "    total = a\n    total = total + b\n  return total"
        )
        assert any("notes.md: holds the solution" in problem for problem in build.build(course, [SECTION]))
        (course.solutions / SECTION / "assets" / "notes.md").unlink()
        body = json.loads(released(course).read_text())
        text = ["total = a\n", "total = total + b\n", "return total"]
        body["cells"][1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": text}]
        released(course).write_text(json.dumps(body))
        assert any("sample.ipynb: holds the solution" in problem for problem in self.problems(course))

    def test_a_leaked_hidden_test_is_found(self, course: Course) -> None:
        """Also when somebody put its text into the scenarios."""
        scenarios = course.solutions / SECTION / "scenarios.py"
        scenarios.write_text(scenarios.read_text() + course.section(SECTION).hidden.read_text())
        assert any("scenarios.py: holds a hidden test" in problem for problem in build.build(course, [SECTION]))

    def test_shared_ids_are_found(self, course: Course) -> None:
        """Two cells with one id, whoever wrote them."""
        body = json.loads(released(course).read_text())
        body["cells"][1]["id"] = body["cells"][0]["id"]
        released(course).write_text(json.dumps(body))
        assert any("two cells share the id" in problem for problem in self.problems(course))

    def test_a_section_that_is_gone_is_named(self, course: Course) -> None:
        """What is left of it in notebooks/ is a problem."""
        (course.notebooks / "99_old").mkdir()
        assert any("notebooks/99_old" in problem for problem in build.build(course, check=True))

    def test_rules_of_answers_are_asked(self, pristine: Course) -> None:
        """By the author who checks, with their own words."""

        told: list[str] = []
        rules = Rules(answers=[full_marks])
        found = build.build(pristine, [SECTION], check=True, rules=rules, tell=told.append)
        assert found == [f"{SECTION}: the solution gets 2 of 3 points"]
        assert f"{SECTION} was looked at" in told

    def test_side_by_side(self, course: Course) -> None:
        """Sections that are checked in processes of their own: the same is said, in the same order."""
        edit(source(course), '"""The sum."""', '"""The sum of two."""')
        said = []
        for jobs in (1, 2):
            told: list[str] = []
            rules = Rules(answers=[full_marks])
            said.append((build.build(course, check=True, rules=rules, tell=told.append, jobs=jobs), told))
        (problems, told), (same, heard) = said
        assert problems == same and len(problems) > 1
        assert sorted(told) == sorted(heard) and f"{SECTION} was looked at" in told

    def test_right_answers_keep_nothing_between_scenarios(self, course: Course) -> None:
        """One that does is named, with the behaviours that depend on what was played before."""
        section = course.section(SECTION)
        assert right_answers(section, print) == []
        assert right_answers(course.section("91_plain"), print) == []
        keeps = "calls = []\ndef add(a, b):\n    calls.append(a)\n    return a + b if len(calls) == 1 else None\n"
        (section.folder / "right" / "keeps.py").write_text(keeps)
        in_order, backwards = right_answers(section, print)
        assert (
            "scenarios in order, right/keeps.py is judged otherwise" in in_order and "alone: zero, small;" in in_order
        )
        assert "scenarios reversed" in backwards and "alone: small, zero;" in backwards

    def test_an_unknown_section_is_wrong_usage(self, pristine: Course) -> None:
        """The line names those that there are."""
        with pytest.raises(UsageError, match=SECTION):
            build.build(pristine, ["nothing"])


HINT = "<details><summary>Hint 2</summary>With a plus.</details>"


class TestRules:
    """What must hold of a section; one that breaks everything hears of everything, in one go."""

    def problems(self, course: Course, *, check: bool = False) -> list[str]:
        return build.build(course, [SECTION], check=check, rules=RULES)

    def test_a_whole_section_has_no_problem(self, pristine: Course) -> None:
        """The sample keeps all rules."""
        assert build.build(pristine, check=True, rules=RULES) == []

    @pytest.mark.parametrize(
        ("spoil", "said"),
        [
            (lambda folder: (folder / "teaching.md").unlink(), "no teaching.md; write"),
            (lambda folder: (folder / "contract.toml").unlink(), "no contract.toml; write"),
            (lambda folder: (folder / "scenarios.py").unlink(), "no scenarios.py; write"),
            (lambda folder: (folder / "hidden" / "test_sample.py").unlink(), "no hidden/test_sample.py; every"),
            (lambda folder: (folder / "right" / "lambda.py").unlink(), "3 other right answers are needed, and 2 are"),
            (lambda folder: (folder / "wrong" / "minus.py").unlink(), "no typical mistake; write wrong/*.py"),
            (lambda folder: edit(folder / "sample.py", HINT, ""), "no Hint 2; write below"),
            (
                lambda folder: edit(folder / "sample.py", "`add(a, b)`", "It"),
                "no text above the exercise says what add",
            ),
            (lambda folder: edit(folder / "contract.toml", "small = 2", "small = 3"), "small is worth 2 points by its"),
            (
                lambda folder: edit(folder / "contract.toml", "zero = 1\n", ""),
                "1 point by its tests and nothing by its",
            ),
            (
                lambda folder: edit(folder / "contract.toml", "zero", "one = 1\nzero"),
                "one is worth nothing by its tests",
            ),
            (lambda folder: edit(folder / "contract.toml", "= 2", "is 2"), "contract.toml: Expected"),
            (lambda folder: edit(folder / "contract.toml", "= 2", "= '2'"), "small has no number of points"),
            (lambda folder: edit(folder / "hidden" / "test_sample.py", "_small", "_big"), "big is judged by a hidden"),
            (lambda folder: edit(folder / "wrong" / "minus.py", "# Subtracts.\n", ""), "line 1 must be what the"),
            (lambda folder: edit(folder / "wrong" / "minus.py", "# fails: small\n", ""), "line 2 must name the"),
            (lambda folder: edit(folder / "wrong" / "minus.py", "small", "smal"), "no behaviour is called smal; there"),
            (
                lambda folder: edit(folder / "wrong" / "minus.py", "return a - b", "add = lambda a, b: a + b"),
                "minus.py: passes small",
            ),
            (
                _break_a_test,
                "minus.py: test_small itself fails on it",
            ),
            (
                lambda folder: edit(folder / "sample.py", "= total + b", "= total - b"),
                "the solution misses small: another",
            ),
            (lambda folder: edit(folder / "sample.py", "+ b\n", "+ b % 999\n"), "the solution misses hidden small: a"),
            (
                lambda folder: edit(folder / "test_sample.py", "== 0, ", "is None, "),
                "the untouched stub earns points for",
            ),
            (
                lambda folder: edit(folder / "scenarios.py", "def sums(world, a, b):", "def sums(world a, b):"),
                "scenarios.py, l",
            ),
            (
                lambda folder: edit(folder / "scenarios.py", "(world, a, b)", "(world, a)"),
                "test_small doesn't fit its scenario sums: got",
            ),
            (lambda folder: edit(folder / "scenarios.py", "return {", "1 / 0; return {"), "scenarios.py, line 6: Zero"),
            (lambda folder: edit(folder / "test_sample.py", "import pytest", "import pytset"), "no test could be coll"),
            (
                lambda folder: edit(folder / "test_sample.py", '"sums", a=-1', '"sum", a=-1'),
                "there is no scenario 'sum'",
            ),
            (
                lambda folder: edit(folder / "sample.py", "    return a - b", "    return a - - - ("),
                "add(a, b):' isn't Pyth",
            ),
            (lambda folder: (folder / "teaching.md").write_bytes(b"caf\xe9"), "teaching.md: isn't text in UTF-8"),
        ],
    )
    def test_each_is_kept_by_both_builds(self, course: Course, spoil: Callable[[Path], object], said: str) -> None:
        """One line says where, what and what to do; nothing is written."""
        before = released(course).read_bytes()
        (course.build / "held" / SECTION).unlink(missing_ok=True)
        spoil(course.section(SECTION).folder)
        for check in (False, True):
            found = self.problems(course, check=check)
            assert any(said in problem for problem in found), found
            assert all("\n" not in problem for problem in found) and len(found) == len(set(found))
        assert released(course).read_bytes() == before

    def test_answers_that_the_check_plays(self, course: Course) -> None:
        """A right answer that loses points is named with what it misses."""
        (course.section(SECTION).folder / "right" / "lambda.py").write_text("add = lambda a, b: abs(a + b) or 7\n")
        (problem,) = self.problems(course, check=True)
        assert "right/lambda.py misses zero: another sum; is it right" in problem

    def test_all_at_once(self, course: Course) -> None:
        """Whatever can be looked at is looked at; what has to wait is named, once."""
        folder = course.section(SECTION).folder
        (folder / "teaching.md").unlink()
        (folder / "right" / "lambda.py").unlink()
        edit(folder / "sample.py", HINT, "")
        edit(folder / "sample.py", "lecture_add", "add")
        edit(folder / "contract.toml", "small = 2", "small = 3")
        edit(folder / "sample.py", "= total + b", "= total - b")
        found = self.problems(course)
        for said in ("teaching.md", "3 other right", "Hint 2", "binds add", "small is worth", "solution misses small"):
            assert any(said in problem for problem in found), said
        assert not any("not checked" in problem for problem in found)
        (folder / "hidden" / "test_sample.py").unlink()
        found = self.problems(course, check=True)
        waiting = [problem for problem in found if "not checked until that is fixed" in problem]
        assert len(waiting) == 1 and any("no hidden/test_sample.py" in problem for problem in found)
        assert any("Hint 2" in problem for problem in found)

    def test_two_tests_without_points(self, course: Course) -> None:
        """Both are named."""
        tests = course.section(SECTION).tests
        tests.write_text(tests.read_text().replace("@pytest.mark.points", "@pytest.mark.slow"))
        found = self.problems(course)
        assert sum("says no points" in problem for problem in found) == 2, found

    def test_a_folder_without_a_notebook(self, course: Course) -> None:
        """An unfinished section is named instead of passed over."""
        (course.solutions / "92_empty").mkdir()
        assert any("solutions/92_empty: no empty.py" in problem for problem in build.build(course, rules=RULES))


class TestProgress:
    """`build` says what it is doing, a line for each section and for what takes long, before it begins."""

    def told(self, course: Course, **options: Any) -> list[str]:
        told: list[str] = []
        build.build(course, rules=RULES, tell=told.append, **options)
        return told

    def test_built_and_unchanged(self, tmp_path: Path, new_course: NewCourse) -> None:
        """The first time everything is run and written; then nothing is."""
        course = new_course(tmp_path / "fresh")
        assert self.told(course) == [
            f"{SECTION}: judging 1 typical mistake (once; cached)",
            f"{SECTION}: running its warm-ups, its solution and its stub (once; cached)",
            f"{SECTION}: built",
            "91_plain: running its warm-ups, its solution and its stub (once; cached)",
            "91_plain: built",
        ]
        assert self.told(course) == [f"{SECTION}: unchanged", "91_plain: unchanged"]
        edit(source(course), "# Afterwards.", "# After that.")
        running, built, plain = self.told(course)
        assert "running" in running and built == f"{SECTION}: built" and plain == "91_plain: unchanged"

    def test_what_failed_is_run_again(self, course: Course) -> None:
        """Only what held is remembered."""
        edit(source(course), "= total + b", "= total - b")
        for _ in range(2):
            assert f"{SECTION}: not built, 3 problems" in self.told(course)

    def test_mistakes_are_judged_once(self, course: Course) -> None:
        """Even where something else is wrong and the section isn't built."""
        folder = course.section(SECTION).folder
        edit(folder / "sample.py", HINT, "")
        edit(folder / "wrong" / "minus.py", "a - b", "a / b")
        judging = f"{SECTION}: judging 1 typical mistake (once; cached)"
        assert judging in self.told(course) and judging not in self.told(course)

    @pytest.mark.parametrize("jobs", [1, 2])
    def test_check(self, pristine: Course, jobs: int) -> None:
        """Each section says what there is to check before it begins, and how it ended."""
        told = self.told(pristine, check=True, jobs=jobs)
        mine = [line for line in told if line.startswith(SECTION)]
        assert mine[0] == f"{SECTION}: checking its solution, 3 right answers, 1 typical mistake and liars"
        assert mine[-1] == f"{SECTION}: all is well" and "91_plain: checking its text" in told


class TestPointsChange:
    def test_scores_stay_and_the_author_is_told(self, course: Course) -> None:
        """Registering other points works beside existing grades: these keep their scores until they are graded anew."""
        from nbgrader.api import Gradebook

        def gradebook() -> Gradebook:
            return Gradebook(f"sqlite:///{course.gradebook}", "resilience")

        with gradebook() as book:
            book.add_student("ada")
            book.add_submission(SECTION, "ada")
            grade = book.find_grade("sample_score", "sample", SECTION, "ada")
            grade.auto_score = 2.5
            book.db.commit()
        edit(course.section(SECTION).tests, "points(1)", "points(2)")
        edit(course.section(SECTION).folder / "contract.toml", "zero = 1", "zero = 2")
        told: list[str] = []
        assert build.build(course, [SECTION], rules=RULES, tell=told.append) == []
        assert told[-2] == (
            f"{SECTION}: sample_score is worth 3.5 points now, not 2.5; scores given so far (1) stay as they are "
            f"until you run: autograder grade --section {SECTION}"
        )
        with gradebook() as book:
            grade = book.find_grade("sample_score", "sample", SECTION, "ada")
            assert (grade.auto_score, grade.max_score) == (2.5, 3.5)
        told.clear()
        build.build(course, [SECTION], rules=RULES, tell=told.append)
        assert told == [f"{SECTION}: unchanged"]


class TestCourse:
    def test_the_root_is_above(self, pristine: Course) -> None:
        """The nearest folder upward with nbgrader_config.py."""
        assert Course.find(pristine.solutions / SECTION) == pristine

    def test_no_course_is_wrong_usage(self, tmp_path: Path) -> None:
        """The line names the file that makes a course."""
        with pytest.raises(UsageError, match=r"nbgrader_config\.py"):
            Course.find(tmp_path)

    def test_sections_come_from_notebooks_where_solutions_are_not(self, course: Course) -> None:
        """A student's copy has no solutions."""
        (course.solutions).rename(course.root / "elsewhere")
        section = course.section(SECTION)
        assert section.exercise == "sample"
        assert section.tests == course.notebooks / SECTION / "checks" / "test_sample.py"
        lay_out_as_before(section.released)
        assert section.tests == course.notebooks / SECTION / "test_sample.py"

    def test_submissions(self, course: Course) -> None:
        """Each with its problem, if it has one; a link is never followed; two ids that differ by case are two."""
        for name in ("ada", "Bob", "bob", "-rf", "eve", "zoe", "a\nb"):
            (course.submitted / name / SECTION).mkdir(parents=True)
        (course.submitted / "ada" / SECTION / "sample.ipynb").write_text("{}")
        (course.submitted / "eve" / SECTION / "sample.ipynb").symlink_to(course.submitted / "ada")
        found = {submission.student: submission for submission in course.submissions()}
        assert open_submission(found["ada"]).data == b"{}"
        with pytest.raises(NothingHandedIn):
            open_submission(found["zoe"])
        assert not found["bob"].problem and not found["Bob"].problem and not found["-rf"].problem
        assert "line break" in found["a\nb"].problem
        with pytest.raises(Exception, match="a link, not a file"):
            open_submission(found["eve"])
