"""A run that unfolds, in a real browser: by mouse, by keyboard, without a kernel, with hostile names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from autograder.course import Course
from autograder.judging.result import Behaviour, Result
from autograder.pages.feedback import page
from benchmarks.frames import crowd, measure
from faultlab.pictures.flow import Cast, flow
from faultlab.pictures.lanes import lanes
from faultlab.pictures.moments import moments
from faultlab.pictures.player import Played, player_html, script_html
from faultlab.pictures.sheet import clean
from faultlab.timeline import Event, Timeline
from tests.attacks.afterwards import MARKDOWN, WORDS
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
OURS = {"style", "div", "p", "span", "button", "input", "select", "option", "slot", "canvas"}
OURS |= {"svg", "g", "rect", "line", "text", "circle", "title"}
"""The elements that the script makes."""
BEGINS = re.compile("^0 s: client 0: call 1 to payments begins")
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


def attacked(words: str) -> Timeline:
    """A run whose every name and value is the same words."""
    events = [Event(0, "mark", words, {"name": words, "value": words})]
    for number in range(20):
        begun = number * 10**8
        events.append(Event(begun, "call", f"{words}{number}", {"call": number, "service": words, "args": []}))
        failed = {"call": number, "service": words, "error": words, "args": [words]}
        events.append(Event(begun + 10**7, "error", f"{words}{number}", failed))
    return Timeline((*events, Event(3 * 10**9, "end", "", {"how": "raised", "error": words, "message": words})))


@pytest.mark.parametrize("name", [*WORDS, *MARKDOWN])
def test_hostile_words_run_nothing(name: str, visit: Callable[[], Visit], tmp_path: Path) -> None:
    """Played from end to end, a hostile run starts no script, asks for nothing, and shows its words as words."""
    words = (WORDS | MARKDOWN)[name][:150]
    timeline = attacked(words)
    sheet = lanes(timeline, title=words)
    acts = flow(timeline, Cast(gate=words, refused=(words,), waits=words, who=words), 3.0)
    runs = [Played(sheet, moments(timeline), acts, words)] * 2
    markup = player_html(runs, title=words) + script_html()
    (tmp_path / "page.html").write_text(f"<!doctype html><meta charset=utf-8><title>x</title>{markup}", "utf-8")
    one = visit()
    one.page.goto((tmp_path / "page.html").as_uri())
    one.page.evaluate(
        "() => { for (const name of ['alert', 'fetch', 'open']) window[name] = () => { window.owned = name; } }"
    )
    tags = "() => { const root = document.querySelector('faultlab-player1').shadowRoot;"
    tags += " return [...root.querySelectorAll('*')].map(one => one.localName); }"
    player(one.page).get_by_role("slider").focus()
    for key in ("ArrowRight", "ArrowRight", "End", "ArrowLeft", "Home", " "):
        one.page.keyboard.press(key)
    found = set(one.page.evaluate(tags))
    assert found <= OURS, found - OURS
    assert one.page.evaluate("window.owned") is None and one.dialogs == []
    assert clean(words, 30).rstrip("…")[:20] in (player(one.page).locator(".title").text_content() or "")
    assert [address for address in one.requests if not address.startswith("file:")] == []


def test_our_page_runs_one_script(visit: Callable[[], Visit], tmp_path: Path) -> None:
    """A student's page plays own and intended run; its policy stops any other script that might come into it."""
    own, intended = attacked("</script><script>alert(1)</script>"), attacked("op")
    seen = Behaviour("b", "Does it", False, 0.0, 1.0, "not seen", "", False, "", own, intended, None)
    whole = page(Result("ada", "90_sample", "sample", "graded", "full", 0.0, (seen,)))
    planted = whole.replace("<h1>", "<img src=x onerror='window.owned = 1'><script>window.owned = 2</script><h1>")
    assert planted != whole
    (tmp_path / "page.html").write_text(planted, "utf-8")
    one = visit()
    refused: list[str] = []
    one.page.on("console", lambda message: refused.append(message.text))
    one.page.goto((tmp_path / "page.html").as_uri())
    expect(player(one.page).get_by_role("button", name="Play")).to_be_visible()
    assert instant(one.page) == 1000, "one's own run is seen whole before it is played"
    player(one.page).get_by_role("button", name="Step to the previous event").click()
    expect(player(one.page).get_by_role("status")).to_contain_text("Your run, ")
    assert one.page.evaluate("window.owned") is None
    assert sum("Content Security Policy" in text for text in refused) >= 2


def test_steps_for_reduced_motion(visit: Callable[[], Visit], tmp_path: Path) -> None:
    """A reader who prefers reduced motion sees still instants, each of them one at which something happens."""
    timeline = attacked("op")
    told = moments(timeline)
    markup = player_html([Played(lanes(timeline), told, flow(timeline, Cast(), 3.0))]) + script_html()
    (tmp_path / "page.html").write_text(f"<!doctype html><meta charset=utf-8><title>x</title>{markup}", "utf-8")
    one = visit()
    one.page.emulate_media(reduced_motion="reduce")
    one.page.goto((tmp_path / "page.html").as_uri())
    player(one.page).get_by_label("Speed").select_option("4")
    player(one.page).get_by_role("button", name="Play").click()
    seen = set()
    for _ in range(40):
        seen.add(round(instant(one.page) * 3 / 1000, 3))
        one.page.wait_for_timeout(60)
    assert len(seen) > 3
    assert seen <= {round(moment.at, 3) for moment in told} | {0.0, 3.0}


def test_a_crowd_plays_smoothly(browser: Browser) -> None:
    """A hundred callers over a minute: a frame costs a bounded multiple of an empty page's, measured in the same run.

    The multiple is about 15; three times as much leaves room for other machines, and not for work that grows with what
    has happened so far.
    """
    nothing, player, _ = measure(browser, crowd(100, 60.0), rounds=1)
    assert player / nothing < 45, f"{player:.2f} ms against {nothing:.2f} ms of an empty page"


def test_plays_in_an_exported_page(visit: Callable[[], Visit], tmp_path: Path) -> None:
    """A notebook exported as HTML plays: its outputs hold all that is needed."""
    from nbconvert import HTMLExporter

    timeline = attacked("op")
    markup = player_html([Played(lanes(timeline), moments(timeline), flow(timeline, Cast(), 3.0))]) + script_html()
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("play(run)")])
    notebook.cells[0].outputs = [nbformat.v4.new_output("display_data", data={"text/html": str(markup)})] * 2
    body, _ = HTMLExporter().from_notebook_node(notebook)
    (tmp_path / "page.html").write_text(body, "utf-8")
    one = visit()
    one.expected = "https://cdnjs.cloudflare.com/"  # nbconvert's own template asks for MathJax and require.js
    one.page.goto((tmp_path / "page.html").as_uri(), wait_until="domcontentloaded")
    expect(one.page.get_by_role("button", name="Play")).to_have_count(2)
    player(one.page).get_by_role("button", name="Step to the next event").click()
    expect(player(one.page).get_by_role("status")).to_contain_text("call 1 to op fails")
