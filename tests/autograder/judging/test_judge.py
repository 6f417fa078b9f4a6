"""One open pytest session judges any number of submissions by their timelines, and says what was seen."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from autograder.judging import judge as judge_module
from autograder.judging.judge import Judge, JudgeError
from faultlab.scenario import played
from faultlab.timeline import Event, Timeline

VISIBLE = '''
import pytest

@pytest.fixture(scope="module")
def asked():
    return []

@pytest.mark.points(1.5)
@pytest.mark.step("first")
@pytest.mark.scenario("one", size=1)
def test_good(run):
    """Says "good"

    Hint: say it.
    """
    assert run.marks("word"), "nothing was said"
    assert run.marks("word")[0].value == "good", f"said {run.marks('word')[0].value}"

@pytest.mark.points(1)
@pytest.mark.scenario("one", size=1)
def test_plain(run):
    """A plain assert"""
    assert run.marks("word")[0].value == "good"

@pytest.mark.points(0.5)
@pytest.mark.scenario("many")
@pytest.mark.scenario("one", size=1)
def test_both(runs):
    """Reads two"""
    secret_expectation = {"good": 1}
    assert [len(run) for run in runs] and secret_expectation[runs[1].marks("word")[0].value]
'''
HIDDEN = '''
import pytest

@pytest.mark.points(1)
@pytest.mark.scenario("one", size=2)
def test_good(run):
    """Says "good", kept back"""
    assert run.marks("word")[0].value == "good", "said something else"
'''

SMALL, LARGE, MANY = played("one", {"size": 1}), played("one", {"size": 2}), played("many", {})


def said(word: object, *more: Event, how: str = "returned", **told: str) -> Timeline:
    mark = Event(0, "mark", "caller", {"name": "word", "value": word})
    return Timeline((mark, *more, Event(2 * 10**9, "end", "", {"how": how, **told})))


def all_say(word: object) -> dict:
    return dict.fromkeys((SMALL, LARGE, MANY), said(word))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "test_word.py").write_text(VISIBLE)
    (tmp_path / "hidden" / "test_word.py").write_text(HIDDEN)
    return tmp_path


@pytest.fixture
def judge(folder: Path):
    judge = Judge(folder / "test_word.py", folder / "hidden" / "test_word.py")
    yield judge
    judge.close()


def messages(judge: Judge, timelines: dict) -> dict[str, str]:
    return {("hidden " if b.hidden else "") + b.test: b.message for b in judge.judge(timelines)}


class TestSession:
    def test_collected_once(self, judge):
        """What the tests say of themselves: ids, titles, hints, steps, points, scenarios; which are hidden."""
        assert [(test.id, test.hidden, test.points) for test in judge.tests] == [
            ("good", False, 1.5),
            ("plain", False, 1.0),
            ("both", False, 0.5),
            ("good", True, 1.0),
        ]
        first = judge.tests[0]
        assert (first.title, first.hint, first.step) == ('Says "good"', "say it.", "first")
        assert judge.scenarios == [SMALL, MANY, LARGE] or judge.scenarios == [SMALL, LARGE, MANY]
        assert judge.tests[2].scenarios == (MANY, SMALL)

    def test_one_after_the_other(self, judge):
        """The same items judge a right, a wrong and a right one again; nothing is left of the one before."""
        right, wrong = judge.judge(all_say("good")), judge.judge(all_say("bad"))
        assert [b.points for b in right] == [1.5, 1.0, 0.5, 1.0]
        assert [b.passed for b in wrong] == [False] * 4 and not any(b.points for b in wrong)
        assert judge.judge(all_say("good")) == right

    def test_some_tests_only(self, judge):
        """As one rung of a long exercise."""
        assert [b.test for b in judge.judge(all_say("good"), tests=judge.tests[1:2])] == ["plain"]

    def test_all_after_some(self, judge):
        """Whichever tests judged the submission before, the next one is judged by all of them."""
        for some in (judge.tests[3:], judge.tests[1:2], judge.tests[:1], judge.tests[:1]):
            assert [b.message for b in judge.judge(all_say("good"), tests=some)] == [""]
            assert [b.message for b in judge.judge(all_say("good"))] == [""] * 4

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("def test_x(): pass", "points"),
            ("x = 1", "no test"),
            ("def broken(:", "no test"),
        ],
    )
    def test_authors_mistakes(self, tmp_path, text, words):
        """A line for the author."""
        (tmp_path / "test_word.py").write_text(text)
        with pytest.raises(JudgeError, match=words):
            Judge(tmp_path / "test_word.py")

    def test_the_environment_says_nothing(self, folder, monkeypatch):
        """What somebody likes to tell pytest doesn't change a grade."""
        monkeypatch.setenv("PYTEST_ADDOPTS", "-k nothing --collect-only")
        monkeypatch.setenv("PYTEST_PLUGINS", "no_such_plugin")
        assert len(Judge(folder / "test_word.py").tests) == 3


