"""Typical mistakes -> what a student hears: the headline of the mistake that an answer behaves like.

Each file in a section's `wrong/` was judged by the visible tests when the notebook was built; what each lost, and the
words for it, stands in `mistakes.json` beside the tests. An answer that loses the same in the same words behaves like
that mistake, and its headline says so; where other values were drawn, the numbers in the words don't count.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from autograder.course import Section
from autograder.judging.result import Behaviour

MISTAKES_FILE = "mistakes.json"
SHOWN = 2
"""At most so many headlines for one answer."""

_TOKEN = re.compile(r"\S*-[0-9a-f]{10}\b")
_NUMBER = re.compile(r"\d[\d.,]*")

Loss = tuple[str, str]
"""A behaviour's id, and the first line of what was seen instead, without the names that a world draws."""


class Mistake(NamedTuple):
    """A typical mistake: what the student should hear, and what it loses."""

    headline: str
    losses: frozenset[Loss]


def losses(behaviours: Iterable[Behaviour]) -> frozenset[Loss]:
    """What an answer loses of the visible behaviours."""
    return frozenset(
        (behaviour.test, _TOKEN.sub("#", behaviour.message.partition("\n")[0]))
        for behaviour in behaviours
        if not behaviour.passed and not behaviour.hidden
    )


def find_signs(plays: Sequence[frozenset[Loss]]) -> list[frozenset[Loss]]:
    """What tells a mistake, of what it lost in several plays: each play's losses, and those that all plays share.

    Numbers aside no two of them are the same. With nothing lost there is none.
    """
    told = [_without_numbers(play) for play in plays]
    shared = frozenset(loss for loss in plays[0] if all(_without_numbers([loss]) <= one for one in told))
    found = {_without_numbers(sign): sign for sign in (shared, *reversed(plays)) if sign}
    return [found[one] for one in dict.fromkeys((*told, _without_numbers(shared))) if one]


def headlines(behaviours: Iterable[Behaviour], known: Sequence[Mistake]) -> list[str]:
    """The headlines of the mistakes that these behaviours show, those that explain most first."""
    behaviours = list(behaviours)
    if any(behaviour.slip for behaviour in behaviours):
        return []  # its own error comes first
    left = losses(behaviours)
    found: list[str] = []
    while left and len(found) < SHOWN:
        fitting = _fitting(left, known)
        if not fitting:
            break
        best = max(fitting, key=lambda mistake: (len(mistake.losses), mistake.losses <= left))
        exact, explained = best.losses <= left, _without_numbers(best.losses)
        same = [
            one.headline
            for one in fitting
            if _without_numbers(one.losses) == explained and (one.losses <= left or not exact)
        ]
        found.append(" Or: ".join(dict.fromkeys(same[:3])))
        left = frozenset(loss for loss in left if _without_numbers([loss]).isdisjoint(explained))
    return found


def _fitting(left: frozenset[Loss], known: Iterable[Mistake]) -> list[Mistake]:
    told = _without_numbers(left)
    return [mistake for mistake in known if mistake.losses and _without_numbers(mistake.losses) <= told]


def read_known(path: Path) -> list[Mistake]:
    """The mistakes that the build wrote down; none where there is no such file."""
    return known_in(path.read_text(encoding="utf-8")) if path.exists() else []


def known_in(text: str) -> list[Mistake]:
    """The mistakes in the text of a `mistakes.json`."""
    body = json.loads(text)
    return [
        Mistake(headline, frozenset((test, words) for test, words in losses)) for headline, losses in body["mistakes"]
    ]


def mistakes_json(digest: str, found: Iterable[Mistake]) -> bytes:
    """The bytes of `mistakes.json`; `digest` tells what it was made from."""
    rows = ",\n".join(json.dumps([one.headline, sorted(one.losses)], ensure_ascii=False) for one in found)
    return f'{{"made_from": {json.dumps(digest)}, "mistakes": [\n{rows}\n]}}\n'.encode()


def judged_mistakes(section: Section) -> Path:
    """Where the build keeps what it judged of a section that it couldn't write yet."""
    return section.course.build / "judged" / section.name / MISTAKES_FILE


def made_from(path: Path) -> str:
    """The digest of what a `mistakes.json` was made from; "" where there is none."""
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["made_from"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def digest_of(texts: Iterable[str]) -> str:
    """A digest of these texts."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def _without_numbers(lost: Iterable[Loss]) -> frozenset[Loss]:
    return frozenset((test, _NUMBER.sub("#", words)) for test, words in lost)
