"""The corpus, in every tier: each attack is judged as it must be, touches nothing, leaves nothing behind, and the next
honest submission gets full marks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from autograder.pages.feedback import page
from tests.attacks import files
from tests.attacks.corpus import Attack, answered, attacks
from tests.attacks.field import Field
from tests.autograder.sandbox.boxes import settings, staged

CATEGORIES = ("resources", "exits", "escape", "forgery", "values", "threats")
CORPUS = {category: attacks(category) for category in CATEGORIES} | {"files": files.ATTACKS}


def cases() -> Iterator[Any]:
    """Every attack in every setting. A third of the cheap ones runs each time, now in this setting and now in that."""
    everything = [(f"{category}: {attack.name}", attack) for category, found in CORPUS.items() for attack in found]
    cheap = [name for name, attack in everything if not attack.heavy][::3]
    for number, setting in enumerate(settings()):
        quick = set(cheap[number :: len(settings())])
        for name, attack in everything:
            marks = [pytest.mark.xdist_group(f"attacks-{setting}"), *([] if name in quick else [pytest.mark.heavy])]
            yield pytest.param(setting, attack, id=f"{setting}-{name}", marks=marks)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("setting", "attack"), list(cases()))
def test_contained(place: Field, attack: Attack, record_property) -> None:
    """No point more than declared, no canary touched, no process left, the neighbour's marks untouched."""
    wrong = place.contain(attack)
    record_property("attack", (wrong.get("points gained", 0), int("neighbour harmed" in wrong)))
    assert not wrong, "\n".join(f"{name}: {seen}" for name, seen in wrong.items())


DRAWN = """
import os, random, secrets, uuid
import numpy
async def fetch(op):
    drawn = [random.random(), random.Random().random(), uuid.uuid4(), secrets.token_hex(), os.urandom(8)]
    raise RuntimeError(repr([numpy.random.random(), *drawn]))
"""


@pytest.mark.parametrize(
    "setting", [pytest.param(one, marks=pytest.mark.xdist_group(f"attacks-{one}")) for one in settings()], ids=str
)
def test_drawn_numbers_repeat(place: Field) -> None:
    """Whatever a submission draws, and shows, it gets the same result each time."""
    found = []
    for _ in range(2):
        with staged(*place.setting.roles):
            result = place.grader.grade(json.dumps(answered(DRAWN)).encode(), place.section, "mallory")
        logs = [one.timeline.to_json() for one in result.behaviours if one.timeline]
        assert any("RuntimeError" in log for log in logs)
        found.append((logs, page(replace(result, seconds=0))))
    assert found[0] == found[1]
