"""What the build adds around the authors' cells: contents and links, toolkits, the page for instructors."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder.authoring import build
from autograder.authoring.handbook import handbook
from autograder.authoring.trials import warmups
from autograder.course import Course
from autograder.notebook.source import BuildError, author_notebook, source_notebook

SECTION = "90_sample"


def sources(course: Course, section: str) -> list[str]:
    return [cell.source for cell in source_notebook(course.section(section)).cells]


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


class TestNavigation:
    def test_links_lead_to_the_notebooks_before_and_after(self, course: Course) -> None:
        """Under the title and at the end, by their titles."""
        first, last = sources(course, SECTION), sources(course, "91_plain")
        assert first[1].startswith(first[-1])
        assert first[-1] == "[plain](../91_plain/plain.ipynb) →"
        assert last[-1] == "← [A sample](../90_sample/sample.ipynb)"

    def test_contents_lead_to_the_headings(self, course: Course) -> None:
        """Each heading of the second level is one line, linked as JupyterLab names its places."""
        plain = course.solutions / "91_plain" / "plain.py"
        plain.write_text(plain.read_text() + "\n# %% [markdown]\n# ## The thundering herd\n")
        assert "* [The thundering herd](#The-thundering-herd)" in sources(course, "91_plain")[1]


class TestToolkit:
    def test_is_filled_with_another_sections_solution(self, course: Course) -> None:
        """Written once: the solution without its marks."""
        plain = course.solutions / "91_plain" / "plain.py"
        plain.write_text(plain.read_text() + '\n# %% toolkit="sample"\n')
        found = next(text for text in sources(course, "91_plain") if text.startswith("def add"))
        assert "total = total + b" in found
        assert "SOLUTION" not in found

    def test_warmups_may_use_it(self, course: Course) -> None:
        """They are tried with the toolkit filled in."""
        plain = course.solutions / "91_plain" / "plain.py"
        warmup = 'from faultlab.warmup import predict\npredict("2 + 3?", [5], lambda: add(2, 3))\n'
        plain.write_text(plain.read_text() + '\n# %% toolkit="sample"\n\n# %%\n' + warmup)
        section = course.section("91_plain")
        assert warmups(section, author_notebook(section)) == []

    def test_an_unknown_exercise_is_named(self, course: Course) -> None:
        """The author hears which one."""
        plain = course.solutions / "91_plain" / "plain.py"
        plain.write_text(plain.read_text() + '\n# %% toolkit="smaple"\n')
        with pytest.raises(BuildError, match="smaple"):
            sources(course, "91_plain")


FORM = "5 minutes.\n\n## Five-minute demonstration\n\nShow it.\n\n## For discussion\n\nWhy?\n"


class TestHandbook:
    @pytest.fixture
    def taught(self, course: Course) -> Course:
        write(course.solutions / "routes.md", "# Teaching\n")
        write(course.solutions / "lecture.md", "# Sums\n- adding\n")
        for section in course.sections:
            chosen = "\n## Misconceptions\n\n* minus\n" if section.exercise else ""
            write(section.folder / "teaching.md", f"{FORM}{chosen}")
        source = course.solutions / SECTION / "sample.py"
        text = source.read_text().replace("# %%\ndef lecture_add", '# %% lecture="Sums; adding"\ndef lecture_add')
        source.write_text(text)
        return course

    def test_holds_what_teachers_need(self, taught: Course) -> None:
        """Routes, each section's words, the headlines of its mistakes, and where the lecture's listings are."""
        assert build.build(taught) == []
        page = (taught.root / "TEACHING.md").read_text()
        assert "# Teaching" in page
        assert "### Five-minute demonstration\n\nShow it.\n\n### For discussion\n\nWhy?" in page
        assert "### Misconceptions\n\n* Subtracts.\n" in page and "<details>" not in page
        assert "| `adding` | 90_sample | `def lecture_add(a, b):` |" in page
        assert build.build(taught, check=True) == []

    def test_misconceptions_are_grouped(self, taught: Course) -> None:
        """Those that matter most are shown, all others folded below the behaviour by which each is known."""
        wrong = taught.solutions / SECTION / "wrong"
        write(wrong / "times.py", "# Multiplies.\n# fails: zero, small\nreturn a * b\n")
        write(wrong / "three.py", "# Three.\n# fails: zero\nreturn 3\n")
        page = handbook(taught)[0]
        assert (
            "### Misconceptions\n\n* Subtracts.\n\n"
            "<details><summary>2 more, by the behaviour that they fail</summary>\n\n"
            "**Adds up to zero**\n\n* Three.\n* Multiplies.\n\n</details>"
        ) in page

    def test_one_scheme_of_headings(self, taught: Course) -> None:
        """One title, a chapter for each section and for what all share, and below it what every section has."""
        write(taught.solutions / "term.md", "## A term\n\nIt begins.\n")
        page = handbook(taught)[0]
        found = [line for line in page.splitlines() if line.startswith("#")]
        assert found == [
            "# Teaching",
            "## A term",
            *(f"## {SECTION}", "### Five-minute demonstration", "### For discussion", "### Misconceptions"),
            *("## 91_plain", "### Five-minute demonstration", "### For discussion"),
            "## Where the lecture's headings and listings are",
        ]

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("Show it.\n", "has another form; write the minutes, then ## Five-minute demonstration, then ## For"),
            (FORM.replace("5 minutes.\n\n", ""), "has another form"),
            (f"# Sums\n\n{FORM}", "has the heading '# Sums'"),
            (f"{FORM}\n### Deeper\n", "has the heading '### Deeper'"),
            (FORM, "must name one to 5 files of wrong/ that matter most; write below ## Misconceptions: * name"),
            (f"{FORM}\n## Misconceptions\n\n* plus\n", "names plus below ## Misconceptions, and wrong/ has no such"),
        ],
    )
    def test_another_form_is_named(self, taught: Course, text: str, said: str) -> None:
        """One line that says what to write."""
        write(taught.solutions / SECTION / "teaching.md", text)
        assert any(said in problem for problem in handbook(taught)[1])

    def test_a_second_title_is_named(self, taught: Course) -> None:
        """The page begins with its title and has no other."""
        write(taught.solutions / "term.md", "# A term\n")
        assert handbook(taught)[1][0].startswith("routes.md: begin with the page's title")

    def test_a_stale_page_is_named(self, taught: Course) -> None:
        """`--check` says so."""
        build.build(taught)
        write(taught.solutions / "routes.md", "# Teaching, revised\n")
        assert build.build(taught, check=True) == ["TEACHING.md: not what its sources say; run: autograder build"]

    def test_a_listing_that_nobody_carries_is_named(self, taught: Course) -> None:
        """So is a cell that carries what the lecture hasn't got."""
        write(taught.solutions / "lecture.md", "# Sums\n- subtracting\n")
        problems = build.build(taught)
        assert any("no cell carries 'subtracting'" in problem for problem in problems)
        assert any("'adding' isn't in lecture.md" in problem for problem in problems)

    def test_a_section_without_words_for_teachers_is_named(self, taught: Course) -> None:
        """Every section has a demonstration and a question."""
        (taught.solutions / "91_plain" / "teaching.md").unlink()
        assert any("91_plain: no teaching.md" in problem for problem in build.build(taught))
