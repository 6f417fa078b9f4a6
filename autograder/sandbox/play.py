"""Play a submission's scenarios in sandboxes: sockets, limits and exits around the pure `session`.

Each group of scenarios gets a fresh child. A child that hangs or dies loses only its current scenario. The group's
other scenarios continue in a fresh child, a few times.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from autograder.notebook.notes import NoteKind
from autograder.sandbox.child import Child, Exit, Sandbox, Silent
from autograder.sandbox.limits import Budget, Mishap, TooMuch
from autograder.sandbox.session import Session, Task
from autograder.sandbox.tiers import SandboxUnavailable
from autograder.sandbox.wire import Given, Tampered, pack
from faultlab.scenario import Played, Scenario, uncollected
from faultlab.timeline import Event, Timeline

GRACE = 20.0
"""Wall-clock seconds after which we end a child that its own limits should have ended."""
PATIENCE = 2
"""After so many scenarios that used up their time, the rest isn't played."""
KILLED = ("crashed", "its process was killed by signal 9")
"""The mishap of a child that was killed from outside, as a machine short of memory does, or that killed itself."""
FRESH_STARTS = 4
"""How often a group continues in a fresh child."""


@dataclass
class Outcome:
    """The outcome of playing a submission: the timelines, and what ended its processes early."""

    timelines: dict[Played, Timeline] = field(default_factory=dict)
    cell_errors: list[tuple[int, str, str]] = field(default_factory=list)
    cell_notes: list[tuple[int, NoteKind, str]] = field(default_factory=list)
    mishaps: list[Mishap] = field(default_factory=list)
    """For each child that ended badly: timeout, crashed or tampered."""
    needs: str = ""
    """Why a person has to look at it: it met the wall clock or the grader's own time."""
    killed: int = 0
    """How many children were killed by neither the judge nor a limit; after the first, the group was played again."""

    @property
    def endless(self) -> int:
        """How many scenarios computed until their time was up."""
        return _endless(self.timelines.values())


def play_all(
    box: Sandbox,
    given: Given,
    scenarios: Mapping[str, Scenario],
    wanted: Sequence[tuple[Played, int]],
    budget: Budget | None = None,
) -> Outcome:
    """Play every wanted scenario (with its seed) against a notebook, group by group, within `budget`.

    `given` is what each child gets.
    """
    played, budget = Outcome(), budget or Budget()
    numbers = {name: number for number, name in enumerate(scenarios)}
    groups: dict[str, list[tuple[Played, Task]]] = {}
    for one, seed in wanted:
        scenario = scenarios[one.name]
        task = Task(scenario, one.options, seed, numbers[one.name])
        groups.setdefault(scenario.group, []).append((one, task))
    for group in groups.values():
        _play_group(box, given, group, budget, played)
    played.needs = budget.needs
    return played


def _play_group(
    box: Sandbox,
    given: Given,
    group: list[tuple[Played, Task]],
    budget: Budget,
    played: Outcome,
) -> None:
    left = group
    for _ in range(FRESH_STARTS):
        if played.endless >= PATIENCE:
            return
        session, mishap = _play_unless_killed(box, given, left, budget, played)
        played.timelines.update(zip((one for one, _ in left), session.timelines, strict=False))
        if session.cell_errors is not None:
            played.cell_errors, played.cell_notes = session.cell_errors, session.cell_notes
        left = left[len(session.timelines) :]
        if mishap is None or mishap[0] == "endless":
            return
        if mishap[0] != "limit":
            played.mishaps.append(mishap)
        if session.cell_errors is None or mishap[0] == "tampered":
            break
        if not left:
            return
    assert mishap is not None
    how, message = mishap
    for one, _ in left:
        played.timelines[one] = Timeline((Event(0, "end", "", {"how": how, "message": message}),))


def _play_unless_killed(
    box: Sandbox, given: Given, left: list[tuple[Played, Task]], budget: Budget, played: Outcome
) -> tuple[Session, Mishap | None]:
    """Play in a child; replace the first one that is killed from outside."""
    session, mishap = _play_in_a_child(box, given, left, budget, played)
    played.killed += mishap == KILLED
    if mishap == KILLED and played.killed == 1:
        session, mishap = _play_in_a_child(box, given, left, budget, played)
        played.killed += mishap == KILLED
    return session, mishap


def _play_in_a_child(
    box: Sandbox, given: Given, left: list[tuple[Played, Task]], budget: Budget, played: Outcome
) -> tuple[Session, Mishap | None]:
    session = Session([task for _, task in left], budget)
    if used_up := budget.used_up():
        return session, used_up
    payload = pack(replace(given, token=session.token))
    return session, converse(box, session, payload, patience=PATIENCE - played.endless)


def converse(box: Sandbox, session: Session, payload: bytes, *, patience: int = PATIENCE) -> Mishap | None:
    """Run one child to its end; return None if it played everything, otherwise its mishap.

    The mishap "endless" means that `patience` scenarios computed until their time was up; "limit" means that one did
    more than it may.
    """
    limits, began = session.budget.limits(), time.monotonic()
    child = box.launch(payload, limits)
    mishap: Mishap | None = None
    with contextlib.closing(child):
        try:
            with uncollected():  # the child isn't charged for collecting our garbage; its share is capped
                mishap = _listen(child, session, patience, limits.total + GRACE)
        finally:
            box.kill(child)
            end = box.reap(child)
    session.budget.charge(limits, end.spent, end.cpu, time.monotonic() - began)
    if session.over:
        return None
    mishap = mishap or _died(end, session.budget)
    session.give_up(*mishap)
    return mishap


def _listen(child: Child, session: Session, patience: int, seconds: float) -> Mishap | None:
    """Answer the child until it is done or the time is up; return the mishap, if any."""
    until = time.monotonic() + seconds
    playing = 0
    while not session.over:
        if playing != len(session.timelines):
            if _endless(session.timelines) >= patience:
                session.abandon()
                return ("endless", "")
            playing = len(session.timelines)
        mark = time.thread_time()
        try:
            data = child.receive(until - time.monotonic())
            if data is None:
                return None
            child.send(session.receive(data))
        except Silent:
            return session.budget.met("total")
        except Tampered as reason:
            return ("tampered", str(reason))
        except TooMuch as reason:
            return ("limit", str(reason))
        except Exception as error:
            return ("crashed", f"the grader couldn't follow what it said ({type(error).__name__})")
        if mishap := session.budget.follow(time.thread_time() - mark):
            return mishap
    return None


def _died(end: Exit, budget: Budget) -> Mishap:
    if end.failure:
        raise SandboxUnavailable(f"a submission couldn't be locked in: {end.failure}; run `autograder doctor`")
    if end.spent:
        return budget.met(end.spent)
    if end.starved:
        return ("crashed", "it used up its memory")
    if end.status == -9:
        return KILLED
    if end.status < 0:
        return ("crashed", f"its process was killed by signal {-end.status}")
    return ("crashed", f"its process ended by itself (exit code {end.status})")


def _endless(timelines: Iterable[Timeline]) -> int:
    ends = (timeline.ending for timeline in timelines)
    return sum(end is not None and end.data["how"] in ("endless", "timeout") for end in ends)
