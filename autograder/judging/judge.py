"""Judge timelines by a section's pytest files, which are collected once and run again for each submission.

Starting pytest costs more than judging, so one session per section stays open. `Judge` collects the tests and says
which scenarios they name. Then it judges any number of submissions by running the same items over other timelines. No
student's code ever runs here.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from _pytest.assertion.rewrite import AssertionRewritingHook
from _pytest.config import _prepareconfig
from _pytest.main import Session

from autograder.judging.marks import SOURCE, scenarios_of
from autograder.judging.result import Behaviour
from faultlab.pictures.difference import LOOSE, first_difference
from faultlab.pictures.sheet import Sheet
from faultlab.pictures.spread import Seen
from faultlab.scenario import Played, TooLong, cpu_limit
from faultlab.timeline import NS, Event, Timeline

CPU_SECONDS = 10.0
"""CPU time for judging one submission: honest timelines take a hundredth of it."""
CANT_BE_JUDGED = "what your code did can't be judged"
"""Begins the message of a test that fails with an error of its own, which its author has to correct."""
MESSAGE_LETTERS = 1_000
SHOWN_EVENTS = 600
"""Timelines with more events than this are judged but not drawn. Passed behaviours aren't drawn either."""

OPTIONS = (
    *("-c", os.devnull, "--disable-plugin-autoload", "-p", "autograder.learner.plugin", "--import-mode=importlib"),
    *("--assert=plain", "--capture=no", "-p", "no:cacheprovider", "-p", "no:terminal", "-p", "no:faulthandler"),
    *("-p", "no:logging", "-p", "no:warnings", "-p", "no:unraisableexception", "-p", "no:threadexception"),
)


class TooBusy(Exception):
    """The time for judging a submission is used up."""


class JudgeError(Exception):
    """A section's tests are malformed; the message is for their author."""


@dataclass(frozen=True)
class Test:
    """One test, with its marks and docstring."""

    __test__ = False  # otherwise pytest, which also collects our own tests, treats it as a test class

    item: pytest.Item
    id: str
    title: str
    hint: str
    points: float
    hidden: bool
    step: str | None
    scenarios: tuple[Played, ...]


@dataclass
class Judge:
    """One section's tests, held open. `hidden` may be left out, as on a student's machine."""

    visible: Path
    hidden: Path | None = None
    tests: list[Test] = field(default_factory=list, init=False)
    exhausted: bool = field(default=False, init=False)
    """Whether judging the last submission was stopped because it took too long."""
    _looked_at: int | None = field(default=None, init=False)
    """The run that the last test used."""

    def __post_init__(self) -> None:
        paths = [str(path) for path in (self.visible, self.hidden) if path is not None]
        root = os.path.commonpath([os.path.dirname(path) for path in paths])
        with _undisturbed():
            self._config = _prepareconfig([*OPTIONS, "--rootdir", root, *paths])
        self._config._do_configure()
        self._session = Session.from_config(self._config)
        self._config.hook.pytest_sessionstart(session=self._session)
        try:
            with _undisturbed():
                self._session.perform_collect()
        except pytest.UsageError as error:
            raise JudgeError(f"{self.visible}: {error}") from None
        finally:
            _forget(paths)
        hidden = str(self.hidden) if self.hidden is not None else None
        self.tests = [_test(item, str(item.path) == hidden) for item in self._session.items]
        if not self.tests:
            raise JudgeError(f"{self.visible}: no test could be collected; run pytest on it to see why")

    @property
    def scenarios(self) -> list[Played]:
        """Every distinct scenario that the tests name, in order."""
        return list(dict.fromkeys(played for test in self.tests for played in test.scenarios))

    def judge(
        self,
        timelines: Mapping[Played, Timeline],
        intended: Mapping[Played, Timeline] | None = None,
        *,
        tests: list[Test] | None = None,
    ) -> list[Behaviour]:
        """Judge a submission by its timelines; a scenario without one counts as never run."""
        return list(self._judged(timelines, intended or {}, self.tests if tests is None else tests))

    def _judged(
        self, timelines: Mapping[Played, Timeline], intended: Mapping[Played, Timeline], tests: list[Test]
    ) -> Iterator[Behaviour]:
        self._config.stash[SOURCE] = lambda _, wanted: timelines.get(wanted, NEVER_RUN)
        self.exhausted, until = False, time.process_time() + CPU_SECONDS
        if tests:  # the submission before may have used other tests
            self._session._setupstate.teardown_exact(tests[0].item.parent)  # type: ignore[arg-type]
        for test, following in zip(tests, [*tests[1:], *tests[:1]], strict=True):
            error = self._error(test.item, following.item, until - time.process_time())
            runs = [(wanted, timelines.get(wanted, NEVER_RUN)) for wanted in test.scenarios]
            yield _behaviour(test, error, runs, intended, self._looked_at or 0)

    def _error(self, item: pytest.Item, following: pytest.Item, seconds: float) -> BaseException | None:
        """Run a test and return what it raises; `TooBusy` if it needs more CPU seconds than are left."""
        error: BaseException | None = None
        self._looked_at = None
        hit = seconds <= 0
        if not hit:
            try:
                with cpu_limit(seconds) as limit:
                    error = self._raised(item, following)
            except TooLong:
                pass
            if hit := limit.hit:
                self._session._setupstate.teardown_exact(None)
        self.exhausted = self.exhausted or hit
        return TooBusy() if hit else error

    def _raised(self, item: pytest.Item, following: pytest.Item) -> BaseException | None:
        """Set up, call and tear down one pytest item, without reports: explaining an error may take minutes, and quotes
        the tests."""
        item._initrequest()  # type: ignore[attr-defined]
        try:
            try:
                self._session._setupstate.setup(item)
                item.runtest()
            finally:
                self._looked_at = getattr(item.funcargs.get("runs"), "looked_at", None)  # type: ignore[attr-defined]
                self._session._setupstate.teardown_exact(following)
                item.funcargs = None  # type: ignore[attr-defined]  # timelines, which nobody needs any more
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return error
        return None

    def close(self) -> None:
        """End the session."""
        self._session._setupstate.teardown_exact(None)
        self._config._ensure_unconfigure()