class TestMessages:
    def test_the_author_s_words(self, judge):
        """What stands behind the comma; without any, no source either."""
        found = messages(judge, all_say("bad"))
        assert found["good"] == "said bad" and found["plain"] == "not seen"
        assert found["hidden good"] == "said something else"

    def test_other_errors_are_neutral(self, judge):
        """A value that makes a test raise is told without the test's source or the error's text."""
        found = messages(judge, all_say("evil"))["both"]
        assert found == "what your code did can't be judged (KeyError)"

    def test_long_values_are_cut(self, judge):
        """However much the code said."""
        assert len(messages(judge, all_say("x" * 30_000))["good"]) <= judge_module.MESSAGE_LETTERS

    def test_hints_and_pictures(self, judge):
        """Only with what failed; the intended run comes along."""
        intended = all_say("good")
        wrong = judge.judge(all_say("bad"), intended)[0]
        right = judge.judge(all_say("good"), intended)[0]
        assert (wrong.hint, wrong.intended, wrong.scenario) == ("say it.", intended[SMALL], SMALL)
        assert (right.hint, right.message) == ("", "")

    def test_a_test_may_draw_what_it_saw(self, tmp_path):
        """What it says with a picture is heard, and drawn where it failed."""
        body = "assert not run.marks(), spread('uneven', [0.2], of='pauses')"
        (tmp_path / "test_word.py").write_text(
            "import pytest\nfrom faultlab.pictures.spread import spread\n"
            f"@pytest.mark.points(1)\n@pytest.mark.scenario('one')\ndef test_even(run):\n    {body}\n"
        )
        judge = Judge(tmp_path / "test_word.py")
        (scenario,) = judge.tests[0].scenarios
        failed, passed = (judge.judge({scenario: run})[0] for run in (said("good"), Timeline(said("good").events[-1:])))
        assert failed.message == "uneven" and failed.picture is not None and "pauses" in failed.picture.alt
        assert passed.passed and passed.picture is None

    @pytest.mark.parametrize(
        ("body", "looked_at"),
        [
            ("for run in runs: assert [mark.value for mark in run.marks()] == ['good']", 1),
            ("for run, at in zip(runs, (0, 1), strict=True): assert run.marks()[at - at].value == 'good'", 1),
            ("assert runs[-1].marks()[0].value == 'good'", 1),
            ("first, second = runs; assert first.marks() == second.marks()", 1),
            ("every = [run.marks() for run in runs]; assert every[0] == every[1]", 1),
        ],
    )
    def test_the_run_that_is_told_of_is_drawn(self, tmp_path, body, looked_at):
        """Of several runs the one that the test was looking at, beside the intended one; of those that it took all at
        once the first that isn't as intended."""
        marks = '@pytest.mark.points(1)\n@pytest.mark.scenario("one", size=1)\n@pytest.mark.scenario("one", size=2)\n'
        (tmp_path / "test_word.py").write_text(f"import pytest\n{marks}def test_both(runs):\n    {body}\n")
        judge = Judge(tmp_path / "test_word.py")
        (test,) = judge.tests
        runs, intended = dict(zip(test.scenarios, (said("good"), said("bad")), strict=True)), all_say("good")
        for _ in range(2):
            (found,) = judge.judge(runs, intended)
            wanted = test.scenarios[looked_at]
            assert not found.passed and found.scenario == wanted
            assert found.timeline is runs[wanted] and found.intended is intended[wanted]
        judge.close()

    def test_never_run(self, judge):
        """A scenario without a timeline."""
        found = messages(judge, {})
        assert all("never run" in words for words in found.values()) and len(found) == 4

    @pytest.mark.parametrize(
        ("how", "words"),
        {
            "deadlock": "waits forever",
            "livelock": "without time passing",
            "limit": "doesn't come to an end",
            "endless": "still computing after 2 s",
            "raised": "the run ended with ValueError: because",
            "timeout": "too long",
            "crashed": "the process of your code ended",
            "tampered": "never sends",
            "missing": "because",
            "error": "your code can't go on: because",
        }.items(),
    )
    def test_ended_badly(self, judge, how, words):
        """How the run ended explains more than what the test missed."""
        timeline = said("bad", how=how, message="because", error="ValueError")
        assert words in messages(judge, {SMALL: timeline})["good"]

    def test_a_run_that_ended_badly_may_pass(self, judge):
        """What was seen before counts."""
        assert judge.judge({SMALL: said("good", how="deadlock")})[0].passed

    def test_blocking_and_forgotten_awaits(self, judge):
        """They are named, since they explain what was seen."""
        blocked = Event(1, "blocked", "caller", {"seconds": 3.5})
        note = Event(1, "note", "", {"what": "warning", "text": "coroutine 'op' was never awaited"})
        lines = messages(judge, {SMALL: said("bad", blocked, note)})["good"].splitlines()
        assert lines[0] == "said bad" and "time.sleep" in lines[1] and "3.5 s" in lines[1]
        assert lines[2] == "Python says: coroutine 'op' was never awaited"


