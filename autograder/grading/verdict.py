"""Choose a submission's verdict, its line and its notes."""

from __future__ import annotations

from autograder.course import Submission
from autograder.grading.kit import Kit, kit_for_points
from autograder.judging.judge import ended_badly
from autograder.judging.result import Result, VerdictName
from autograder.notebook.answer import Answer
from autograder.notebook.notes import capped, worded
from autograder.sandbox.play import Outcome
from faultlab.timeline import Timeline


def lacks_a_name(timeline: Timeline) -> bool:
    """Whether a NameError came out of the answer."""
    return any(
        isinstance(mark.value, dict) and mark.value.get("error") == "NameError" for mark in timeline.marks()
    ) or bool(timeline.ending and timeline.ending.data.get("error") == "NameError")


def verdict_of(outcome: Outcome) -> VerdictName:
    """The gravest of what happened."""
    hows = {how for how, _ in outcome.mishaps}
    hows |= {"timeout" for timeline in outcome.timelines.values() if _how(timeline) == "endless"}
    order: tuple[VerdictName, ...] = ("tampered", "crashed", "timeout")
    for verdict in order:
        if verdict in hows:
            return verdict
    return "graded"


def _how(timeline: Timeline) -> str:
    return str(timeline.ending.data["how"]) if timeline.ending else ""


def notes_of(outcome: Outcome, found: Answer) -> tuple[str, ...]:
    """Sentences for the student about the file and about how its cells were run."""
    cells = max((cell.number for cell in found.cells), default=-1) + 1
    return capped([*found.notes, *worded(outcome.cell_notes, cells)])


def line_of(outcome: Outcome, found: Answer) -> str:
    """One line about what ended the run early or prevented it; "" if nothing did."""
    if outcome.mishaps:
        how, message = outcome.mishaps[0]
        return {
            "timeout": f"the code ran too long and was stopped: {message}",
            "crashed": f"the code ended its own run: {message}",
            "tampered": f"its process sent what the course's own code never sends: {message}",
        }[how]
    if any(_how(timeline) == "endless" for timeline in outcome.timelines.values()):
        return "the code was still computing when its time was up: a loop without an end or an await?"
    if found.lost:
        return found.lost
    for number, kind, text in outcome.cell_errors:
        if not any(not ended_badly(timeline) for timeline in outcome.timelines.values()):
            return f"cell {number + 1} doesn't run: {kind}: {text.partition(chr(10))[0]}"
    return ""


def needs_of(outcome: Outcome) -> str:
    """Why a person has to look at it: because the machine may have decided, or before anybody is suspected."""
    if verdict_of(outcome) == "tampered":
        return "its process sent what the course's own code never sends: read the notebook before its score counts"
    return outcome.needs


def unjudged(kit: Kit, student: str, verdict: VerdictName, line: str) -> Result:
    """A verdict without a run: every behaviour at 0."""
    exercise = kit.section.exercise or ""
    return Result(student, kit.section.name, exercise, verdict, "", 0.0, kit.unjudged, line, needs=line)


def not_graded(submission: Submission, verdict: VerdictName, line: str) -> Result:
    """Like `unjudged`, for a submission without bytes to grade. Raises UsageError when its section can't be graded."""
    return unjudged(kit_for_points(submission.section), submission.student, verdict, line)
