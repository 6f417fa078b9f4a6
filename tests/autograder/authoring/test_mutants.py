"""Mutants of the worked solutions: what is made of a text, and that what is declared equivalent is still made."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder.authoring.mutants import Declared, Judged, Matrix, equivalents, misdeclared, told
from autograder.authoring.mutations import Mutant, mutants, sample
from autograder.course import Course, Section
from autograder.errors import UsageError
from autograder.notebook.source import solution

EXERCISES = [section for section in Course.find(__file__).sections if section.exercise is not None]


def made(text: str, kind: str) -> list[str]:
    """The changes of one kind that are made of a text."""
    return [change for mutant in mutants(text) for _, found, change in [mutant.id.split(":", 2)] if found == kind]


@pytest.mark.parametrize(
    ("text", "kind", "changes"),
    [
        ("a < b", "compare", ["a < b -> a <= b", "a < b -> a > b"]),
        ("a is None", "compare", ["a is None -> a is not None"]),
        ("(a) == (b)", "compare", ["(a) == (b) -> (a) != (b)"]),
        ("x = a and b", "logic", ["a and b -> a or b", "a and b -> (b)", "a and b -> (a)"]),
        ("x = not a", "logic", ["x = not a -> x = (a)"]),
        ("x = a - b", "arithmetic", ["a - b -> a + b", "x = a - b -> x = (a)", "x = a - b -> x = (b)"]),
        ("x += y", "arithmetic", ["x += y -> x -= y", "x += y -> x = y"]),
        ("x = 3", "constant", ["x = 3 -> x = 4", "x = 3 -> x = 2", "x = 3 -> x = 6"]),
        ("x = True", "constant", ["x = True -> x = False"]),
        ("x = 'é'", "text", ["x = 'é' -> x = 'xé'"]),
        ("def f(*, n=4): g", "default", ["n=4 -> n=5", "n=4 -> n=3", "n=4 -> n=8"]),
        ("def f(n, rng=None): g", "default", ["rng=None -> rng"]),
        ("def f(on=(A, B)): g", "default", ["on=(A, B) -> on=(B, )", "on=(A, B) -> on=(A, )"]),
        ("f(a, b)", "argument", ["f(a, b) -> f(b, a)", "f(a, b) -> f(b)", "f(a, b) -> f(a)"]),
        ("f(a, n=b)", "argument", ["f(a, n=b) -> f(n=b)", "f(a, n=b) -> f(a)"]),
        ("f(a)", "argument", ["f(a) -> f(None)"]),
        ("x = min(a, b)", "call", ["min(a, b) -> max(a, b)"]),
        ("x = reversed(a)", "call", ["x = reversed(a) -> x = (a)"]),
        ("x = await a()", "await", ["x = await a() -> x = a()"]),
        ("if a: b", "condition", ["if a: b -> if False: b", "if a: b -> if True: b", "if a: b -> if not a: b"]),
        ("try: a\nexcept Exception: b", "except", ["try: a except Exception: b -> a", "Exception -> BaseException"]),
        ("with suppress(A): b", "except", ["suppress(A) -> suppress(Exception)"]),
        ("f()\ng()", "removed", ["f() -> pass", "g() -> pass"]),
        ("def f(): return a", "return", ["return a -> return None"]),
        ("for a in b:\n    if c: break", "loop", ["break -> continue"]),
        ("with a:\n    b()\n    c()", "with", ["with a: b() c() -> b() c()"]),
        ("try: a\nfinally: b", "finally", ["try: a finally: b -> a b"]),
        ("def f():\n    x = 1\n    y = x", "moved", ["x = 1 y = x -> y = x x = 1"]),
        ("def f(a, b): return a", "name", ["return a -> return b"]),
    ],
)
def test_each_kind_of_mistake_is_made(text: str, kind: str, changes: list[str]) -> None:
    """On a small text, and nothing else of that kind."""
    assert made(text, kind) == changes


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('def f():\n    """Says."""', "text"),
        ('raise KeyError("says")', "text"),
        ('raise KeyError(f"says {1}")', "constant"),
        ("def f(a: A | B) -> C | D: g", "arithmetic"),
        ("class A:\n    def __repr__(self): return 1", "return"),
        ('x = {1: "no such user"}', "text"),
        ("class A:\n    __slots__ = ('a',)", "text"),
        ("def f():\n    x = 1\n    y = 2", "moved"),
    ],
)
def test_what_changes_nothing_that_matters_is_left_alone(text: str, kind: str) -> None:
    """Texts of errors, annotations, docstrings, and the order of what is independent."""
    assert made(text, kind) == []


def test_each_is_another_program() -> None:
    """None is made twice, none is the text itself, and the rest of the text stays."""
    text = "# before\nx = [1,2]  # beside\n"
    found = mutants(text)
    assert len({one.text for one in found} | {text}) == len(found) + 1
    assert all(one.text.startswith("# before\n") and one.text.endswith("# beside\n") for one in found)


def test_ids_and_changed_lines() -> None:
    """An id says where, holds when other lines come, and counts what is there twice."""
    text = "class A:\n    def f(self, n):\n        g(n > 0)\n        g(n > 0)\n"
    before = [one for one in mutants(text) if ":compare:" in one.id]
    name = "A.f:compare:n > 0 -> n >= 0"
    assert [(one.id, one.line) for one in before if ">=" in one.id] == [(name, 3), (f"{name}#2", 4)]
    assert before[0].change == "g(n > 0) -> g(n >= 0)"
    assert {one.id for one in before} <= {one.id for one in mutants("y = 1\n\n\n" + text)}


def test_a_sample_depends_on_its_seed_alone() -> None:
    """It keeps the order, and another mutant more takes at most one of them away."""
    found = mutants("x = a + b\ny = c < d\nz = f(a, b)\n")
    chosen = sample(found, 5, seed=1)
    assert chosen == sample(found, 5, seed=1) == [one for one in found if one in chosen]
    assert len(set(chosen) - set(sample(found[1:], 5, seed=1))) <= 1
    assert chosen != sample(found, 5, seed=2)


def _three() -> list[Mutant]:
    return [one for one in mutants("def f(*, n=4): g") if ":default:" in one.id]


def _matrix(declared: list[Declared], **judged: Judged) -> Matrix:
    section = EXERCISES[0]
    found = _three()
    names = {"more": 0, "less": 1, "double": 2}
    return Matrix(section, found, declared, ["a", "b"], {found[names[key]].id: one for key, one in judged.items()})


def test_the_matrix_tells_survivors_and_who_kills_alone() -> None:
    """A mutant that only one behaviour loses is that one's; a behaviour without such a mutant is told."""
    matrix = _matrix([], more=Judged(True, ("a",)), less=Judged(True, ("a", "b")), double=Judged(False))
    assert [one.line for one in matrix.survivors] == [1]
    lines = list(told(matrix))
    assert lines[0] == "3 mutants, 2 killed, 0 declared equivalent, 1 survive"
    assert [line.split() for line in lines if "alone" in line] == [
        ["a", "2,", "alone", "1"],
        ["b", "1,", "alone", "0"],
    ]
    assert lines[-1] == "  no mutant that only b finds"