class TestTime:
    def test_many_nearly_equal_events(self, tmp_path, monkeypatch):
        """pytest's own explanation of the difference takes minutes where CI is set."""
        monkeypatch.setenv("CI", "1")
        (tmp_path / "test_word.py").write_text(
            "import pytest\n@pytest.mark.points(1)\n@pytest.mark.scenario('one')\ndef test_same(run):\n"
            "    'The same'\n    expected = [(e.at, e.kind, dict(e.data), 'x' * 40) for e in run]\n"
            "    assert [(e.at, e.kind, dict(e.data), 'y' + 'x' * 39) for e in run] == expected\n"
        )
        events = [Event(n, "mark", "caller", {"name": f"word {n % 7}", "value": n // 2}) for n in range(600)]
        judge = Judge(tmp_path / "test_word.py")
        began = time.process_time()
        (seen,) = judge.judge({played("one", {}): Timeline(tuple(events))})
        assert not seen.passed and "expected" not in seen.message and not judge.exhausted
        assert time.process_time() - began < judge_module.CPU_SECONDS


def test_a_test_that_never_ends(tmp_path, monkeypatch):
    """It is stopped by its CPU time, loses its points alone, and the session goes on."""
    monkeypatch.setattr(judge_module, "CPU_SECONDS", 0.3)
    (tmp_path / "test_word.py").write_text(
        "import pytest\npytestmark = [pytest.mark.points(1), pytest.mark.scenario('one')]\n"
        "def test_first(run):\n    'First'\n"
        "def test_second(run):\n    'Second'\n"
        "    while run.marks('word')[0].value == 'loop':\n        pass\n"
    )
    judge, one = Judge(tmp_path / "test_word.py"), played("one", {})
    first, second = judge.judge({one: said("loop")})
    assert first.passed and not second.passed and judge.exhausted
    assert "too long to judge" in second.message
    assert [b.passed for b in judge.judge({one: said("good")})] == [True, True] and not judge.exhausted
