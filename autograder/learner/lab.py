"""`autograder lab`: JupyterLab on the learner's own copy of the notebooks, everything configured.

No work is overwritten: files missing in the learner's folder are copied there, existing files stay as they are.
The configuration lies in `labconfig/` and is handed over by environment: no panels for instructors, no popups,
kernels without a TCP port and with the same order of sets in every run. Which notebooks are open is kept in the
learner's folder: a new one begins with the first section, afterwards JupyterLab opens what was open.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autograder.course import CHECKS, CONFIG, Course, Section
from autograder.errors import UsageError

LABCONFIG = Path(__file__).parents[1] / "labconfig"
DEFAULT = "work"
"""The learner's folder, below the course, ignored by git."""
WORKSPACES = Path(".jupyter", "workspaces")
"""Where JupyterLab keeps, in the learner's folder, what is open."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How JupyterLab is started."""

    argv: list[str]
    env: dict[str, str]
    folder: Path


def lab(course: Course, folder: Path | None = None, arguments: Sequence[str] = ()) -> int:
    """Copy what is missing into `folder` (`work/` of the course) and run JupyterLab there; its exit code.

    `arguments` are passed on to JupyterLab. Raises UsageError for a folder that can't be a learner's.
    """
    folder = learners_folder(course, folder)
    copied = copy_missing(course, folder)
    if copied:
        print(f"new in {folder}: {', '.join(copied)}")
    return _run(launch(course, folder, arguments))


def folder_and_options(arguments: Sequence[str]) -> tuple[Path | None, list[str]]:
    """The learner's folder, if one is named, and JupyterLab's options, some of which have a value after a space."""
    options: list[str] = []
    folder, of_option = None, False
    for word in arguments:
        if folder is None and not word.startswith("-") and not of_option:
            folder = Path(word)
            continue
        options.append(word)
        of_option = word.startswith("-") and "=" not in word and not _stands_alone(word)
    return folder, options


def _stands_alone(option: str) -> bool:
    """Whether JupyterLab takes no value after this option."""
    from jupyterlab.labapp import LabApp

    return option.lstrip("-") in {"h", "help", "help-all", "version", *LabApp.flags}


def learners_folder(course: Course, folder: Path | None = None) -> Path:
    """The folder to work in. Raises UsageError for a file, and for folders of the course."""
    chosen = (folder or course.root / DEFAULT).resolve()
    for kept in (course.notebooks, course.solutions, course.source, course.submitted):
        if chosen == kept or kept in chosen.parents:
            raise UsageError(f"{chosen} belongs to the course and is replaced by it: work in another folder")
    if chosen == course.root:
        raise UsageError(f"{chosen} is the course itself: name a folder of your own, such as {course.root / DEFAULT}")
    if chosen.exists() and not chosen.is_dir():
        raise UsageError(f"{chosen} is a file: name a folder")
    return chosen


def copy_missing(course: Course, folder: Path) -> list[str]:
    """Copy the released files that `folder` lacks; return the sections that got some. No file is ever replaced."""
    if not course.notebooks.is_dir():
        raise UsageError(f"there is nothing to copy: {course.notebooks} isn't there; run: autograder build")
    copied = []
    for section in course.sections:
        released = (path for path in sorted(section.released.rglob("*")) if path.is_file())
        files = [path.relative_to(course.notebooks) for path in released if ".ipynb_checkpoints" not in path.parts]
        old = _has_old_layout(section, folder)
        if [path for path in files if _copy(course.notebooks / path, folder / (_old_place(path) if old else path))]:
            copied.append(section.name)
    return copied


def _has_old_layout(section: Section, folder: Path) -> bool:
    """Whether the learner's copy of a section has its tests beside the notebook, where earlier versions put them."""
    return os.path.lexists(folder / section.name / section.tests.name)


def _old_place(path: Path) -> Path:
    """Where such a copy has a file that lies in `checks/` by now: the whole of it stays as its learner knows it."""
    return path.parent.parent / path.name if path.parent.name == CHECKS else path


def launch(course: Course, folder: Path, arguments: Sequence[str] = ()) -> Launch:
    """The command and the environment that make JupyterLab a student's."""
    exchange = has_exchange(course)
    config = [LABCONFIG.parent] if exchange else [LABCONFIG / "alone", LABCONFIG.parent]
    # the Assignment List needs the exchange that the course names
    config += [course.root] if exchange else []
    env = dict(os.environ)
    env["JUPYTER_CONFIG_PATH"] = _prepended(env, "JUPYTER_CONFIG_PATH", config)
    env["JUPYTER_PATH"] = _prepended(env, "JUPYTER_PATH", [LABCONFIG])
    argv = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder}"]
    if os.name == "posix":
        argv.append("--KernelManager.transport=ipc")
    return Launch([*argv, *_opening(course, folder, arguments), *arguments], env, folder)


def _opening(course: Course, folder: Path, arguments: Sequence[str]) -> Iterator[str]:
    """Options that open the first notebook where nothing was open yet; what the person says themselves counts."""
    if "JUPYTERLAB_WORKSPACES_DIR" in os.environ or any("workspaces_dir" in word for word in arguments):
        return
    workspaces = folder / WORKSPACES
    yield f"--LabApp.workspaces_dir={workspaces}"
    first = next(iter(course.sections), None)
    if first is not None and not any(workspaces.glob("*")) and not any("default_url" in word for word in arguments):
        yield f"--LabApp.default_url=/lab/tree/{first.name}/{first.notebook}.ipynb"


def has_exchange(course: Course) -> bool:
    """Whether the course has an exchange: its configuration names a folder that exists."""
    from jupyter_core.paths import jupyter_config_path
    from traitlets.config.loader import PyFileConfigLoader

    for place in (course.root, *map(Path, jupyter_config_path())):
        if (place / CONFIG).is_file():
            root = PyFileConfigLoader(CONFIG, path=str(place)).load_config().Exchange.get("root")
            if isinstance(root, str) and root:
                return Path(root).is_dir()
    return False


def _copy(source: Path, target: Path) -> bool:
    """Copy a file whole or not at all, and never over another file."""
    if os.path.lexists(target):
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        shutil.copyfile(source, beside)
        os.link(beside, target)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        with open(target, "xb") as file:
            file.write(source.read_bytes())
    finally:
        beside.unlink(missing_ok=True)
    return True


def _prepended(env: Mapping[str, str], name: str, places: Sequence[Path]) -> str:
    return os.pathsep.join([*map(str, places), *filter(None, [env.get(name)])])


def _run(start: Launch) -> int:
    if os.name == "posix":
        sys.stdout.flush()
        os.chdir(start.folder)
        os.execve(
            start.argv[0], start.argv, start.env
        )  # replace this process, so that Ctrl-C and signals reach JupyterLab
    return subprocess.call(start.argv, env=start.env, cwd=start.folder)
