"""A timeline's instants in words, in order: what a player says where its playhead stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from faultlab.pictures.facts import Fact, told
from faultlab.pictures.sheet import plural, seconds
from faultlab.timeline import NS, Event, Timeline

MOST = 600
"""So many instants are told one by one; of more, those that lie close together are told as one."""
TOLD = 3
"""So many things that happen at one instant are told, more are counted."""

_COUNTED = {
    "call": ("call begins", "calls begin"),
    "ok": ("answered", "answered"),
    "error": ("failed", "failed"),
    "cancel": ("given up", "given up"),
    "sleep": ("begins to wait", "begin to wait"),
    "timeout": ("timeout is over", "timeouts are over"),
    "wake": ("wait is cancelled", "waits are cancelled"),
}
"""What is said of one event of a kind, and of several."""


class Moment(NamedTuple):
    """An instant, in seconds, and what happens then, in words."""

    at: float
    words: str


def moments(timeline: Timeline, *, until: float | None = None, most: int = MOST) -> list[Moment]:
    """What happens at each instant of a timeline, in order.

    until: what comes after so many seconds is left out. most: the most instants; beyond it, neighbours are joined.
    """
    last = timeline.duration if until is None else until
    found = [one for one in told(timeline) if one[0].seconds <= last and (one[0].lane or one[0].kind not in _COUNTED)]
    instants = {event.at for event, _ in found}
    width = 0 if len(instants) <= most else max(1, round(last * NS / most))
    groups: dict[int, list[tuple[Event, Fact]]] = {}
    for event, fact in found:
        groups.setdefault(event.at // width if width else event.at, []).append((event, fact))
    return [_moment(group) for _, group in sorted(groups.items())]


def side_by_side(runs: Mapping[str, Timeline], *, until: float, most: int = MOST) -> list[Moment]:
    """The moments of several runs on one clock, each told under its run's name."""
    found: dict[float, list[str]] = {}
    for name, timeline in runs.items():
        for moment in moments(timeline, until=until, most=most // len(runs)):
            found.setdefault(moment.at, []).append(f"{name}, {moment.words}")
    return [Moment(at, " ".join(words)) for at, words in sorted(found.items())]


def _moment(group: Sequence[tuple[Event, Fact]]) -> Moment:
    (first, _), (last, _) = group[0], group[-1]
    when = seconds(first.seconds) if first.at == last.at else f"{seconds(first.seconds)} to {seconds(last.seconds)}"
    facts = [fact for _, fact in group]
    said = [_sentence(fact) for fact in facts] if len(facts) <= TOLD else _counts(group)
    return Moment(first.seconds, f"{when}: {'; '.join(said)}.")


def _counts(group: Sequence[tuple[Event, Fact]]) -> list[str]:
    """Many things at once: those of one kind are counted, the others told while they are few."""
    counts = Counter(_kind(event, fact) for event, fact in group)
    said = [f"{counts[kind]:,} {words[counts[kind] > 1]}" for kind, words in _COUNTED.items() if counts[kind]]
    others: dict[str, list[Fact]] = {}
    for event, fact in group:
        if event.kind not in _COUNTED:
            others.setdefault(fact.words, []).append(fact)
    told = [_sentence(same[0]) if len(same) == 1 else f"{words} ({len(same)} times)" for words, same in others.items()]
    rest = len(told) - TOLD
    return said + told[:TOLD] + ([f"and {plural(rest, 'other thing')}"] if rest > 0 else [])


def _kind(event: Event, fact: Fact) -> str:
    return "timeout" if event.kind == "wake" and "timeout" in fact.words else event.kind


def _sentence(fact: Fact) -> str:
    return f"{fact.who}: {fact.words}" if fact.who else fact.words
