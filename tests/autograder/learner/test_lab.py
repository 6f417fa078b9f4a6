"""`autograder lab`: the learner's own copy, never overwritten, in a JupyterLab without surprises."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from autograder.cli import main
from autograder.course import Course
from autograder.errors import UsageError
from autograder.learner import lab
from tests.autograder.conftest import SECTION, lay_out_as_before


def ask(course: Course, code: str) -> str:
    """What a process that is started like JupyterLab finds."""
    started = lab.launch(course, course.root)
    done = subprocess.run([sys.executable, "-c", code], env=started.env, capture_output=True, text=True, check=True)
    return done.stdout


def with_exchange(course: Course) -> Path:
    place = course.root / "exchange"
    config = course.root / "nbgrader_config.py"
    config.write_text(config.read_text() + f"\nc.Exchange.root = {str(place)!r}\n")
    return place


class TestCopy:
    def test_missing_sections_are_copied(self, course: Course) -> None:
        """Everything that is released, into work/ unless another folder is named."""
        folder = lab.learners_folder(course)
        assert folder == course.root / "work"
        assert lab.copy_missing(course, folder) == [SECTION, "91_plain"]
        released = sorted(path.relative_to(course.notebooks) for path in course.notebooks.rglob("*"))
        assert sorted(path.relative_to(folder) for path in folder.rglob("*")) == released

    def test_no_file_is_ever_replaced(self, course: Course, tmp_path: Path) -> None:
        """What the learner wrote stays; what they removed comes back."""
        folder = tmp_path / "mine"
        lab.copy_missing(course, folder)
        (folder / SECTION / "sample.ipynb").write_text("my work")
        (folder / SECTION / "checks" / "scenarios.py").unlink()
        assert lab.copy_missing(course, folder) == [SECTION]
        assert (folder / SECTION / "sample.ipynb").read_text() == "my work"
        assert (folder / SECTION / "checks" / "scenarios.py").exists()
        assert lab.copy_missing(course, folder) == []

    def test_a_copy_of_the_old_layout_stays_one(self, course: Course, tmp_path: Path) -> None:
        """Its tests lie beside the notebook: no second set of them arrives, and a file that is gone comes back."""
        folder = tmp_path / "mine"
        lab.copy_missing(course, folder)
        lay_out_as_before(folder / SECTION)
        assert lab.copy_missing(course, folder) == []
        (folder / SECTION / "scenarios.py").unlink()
        assert lab.copy_missing(course, folder) == [SECTION]
        assert (folder / SECTION / "scenarios.py").exists() and not (folder / SECTION / "checks").exists()

    def test_a_dangling_link_keeps_its_name(self, course: Course, tmp_path: Path) -> None:
        """A name that is taken is taken."""
        (tmp_path / "mine" / SECTION).mkdir(parents=True)
        (tmp_path / "mine" / SECTION / "sample.ipynb").symlink_to(tmp_path / "nowhere")
        lab.copy_missing(course, tmp_path / "mine")
        assert not (tmp_path / "nowhere").exists()

    @pytest.mark.parametrize("place", [".", "notebooks", f"notebooks/{SECTION}", "solutions", "build/source"])
    def test_the_courses_own_folders_are_refused(self, course: Course, place: str) -> None:
        """Work there would be replaced by the next build."""
        with pytest.raises(UsageError, match="folder"):
            lab.learners_folder(course, course.root / place)

    def test_nothing_built_says_what_to_run(self, course: Course, tmp_path: Path) -> None:
        """One line."""
        course.notebooks.rename(tmp_path / "gone")
        with pytest.raises(UsageError, match="run: autograder build"):
            lab.copy_missing(course, tmp_path / "mine")


class TestArguments:
    @pytest.mark.parametrize(
        ("typed", "folder", "options"),
        [
            ("", None, ""),
            ("mine", "mine", ""),
            ("--no-browser", None, "--no-browser"),
            ("--no-browser mine", "mine", "--no-browser"),
            ("mine --no-browser", "mine", "--no-browser"),
            ("-y mine", "mine", "-y"),
            ("--port 8899", None, "--port 8899"),
            ("--port 8899 mine --debug", "mine", "--port 8899 --debug"),
            ("--ServerApp.ip=0.0.0.0 mine", "mine", "--ServerApp.ip=0.0.0.0"),
            ("--ip 0.0.0.0 --no-browser", None, "--ip 0.0.0.0 --no-browser"),
        ],
    )
    def test_options_are_jupyterlab_s(
        self, course: Course, monkeypatch: pytest.MonkeyPatch, typed: str, folder: str | None, options: str
    ) -> None:
        """Before FOLDER, after it and without it: no folder is made of an option or of its value."""
        started: list[lab.Launch] = []

        def run(launch: lab.Launch) -> int:
            started.append(launch)
            return 0

        monkeypatch.setattr(lab, "_run", run)
        monkeypatch.chdir(course.root)
        before = {path.name for path in course.root.iterdir()}
        done = CliRunner().invoke(main, ["lab", *typed.split()])
        assert done.exit_code == 0, done.output
        (start,) = started
        assert start.argv[len(start.argv) - len(options.split()) :] == options.split()
        assert start.folder == course.root / (folder or "work")
        assert {path.name for path in course.root.iterdir()} == before | {folder or "work"}


class TestOpening:
    URL = f"--LabApp.default_url=/lab/tree/{SECTION}/sample.ipynb"

    def test_somebody_new_begins_with_the_first_section(self, course: Course) -> None:
        """Its notebook is open; afterwards JupyterLab opens what was open, of this folder and of no other."""
        folder = course.root / "work"
        kept = folder / ".jupyter" / "workspaces"
        assert self.URL in lab.launch(course, folder).argv
        kept.mkdir(parents=True)
        (kept / "default-37a8.jupyterlab-workspace").write_text("{}")
        argv = lab.launch(course, folder).argv
        assert self.URL not in argv and f"--LabApp.workspaces_dir={kept}" in argv

    def test_what_the_person_says_counts(self, course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
        """Another page to open, another place for workspaces."""
        argv = lab.launch(course, course.root / "work", ["--LabApp.default_url=/lab"]).argv
        assert self.URL not in argv and "--LabApp.default_url=/lab" in argv
        argv = lab.launch(course, course.root / "work", ["--LabApp.workspaces_dir=/mine"]).argv
        assert [word for word in argv if "workspaces_dir" in word] == ["--LabApp.workspaces_dir=/mine"]
        monkeypatch.setenv("JUPYTERLAB_WORKSPACES_DIR", "/elsewhere")
        assert not any("workspaces_dir" in word for word in lab.launch(course, course.root / "work").argv)


class TestConfiguration:
    def disabled(self, course: Course) -> set[str]:
        code = "from jupyterlab_server.config import get_page_config as g; import json; print(json.dumps(g([])))"
        found = json.loads(ask(course, code))["disabledExtensions"]
        return {name.removeprefix("@jupyter/nbgrader:") for name in found}

    def test_instructors_panels_are_off(self, course: Course) -> None:
        """And the Assignment List, which alarms where no exchange is."""
        assert self.disabled(course) == {"course-list", "create-assignment", "formgrader", "assignment-list"}

    def test_the_assignment_list_is_on_where_an_exchange_is(self, course: Course) -> None:
        """Configured, and there."""
        place = with_exchange(course)
        assert not lab.has_exchange(course)
        place.mkdir()
        assert lab.has_exchange(course)
        assert self.disabled(course) == {"course-list", "create-assignment", "formgrader"}

    def test_no_news_popup(self, course: Course) -> None:
        """JupyterLab asks nothing and fetches nothing."""
        code = (
            "from jupyterlab_server.settings_utils import _get_overrides as g; import json; print(json.dumps(g('')[0]))"
        )
        settings = json.loads(ask(course, code))["@jupyterlab/apputils-extension:notification"]
        assert settings == {"checkForUpdates": False, "fetchNews": "false"}

    def test_kernels_repeat(self, course: Course) -> None:
        """Their order of sets is the same in each run, and they are this environment's Python."""
        code = (
            "from jupyter_client.manager import KernelManager as K; import json; k = K(kernel_name='python3');"
            "print(json.dumps([k.kernel_spec.env, k.format_kernel_cmd()[0]]))"
        )
        assert json.loads(ask(course, code)) == [{"PYTHONHASHSEED": "0"}, sys.executable]

    def test_what_the_person_configured_still_counts(self, course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
        """Ours comes before it, it isn't dropped."""
        monkeypatch.setenv("JUPYTER_CONFIG_PATH", "/somewhere")
        assert lab.launch(course, course.root).env["JUPYTER_CONFIG_PATH"].endswith(f"{os.pathsep}/somewhere")

    @pytest.mark.skipif(os.name != "posix", reason="other systems have no such sockets")
    def test_kernels_listen_on_no_port(self, course: Course) -> None:
        """Their messages go through files of the user's own."""
        assert "--KernelManager.transport=ipc" in lab.launch(course, course.root, ["--no-browser"]).argv
