"""The figures of SECURITY.md that can be counted without running anything are those of the code."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.attacks.afterwards import MARKDOWN, WORDS
from tests.attacks.collected import CASES
from tests.attacks.test_attacks import CORPUS
from tests.autograder.grading.test_unlucky import KILLED
from tests.autograder.sandbox import test_fuzz, test_session
from tests.autograder.sandbox.boxes import settings
from tests.sections.conftest import SECTIONS

PAGE = Path(__file__).parents[1] / "SECURITY.md"


def test_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row of the table `In figures`, as root has them."""
    monkeypatch.setattr(os, "getuid", lambda: 0)
    corpus = sum(map(len, CORPUS.values()))
    beside = len(MARKDOWN) + len(WORDS | MARKDOWN) + len(CASES) + 1  # copies, pages, collections, many in flight
    spoilt = (test_fuzz.QUICK + test_fuzz.HEAVY) * len(SECTIONS)
    counted = {
        "submissions in the corpus": corpus,
        "settings": len(settings()),
        "attacks tried": corpus * len(settings()) + beside,
        "contained": corpus * len(settings()) + beside,
        "points gained": 0,
        "neighbours harmed": 0,
        "messages fuzzed": spoilt + test_session.FUZZED * test_session.SEEDS,
        "submissions in the random-kill run": KILLED,
    }
    table = PAGE.read_text(encoding="utf-8").partition("## In figures")[2].partition("\n## ")[0]
    for what, count in counted.items():
        row = re.search(rf"^\| {what}.*?\| ([\d,]+) \|", table, re.MULTILINE)
        assert row, f"SECURITY.md, In figures: there is no row that begins with '{what}'"
        assert row[1] == f"{count:,}", f"SECURITY.md, In figures, '{what}': it is {count:,} now; run its command anew"