NEVER_RUN = Timeline((Event(0, "end", "", {"how": "never"}),))


def _forget(paths: list[str]) -> None:
    """pytest keeps test files as modules named like the file alone: the next session would find these for its own."""
    for name, module in list(sys.modules.items()):
        if getattr(module, "__file__", None) in paths:
            del sys.modules[name]


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Ignore what the environment tells pytest, and the hook by which a pytest that we may
    be running in rewrites asserts: explaining an assert may take minutes, and quotes the tests."""
    before = {name: os.environ.pop(name) for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS") if name in os.environ}
    hooks = [hook for hook in sys.meta_path if isinstance(hook, AssertionRewritingHook)]
    sys.meta_path[:] = [hook for hook in sys.meta_path if hook not in hooks]
    try:
        yield
    finally:
        os.environ.update(before)
        sys.meta_path[:0] = hooks


def _test(item: pytest.Item, hidden: bool) -> Test:
    points = item.get_closest_marker("points")
    if points is None:
        raise JudgeError(f"{item.nodeid}: give the test its points, @pytest.mark.points(1)")
    words = (getattr(item.obj, "__doc__", None) or item.name).strip()  # type: ignore[attr-defined]
    title, _, rest = words.partition("\n")
    hint = " ".join(rest.split()).removeprefix("Hint:").strip()
    step = item.get_closest_marker("step")
    return Test(
        item,
        item.name.removeprefix("test_"),
        title.strip(),
        hint,
        float(points.args[0]),
        hidden,
        step.args[0] if step else None,
        tuple(scenarios_of(item)),
    )


def _behaviour(
    test: Test,
    error: BaseException | None,
    runs: list[tuple[Played, Timeline]],
    intended: Mapping[Played, Timeline],
    looked_at: int,
) -> Behaviour:
    """Choose the run to draw: the one that didn't end, or the one that the test used."""
    worst = next((pair for pair in runs if ended_badly(pair[1])), runs[looked_at] if runs else None)
    passed = error is None
    slip = "" if passed else next((text for _, run in runs for text in notes(run, "slip")), "")
    drawn = not passed and not slip and worst is not None and len(worst[1]) <= SHOWN_EVENTS
    timelines = [timeline for _, timeline in runs]
    behaviour = Behaviour(
        test=test.id,
        title=test.title,
        passed=passed,
        points=test.points if passed else 0.0,
        max_points=test.points,
        message="" if error is None else slip or _message(error, timelines),
        hint="" if passed or slip else test.hint,
        hidden=test.hidden,
        step=test.step,
        timeline=worst[1] if worst and drawn else None,
        scenario=worst[0] if worst else None,
        cause="" if passed else slip or next(filter(None, map(_cause, timelines)), ""),
        slip=bool(slip),
        printed=next((text for run in timelines for text in notes(run, "printed")), ""),
        picture=None if slip else _picture(error),
    )
    return beside_intended(behaviour, runs, intended.get) if intended else behaviour


