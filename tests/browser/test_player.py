"""A run that unfolds, in a real browser: by mouse, by keyboard, without a kernel, with hostile names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from autograder.course import Course
from tests.browser.conftest import Server, Visit, command, served
from tests.browser.labpage import WAIT, NotebookPage, write_notebook

SET_UP = "from faultlab.notebook import start\nstart()"
PLAYERS = """
import asyncio
from faultlab import World, error, play, simulate

def herd(clients=3):
    world = World(seed=1)
    service = world.service("payments", [error("ConnectionError")] * clients, latency=0.05)

    async def client():
        while True:
            try:
                return await service()
            except ConnectionError:
                await asyncio.sleep(1)

    async def main():
        async with asyncio.TaskGroup() as group:
            for number in range(clients):
                group.create_task(client(), name=f"client {number}")

    return simulate(main(), world=world)

play(herd(), alt="Three clients that fail, wait, and are answered.", title="A herd", view="flow", who="clients")
"""
BEGINS = re.compile("^0 s: client 0 calls payments")
KNOB = PLAYERS.rpartition("play(")[0] + 'play(herd, alt="Clients.", title="A herd", view="flow", clients=(1, 9))'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, own_course: Callable[[Path], Course]) -> Iterator[Server]:
    """`autograder lab`, as it is typed."""
    scratch = tmp_path_factory.mktemp("lab")
    with served([command(), "lab", "work"], own_course(scratch / "course"), scratch) as server:
        yield server


@pytest.fixture
def opened(server: Server, visit: Callable[[], Visit], request: pytest.FixtureRequest) -> Callable[..., NotebookPage]:
    """Opens a notebook of these cells and runs it."""

    def run(*sources: str) -> NotebookPage:
        path = f"{request.node.name}/player.ipynb"
        write_notebook(server.folder / path, SET_UP, *sources)
        page = NotebookPage(visit().page, server, path)
        page.run_all()
        assert page.errors() == []
        return page

    return run


def player(page: Page) -> Locator:
    return page.locator("faultlab-player1:visible").last


def instant(page: Page) -> float:
    """Where the playhead stands, from 0 to 1000."""
    return float(player(page).get_by_role("slider").input_value())


def test_plays_in_a_notebook(opened) -> None:
    """It stands still until it is asked to play, plays to its end, and the page's shortcuts keep out of it."""
    notebook = opened(PLAYERS)
    page = notebook.page
    said = player(page).get_by_role("status")
    expect(said).to_have_text(BEGINS, timeout=WAIT)
    assert instant(page) == 0
    player(page).get_by_role("button", name="Step to the next event").click()
    expect(said).to_have_text("50 ms: 3 failed; 3 begin to wait.")
    page.keyboard.press("End")
    expect(said).to_contain_text("the run ends")
    page.keyboard.press("Home")
    assert instant(page) == 0
    page.keyboard.press("ArrowRight")
    expect(said).to_have_text("50 ms: 3 failed; 3 begin to wait.")
    player(page).get_by_label("Speed").select_option("4")
    player(page).get_by_role("button", name="Play").click()
    expect(player(page).get_by_role("button", name="Again")).to_be_visible(timeout=WAIT)
    assert instant(page) == 1000
    assert notebook.code.count() == 2, "a key meant for the player edited the notebook"
    assert notebook.nameless() == []


def test_plays_without_a_kernel(opened) -> None:
    """Saved, the kernel gone, reloaded: it plays as before."""
    notebook = opened(PLAYERS)
    notebook.menu("File", re.compile("^Save Notebook(?! As)"))
    notebook.menu("Kernel", "Shut Down Kernel")
    notebook.page.get_by_text("No Kernel").first.wait_for()
    notebook.page.reload()
    expect(player(notebook.page).get_by_role("status")).to_have_text(BEGINS, timeout=WAIT)
    player(notebook.page).get_by_role("button", name="Step to the next event").click()
    assert instant(notebook.page) > 0


def test_goes_on_after_a_slider_moved(opened) -> None:
    """A slider is moved while it stands at an instant: the new run stands there too, the setting before beside it."""
    notebook = opened(KNOB)
    page = notebook.page
    player(page).get_by_role("button", name="Step to the next event").click()
    before = instant(page)
    assert before > 0
    page.locator(".jupyter-widgets").get_by_role("slider").first.focus()
    page.keyboard.press("ArrowRight")
    expect(player(page).get_by_role("status")).to_contain_text("clients 4:", timeout=WAIT)
    expect(player(page).get_by_role("status")).to_contain_text("clients 3:")
    assert instant(page) == pytest.approx(before, abs=30)
    assert page.locator("faultlab-player1:visible").count() == 1
    assert notebook.errors() == []
