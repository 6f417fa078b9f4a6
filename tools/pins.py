"""Writes the exact versions that everyone gets: into pyproject.toml for uv, into environment.yml for conda and Binder.

    uv run python tools/pins.py                    after a dependency was added or removed: what is pinned stays
    uv run python tools/pins.py --upgrade          newest versions of everything
    uv run python tools/pins.py --upgrade NAME ... newest versions of these, the rest stays

A lock file would pin too, but it records the addresses it was resolved from, so it is not kept in git. Constraints
carry names and versions only, and one list serves every system and every Python: where versions differ, `uv export`
keeps the marker that tells them apart.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = "3.12"  # the conda environment's

# One line for each installed package, with markers, and nothing about where it comes from.
EXPORT = ["uv", "export", "--no-hashes", "--no-emit-project", "--all-groups", "--all-extras"]
PLAIN = ["--quiet", "--no-annotate", "--no-header"]


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--upgrade", nargs="*", metavar="NAME", help="lift these pins, or all when none is named")
    upgrade: list[str] | None = arguments.parse_args().upgrade

    pyproject = ROOT / "pyproject.toml"
    text = pyproject.read_text(encoding="utf-8")
    try:
        pins, build_pins = resolve(text, upgrade)
    except subprocess.CalledProcessError as error:
        print(
            f"{error.stderr.strip()}\n\nNo pins written. Mend the requirement, or lift pins: --upgrade", file=sys.stderr
        )
        return 1
    pyproject.write_text(with_pins(text, pins, build_pins), encoding="utf-8")
    (ROOT / "environment.yml").write_text(environment(pins), encoding="utf-8")
    print(f"{len(pins)} packages pinned in pyproject.toml and environment.yml")
    return 0


def resolve(pyproject: str, upgrade: list[str] | None = None) -> tuple[list[str], list[str]]:
    """The pins of the project and of its build backend; those in force stay, except the ones to upgrade (`[]`: all)."""
    uv = tomllib.loads(pyproject)["tool"]["uv"]
    pins, build_pins = (
        [pin for pin in uv[table] if upgrade is None or (upgrade and name_of(pin) not in map(normal, upgrade))]
        for table in ("constraint-dependencies", "build-constraint-dependencies")
    )
    with tempfile.TemporaryDirectory() as folder:  # elsewhere, so that an existing lock file has no say
        Path(folder, "pyproject.toml").write_text(with_pins(pyproject, pins, build_pins), encoding="utf-8")
        Path(folder, "build.txt").write_text("\n".join(build_pins), encoding="utf-8")
        exported = run([*EXPORT, *PLAIN], folder)
        # An editable install asks the backend for `editables` as well.
        backend = "\n".join([*tomllib.loads(pyproject)["build-system"]["requires"], "editables"])
        compile_build = ["uv", "pip", "compile", "-", "--universal", "--python-version", "3.11", "-c", "build.txt"]
        exported_build = run([*compile_build, *PLAIN], folder, backend)
    return exported.splitlines(), exported_build.splitlines()


def run(command: list[str], folder: str, stdin: str = "") -> str:
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(command, cwd=folder, env=environment, input=stdin, capture_output=True, text=True, check=True)
    return done.stdout


def with_pins(pyproject: str, pins: list[str], build_pins: list[str]) -> str:
    """The text of pyproject.toml with its two lists of pins replaced, the rest untouched."""
    for table, lines in ("constraint-dependencies", pins), ("build-constraint-dependencies", build_pins):
        block = "\n".join([f"{table} = [", *(f'    "{line}",' for line in lines), "]"])
        parts = re.split(rf"^{table} = \[.*?^\]", pyproject, flags=re.MULTILINE | re.DOTALL)
        if len(parts) != 2:
            raise SystemExit(f"pyproject.toml: [tool.uv] needs one list `{table} = [`, with `]` on a line of its own")
        pyproject = block.join(parts)
    return pyproject


def environment(pins: list[str]) -> str:
    """The text of environment.yml."""
    return "\n".join(
        [
            "# Written by `uv run python tools/pins.py`: edit pyproject.toml and run that instead.",
            "name: resilience-course",
            "channels:",
            "  - conda-forge",
            "  - nodefaults",
            "dependencies:",
            f"  - python={PYTHON}",
            "  - pip",
            "  - pip:",
            *(f"      - {pin}" for pin in pins),
            "      - -e .",
            "",
        ]
    )


def name_of(pin: str) -> str:
    """The package that a requirement names, in its normal form."""
    return normal(re.split(r"[^A-Za-z0-9._-]", pin, maxsplit=1)[0])


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main())
