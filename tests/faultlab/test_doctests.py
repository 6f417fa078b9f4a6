"""Every example in the laboratory's docstrings runs, and shows what it says."""

from __future__ import annotations

import asyncio
import doctest
import importlib
import inspect
import pkgutil
from typing import Any

import pytest

import faultlab
from faultlab.clock import uninstall

MODULES = sorted(one.name for one in pkgutil.walk_packages(faultlab.__path__, "faultlab."))
FLAGS = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
CALLS = (
    *(
        "faultlab.simulate",
        "faultlab.live",
        "faultlab.World",
        "faultlab.World.service",
        "faultlab.ok",
        "faultlab.error",
    ),
    *("faultlab.mark", "faultlab.waiting", "faultlab.show", "faultlab.axes", "faultlab.repeatable"),
    *("faultlab.lanes.lanes", "faultlab.lanes.compare", "faultlab.raster.raster", "faultlab.raster.slots"),
    *("faultlab.explore.explore", "faultlab.scenario.scenario", "faultlab.notebook.start"),
    *(f"faultlab.warmup.{name}" for name in ("predict", "estimate", "arrange", "mended")),
    *("faultlab.clock.VirtualLoop", "faultlab.clock.run_virtual", "faultlab.clock.install"),
)
"""What authors of notebooks and scenarios call."""


def examples(name: str) -> list[doctest.DocTest]:
    """The docstrings of a module that have examples; they see asyncio, the laboratory's names, and first its own."""
    module = importlib.import_module(name)
    known = {"asyncio": asyncio, **{one: getattr(faultlab, one) for one in faultlab.__all__}}
    found = doctest.DocTestFinder().find(module, extraglobs={**known, **vars(module)})
    return [one for one in found if one.examples]


def named(place: str) -> Any:
    """What `faultlab.World.service` stands for."""
    parts = place.split(".")
    split = next(at for at in range(len(parts), 0, -1) if ".".join(parts[:at]) in ("faultlab", *MODULES))
    found: Any = importlib.import_module(".".join(parts[:split]))
    for part in parts[split:]:
        found = getattr(found, part)
    return found


@pytest.fixture
def bare():
    """Afterwards no patches are left of those that an example installed."""
    yield
    uninstall()


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("name", ["faultlab", *MODULES])
def test_examples(name):
    """Those of one module."""
    for one in examples(name):
        said: list[str] = []
        doctest.DocTestRunner(optionflags=FLAGS).run(one, out=said.append)
        assert not said, "".join(said)


@pytest.mark.parametrize("place", CALLS)
def test_public_calls_have_one(place):
    """A call that authors make shows how."""
    assert ">>>" in (inspect.getdoc(named(place)) or ""), f"{place} has no example"