def beside_intended(
    behaviour: Behaviour, runs: Iterable[tuple[Played, Timeline]], intended: Callable[[Played], Timeline | None]
) -> Behaviour:
    """The behaviour with the intended run beside its own.

    If both do the same, or differ only in what the contract leaves open, and another run of the behaviour differs more,
    that one is drawn.
    """
    if behaviour.timeline is None or behaviour.scenario is None:
        return behaviour
    first = behaviour.scenario, behaviour.timeline
    found: list[tuple[int, Played, Timeline, Timeline]] = []
    for wanted, run in (first, *(one for one in runs if one[0] != first[0])):
        meant = intended(wanted) if len(run) <= SHOWN_EVENTS else None
        difference = first_difference(run, meant) if meant is not None else None
        if meant is not None and difference is not None:
            found.append((difference.level, wanted, run, meant))
            if difference.level == LOOSE:
                break
    if not found:
        return replace(behaviour, intended=intended(first[0]))
    _, wanted, run, meant = min(found, key=lambda one: one[0])
    return replace(behaviour, timeline=run, intended=meant, scenario=wanted)


def _picture(error: BaseException | None) -> Sheet | None:
    """The picture that the test itself draws of a missing behaviour."""
    said = error.args[0] if isinstance(error, AssertionError) and error.args else None
    return said.sheet if isinstance(said, Seen) else None


def notes(run: Timeline, what: str) -> list[str]:
    """The notes of a run (`slip`, `warning`, `printed` or `breakpoint`): what its code said besides its results."""
    return [str(event.data["text"]) for event in run.of("note") if event.data["what"] == what]


def _cause(run: Timeline) -> str:
    """The cause that keeps a run from ending, if it keeps other runs from ending too."""
    how = "" if run.ending is None else str(run.ending.data["how"])
    if how in ("endless", "never", "timeout", "livelock"):
        return "endless"
    return str(run.ending.data.get("message", "")) if run.ending and how in ("missing", "crashed", "tampered") else ""


def ended_badly(timeline: Timeline) -> bool:
    """Whether the scenario didn't end."""
    end = timeline.ending
    return end is None or end.data["how"] != "returned"


def _message(error: BaseException, runs: list[Timeline]) -> str:
    if isinstance(error, AssertionError):
        said = str(error)
        said = said if len(said) <= MESSAGE_LETTERS else said[: MESSAGE_LETTERS - 1] + "…"
    elif isinstance(error, TooBusy):
        said = "what your code did takes too long to judge"
    else:
        said = f"{CANT_BE_JUDGED} ({type(error).__name__})"
    words = [ending for run in runs if (ending := ending_words(run))][:1]
    if not words:
        words = [said or "not seen"]
    blocked = sum(event.data["seconds"] for run in runs for event in run.of("blocked"))
    if blocked:
        words.append(f"time.sleep stopped everything for {blocked:g} s: await asyncio.sleep instead")
    words += [note for run in runs for note in _unawaited(run)][:1]
    return "\n".join(words)


def _unawaited(run: Timeline) -> list[str]:
    return [f"Python says: {text.splitlines()[0]}" for text in notes(run, "warning") if "never awaited" in text]


def ending_words(run: Timeline) -> str:
    """The message about a scenario that didn't end; "" if it did."""
    end = run.ending
    how = "never" if end is None else end.data["how"]
    message = "" if end is None else str(end.data.get("message", ""))
    at = f"after {end.at / NS:g} s of virtual time" if end is not None else ""
    return {
        "returned": "",
        "missing": message,
        "deadlock": f"your code waits forever: {message}",
        "livelock": f"your code keeps running without time passing: {message}",
        "limit": f"your code doesn't come to an end: {message}",
        "error": f"your code can't go on: {message}",
        "endless": f"your code is still computing {at}: is there a loop without an end, or without an await in it?",
        "raised": f"the run ended with {run_error(end)}",
        "timeout": "your code took too long and was stopped",
        "crashed": f"the process of your code ended: {message}",
        "tampered": f"the process of your code sent what the course's own code never sends: {message}",
        "never": "this was never run, because earlier runs of your code didn't come to an end",
    }.get(how, f"the run ended: {how}")


def run_error(end: Event | None) -> str:
    """The class and the text of the error that ended a run."""
    return "" if end is None else f"{end.data.get('error', 'an error')}: {end.data.get('message', '')}".rstrip(": ")
