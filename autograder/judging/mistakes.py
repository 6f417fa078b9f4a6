"""Name the typical mistake that an answer behaves like: students get its headline.

When the notebook was built, each file in a section's `wrong/` was judged by the visible tests under several seeds; what
it lost, and the words for it, stands in `mistakes.json` beside the tests. An answer that loses the same behaviours, all
of them and no other, in the same words behaves like that mistake, and its headline says so. Numbers count: often they
are the diagnosis. Only what differed between the seeds, because the world drew it, may differ. If mistakes of several
kinds fit equally well, none is named.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path
from typing import NamedTuple

from autograder.course import CHECKS, Section
from autograder.judging.result import Behaviour

MISTAKES_FILE = "mistakes.json"
MISTAKES_PATH = f"{CHECKS}/{MISTAKES_FILE}"
"""Where the build puts it, from the notebook's folder on."""
FORM = 3
"""The version of the signs; raise it when they are made in another way, so that they are made anew."""
LEAST_WORDS = 0.5
"""Where two plays' words differ in shape, what they share must be at least this part of the
shorter: less would fit anything."""

ASIDES = ("never awaited", "time.sleep")
"""Further lines of a message that may add to the diagnosis; their names and seconds are the answer's own."""

NAME, NUMBER, ANYTHING = "‹name›", "‹number›", "‹anything›"
_MATCHES = {NAME: r"[^\W\d_]*-[0-9a-f]{10}", NUMBER: r"\d(?:[\d.,]*\d)?"}
_TOKEN = re.compile(rf"{_MATCHES[NAME]}\b|{_MATCHES[NUMBER]}|[^\W\d_]+|.", re.DOTALL)
_WILD = re.compile("|".join(_MATCHES))

Losses = Mapping[str, str]
"""Each lost behaviour, with the first line of its message and the asides that follow."""


class Mistake(NamedTuple):
    """A typical mistake: its headline, and its signs."""

    headline: str
    kind: str
    """Siblings, which are the same misconception in other code, share it."""
    lost: frozenset[frozenset[str]]
    """The behaviours that it loses in each play."""
    words: Mapping[str, tuple[str, ...]]
    """The message of each; `‹number›`, `‹name›` and `‹anything›` stand for what differs between plays."""


def losses(behaviours: Iterable[Behaviour]) -> dict[str, str]:
    """The visible behaviours that an answer loses, with their messages."""
    return {
        behaviour.test: _without_details(behaviour.message)
        for behaviour in behaviours
        if not behaviour.passed and not behaviour.hidden
    }


def _without_details(message: str) -> str:
    first, _, rest = message.partition("\n")
    return first + "".join(f" ({aside})" for aside in ASIDES if aside in rest)


def describe_mistake(headline: str, kind: str, plays: Iterable[Losses]) -> Mistake:
    """Describe the mistake that loses these, one play after another."""
    plays = list(plays)
    tests = sorted({test for play in plays for test in play})
    words = {test: _generalised([play[test] for play in plays if test in play]) for test in tests}
    return Mistake(headline, kind, frozenset(frozenset(play) for play in plays if play), words)


def headlines(behaviours: Iterable[Behaviour], known: Sequence[Mistake]) -> list[str]:
    """The headline of the known mistake that these behaviours show; empty unless it is sure."""
    mistake = find_mistake(behaviours, known)
    return [mistake.headline] if mistake else []


def find_mistake(behaviours: Iterable[Behaviour], known: Iterable[Mistake]) -> Mistake | None:
    """The known mistake that these behaviours show; None if none fits, or several kinds fit equally well."""
    judged = [behaviour for behaviour in behaviours if not behaviour.hidden]
    if any(behaviour.slip for behaviour in judged):
        return None  # an error of the answer's own comes first, with its line
    return name_losses(losses(judged), known, frozenset(behaviour.test for behaviour in judged))


def name_losses(left: Losses, known: Iterable[Mistake], judged: frozenset[str] | None = None) -> Mistake | None:
    """Like `find_mistake`, from what is lost. `judged`: the behaviours that were judged (None: all)."""
    fitting = [(wild, mistake) for mistake in known if (wild := _wild(mistake, left, judged)) is not None]
    best = [mistake for wild, mistake in fitting if wild == min(wild for wild, _ in fitting)]
    return best[0] if len({mistake.kind for mistake in best}) == 1 else None


def _wild(mistake: Mistake, left: Losses, judged: frozenset[str] | None) -> tuple[int, int] | None:
    """How much had to be left open for the mistake to fit (less is better); None if it doesn't fit."""
    tests = frozenset(left)
    if not tests or tests not in {lost if judged is None else lost & judged for lost in mistake.lost}:
        return None
    found = [_wild_words(mistake.words[test], said) for test, said in left.items()]
    fitting = [one for one in found if one is not None]
    return (sum(one for one, _ in fitting), sum(one for _, one in fitting)) if fitting == found else None


