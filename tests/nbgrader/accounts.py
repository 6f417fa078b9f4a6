"""Two accounts of one machine: nbgrader's commands as the instructor, and as a student of another uid."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from autograder.course import Course

SECTION = "90_sample"

_AS = """
import os, sys
import nbgrader.apps.nbgraderapp, nbgrader.exchange.default, nbgrader.auth
uid, gid = int(sys.argv[1]), int(sys.argv[2])
os.setgroups([]); os.setgid(gid); os.setuid(uid)  # Python itself may lie where only root can read
sys.argv = ["nbgrader", *sys.argv[3:]]
sys.exit(nbgrader.apps.nbgraderapp.main())
"""


@dataclass(frozen=True)
class Account:
    """Somebody with a folder of their own."""

    name: str
    home: Path

    @classmethod
    def student(cls, name: str, place: Path, exchange: Path) -> Account:
        """A student who has told nbgrader where the exchange is."""
        home = place / f"home-{name}"
        home.mkdir()
        (home / "nbgrader_config.py").write_text(
            f"c = get_config()\nc.CourseDirectory.course_id = 'resilience'\nc.Exchange.root = {str(exchange)!r}\n"
        )
        found = pwd.getpwnam(name)
        os.chown(home, found.pw_uid, found.pw_gid)
        return cls(name, home)

    def nbgrader(self, *arguments: str) -> str:
        """What a command said; it must end well."""
        found = pwd.getpwnam(self.name)
        command = [sys.executable, "-c", _AS, str(found.pw_uid), str(found.pw_gid), *arguments]
        return ran(command, self.home, self.home)

    def write(self, path: Path, text: str) -> None:
        """A file of their own."""
        path.write_text(text)
        found = pwd.getpwnam(self.name)
        os.chown(path, found.pw_uid, found.pw_gid)


@dataclass(frozen=True)
class Instructor:
    """The account that the tests run under."""

    course: Course
    home: Path

    def nbgrader(self, *arguments: str) -> str:
        """What a command said; it must end well."""
        return ran([sys.executable, "-m", "nbgrader", *arguments], self.course.root, self.home)

    def autograder(self, *arguments: str) -> str:
        """The same of our own command."""
        return ran([str(Path(sysconfig.get_path("scripts"), "autograder")), *arguments], self.course.root, self.home)


def ran(command: list[str], folder: Path, home: Path) -> str:
    """Run a command in a folder; returns what it said on either stream."""
    env = os.environ | {
        "HOME": str(home),
        "JUPYTER_CONFIG_DIR": str(home / ".jupyter"),
        "JUPYTER_DATA_DIR": str(home / ".local"),
        "COLUMNS": "120",
    }
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, umask=0o022)
    assert done.returncode == 0, f"{command[-3:]}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout + done.stderr
