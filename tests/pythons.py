"""Other Pythons on this machine, for the tests that the course holds on each one it promises."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path


def interpreter(version: str) -> Path:
    """The full path of an interpreter of this minor version ("3.12") that runs.

    Give it to `uv run --python`: by version alone uv stops at pyenv's shim, which exists for each Python that pyenv
    ever installed and refuses to start most of them.

    Raises LookupError when there is none.
    """
    tried = []
    for candidate in candidates(version):
        tried.append(str(candidate))
        if found := proven(candidate, version):
            return found
    raise LookupError(
        f"no Python {version} that runs on this machine (tried: {', '.join(tried) or 'nothing was there to try'}); "
        f"install one, by pyenv or under the name python{version} on PATH"
    )


def candidates(version: str) -> Iterator[Path]:
    name = f"python{version}"
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        yield Path(sys.base_prefix, "bin", name)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    for folder in sorted(pyenv.glob(f"{version}.*"), key=patch, reverse=True):
        yield folder / "bin" / name
    for place in os.get_exec_path():
        if found := shutil.which(name, path=place):
            yield Path(found)


def patch(folder: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", folder.name)]


def proven(candidate: Path, version: str) -> Path | None:
    """What the interpreter itself says it is, if it starts (a shim may not) and is of that version."""
    ask = "import sys; print('%d.%d' % sys.version_info[:2]); print(sys.executable)"
    try:
        # Not in this folder: a .python-version here would decide what a shim starts.
        said = subprocess.run([candidate, "-I", "-c", ask], capture_output=True, text=True, timeout=30, cwd="/")
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = said.stdout.splitlines()
    return Path(lines[1]) if said.returncode == 0 and len(lines) == 2 and lines[0] == version else None
