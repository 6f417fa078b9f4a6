"""Play a hundred callers over sixty seconds in Chromium, and weigh the work of a frame.

    uv run python benchmarks/frames.py [--callers 100] [--seconds 60] [--rounds 3]

The work of a frame is the processor time of the page's main thread while the run played, divided by the frames that
it drew. Beside it stands that of an empty page that only asks for its next frame, measured in turn in the same run.
Ends with 1 if a frame of the player takes more than 8 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import sys
from collections.abc import Callable

from playwright.sync_api import Browser, Page, sync_playwright

from faultlab import World, error, ok, simulate
from faultlab.pictures.flow import Cast, flow
from faultlab.pictures.moments import moments
from faultlab.pictures.player import Played, player_html, script_html
from faultlab.pictures.raster import raster
from faultlab.timeline import Timeline

MOST = 8.0
"""Milliseconds: half of what a frame has on a screen that shows sixty a second."""
LASTS = 4.0
"""Seconds that each page is watched in a round."""
COUNT = (
    "() => { window.frames_ = 0; const next = () => { window.frames_ += 1; requestAnimationFrame(next); }; next(); }"
)


def main() -> int:
    """Measure, and say what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--callers", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    timeline = crowd(options.callers, options.seconds)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        nothing, player, rate = measure(browser, timeline, options.rounds)
        browser.close()
    said = f"{len(timeline):,} events, {len(timeline.calls()):,} calls"
    print(f"{said} of {options.callers} callers over {options.seconds:g} s, at {rate:.0f} frames a second")
    print(f"an empty page: {nothing:.2f} ms a frame; the player: {player:.2f} ms, {player / nothing:.1f} times as much")
    return int(player > MOST)


def measure(browser: Browser, timeline: Timeline, rounds: int = 3) -> tuple[float, float, float]:
    """Milliseconds of a frame of an empty page and of the player, and the player's frames a second: medians."""
    empty, full = browser.new_page(), browser.new_page()
    for page, markup in ((empty, ""), (full, page_of(timeline))):
        page.set_content(f"<!doctype html><meta charset=utf-8><title>frames</title>{markup}")
        page.evaluate(COUNT)
    found = [(work(empty, lambda: None), work(full, lambda: play(full))) for _ in range(rounds)]
    for page in (empty, full):
        page.close()
    nothing, player = (statistics.median(one[page][0] for one in found) for page in (0, 1))
    return nothing, player, statistics.median(one[1][1] for one in found)


def crowd(callers: int, seconds: float) -> Timeline:
    """Callers that each call once or twice a second; one call in five fails."""
    world = World(seed=3)
    service = world.service(
        "service", lambda call: error() if call.random.random() < 0.2 else ok(after=call.random.uniform(0.1, 0.9))
    )

    async def caller(number: int) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(number / callers)
        while loop.time() < seconds:
            try:
                await service()
            except Exception:
                await asyncio.sleep(0.5)
            await asyncio.sleep(0.3)

    async def everybody() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(callers):
                group.create_task(caller(number), name=f"caller {number + 1}")

    return simulate(everybody, world=world).timeline


def page_of(timeline: Timeline) -> str:
    """The player of this run, with its script."""
    sheet = raster(timeline, title="A crowd")
    acts = flow(timeline, Cast(), timeline.duration)
    return player_html([Played(sheet, moments(timeline), acts)], title="A crowd", seconds=3 * LASTS) + script_html()


def play(page: Page) -> None:
    """Play from the beginning."""
    page.evaluate("() => { const one = document.querySelector('faultlab-player1'); one.move(one.since); one.play(); }")


def work(page: Page, begin: Callable[[], None]) -> tuple[float, float]:
    """Milliseconds of the main thread for each frame while the page is watched, and its frames a second."""
    page.bring_to_front()
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})  # of the processor: not while others have it
    begin()
    page.wait_for_timeout(300)

    def found() -> tuple[float, int]:
        metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
        return metrics["ThreadTime"], page.evaluate("window.frames_")

    before, drawn = found()
    page.wait_for_timeout(LASTS * 1000)
    after, more = found()
    session.detach()
    return 1000 * (after - before) / max(1, more - drawn), (more - drawn) / LASTS


if __name__ == "__main__":
    sys.exit(main())
