"""The result of grading one submission: plain data, without a database or a folder.

Gradebook, feedback, report and exports read results; nothing reads them back into grading.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from faultlab.pictures.sheet import Sheet, clean
from faultlab.scenario import Played
from faultlab.timeline import Timeline

FORM = 2
"""The version of `Result.row`'s form: it grows when a field is added or changes its meaning."""

VerdictName = Literal["graded", "timeout", "crashed", "tampered", "unreadable", "missing"]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One judged behaviour: what was expected, whether it was seen, and the message for the student."""

    test: str
    """Stable id: the test's name without `test_`; the visible and the hidden part of one behaviour share it."""
    title: str
    """What was expected, in a sentence."""
    passed: bool
    points: float
    max_points: float
    message: str = ""
    """What was seen instead; empty when it passed."""
    hint: str = ""
    hidden: bool = False
    step: str | None = None
    """The step of a long exercise that it belongs to."""
    timeline: Timeline | None = None
    """The student's run, if the behaviour wasn't seen."""
    intended: Timeline | None = None
    """The worked solution's run of the same scenario."""
    scenario: Played | None = None
    """The scenario of the timeline."""
    cause: str = ""
    """The cause, if it may concern several behaviours: a slip in the answer, or how its runs end. Behaviours with the
    same cause are explained once."""
    slip: bool = False
    """Whether the cause is an error of the answer's own, such as a misspelt name: `message` says where."""
    printed: str = ""
    """The first lines that the answer printed in its first run."""
    picture: Sheet | None = None
    """A picture by the test itself, in place of the timeline."""


def first_slip(behaviours: Iterable[Behaviour]) -> str:
    """The answer's own error to correct first, and its line of code; empty if there is none."""
    return next((one.message for one in behaviours if one.slip), "")


@dataclass(frozen=True, slots=True)
class Result:
    """The verdict on one student's notebook of one section."""

    student: str
    section: str
    exercise: str
    verdict: VerdictName
    sandbox: str
    """The tier that the submission ran in: full, landlock or none; empty when nothing was run."""
    seconds: float
    behaviours: tuple[Behaviour, ...] = ()
    line: str = ""
    """One line about what happened and what to do, unless the verdict is plain."""
    notes: tuple[str, ...] = field(default=())
    """What was repaired on the way, such as restored check cells."""
    mistakes: tuple[str, ...] = ()
    """Headlines of typical mistakes that the answer behaves like."""
    needs: str = ""
    """Why a person has to look at it, in a sentence; "" if nobody has to."""
    unsettled: bool = False
    """Whether the machine may have decided the verdict by bad luck: the next run grades it again."""
    parts: tuple[str, str] | None = None
    """The visible and the hidden part as markup (`feedback.drawn`); such a result holds no timelines."""

    @property
    def name(self) -> str:
        """The student's id for people: cleaned, and never empty, even if it has only invisible characters."""
        return clean(self.student).strip() or ascii(self.student)

    @property
    def score(self) -> float:
        """Points earned, never above `max_score`."""
        return sum(behaviour.points for behaviour in self.behaviours)

    @property
    def max_score(self) -> float:
        """Points that the exercise is worth."""
        return sum(behaviour.max_points for behaviour in self.behaviours)

    @property
    def slip(self) -> str:
        """The answer's own error that is to be corrected first; see `first_slip`."""
        return first_slip(self.behaviours)

    def part(self, *, hidden: bool) -> tuple[Behaviour, ...]:
        """The behaviours of the visible or of the hidden tests."""
        return tuple(behaviour for behaviour in self.behaviours if behaviour.hidden is hidden)

    def row(self) -> dict[str, Any]:
        """The result as one line of `--json`: the fields and their order are fixed."""
        return {
            "student": self.student,
            "section": self.section,
            "score": self.score,
            "max_score": self.max_score,
            "verdict": self.verdict,
            "sandbox": self.sandbox,
            "seconds": round(self.seconds, 3),
            "behaviours": [
                {
                    "test": behaviour.test,
                    "passed": behaviour.passed,
                    "points": behaviour.points,
                    "max_points": behaviour.max_points,
                    "message": behaviour.message,
                }
                for behaviour in self.behaviours
            ],
            "notes": list(self.notes),
            "mistakes": list(self.mistakes),
            "needs": self.needs or None,
            "version": FORM,
        }


@dataclass(frozen=True, slots=True)
class Standing:
    """The gradebook's entry of one student's section: the final score and its parts.

    `score` is `tests` + `by_hand` + `extra` - `penalty`, never below 0, as nbgrader's export says it.
    """

    score: float
    """Final points, penalty included."""
    max_score: float
    tests: float
    """Points of the tests."""
    by_hand: float = 0.0
    """Points that were added or removed by hand."""
    extra: float = 0.0
    """Extra credit."""
    penalty: float = 0.0
    """Points taken off for lateness."""
    comments: tuple[str, ...] = ()
    """What the instructor wrote, in the notebook's order."""
