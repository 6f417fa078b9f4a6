"""Writes the README's picture: a hundred clients come back to a service that was away, in two ways.

    uv run python tools/unfolding.py

The picture is played by its own style sheet, without a script, so it moves where a README is shown. For readers who
prefer reduced motion it stands still at its end, and in dark surroundings it is dark. Both runs are real, on the
virtual clock: the same code writes the same bytes.
"""

import asyncio
import random
import sys
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path

from faultlab import World, error, ok, simulate
from faultlab.timeline import Call, Timeline
from faultlab.world import Asked, Reply

TARGET = Path(__file__).with_name("herd.svg")
CLIENTS = 100
LOOP, SHOWN = 13.0, 10.0
"""Seconds until it begins again, and seconds of the run on the axis. A second of the run takes a second."""
MOST = 230
"""Calls in a quarter of a second at which a bar is as high as there is room."""
LEG = 0.45
"""Seconds that a request is on its way; as many it takes back."""
HALF, HIGH, CHART = 430, 330, 380
"""Pixels: the width of a run, the height of the picture, the width of a run's axis."""
ALT = (
    "A hundred clients call a service that takes ten calls in a tenth of a second. Left, each pauses for a second "
    "after a failure: they come back in waves, and the last one is served after {:.1f} seconds. Right, each draws its "
    "pause by chance: they spread out, and the last one is served after {:.1f} seconds."
)

STYLE = """
:root{color-scheme:light dark;--p:#fff;--i:#222;--s:#595959;--r:#d0d0d0;--b:#f4f4f4;
--w:#a0a0a0;--o:#009e73;--x:#d55e00;--f:#0072b2}
@media(prefers-color-scheme:dark){:root{--p:#111;--i:#e8e8e8;--s:#b0b0b0;--r:#4a4a4a;--b:#1e1e1e;
--w:#7d7d7d;--o:#16ad82;--x:#e8742a;--f:#4ca3dd}}
text{font:12px "DejaVu Sans",Verdana,Geneva,sans-serif;fill:var(--i)}
.t{font-size:15px;font-weight:bold}.s{fill:var(--s)}
.c circle{fill:var(--o);animation:LOOPs step-end infinite}
.m path{opacity:0;stroke-linecap:round;animation:LOOPs linear infinite}.k{animation-name:k!important}
.n{animation-name:n!important}
.v,.h{transform:translateX(CHARTpx);animation:v LOOPs linear infinite}
.v{fill:var(--p);opacity:.84}.h{fill:var(--i)}
@keyframes k{0%{opacity:1;transform:translate(var(--x0),var(--y0)) scale(1);stroke:var(--f)}
OUT%{transform:scale(1);stroke:var(--f)}MID%{stroke:var(--o)}
BACK%{opacity:1;transform:translate(var(--x0),var(--y0)) scale(1);stroke:var(--o)}GONE%,to{opacity:0}
0%,BACK%{stroke-width:4.6}}
@keyframes n{0%{opacity:1;transform:translate(var(--x0),var(--y0)) scale(1)}
OUT%{transform:scale(1);stroke:var(--f);stroke-width:4.6}MID%{transform:scale(1.9);stroke:var(--x);stroke-width:1}
BACK%{opacity:1;transform:translate(var(--x0),var(--y0)) scale(1.9);stroke:var(--x);stroke-width:1}GONE%,to{opacity:0}
0%{stroke:var(--f);stroke-width:4.6}}
@keyframes v{0%{transform:none}END%,to{transform:translateX(CHARTpx)}}
@media(prefers-reduced-motion:reduce){*{animation:none!important}}
"""


def main() -> int:
    """Write the picture."""
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(picture(), encoding="utf-8")
    print(f"{TARGET.name}: {TARGET.stat().st_size:,} bytes")
    return 0


def picture() -> str:
    """The whole picture, as SVG."""
    waves, spread = herd(lambda _: 1.0), herd(lambda failures: random.uniform(0, min(2.0, 0.1 * 2**failures)))
    turns: set[int] = set()
    drawn = half(waves, "A pause of one second", turns) + (
        f'<g transform="translate({HALF})">{half(spread, "A pause by chance", turns)}</g>'
    )
    alt = ALT.format(waves.duration, spread.duration)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * HALF}" height="{HIGH}" '
        f'viewBox="0 0 {2 * HALF} {HIGH}" role="img" aria-label="{alt}"><title>A herd, twice</title>'
        f'<style>{style(turns)}</style><rect width="100%" height="100%" rx="8" fill="var(--p)"/>{drawn}</svg>\n'
    )


