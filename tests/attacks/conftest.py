"""Fields in every tier that locks."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.attacks.field import Field, field
from tests.autograder.sandbox.boxes import Setting


@pytest.fixture(scope="session")
def fields() -> Iterator[Callable[[Setting], Field]]:
    """The field of a setting, kept until another setting's is asked for."""
    opened: dict[Setting, Field] = {}
    with contextlib.ExitStack() as stack:

        def of(setting: Setting) -> Field:
            if setting not in opened:
                opened.clear()
                stack.close()
                folder = Path(tempfile.mkdtemp(prefix="course-", dir="/tmp"))
                stack.callback(shutil.rmtree, folder)
                opened[setting] = stack.enter_context(field(folder, setting))
            return opened[setting]

        yield of


@pytest.fixture
def place(setting: Setting, fields: Callable[[Setting], Field]) -> Field:
    """A grader in the setting that the test names, shared by all attacks: each one is the next one's neighbour."""
    return fields(setting)
