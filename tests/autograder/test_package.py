"""What a notebook imports from the package."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from autograder.version import ROOT, code_digest


@pytest.mark.parametrize(
    "before",
    [
        "pass",
        "import autograder.learner.checking",
        "from autograder import own_answer",
        "import autograder.judging.bench",
    ],
)
def test_check_is_the_function(before: str) -> None:
    """Whatever was imported before it, and twice: a check cell may be run again."""
    code = f"{before}\nfor _ in range(2):\n    from autograder import check\n    print(repr(check('nothing')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout.split(), done.stderr) == (["0", "0"], "")


def test_the_package_alone_is_light() -> None:
    """Importing something else from it doesn't import pytest."""
    code = "import sys, autograder; print('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


@pytest.mark.parametrize("name", ["autograder/pages/templates/part.html", "autograder/cli.py", "faultlab/world.py"])
def test_the_digest_is_of_all_code(tmp_path: Path, name: str) -> None:
    """Of the pages' templates too: what decides a result or its page makes another digest, wherever it lies."""
    for package in ("autograder", "faultlab"):
        shutil.copytree(ROOT / package, tmp_path / package)
    assert code_digest.__wrapped__(tmp_path) == code_digest()
    (tmp_path / name).write_text("changed")
    assert code_digest.__wrapped__(tmp_path) != code_digest()
