"""The bundled class: some of every section's right answers and typical mistakes, and some real life, as submissions."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from autograder.authoring.examples import answers as written
from autograder.authoring.examples import cell_text
from autograder.course import Course, Section

REAL_LIFE = {
    "untouched": None,
    "syntax_error": "async def (:\n",
    "endless_loop": "while True:\n    pass\n",
    "exits": "import os\nos._exit(0)\n",
}
"""Submissions besides right and wrong answers: the text of the student's cell, None for the stub."""
SHOWN = {"right": 2, "wrong": 6}
"""How many of each kind are in the class: it shows examples; the tests judge all."""


def make_class(course: Course, folder: Path, shown: Mapping[str, int] = SHOWN) -> Path:
    """Write a class's submissions into `folder` (made anew) and return it. shown: the most of each kind."""
    shutil.rmtree(folder, ignore_errors=True)
    for section in course.sections:
        if section.exercise is not None:
            for student, answer in demo_answers(section, shown):
                write_submission(section, folder / student / section.name, answer)
    return folder


def demo_answers(section: Section, shown: Mapping[str, int] = SHOWN) -> Iterator[tuple[str, str | None]]:
    """Student ids with the text of their cell: some of `right/` and `wrong/`, and what happens in real life."""
    for kind, number in shown.items():
        for path in _spread(written(section, kind), number):
            yield f"{kind}_{path.stem}", cell_text(section, path)
    for student, answer in REAL_LIFE.items():
        yield f"some_{student}", answer


def _spread(paths: list[Path], number: int) -> list[Path]:
    """At most so many of them, spread over the list."""
    return [paths[index * len(paths) // number] for index in range(number)] if len(paths) > number else paths


def write_submission(section: Section, folder: Path, answer: str | None) -> Path:
    """A submission of the released notebook with this text in the student's cell (the stub when None)."""
    released = section.released / f"{section.notebook}.ipynb"
    notebook = json.loads(released.read_bytes())
    for cell in notebook["cells"]:
        if answer is not None and _is_answer(cell, section.exercise):
            cell["source"] = answer
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / released.name
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path


def _is_answer(cell: dict[str, Any], exercise: str | None) -> bool:
    return bool(cell["metadata"].get("nbgrader", {}).get("grade_id") == exercise)
