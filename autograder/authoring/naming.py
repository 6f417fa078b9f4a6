"""Count how many typical mistakes are named rightly and falsely: `build --check` holds the course to bounds.

Each file in `wrong/` was played under a seed that its signs weren't made from. It is named twice: among all of its
section, where its own headline (or a sibling's) is right, and with it left out, where only silence or a sibling's is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from autograder.authoring.examples import wrong_answers
from autograder.authoring.rule import Built
from autograder.course import Section
from autograder.judging.mistakes import MISTAKES_PATH, Losses, Mistake, known_in, name_losses, trials_in
from autograder.processes import Tell

LEAST_RIGHT, MOST_FALSE, MOST_FALSE_NEW = 90, 2, 5
"""Percent of a course's mistakes: named rightly at least, falsely at most, and falsely at most when left out."""


def count_names(section: Section, built: Built, tell: Tell) -> Counter[str]:
    """How many of a section's mistakes are named `right`, `false` and `silent`, and `new false` when left out, of how
    `many`. Tells these counts, the siblings, and the mistakes that look alike."""
    if MISTAKES_PATH not in built.release:
        return Counter()
    text = built.release[MISTAKES_PATH].decode()
    wrong = wrong_answers(section)
    counts, alike = _named(known_in(text), [one.path.stem for one in wrong], trials_in(text))
    tell(f"{section.name}: {_in_words(counts)}")
    siblings = [f"{one.path.stem} = {other}" for one in wrong for other in sorted(one.siblings)]
    for what, pairs in (("siblings", siblings), ("seen alike", alike)):
        if pairs:
            tell(f"{section.name}: {what}: {', '.join(pairs)}")
    return counts


def _named(
    known: Sequence[Mistake], stems: Sequence[str], trials: Sequence[Losses | None]
) -> tuple[Counter[str], list[str]]:
    """The counts, and each mistake that is named falsely when it is left out, with the name that it gets."""
    counts, alike = Counter[str](), []
    for number, (mistake, lost) in enumerate(zip(known, trials, strict=True)):
        if lost is None:
            counts["own error"] += 1
            continue
        counts["many"] += 1
        named = name_losses(lost, known)
        counts["silent" if named is None else "right" if named.kind == mistake.kind else "false"] += 1
        others = [*known[:number], *known[number + 1 :]]
        if (taken := name_losses(lost, others)) and taken.kind != mistake.kind:
            counts["new false"] += 1
            alike.append(f"{stems[number]} as {stems[known.index(taken)]}")
    return counts, alike


def misnamed(counts: Counter[str], tell: Tell) -> list[str]:
    """The bounds that a course breaks, a line each. Tells the totals of all sections."""
    if not counts["many"]:
        return []
    tell(f"all sections: {_in_words(counts)}")
    return list(_broken(counts))


def _broken(counts: Counter[str]) -> Iterator[str]:
    do = "let a visible test tell apart what is seen alike, or declare siblings"
    share = {what: 100 * counts[what] / counts["many"] for what in ("right", "false", "new false")}
    if share["right"] < LEAST_RIGHT:
        yield f"only {share['right']:.1f} % of the known mistakes are named, {LEAST_RIGHT} % should be; {do}"
    if share["false"] > MOST_FALSE:
        yield f"{share['false']:.1f} % of the known mistakes are named falsely, {MOST_FALSE} % at most may be; {do}"
    if share["new false"] > MOST_FALSE_NEW:
        yield (
            f"{share['new false']:.1f} % of the mistakes are named falsely when they are left out, "
            f"{MOST_FALSE_NEW} % at most may be; {do}"
        )


def _in_words(counts: Counter[str]) -> str:
    known = f"named {counts['right']} rightly, {counts['false']} falsely, {counts['silent']} not at all"
    return f"of {counts['many']} mistakes {known}; each left out: {counts['new false']} falsely" + (
        f" ({counts['own error']} more end with an error of their own, which is told)" if counts["own error"] else ""
    )
