"""What a notebook imports from the package."""

from __future__ import annotations

import subprocess
import sys

import pytest


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
    """Who wants something else from it doesn't wait for pytest."""
    code = "import sys, autograder; print('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