def _wild_words(words: Iterable[str], said: str) -> tuple[int, int] | None:
    fitting = [one for one in words if _pattern(one).fullmatch(said)]
    return min(((one.count(ANYTHING), one.count(NUMBER)) for one in fitting), default=None)


@cache
def _pattern(words: str) -> re.Pattern[str]:
    first, *rest = (_fixed(text) for text in words.split(ANYTHING))
    if not rest:
        return re.compile(first, re.DOTALL)
    # Each piece matches at its first place, without backtracking: a stranger's words must not make this try all ways.
    inner = "".join(f"(?>.*?{piece})" for piece in rest[:-1])
    return re.compile(f"{first}{inner}.*{rest[-1]}", re.DOTALL)


def _fixed(words: str) -> str:
    """The pattern of words in which only names and numbers are open."""
    wild = [_MATCHES[one] for one in _WILD.findall(words)]
    fixed = [re.escape(text) for text in _WILD.split(words)]
    return "".join(map("".join, zip(fixed, [*wild, ""], strict=True)))


def _generalised(said: Iterable[str]) -> tuple[str, ...]:
    """What several plays said of one behaviour: one text for each shape, with what differs left open. If there are
    several shapes, also what they share."""
    rows: dict[tuple[str, ...], list[list[str]]] = {}
    for one in said:
        tokens = _TOKEN.findall(one)
        rows.setdefault(tuple(map(_kind, tokens)), []).append(tokens)
    found = [
        "".join(
            kind if kind == NAME or len(set(column)) > 1 else column[0]
            for kind, *column in zip(shape, *same, strict=True)
        )
        for shape, same in rows.items()
    ]
    shapes = list(rows)
    shared = shapes[0]
    for shape in shapes[1:]:
        shared = _shared(shared, shape)
    enough = _count_words(shared) >= LEAST_WORDS * min(map(_count_words, shapes))
    return (*found, "".join(shared)) if len(shapes) > 1 and enough else tuple(found)


def _kind(token: str) -> str:
    return next((kind for kind in (NAME, NUMBER) if re.fullmatch(_MATCHES[kind], token)), token)


def _shared(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    found: list[str] = []
    for what, start, end, _, _ in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        if what == "equal":
            found += one[start:end]
        elif found[-1:] != [ANYTHING]:
            found.append(ANYTHING)
    return tuple(found)


def _count_words(shape: Iterable[str]) -> int:
    return sum(token.isalpha() for token in shape)


def read_known(path: Path) -> list[Mistake]:
    """The mistakes that the build wrote; empty if there is no such file."""
    return known_in(path.read_text(encoding="utf-8")) if path.exists() else []


def known_in(text: str) -> list[Mistake]:
    """The mistakes in the text of a `mistakes.json`; empty for one of an earlier version, which knew less."""
    rows = json.loads(text)["mistakes"]
    if any(len(row) != len(Mistake._fields) for row in rows):
        return []
    return [
        Mistake(headline, kind, frozenset(map(frozenset, lost)), {test: tuple(said) for test, said in words.items()})
        for headline, kind, lost, words in rows
    ]


def trials_in(text: str) -> list[Losses | None]:
    """What each mistake in the text of a `mistakes.json` lost under a seed that its signs weren't made from; None where
    an error of its own is told in place of a name."""
    found: list[Losses | None] = json.loads(text)["trials"]
    return found


def mistakes_json(digest: str, found: Iterable[Mistake], trials: Iterable[Losses | None] = ()) -> bytes:
    """The bytes of `mistakes.json`; `digest` tells what it was made from. trials: see `trials_in`."""
    rows = ",\n".join(
        json.dumps([one.headline, one.kind, sorted(map(sorted, one.lost)), dict(one.words)], ensure_ascii=False)
        for one in found
    )
    tried = ",\n".join(json.dumps(one, ensure_ascii=False, sort_keys=True) for one in trials)
    return f'{{"made_from": {json.dumps(digest)}, "mistakes": [\n{rows}\n], "trials": [\n{tried}\n]}}\n'.encode()


def judged_mistakes(section: Section) -> Path:
    """The file where the build keeps judged mistakes of a section that it couldn't write yet."""
    return section.course.build / "judged" / section.name / MISTAKES_FILE


def made_from(path: Path) -> str:
    """The digest of what a `mistakes.json` was made from; "" if there is no file."""
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["made_from"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def digest_of(texts: Iterable[str]) -> str:
    """A digest of these texts."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
