"""The marks of a section's tests, and the source of a running session's timelines."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from faultlab.scenario import Played, played
from faultlab.timeline import Timeline

Source = Callable[[pytest.Item, Played], Timeline]
SOURCE = pytest.StashKey[Source]()
"""Where the running session's timelines come from."""


def scenarios_of(item: pytest.Item) -> list[Played]:
    """The scenarios that a test names, the first mark first."""
    marks = reversed(list(item.iter_markers("scenario")))
    return [played(mark.args[0], mark.kwargs) for mark in marks]