def test_what_is_declared_must_survive() -> None:
    """An entry that is killed is told; one that survives is no survivor any more. So is a judge that fails."""
    declared = [Declared(one.id, one.change, "as right") for one in _three()[:2]]
    matrix = _matrix(declared, more=Judged(True, ("a",)), less=Judged(False), double=Judged(True, ("a",), "failed"))
    assert matrix.survivors == []
    assert any("is killed by a; delete the entry" in line for line in matrix.problems)
    assert any("the judge itself fails" in line for line in matrix.problems)


def test_entries_that_fit_nothing() -> None:
    """An unknown id, another line, no reason, twice the same, too many."""
    found = mutants("x = 1")
    one = Declared(found[0].id, "y -> z", " ")
    lines = "\n".join(misdeclared(EXERCISES[0], found, [one, one, Declared("?", "", "right")]))
    for said in ("no longer made", "changes another line now", "says no reason", "2 times", "declares 3 of"):
        assert said in lines


def test_a_file_that_cant_be_read(tmp_path: Path) -> None:
    """It is a line for its author, not a traceback."""
    section = Section("90_sample", Course(tmp_path))
    section.folder.mkdir(parents=True)
    assert equivalents(section) == []
    (section.folder / "equivalent.toml").write_text('[[mutant]]\nid = "a"\n')
    with pytest.raises(UsageError, match=r"90_sample/equivalent\.toml: .* write \[\[mutant\]\] with id"):
        equivalents(section)


@pytest.mark.parametrize("section", EXERCISES, ids=lambda section: section.name)
def test_the_list_holds(section: Section) -> None:
    """Each mutant that a section declares as right is still made, says why, and at most one in twenty is."""
    assert misdeclared(section, mutants(solution(section)), equivalents(section)) == []
