"""Boxes in every tier that locks, as root and as a normal user."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from autograder.sandbox.host import Box
from tests.autograder.sandbox.boxes import Setting, settings, started


@pytest.fixture(scope="module", params=settings(), ids=str)
def setting(request: pytest.FixtureRequest) -> Setting:
    """Every tier that locks, as root and as a normal user."""
    found: Setting = request.param
    return found


@pytest.fixture(scope="module")
def box(setting: Setting) -> Iterator[Box]:
    """A Box in that setting, shared: what one test does in it must not matter to the next."""
    with started(setting) as box:
        yield box
