"""Make the students' notebook from the one with its solution, by nbgrader's preprocessors as the course configures
them.

So stock `nbgrader generate_assignment` makes the very same files.
"""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any

from autograder.course import CONFIG, Course, Section
from autograder.notebook.source import BuildError, from_text, source_notebook, to_text

if TYPE_CHECKING:
    from nbformat import NotebookNode
    from traitlets.config import Config


def release(section: Section, source: str) -> str:
    """The released notebook's text. Raises BuildError."""
    try:
        return _convert(section.course, source, _without_saving(_release_steps(section.course)))
    except (RuntimeError, ValueError) as error:
        raise BuildError(f"nbgrader can't make a release of {section.source.name}: {error}") from None


def graded_notebook(section: Section) -> NotebookNode:
    """The notebook that submissions are restored from: the stub, the graded cells whole, nbgrader's checksums.

    nbgrader's gradebook knows this version. It is read from `build/source` if that exists.
    """
    steps = _until_saving(_release_steps(section.course))
    return from_text(_convert(section.course, _source_text(section), _without_saving(steps)))


def save_cells(section: Section, db_url: str) -> None:
    """Register the notebook's cells in nbgrader's database. Raises RuntimeError if it has other cells with grades."""
    names = {"student": ".", "assignment": section.name, "notebook": section.notebook, "db_url": db_url}
    steps = _until_saving(_release_steps(section.course))
    _convert(section.course, _source_text(section), steps, {"unique_key": section.notebook, "nbgrader": names})


def nbgrader_config(course: Course) -> Config:
    """The course's own configuration of nbgrader."""
    from traitlets.config.loader import PyFileConfigLoader

    if str(course.root) not in sys.path:
        sys.path.append(str(course.root))  # nbgrader looks for a course's own plugins there
    config: Config = PyFileConfigLoader(CONFIG, path=str(course.root)).load_config()
    config.CourseDirectory.root = str(course.root)
    config.Exporter.default_preprocessors = []
    return config


def _release_steps(course: Course) -> list[Any]:
    """nbgrader's steps from source to release, as the course configures them."""
    from nbgrader.converters import GenerateAssignment

    return list(GenerateAssignment(config=nbgrader_config(course)).preprocessors)


def _without_saving(steps: list[Any]) -> list[Any]:
    return [step for step in steps if _step_name(step) != "SaveCells"]


def _until_saving(steps: list[Any]) -> list[Any]:
    return steps[: [_step_name(step) for step in steps].index("SaveCells") + 1]


def _step_name(step: Any) -> str:
    return step.rsplit(".")[-1] if isinstance(step, str) else str(step.__name__)


def _convert(course: Course, text: str, steps: list[Any], resources: dict[str, Any] | None = None) -> str:
    from nbconvert.exporters import NotebookExporter

    exporter = NotebookExporter(config=nbgrader_config(course))
    for step in steps:
        exporter.register_preprocessor(step)
    output, _ = exporter.from_file(io.StringIO(text), resources=resources)
    return str(output)


def _source_text(section: Section) -> str:
    """nbgrader's source notebook: the built one, or the one that would be built."""
    built = section.built / f"{section.notebook}.ipynb"
    return built.read_text(encoding="utf-8") if built.is_file() else to_text(source_notebook(section))