def style(turns: set[int]) -> str:
    """The style sheet: when a client turns green is a rule of its own, in quarters of a second."""
    shares = {"LOOP": LOOP, "CHART": CHART, "END": 100 * SHOWN / LOOP}
    shares |= {"OUT": 100 * LEG / LOOP, "MID": 100 * LEG / LOOP + 0.2}
    shares |= {"BACK": 200 * LEG / LOOP, "GONE": 200 * LEG / LOOP + 0.1}
    text = "".join(STYLE.splitlines())
    for name, value in shares.items():
        text = text.replace(name, f"{value:.4g}")
    for turn in sorted(turns):
        text += f".w{turn}{{animation-name:w{turn}!important}}"
        text += f"@keyframes w{turn}{{0%{{fill:var(--w)}}{100 * turn / 4 / LOOP:.4g}%,to{{fill:var(--o)}}}}"
    return text


def half(run: Timeline, title: str, turns: set[int]) -> str:
    """One run: its clients, its service, what is on the way between them, and its calls on an axis below."""
    calls = run.calls()
    said = f"{len(calls)} calls, the last client is served after {run.duration:.1f} s"
    shapes = [f'<text class="t" x="20" y="28">{title}</text><text class="s" x="20" y="46">{said}</text>']
    shapes.append('<rect x="300" y="66" width="112" height="148" rx="6" fill="var(--b)" stroke="var(--r)"/>')
    shapes.append('<text x="312" y="86">service</text>')
    clients = [client(number, [call for call in calls if call.lane == f"{number}"], turns) for number in range(CLIENTS)]
    shapes.append(f'<g class="c">{"".join(still for still, _ in clients)}</g>')
    shapes.append(f'<g class="m">{"".join(moving for _, moving in clients)}</g>')
    return "".join(shapes) + chart(calls)


def client(number: int, calls: list[Call], turns: set[int]) -> tuple[str, str]:
    """A client as a dot that turns green when it is answered, and its calls as dots that travel."""
    x, y = 24 + 13 * (number % 8), 70 + 11.4 * (number // 8)
    seat = 322 + 13 * (number % 7), 98 + 7.4 * (number // 7)
    turn = -int(-4 * (calls[-1].start + 2 * LEG) // 1)
    turns.add(turn)
    still = f'<circle class="w{turn}" cx="{x}" cy="{y:.1f}" r="4"/>'
    moving = "".join(
        f'<path class="{"k" if call.outcome == "ok" else "n"}" d="M-1.4-1.4 1.4 1.4M-1.4 1.4 1.4-1.4" '
        f'style="animation-delay:{call.start - LOOP:.2f}s"/>'
        for call in calls
    )
    way = f"--x0:{x - seat[0]}px;--y0:{y - seat[1]:.1f}px"
    return still, f'<g transform="translate({seat[0]} {seat[1]:.1f})" style="{way}">{moving}</g>'


def chart(calls: list[Call]) -> str:
    """How many calls arrive in each quarter of a second, veiled until then."""
    counts = Counter(int(4 * call.start + 1e-9) for call in calls)
    unit, left, base = CHART / SHOWN, 20, 296
    shapes = ['<text class="s" x="20" y="238">calls that arrive</text>']
    for quarter, count in sorted(counts.items()):
        tall = 50 * count / MOST
        bar = (
            f'x="{left + quarter * unit / 4:.1f}" y="{base - tall:.1f}" width="{unit / 4 - 1:.1f}" height="{tall:.1f}"'
        )
        shapes.append(f'<rect {bar} fill="var(--f)"/>')
    shapes.append(f'<rect class="v" x="{left}" y="242" width="{CHART + 20}" height="54"/>')
    shapes.append(f'<rect class="h" x="{left - 1}" y="242" width="2" height="54"/>')
    shapes.append(f'<rect x="{left}" y="{base}" width="{CHART}" height="1" fill="var(--s)"/>')
    for second in range(0, int(SHOWN) + 1, 2):
        shapes.append(
            f'<text class="s" x="{left + second * unit:.0f}" y="{base + 16}" text-anchor="middle">{second}</text>'
        )
    return "".join(shapes) + f'<text class="s" x="{left + CHART / 2:.0f}" y="{base + 30}">seconds</text>'


def herd(pause: Callable[[int], float]) -> Timeline:
    """A hundred clients that call at once, and after each failure again, `pause(failures)` seconds later."""
    world, answered = World(), deque[float](maxlen=10)

    def crowded(call: Asked) -> Reply:
        if len(answered) == 10 and call.at - answered[0] < 0.1:
            return error("ConnectionError")
        answered.append(call.at)
        return ok()

    service = world.service("service", crowded, latency=0.05)

    async def client() -> None:
        for failures in range(1000):
            try:
                await service()
                return
            except ConnectionError:
                await asyncio.sleep(pause(failures))

    async def everybody() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(CLIENTS):
                group.create_task(client(), name=f"{number}")

    return simulate(everybody, world=world).timeline


if __name__ == "__main__":
    sys.exit(main())
