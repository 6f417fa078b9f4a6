"""Keep a course in the middle of a term as this version leaves it, for `test_midterm.py` of the versions after it.

    python tests/midterm/make.py        # writes tests/midterm/<version>.json

Some are graded (one of them with points by hand, extra credit and a comment), some have only handed in, a learner has
solved half of their own copy. The file maps paths to texts; the gradebook stands in it as SQL.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

SECTION = "90_sample"
RIGHT, WRONG, HALF = (f"def add(a, b):\n    return {value}\n" for value in ("a + b", "a - b", "0"))
GRADED = {"ada": RIGHT, "bob": WRONG, "cid": HALF, "dora": None}
WAITING = {"eve": RIGHT, "fay": WRONG}
KEPT = ("work", "submitted", "autograded", "feedback", "notebooks", "solutions", "build/graded", "build/source")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        kept = json.dumps(in_the_middle_of_a_term(Path(folder) / "course"), indent=0, sort_keys=True)
    Path(__file__).with_name(f"{version('resilience-course')}.json").write_text(kept + "\n", encoding="utf-8")


def in_the_middle_of_a_term(root: Path) -> dict[str, str]:
    from autograder.authoring import build
    from autograder.learner.lab import copy_missing
    from tests.autograder.conftest import make_course

    course = make_course(root)
    assert build.build(course) == []
    for student, answer in GRADED.items():
        hand_in(root, student, answer, "2026-11-03 10:00:00.000000 UTC")
    (root / "submitted" / "gus" / SECTION).mkdir(parents=True)
    (root / "submitted" / "gus" / SECTION / "sample.ipynb").write_text("no notebook")
    (root / "submitted" / "hal" / SECTION).mkdir(parents=True)
    subprocess.run([Path(sys.executable).with_name("autograder"), "grade", "--json", "rows.jsonl"], cwd=root)
    grade_by_hand(root)
    for student, answer in WAITING.items():
        hand_in(root, student, answer, "2026-11-05 10:00:00.000000 UTC")
    copy_missing(course, root / "work")
    (root / "work" / SECTION / "sample.ipynb").write_text(notebook(root, RIGHT))
    return kept(root)


def notebook(root: Path, answer: str | None) -> str:
    body = json.loads((root / "notebooks" / SECTION / "sample.ipynb").read_text())
    for cell in body["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("solution") and answer is not None:
            cell["source"] = answer
    return json.dumps(body, indent=1)


def hand_in(root: Path, student: str, answer: str | None, stamp: str) -> None:
    folder = root / "submitted" / student / SECTION
    folder.mkdir(parents=True)
    (folder / "sample.ipynb").write_text(notebook(root, answer))
    (folder / "timestamp.txt").write_text(stamp)


def grade_by_hand(root: Path) -> None:
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{root / 'gradebook.db'}", "resilience") as book:
        book.update_or_create_assignment(SECTION, duedate="2026-11-04 00:00:00")
        grade = book.find_grade("sample_score", "sample", SECTION, "bob")
        grade.manual_score, grade.needs_manual_grade = 2.0, False
        grade.extra_credit = 0.5
        book.find_comment("sample", "sample", SECTION, "bob").manual_comment = "The idea is right."
        book.db.commit()


def kept(root: Path) -> dict[str, str]:
    paths = [root / name for name in ("nbgrader_config.py", ".course-secret", "rows.jsonl")]
    paths += [path for name in KEPT for path in sorted((root / name).rglob("*")) if path.is_file()]
    files = {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in paths}
    with closing(sqlite3.connect(root / "gradebook.db")) as book:
        return files | {"gradebook.db": "\n".join(book.iterdump()) + "\n", "submitted/hal/90_sample/": ""}


if __name__ == "__main__":
    main()
