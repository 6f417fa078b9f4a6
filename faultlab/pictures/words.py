"""A timeline in a sentence, for readers who can't see the picture.

Everything shown was a name or a value in somebody's code: it is cleaned and escaped here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape

from markupsafe import Markup

from faultlab.pictures.sheet import clean, plural, seconds
from faultlab.timeline import Call, Event, Timeline

OUTCOMES = {"ok": "answered", "error": "failed", "cancelled": "given up", "pending": "never answered"}


def describe(timeline: Timeline) -> str:
    """One to three sentences about what happened: the calls and their outcomes, the world's faults, the end."""
    actors = actors_of(timeline)
    if not actors:
        return "Nothing happened."
    who = _listed(actors) if len(actors) <= 3 else plural(len(actors), "lane")
    parts = [part for part in (_calls(timeline.calls()), _sleeps(timeline)) if part]
    first = f"{who} over {seconds(timeline.duration)}: {'; '.join(parts) or 'no calls'}."
    return " ".join(sentence for sentence in (first, _world(timeline), _ending(timeline.ending)) if sentence)


def fill(template: str, *places: object, longest: int = 200) -> Markup:
    """Fill each {} of an HTML template with words, cut at `longest` characters, or with markup."""
    return Markup(template.format(*[escaped(place, longest) for place in places]))


def escaped(words: object, longest: int = 200) -> Markup:
    """Words for HTML, as `safe` makes them; markup as it is."""
    return words if isinstance(words, Markup) else Markup(safe(words, longest))


def prose(text: str, longest: int = 200) -> Markup:
    """Like `escaped` for a sentence; text in backticks becomes code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escaped(text, longest))))


def safe(text: object, longest: int = 200) -> str:
    """Words for HTML and SVG: cleaned and escaped, also for use inside quotes."""
    return escape(clean(text, longest), quote=True)


def actors_of(timeline: Timeline) -> list[str]:
    """The lanes in which something happened, without the world's and the run's end."""
    return list(dict.fromkeys(event.lane for event in timeline if event.kind not in ("world", "end") and event.lane))


def faults_of(timeline: Timeline) -> list[tuple[str, float, float]]:
    """The world's faults: words, from, to (seconds)."""
    begun: dict[tuple[str, str], float] = {}
    faults: list[tuple[str, float, float]] = []
    for event in timeline.of("world"):
        key = (str(event.data.get("what", "fault")), str(event.data.get("service") or ""))
        if event.data.get("on", True):
            begun.setdefault(key, event.seconds)
        elif key in begun:
            faults.append((" of ".join(filter(None, key)), begun.pop(key), event.seconds))
    faults += [(" of ".join(filter(None, key)), start, timeline.duration) for key, start in begun.items()]
    return sorted(faults, key=lambda fault: (fault[1], fault[2], fault[0]))


def ending_of(event: Event) -> str:
    """How a run ended, in words."""
    how = str(event.data.get("how", "ended"))
    error, message = event.data.get("error"), event.data.get("message")
    return clean(f"{how} {error}" if error else f"{how}: {message}" if message else how)


def _calls(calls: Sequence[Call]) -> str:
    if not calls:
        return ""
    services = list(dict.fromkeys(call.service for call in calls))
    to = f" to {_listed(services)}" if len(services) <= 3 else f" to {plural(len(services), 'service')}"
    outcomes = Counter(call.outcome for call in calls)
    said = [f"{outcomes[key]} {word}{_errors(calls, key)}" for key, word in OUTCOMES.items() if outcomes[key]]
    return f"{plural(len(calls), 'call')}{to}, {', '.join(said)}"


def _errors(calls: Iterable[Call], outcome: str) -> str:
    names = list(dict.fromkeys(call.error or "" for call in calls if call.outcome == outcome == "error"))
    return f" ({_listed(names[:3])}{', ...' if len(names) > 3 else ''})" if names else ""


def _sleeps(timeline: Timeline) -> str:
    pauses = [pause for pause in timeline.pauses("sleep") if pause.lane]
    slept = sum((pause.end if pause.end is not None else pause.until) - pause.start for pause in pauses)
    return f"{plural(len(pauses), 'sleep')}, {seconds(round(slept, 9))} in all" if pauses else ""


def _world(timeline: Timeline) -> str:
    faults = faults_of(timeline)
    blocked = sum(float(event.data.get("seconds", 0)) for event in timeline.of("blocked"))
    said = [f"{clean(words)} from {seconds(start)} to {seconds(end)}" for words, start, end in faults[:3]]
    said += [f"and {plural(len(faults) - 3, 'more fault')}"] if len(faults) > 3 else []
    said += [f"a blocking sleep stopped everybody for {seconds(blocked)}"] if blocked else []
    text = ", ".join(said)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _ending(event: Event | None) -> str:
    return f"The run ended: {ending_of(event)}." if event and event.data.get("how") != "returned" else ""


def _listed(names: Iterable[str]) -> str:
    words = [clean(name, 40) for name in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
