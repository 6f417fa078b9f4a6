"""nbgrader's own commands, run as people run them: by an instructor's and a student's account, on either database."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.autograder.conftest import course, pristine

__all__ = ["course", "pristine"]

PROGRAMS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These start dozens of commands and a database server."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.heavy)
            item.add_marker(pytest.mark.xdist_group("nbgrader"))
            item.add_marker(pytest.mark.timeout(1800))


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    """A folder that every account can enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="walk-")).resolve()
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres(place: Path) -> Iterator[str]:
    """Debian's PostgreSQL, on a socket of its own, as an account that isn't root's; ended by its pid."""
    programs = shutil.which("initdb") or next(
        (str(path) for pattern in PROGRAMS for path in sorted(Path("/").glob(f"{pattern[1:]}/initdb"))), None
    )
    if programs is None:
        pytest.skip("PostgreSQL isn't installed: Debian's package postgresql")
    programs = str(Path(programs).resolve())
    folder = place / "postgres"
    folder.mkdir(mode=0o700)
    account: dict[str, Any] = {}
    if os.getuid() == 0:
        account = {"user": pwd.getpwnam("nobody").pw_uid, "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": []}
        os.chown(folder, account["user"], account["group"])
    made = [programs, "-D", str(folder / "data"), "-U", "teacher", "-A", "trust", "-E", "UTF8", "--no-sync"]
    subprocess.run(made, check=True, capture_output=True, cwd="/", **account)
    settings = ["-k", str(folder), "-c", "listen_addresses=", "-c", "fsync=off"]
    with open(place / "postgres.log", "wb") as log:
        command = [str(Path(programs).with_name("postgres")), "-D", str(folder / "data"), *settings]
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **account)
    try:
        url = f"postgresql://teacher@/%s?host={folder}"
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(url % "postgres").close()
                break
            except psycopg.OperationalError:
                assert server.poll() is None and time.monotonic() < deadline, (place / "postgres.log").read_text()
                time.sleep(0.1)
        yield url
    finally:
        server.send_signal(signal.SIGINT)  # its fast shutdown
        server.wait(60)


@pytest.fixture(params=["sqlite", "postgres"])
def db_url(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    """The address of a fresh database; none for nbgrader's own default."""
    if request.param == "sqlite":
        return None
    url = request.getfixturevalue("postgres")
    name = f"grades_{abs(hash(tmp_path)):x}"
    with psycopg.connect(url % "postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return str(url % name)
