"""What a bare pytest judges: the answer beside the tests that it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograder.authoring.examples import FORMS, cell_text
from autograder.authoring.worked import run_answer, solution_notebook
from autograder.course import notebook_folder, refuse_submission
from autograder.errors import UnreadableSubmission, UsageError
from autograder.files import read_regular
from autograder.judging.bench import Bench, section_of
from autograder.notebook.answer import Unreadable, find_answer, read_cells
from autograder.notebook.execution import run_notebook
from faultlab.scenario import Played
from faultlab.timeline import Timeline


@dataclass
class Nearby:
    """A section and the names of one notebook, to be played against each other."""

    bench: Bench
    namespace: Mapping[str, Any]

    def play(self, wanted: Played) -> Timeline:
        """One scenario against the notebook."""
        return self.bench.play(wanted, self.namespace)


def nearby(tests: Path, submission: str | None) -> Nearby:
    """What a bare pytest judges: the submission if named, otherwise the solution if there is one, otherwise the
    notebook beside the tests.

    A submission is a notebook, or a file such as those in `right/` and `wrong/`. Raises UsageError.
    """
    folder = notebook_folder(tests)
    exercise = tests.stem.removeprefix("test_")
    path = Path(submission) if submission else folder / f"{exercise}.ipynb"
    refuse_submission(folder)
    refuse_submission(path)
    bench = Bench.at(exercise, folder)
    section = section_of(folder)
    if section is not None and section.source.is_file() and (path.suffix in FORMS or not path.exists()):
        text = cell_text(section, path) if submission else None
        return Nearby(bench, run_answer(section, solution_notebook(section), text))
    try:
        cells = read_cells(read_regular(path))
    except (Unreadable, UnreadableSubmission) as error:
        raise UsageError(str(error)) from None
    return Nearby(bench, run_notebook(find_answer(cells, [], exercise).cells, bench.wanted)[0])
