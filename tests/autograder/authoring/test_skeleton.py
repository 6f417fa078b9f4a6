"""A new section: it works as it is written, and as its author changes it; nothing is overwritten."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from autograder.authoring import build, problems
from autograder.authoring.examples import WrongAnswer, answers, cell_text
from autograder.authoring.rules import RULES
from autograder.authoring.skeleton import EXAMPLE, TEMPLATE, new_section, what_next
from autograder.authoring.worked import run_answer, solution_notebook
from autograder.cli import main
from autograder.course import Course, Section
from autograder.errors import UsageError
from autograder.judging.bench import Bench
from autograder.learner.checking import judge_answer
from autograder.notebook.answer import read_cells
from autograder.notebook.cells import CodeCell
from autograder.notebook.execution import run_notebook
from faultlab.scenario import play

ROOT = Path(__file__).resolve().parents[3]


def empty_course(root: Path) -> Course:
    (root / "solutions").mkdir(parents=True)
    shutil.copy(ROOT / "nbgrader_config.py", root)
    return Course(root.resolve())


@pytest.fixture
def course(tmp_path: Path) -> Course:
    return empty_course(tmp_path / "course")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Section:
    """A new section, built; tests only read it."""
    section = new_section(empty_course(tmp_path_factory.mktemp("skeleton") / "course"), "token_bucket")
    assert build.build(section.course, rules=RULES) == []
    return section


def points(section: Section, text: str | None) -> float:
    assert section.exercise is not None
    names = run_answer(section, solution_notebook(section), text)
    parts = [judge_answer(section.exercise, names, section.folder, hidden=hidden).result for hidden in (False, True)]
    return sum(part.score for part in parts)


class TestNewSection:
    def test_it_works_as_it_is(self, written: Section) -> None:
        """It builds, and passes everything that `build --check` looks at; no liar earns anything."""
        told: list[str] = []
        assert build.build(written.course, check=True, rules=RULES, tell=told.append) == []
        assert f"{written.name}: most points that a liar earned: 0; declared: 0" in told

    def test_its_answers_are_graded(self, written: Section) -> None:
        """Its right answers get all points, its wrong ones lose some."""
        worth = sum(problems.contract(written).values())
        right, wrong = (answers(written, folder) for folder in ("right", "wrong"))
        assert len(right) == len(wrong) == 3
        assert [points(written, cell_text(written, path)) for path in right] == [worth] * 3
        assert all(points(written, cell_text(written, path)) < worth for path in wrong)

    def test_its_notebook_runs(self, written: Section) -> None:
        """Every cell, the picture of the incident included."""
        code = [cell.source for cell in read_cells(solution_notebook(written))]
        cells = [CodeCell(source, True, number) for number, source in enumerate(code)]
        assert run_notebook(cells)[1] == []

    def test_whatever_the_world_draws(self, written: Section) -> None:
        """Right answers have full marks, and wrong ones fail what they say, under other seeds too."""
        bench = Bench.at(str(written.exercise), written.folder)
        judge, notebook = bench.judge(hidden=True), solution_notebook(written)
        for path in [*answers(written, "right"), *answers(written, "wrong")]:
            names = run_answer(written, notebook, cell_text(written, path))
            expected = WrongAnswer(written, path).fails if path.parent.name == "wrong" else set()
            for seed in range(5):
                runs = {one: play(bench.scenarios[one.name], one.options, names, seed=seed) for one in judge.scenarios}
                lost = {one.test: one.message for one in judge.judge(runs) if not one.passed}
                assert lost.keys() >= expected and (expected or not lost), (path.name, seed, lost)

    def test_its_author_renames_what_it_holds(self, course: Course) -> None:
        """Another class, other behaviours, another section's name: it is built and checked like any other."""
        section = new_section(course, "07_rate_limit")
        assert section.name == "07_rate_limit" and section.exercise == "rate_limit"
        renamed = {"TokenBucket": "LeakyCan", "try_acquire": "try_pour", "burst": "volume", "refill": "drip"}
        for path in problems.present(section.folder):
            text = (section.folder / path).read_text()
            for old, new in renamed.items():
                text = text.replace(old, new)
            (section.folder / path).write_text(text)
        assert build.build(course, rules=RULES) == []
        assert build.build(course, check=True, rules=RULES) == []
        assert "class LeakyCan" in (section.released / "rate_limit.ipynb").read_text()

    def test_a_name_of_ones_own(self, course: Course) -> None:
        """No file and no line keeps the example's name; the title is the section's."""
        section = new_section(course, "rate_limit")
        for path in problems.present(section.folder):
            assert EXAMPLE not in path and EXAMPLE not in (section.folder / path).read_text()
        assert section.source.read_text().startswith("# %% [markdown]\n# # Rate limit\n")

    def test_notes_say_what_to_change(self) -> None:
        """The files in which there is something to decide say what, in a line that can be searched for."""
        noted = {path.name for path in TEMPLATE.rglob("*") if path.is_file() and "AUTHOR:" in path.read_text()}
        assert noted == {f"{EXAMPLE}.py", f"test_{EXAMPLE}.py", "scenarios.py", "teaching.md", "contract.toml"}


