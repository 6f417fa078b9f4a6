"""Answers that a section keeps, in two forms: whole cells, and changes of the solution's cell."""

from __future__ import annotations

import pytest

from autograder.authoring import build
from autograder.authoring.examples import Misfit, WrongAnswer, cell_text, changed, misfits, wrong_answers
from autograder.authoring.rules import RULES
from autograder.course import Course, Section
from autograder.errors import UsageError
from autograder.grading.demo import demo_answers as students
from autograder.learner.nearby import nearby

SECTION = "90_sample"

CELL = '''\
class Pool:
    """Permits."""

    def take(self):
        self.free -= 1
        self.seen += 1

    @property
    def free(self):
        self.seen += 1
        return self.size


def make(size):
    async def later():
        return size

    return later
'''

HEADER = "# Forgets.\n# fails: small\n"


def diff(body: str) -> str:
    return HEADER + body


class TestChanged:
    """A `.diff` on a solution's cell."""

    @pytest.mark.parametrize(
        ("body", "before", "after"),
        [
            ("@@\n-        self.free -= 1\n+        self.free = 0\n", "free -= 1", "free = 0"),
            ("@@ Pool.take\n-        self.seen += 1\n", "        self.free -= 1\n        self.seen += 1\n", None),
            ("@@ make.later\n-        return size\n+        return 1\n", "return size", "return 1"),
            ("@@ Pool.free\n-    @property\n", "    @property\n", ""),
            ("@@\n+import time\n+\n+\n class Pool:\n", "class Pool:\n", "import time\n\n\nclass Pool:\n"),
            ('@@ Pool\n     """Permits."""\n\n-    def take(self):\n+    def get(self):\n\n', "def take", "def get"),
        ],
    )
    def test_what_it_says_is_changed(self, body: str, before: str, after: str | None) -> None:
        """Where the place says; the lines around, blank ones too, tell which is meant, and all else stays."""
        wanted = CELL.replace(before, "        self.free -= 1\n" if after is None else after)
        assert changed(CELL, diff(body)) == wanted != CELL

    def test_several(self) -> None:
        """In any order."""
        last, first = "@@ make\n-    return later\n+    return later()\n", "@@ Pool.take\n-        self.seen += 1\n"
        assert changed(CELL, diff(last + "\n" + first)) == changed(CELL, diff(first + last))

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            (
                "@@\n-        self.size = 1\n",
                "line 3: 'self.size = 1' stands nowhere in the solution, not once",
            ),
            ("@@ make\n-        self.seen += 1\n", "line 3: 'self.seen += 1' stands nowhere in make, not once"),
            (
                "@@\n-        self.seen += 1\n",
                "line 3: 'self.seen += 1' stands 2 times in the solution, not once",
            ),
            (
                "@@ Pool\n         self.seen += 1\n-        self.free -= 1\n",
                "line 3: 'self.seen += 1' with the lines below it stands nowhere in Pool, not once; write",
            ),
            ("@@ Pool.give\n-    pass\n", "line 3: the solution has no Pool.give; it has Pool, Pool.take, Pool.free, "),
            ("@@ Pool\n+    pass\n", "line 3: only adds; name a line of the solution before or after it"),
            ("@@ make\n    return later\n", "line 3: 'return later' stands nowhere in make"),
            ("@@ make\nreturn later\n", "line 3: 'return later' begins with none of blank, - and +"),
            ("return later\n", "line 3: a change begins with @@"),
            ("", "line 3: a change begins with @@"),
            (
                "@@ make\n-    return later\n@@\n-    return later\n+    return 1\n",
                "line 5: changes lines that line 3 changes, too; make them one",
            ),
        ],
    )
    def test_what_cant_be_changed(self, body: str, said: str) -> None:
        """Is named: where, what, how often it was found, what to do."""
        with pytest.raises(Misfit) as raised:
            changed(CELL, diff(body))
        assert str(raised.value).startswith(said)


@pytest.fixture
def section(course: Course) -> Section:
    """The sample, with a mistake in the second form."""
    section = course.section(SECTION)
    minus = "# Multiplies.\n# fails: small, zero\n@@ add\n-    total = total + b\n+    total = total * b\n"
    (section.folder / "wrong" / "times.diff").write_text(minus)
    return section


class TestBothForms:
    def test_one_function_reads_them(self, section: Section) -> None:
        """Headline, behaviours, and the text of the student's cell."""
        minus, times = wrong_answers(section)
        assert (minus.headline, minus.fails) == ("Subtracts.", {"small"})
        assert (times.headline, times.fails) == ("Multiplies.", {"small", "zero"})
        assert minus.text == minus.path.read_text()
        found: dict[str, object] = {}
        exec(times.text, found)
        assert found["add"](3, 4) == 12  # type: ignore[operator]
        assert times.text.startswith("# Multiplies.\n# fails: small, zero\ndef add(a, b):\n")

    def test_both_are_judged(self, section: Section) -> None:
        """By a build and its check, and they are in the class of the demonstration."""
        assert build.build(section.course, rules=RULES) == []
        assert build.build(section.course, check=True, rules=RULES) == []
        assert "Multiplies." in (section.released / "checks" / "mistakes.json").read_text()
        assert dict(students(section))["wrong_times"] == cell_text(section, section.folder / "wrong" / "times.diff")

    def test_bare_pytest_judges_both(self, section: Section) -> None:
        """`--submission` names a file of either form, and the change that doesn't fit."""
        times = section.folder / "wrong" / "times.diff"
        assert nearby(section.tests, str(times)).namespace["add"](3, 4) == 12
        times.write_text(times.read_text().replace("+ b", "+ c"))
        with pytest.raises(UsageError, match=r"times\.diff, line 3: 'total = total \+ c' stands nowhere in add"):
            nearby(section.tests, str(times))

    def test_another_solution(self, section: Section) -> None:
        """Changed elsewhere, it makes no difference; changed right there, every file that no longer fits is named."""
        text = section.source.read_text()
        section.source.write_text(text.replace("    total = a\n", "    total = 0 + a\n"))
        assert list(misfits(section)) == []
        more = (section.folder / "wrong" / "times.diff").read_text().replace("* b", "/ b")
        (section.folder / "wrong" / "over.diff").write_text(more)
        section.source.write_text(text.replace("= total + b", "+= b"))
        for check in (False, True):
            found = build.build(section.course, [SECTION], check=check, rules=RULES)
            for name in ("over", "times"):
                where = f"solutions/{SECTION}/wrong/{name}.diff, line 3: 'total = total + b' stands nowhere in add"
                assert any(problem.startswith(where) for problem in found), found
        with pytest.raises(UsageError, match=r"times\.diff, line 3: .*; write what stands there now"):
            cell_text(section, section.folder / "wrong" / "times.diff")

    def test_one_name(self, section: Section) -> None:
        """Two files of one name are one too many."""
        (section.folder / "wrong" / "times.py").write_text("# Nothing.\n# fails: small\nadd = None\n")
        found = build.build(section.course, [SECTION], rules=RULES)
        assert any("wrong/times.diff: times.py has the same name; delete one of them" in one for one in found), found


def test_forms_are_alike(course: Course) -> None:
    """What a mistake says in its first two lines is read in the same way, and odd ones say nothing."""
    folder = course.section(SECTION).folder / "wrong"
    for name in ("odd.py", "odd.diff"):
        for text in ("", "# fails: small\n", "#Nothing\n#fails: small\n", "pass\n"):
            (folder / name).write_text(text)
            odd = WrongAnswer(course.section(SECTION), folder / name)
            assert (odd.headline, odd.fails) == ("", set())
