"""Everyone gets the same versions: pyproject.toml and environment.yml pin them, and this environment has them."""

import re
import sysconfig
import tomllib
from collections.abc import Iterator
from importlib import metadata

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from tools import pins as tool

TEXT = (tool.ROOT / "pyproject.toml").read_text(encoding="utf-8")
PYPROJECT = tomllib.loads(TEXT)
ENVIRONMENT_TEXT = (tool.ROOT / "environment.yml").read_text(encoding="utf-8")
ENVIRONMENT = yaml.safe_load(ENVIRONMENT_TEXT)

PINS: list[str] = PYPROJECT["tool"]["uv"]["constraint-dependencies"]
BUILD_PINS: list[str] = PYPROJECT["tool"]["uv"]["build-constraint-dependencies"]

MEND = "run `uv run python tools/pins.py`"


def direct() -> list[Requirement]:
    """What pyproject.toml itself asks for, whatever for."""
    project = PYPROJECT["project"]
    extras = project["optional-dependencies"].values()
    groups = PYPROJECT["dependency-groups"].values()
    every = [line for lines in (project["dependencies"], *extras, *groups) for line in lines]
    return [Requirement(line) for line in dict.fromkeys(every)]  # an extra may be needed for developing, too


def here() -> dict[NormalizedName, str]:
    """The pins that apply to this Python on this system: name -> version."""
    applying = [pin for pin in map(Requirement, PINS) if pin.marker is None or pin.marker.evaluate()]
    return {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in applying}


def needed(requirement: Requirement, seen: set[tuple[str, str]]) -> Iterator[NormalizedName]:
    """The installed packages that a requirement leads to, itself included."""
    name = canonicalize_name(requirement.name)
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError:  # an extra that isn't installed here
        return
    yield name
    for extra in ("", *requirement.extras):
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for line in distribution.requires or []:
            onward = Requirement(line)
            if onward.marker is None or onward.marker.evaluate({"extra": extra}):
                yield from needed(onward, seen)


def test_the_conda_environment_has_the_same_pins():
    """environment.yml lists what pyproject.toml pins, and installs the course itself."""
    *listed, course = ENVIRONMENT["dependencies"][-1]["pip"]
    assert listed == PINS, MEND
    assert course == "-e ."


def test_the_files_are_as_the_command_writes_them():
    """Nobody's hand was in the generated parts."""
    assert tool.environment(PINS) == ENVIRONMENT_TEXT, MEND
    assert tool.with_pins(TEXT, PINS, BUILD_PINS) == TEXT, MEND


def test_the_conda_environments_python_is_supported():
    """The Python of environment.yml is one that the project promises to run on."""
    (python,) = (line for line in ENVIRONMENT["dependencies"] if str(line).startswith("python="))
    assert Requirement(f"python{PYPROJECT['project']['requires-python']}").specifier.contains(
        python.removeprefix("python=")
    )


def test_pins_are_exact():
    """One package, one version: no range, no address."""
    for pin in map(Requirement, [*PINS, *BUILD_PINS]):
        assert re.fullmatch(r"==[0-9][0-9a-z.+!]*", str(pin.specifier))
        assert pin.url is None


@pytest.mark.parametrize("requirement", direct(), ids=str)
def test_a_direct_dependency_is_pinned_within_its_bounds(requirement):
    """Every requirement of pyproject.toml has a pin, and each of its pins satisfies it."""
    name = canonicalize_name(requirement.name)
    pinned = [str(pin.specifier) for pin in map(Requirement, PINS) if canonicalize_name(pin.name) == name]
    assert pinned, MEND
    assert all(requirement.specifier.contains(version.removeprefix("==")) for version in pinned), MEND


def test_the_build_backend_is_pinned():
    """An editable install builds with one version of the backend, too."""
    required = {canonicalize_name(Requirement(line).name) for line in PYPROJECT["build-system"]["requires"]}
    assert required <= {canonicalize_name(Requirement(pin).name) for pin in BUILD_PINS}, MEND


def test_whatever_a_dependency_brings_along_is_pinned():
    """No package comes in through another one without a pin."""
    seen: set[tuple[str, str]] = set()
    brought = {name for requirement in direct() for name in needed(requirement, seen)}
    assert len(brought) > len(direct())
    assert brought <= here().keys(), MEND


def test_what_is_installed_is_what_is_pinned():
    """This environment has exactly the pinned versions."""
    installed = {
        canonicalize_name(found.name): found.version
        for found in metadata.distributions(path=[sysconfig.get_path("purelib")])
    }
    differing = {
        name: f"pinned {version}, installed {installed[name]}"
        for name, version in here().items()
        if installed.get(name, version) != version
    }
    assert not differing, "run `uv sync`, or pin anew with `uv run python tools/pins.py`"


@pytest.mark.parametrize("text", [TEXT, ENVIRONMENT_TEXT], ids=["pyproject.toml", "environment.yml"])
def test_no_address_is_named(text):
    """Neither file says where packages come from: that is the reader's own choice."""
    address = r"://|\bindex(-url)?\s*=|extra-index|find-links|\bpypi\b|\.(org|com|net|io)\b"
    assert not re.search(address, text, re.IGNORECASE)