class TestNames:
    def test_the_next_free_number(self, course: Course) -> None:
        """A name without a number gets one; one with a number keeps it."""
        assert new_section(course, "first").name == "00_first"
        assert new_section(course, "12_second").name == "12_second"
        assert new_section(course, "third").name == "13_third"
        assert new_section(course, "05_fourth").name == "05_fourth"

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("Token", "lower-case letters, digits and _"),
            ("token-bucket", "lower-case letters, digits and _"),
            ("token bucket", "lower-case letters, digits and _"),
            ("../escape", "lower-case letters, digits and _"),
            ("a/b", "lower-case letters, digits and _"),
            ("12_", "lower-case letters, digits and _"),
            ("12_3d", "lower-case letters, digits and _"),
            ("", "lower-case letters, digits and _"),
            ("é", "lower-case letters, digits and _"),
            ("x\n", "lower-case letters, digits and _"),
            ("class", "lower-case letters, digits and _"),
            ("con", "reserved names"),
            ("scenarios", "reserved names"),
            ("test_it", "reserved names"),
            ("a" * 41, "up to 40 lower-case letters"),
            ("there", "a section 03_there already"),
            ("04_there", "a section 03_there already"),
            ("03_here", "03_there has the number 03 already"),
            ("3_here", "03_there has the number 3 already"),
        ],
    )
    def test_names_that_cannot_be(self, course: Course, name: str, said: str) -> None:
        """One line says why, and nothing is written."""
        (course.solutions / "03_there").mkdir()
        with pytest.raises(UsageError, match=said) as raised:
            new_section(course, name)
        assert "\n" not in str(raised.value)
        assert [path.name for path in course.solutions.rglob("*")] == ["03_there"]

    def test_a_released_section_counts(self, course: Course) -> None:
        """Students have a notebook of that name: it isn't given a second time."""
        (course.notebooks / "03_there").mkdir(parents=True)
        with pytest.raises(UsageError, match="already"):
            new_section(course, "there")

    def test_what_to_do_next(self, course: Course) -> None:
        """Three lines, with commands that can be run."""
        lines = what_next(new_section(course, "leases"))
        assert len(lines) == 3 and "autograder build --check 00_leases" in lines[0]


class TestCommand:
    def typed(self, folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.chdir(folder)
        done = CliRunner().invoke(main, ["new", *arguments])
        return done.exit_code, done.stdout, done.stderr

    def test_done(self, course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
        """Exit code 0: it says where the section is, and what to do next in three lines."""
        code, out, err = self.typed(course.solutions, monkeypatch, "12_leases")
        assert (code, err) == (0, "") and out.startswith("solutions/12_leases is written") and out.count("\n") == 4
        assert (course.solutions / "12_leases" / "leases.py").is_file()

    @pytest.mark.parametrize("arguments", [[], ["Foo"], ["a", "b"], ["scenarios"]])
    def test_wrong_usage(self, course: Course, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
        """Exit code 2, one line, and nothing is written."""
        code, out, err = self.typed(course.root, monkeypatch, *arguments)
        assert (code, out) == (2, "") and err.startswith("autograder: ") and err.count("\n") == 1
        assert not list(course.solutions.iterdir())

    def test_outside_a_course(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It says that there is none."""
        code, _, err = self.typed(tmp_path, monkeypatch, "leases")
        assert code == 2 and "no course here" in err


def test_the_guide_quotes_it() -> None:
    """Each listing of CONTRIBUTING's chapter stands in the template, word for word."""
    chapter = (ROOT / "CONTRIBUTING.md").read_text().partition("\n## A test asks for what the world drew\n")[2]
    listings = chapter.partition("\n## ")[0].split("```python\n")[1:]
    sources = [path.read_text() for path in TEMPLATE.rglob("*.py")]
    assert len(listings) == 5
    for listing in listings:
        text = listing.partition("```")[0]
        assert any(text in source for source in sources), text
