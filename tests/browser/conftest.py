"""A real browser on servers of our own: started once, ended by their pids, and nothing but loopback is asked for."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Dialog, Page, Request, sync_playwright

from autograder.course import CONFIG, Course

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 150
"""How long anything may take before the test gives up: what is waited for comes much sooner."""
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
LOOPBACK = {"localhost", "127.0.0.1", "[::1]"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One process runs them, so that the browser and the servers are started once."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.heavy)
            item.add_marker(pytest.mark.xdist_group("browser"))
            item.add_marker(pytest.mark.timeout(600))


def outside(address: str) -> bool:
    """Whether this lies beyond the machine."""
    parts = urlsplit(address)
    return parts.scheme not in ("data", "blob", "file", "about") and parts.hostname not in LOOPBACK


@dataclass
class Visit:
    """One page and what it did: what it asked for, and whether it spoke up."""

    page: Page
    requests: list[str]
    dialogs: list[str]
    expected: str = "about:"
    """What the addresses begin with that are nobody's attack: it is asked for, and not reached either."""

    @property
    def outside(self) -> list[str]:
        """Addresses beyond this machine that it asked for."""
        return [address for address in self.requests if outside(address) and not address.startswith(self.expected)]


@dataclass(frozen=True)
class Server:
    """A Jupyter server and how to reach it."""

    url: str
    token: str
    folder: Path

    def at(self, path: str) -> str:
        """The address of `path`, token included."""
        return f"{self.url}{path}{'&' if '?' in path else '?'}token={self.token}"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, headless."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("these tests need Chromium as the command 'chromium'")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Callable[[], Visit]]:
    """Opens pages of their own. At the end none has asked for anything outside of this machine."""
    visits: list[Visit] = []
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(SECONDS * 1000)
    # an address outside is heard, and never reached
    context.route(outside, lambda route: route.abort())

    def new() -> Visit:
        found = Visit(context.new_page(), [], [])
        visits.append(found)

        def heard(one: Request) -> None:
            found.requests.append(one.url)

        def spoken(dialog: Dialog) -> None:
            found.dialogs.append(f"{dialog.type}: {dialog.message}")
            dialog.accept()

        found.page.on("request", heard)
        found.page.on("dialog", spoken)
        return found

    yield new
    if shots := os.environ.get("SCREENSHOTS"):  # to look at what a test saw last: SCREENSHOTS=folder
        for number, one in enumerate(visits):
            one.page.screenshot(path=Path(shots, f"{request.node.name}-{number}.png"))
    context.close()
    assert [address for one in visits for address in one.outside] == []


@pytest.fixture(scope="session")
def own_course() -> Callable[[Path], Course]:
    """Copies this course's files, without anything that was built or handed in, to where a test may write."""

    def copy(root: Path) -> Course:
        root.mkdir(parents=True)
        shutil.copy(ROOT / CONFIG, root)
        for name in ("notebooks", "solutions"):
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        return Course(root.resolve())

    return copy


@pytest.fixture(scope="session")
def autograder() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `autograder ...` in a course, as a person types it."""

    def run(course: Course, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([command(), *arguments], cwd=course.root, capture_output=True, text=True)

    return run


def command() -> str:
    """The installed command."""
    return str(Path(sys.executable).with_name("autograder"))


@contextmanager
def served(argv: Sequence[str], course: Course, scratch: Path) -> Iterator[Server]:
    """A Jupyter server started with this command in the course's folder; it knows nothing of the person's settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "VIRTUAL_ENV"))}
    runtime = scratch / "runtime"
    environment |= {"HOME": str(scratch), "JUPYTER_RUNTIME_DIR": str(runtime), "IPYTHONDIR": str(scratch / "ipython")}
    options = ["--no-browser", "--ServerApp.ip=127.0.0.1", "--ServerApp.port=0", "--allow-root"]
    with open(scratch / "server.log", "w") as log:
        process = subprocess.Popen(
            [*argv, *options], cwd=course.root, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield _reached(process, runtime, scratch / "server.log")
    finally:
        process.send_signal(signal.SIGTERM)  # it ends its kernels
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _reached(process: subprocess.Popen[bytes], runtime: Path, log: Path) -> Server:
    """What the server writes of itself once it listens."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and process.poll() is None:
        for path in runtime.glob(f"jpserver-{process.pid}.json"):
            try:
                told = json.loads(path.read_bytes())
            except ValueError:  # being written
                continue
            return Server(told["url"].replace("localhost", "127.0.0.1"), told["token"], Path(told["root_dir"]))
        time.sleep(0.1)
    raise AssertionError(f"no server came up:\n{log.read_text()[-3000:]}")
