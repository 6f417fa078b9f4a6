"""Holds what the course promises against every Python that it promises, each in an environment of its own.

    uv run python tools/pythons.py                     3.11 to 3.15
    uv run python tools/pythons.py 3.13 3.15           these
    uv run python tools/pythons.py 3.15 -- pytest -x   another command, on these

A Python that this machine has is taken from it. The others come from Debian's sid, into a folder under build/, which
takes root and `debootstrap`, once. All see the same checkout.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / "build" / "pythons"
VERSIONS = ["3.11", "3.12", "3.13", "3.14", "3.15"]
UV = os.environ.get("UV") or shutil.which("uv") or "uv"

CHECKS = [
    ["pytest", "-q", "-p", "no:cacheprovider", "tests/faultlab", "tests/autograder/notebook/test_cells.py"],
    ["autograder", "build", "--check"],
    ["autograder", "demo"],
]
TIMELINE = ["python", "tests/faultlab/rich.py"]


def main() -> int:
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    versions, command = sys.argv[1:end] or VERSIONS, sys.argv[end + 1 :]
    if unknown := set(versions) - set(VERSIONS):
        raise SystemExit(f"{', '.join(sorted(unknown))}: not promised; there are {', '.join(VERSIONS)}")
    for version in versions:
        for line in [command] if command else CHECKS:
            print(f"\n== Python {version}: {shlex.join(line)}", flush=True)
            run(version, line)
    if not command:
        compare(versions)
    return 0


def compare(versions: list[str]) -> None:
    """Print the fingerprint of a rich program's timeline. Raises SystemExit unless it is the same everywhere."""
    own = subprocess.run([sys.executable, *TIMELINE[1:]], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    seen = {"this Python": own.stdout} | {version: run(version, TIMELINE, quiet=True) for version in versions}
    print("\n== The timeline's length and hash")
    for version, said in seen.items():
        print(f"{version}: {said.strip()}")
    if len(set(seen.values())) > 1:
        raise SystemExit("the timelines differ")


def run(version: str, command: list[str], *, quiet: bool = False) -> str:
    """Run a command of the course on this Python; returns what it prints when it is `quiet`.

    Raises SystemExit when it fails.
    """
    HERE.mkdir(parents=True, exist_ok=True)
    inside, python = [], interpreter(version)
    if python is None:
        inside, python = into(debian(version)), Path(f"/usr/bin/python{version}")
    settings = {
        "UV_PROJECT_ENVIRONMENT": str(HERE / f"environment-{version}"),
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_COMPILE_BYTECODE": "1",
        "UV_LINK_MODE": "copy",
    }
    dropped = ("VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE")
    done = subprocess.run(
        [*inside, UV, "run", "--quiet", "--python", str(python), *command],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name not in dropped} | settings,
        stdout=subprocess.PIPE if quiet else None,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"Python {version}: {shlex.join(command)} failed ({done.returncode})")
    return done.stdout or ""


# -- this machine's


def interpreter(version: str) -> Path | None:
    """The full path of an interpreter of this machine, of this minor version ("3.12"), that runs.

    Give it to `uv run --python`: by version alone uv stops at pyenv's shim, which exists for each Python that pyenv
    ever installed and refuses to start most of them.
    """
    return next((found for candidate in candidates(version) if (found := proven(candidate, version))), None)


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


# -- Debian's


def debian(version: str) -> Path:
    """The root folder of a Debian with this Python, made at first use. Raises SystemExit when that can't be."""
    root = HERE / f"debian-{version}"
    if root.is_dir():
        return root
    if not shutil.which("debootstrap") or os.geteuid() != 0:
        raise SystemExit(f"no Python {version} on this machine: install it, or debootstrap, and run this as root")
    print(f"Python {version} comes from Debian (about a minute) ...", flush=True)
    half = root.with_name(f"{root.name}.half")
    shutil.rmtree(half, ignore_errors=True)
    command = ["debootstrap", "--variant=minbase", f"--include=python{version}", "sid", str(half)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise SystemExit(f"{done.stdout[-2000:]}\ndebootstrap failed: is there a Python {version} in Debian's sid?")
    return half.rename(root)


def into(root: Path) -> list[str]:
    """The beginning of a command that runs in there, on this checkout and with this machine's uv.

    The folder becomes the root of a mount namespace, so that the sandbox can mount what it likes; after a plain
    chroot it couldn't.
    """
    cache = subprocess.run([UV, "cache", "dir"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    Path(cache).mkdir(parents=True, exist_ok=True)
    kernels, ours = ["/dev", "/proc", "/sys"], ["/etc/ssl", "/etc/resolv.conf", UV, cache, str(ROOT)]
    for place in [*kernels, *ours]:
        target = root / place[1:]
        (target if Path(place).is_dir() else target.parent).mkdir(parents=True, exist_ok=True)
        if not target.exists():
            target.touch()
    folder = shlex.quote(str(root))
    lines = [
        *(f"mount --bind {shlex.quote(place)} {folder}{shlex.quote(place)}" for place in ours),
        f"mount --rbind {folder} {folder}",
        *(f"mount --rbind {place} {folder}{place}" for place in kernels),
        f"mount -t tmpfs tmpfs {folder}/tmp",
        f"cd {folder}",
        "pivot_root . .",
        "umount --lazy .",
        f"cd {shlex.quote(str(ROOT))}",
        "PATH=/usr/local/bin:/usr/bin:/usr/sbin",
        'exec "$@"',
    ]
    return ["unshare", "--mount", "sh", "-ec", "\n".join(lines), "sh"]


if __name__ == "__main__":
    sys.exit(main())
