"""What a player is told of a run, and that nothing in it becomes more than data."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from faultlab import World, error, hang, mark, play, simulate
from faultlab.pictures.flow import Cast, flow
from faultlab.pictures.lanes import lanes
from faultlab.pictures.moments import moments, side_by_side
from faultlab.pictures.player import ELEMENT, Played, has_player, player_html, script, script_hash, script_html
from faultlab.pictures.sheet import Sheet
from faultlab.pictures.theme import DARK
from faultlab.timeline import Event, Timeline

HOSTILE = {
    "the end of a script": "</script><script>alert(1)</script>",
    "the end of the attribute": "' onclick='alert(1)' x='",
    "the other quotation mark": '"><img src=x onerror=alert(1)>',
    "a handler": "<img src=x onerror=alert(1)>",
    "the end of the element": f"</{ELEMENT}><iframe src=//evil.example>",
    "an entity": "&#39; onclick=&#39;alert(1)&apos;",
    "a comment": "<!-- --!> -->",
    "text turned round": "\u202eevil\u2066\u2069\u200f",
    "half a letter": "\ud800\udfff\x00\x1b[31m\u2028",
    "a template": "{{ 7 * 7 }} ${alert(1)} {0} {}",
    "a name of JavaScript's": "__proto__",
    "a very long one": "W" * 100_000,
}


class Reader(HTMLParser):
    """Tags with their attributes, as a browser reads them."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def attacked(words: str) -> Timeline:
    """A run whose every name and value is the same words."""
    return Timeline(
        (
            Event(0, "world", "", {"what": words, "service": words, "on": True}),
            Event(0, "mark", words, {"name": words, "value": words}),
            Event(1, "call", words, {"call": 0, "service": words, "args": [words]}),
            Event(2, "mark", words, {"name": "state", "value": {words: [words, {"$float": "nan"}]}}),
            Event(3, "error", words, {"call": 0, "service": words, "error": words, "args": [words]}),
            Event(4, "sleep", words, {"timer": 1, "until": 10**30, "what": "sleep"}),
            Event(5, "end", "", {"how": "raised", "error": words, "message": words}),
        )
    )


def shown(timeline: Timeline, **cast: Any) -> tuple[str, dict[str, Any]]:
    """A player's markup, and its data as a browser reads them."""
    sheet = lanes(timeline, title="A run")
    assert sheet.plot
    played = Played(sheet, moments(timeline), flow(timeline, Cast(**cast), sheet.plot.until))
    markup = player_html([played], title="A run")
    told = next(attributes["data-run"] for tag, attributes in Reader(markup).found if tag == ELEMENT)
    return markup, json.loads(told or "")


def herd(clients: int = 3, failures: int = 2) -> Timeline:
    """Clients that call a service whose first calls fail, and try again a second later."""
    world = World()
    service = world.service("op", [error()] * failures, latency=0.05)

    async def client() -> None:
        mark("joins")
        await asyncio.sleep(0.5)
        while True:
            try:
                return await service()
            except Exception:
                await asyncio.sleep(1)

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(1, clients + 1):
                group.create_task(client(), name=f"client {number}")

    return simulate(main, world=world).timeline


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_words_stay_data(name: str) -> None:
    """The element has its own attributes and no others, and no word of a run becomes a tag."""
    honest, _ = shown(attacked("op"), gate="state")
    markup, data = shown(attacked(HOSTILE[name]), gate="state", refused=(HOSTILE[name],))
    tags = [tag for tag, _ in Reader(markup).found if tag not in ("rect", "text", "path", "title")]
    assert tags == [tag for tag, _ in Reader(honest).found if tag not in ("rect", "text", "path", "title")]
    attributes = [names for tag, names in Reader(markup).found if tag == ELEMENT]
    assert [sorted(names) for names in attributes] == [["class", "data-lm-suppress-shortcuts", "data-run", "style"]]
    told = json.dumps(data, ensure_ascii=False)
    assert not set(told) & set("\u202e\u2066\u200f\u2028\x00\x1b\ud800")
    assert len(markup) < 60_000


def test_instants_in_words() -> None:
    """Few things at an instant are told, many are counted; a timer that only guards something isn't told."""
    told = moments(herd())
    assert [moment.words for moment in told] == [
        "0 s: 3 begin to wait; joins (3 times).",
        "0.5 s: client 1: call 1 to op begins; client 2: call 2 to op begins; client 3: call 3 to op begins.",
        "0.55 s: 1 answered; 2 failed; 2 begin to wait.",
        "1.55 s: client 1: call 4 to op begins; client 2: call 5 to op begins.",
        "1.6 s: client 1: call 4 to op is answered; client 2: call 5 to op is answered; the run ends.",
    ]


def test_many_instants_are_joined() -> None:
    """Neighbours are told as one, with both ends; nothing is left out of the counts."""
    events = [
        event
        for number in range(2000)
        for event in (
            Event(number * 1000, "call", "a", {"call": number, "service": "op", "args": []}),
            Event(number * 1000 + 500, "ok", "a", {"call": number, "service": "op", "value": None}),
        )
    ]
    told = moments(Timeline(tuple(events)), most=100)
    assert 90 < len(told) <= 101
    assert " to " in told[0].words
    counted = [re.search(r"(\d+) calls begin", moment.words) for moment in told]
    assert sum(int(one[1]) for one in counted if one) == 2000


def test_two_runs_on_one_clock() -> None:
    """At an instant of both, each is told under its name."""
    told = side_by_side({"Yours": herd(1, 0), "Intended": herd(2, 0)}, until=9)
    assert [moment.at for moment in told] == [0.0, 0.5, 0.55]
    one, two = "client 1: call 1 to op begins", "client 2: call 2 to op begins"
    assert told[1].words == f"Yours, 0.5 s: {one}. Intended, 0.5 s: {one}; {two}."


def test_flow_of_requests() -> None:
    """Each call's caller and server, from when to when, and how it ended; places are taken from the lowest."""
    _, data = shown(herd())
    acts = data["runs"][0]["flow"]
    assert acts["callers"] == ["client 1", "client 2", "client 3"]
    assert acts["servers"] == [["op", 0, 3]]
    assert acts["requests"] == [
        [0, 0, 0.5, 0.55, 1, 0, -1],
        [1, 0, 0.5, 0.55, 1, 1, -1],
        [2, 0, 0.5, 0.55, 0, 2, -1],
        [0, 0, 1.55, 1.6, 0, 0, -1],
        [1, 0, 1.55, 1.6, 0, 1, -1],
    ]


def test_flow_of_a_queue() -> None:
    """A lane waits from its mark to its call, and the call starts at the place in the line that it leaves."""
    _, data = shown(herd(), waits="joins", callers=lambda lane: lane.split()[0], slots=2)
    acts = data["runs"][0]["flow"]
    assert acts["callers"] == ["client"] and acts["servers"] == [["op", 2, 3]]
    assert acts["waits"] == [[0, 0.0, 0.5, 1, 0], [0, 0.0, 0.5, 1, 1], [0, 0.0, 0.5, 1, 2]]
    assert [request[6] for request in acts["requests"]] == [0, 1, 2, -1, -1]


def test_flow_of_timeouts() -> None:
    """A timeout that runs is a wait; one that fires ends it without a turn. A caller that never calls is drawn, too."""
    world = World()
    service = world.service("op", latency=1)

    async def caller(permit: asyncio.Semaphore) -> None:
        try:
            async with asyncio.timeout(1.5):
                await permit.acquire()
        except TimeoutError:
            return
        await service()
        permit.release()

    async def main() -> None:
        permit = asyncio.Semaphore(1)
        tasks = [asyncio.create_task(caller(permit), name=f"caller {number}") for number in (1, 2, 3)]
        await asyncio.wait(tasks)

    timeline = simulate(main, world=world).timeline
    _, data = shown(timeline, waits="timeout", callers=lambda lane: "callers")
    acts = data["runs"][0]["flow"]
    assert acts["waits"] == [[0, 0.0, 1.0, 1, 0], [0, 0.0, 1.5, 0, 1]]
    assert [request[6] for request in acts["requests"]] == [-1, 0]


def test_states_of_gate_and_switch() -> None:
    """A gate's states say what it lets pass; a switch points to the server that its state names."""
    world = World()
    left, right = world.service("left"), world.service("right")

    async def main() -> None:
        for state in ("closed", "open", "open", "half_open"):
            mark("state", state, lane="breaker")
        mark("not ready", lane="balancer")
        await left()
        mark("to", "right", lane="balancer")
        await right()

    timeline = simulate(main, world=world).timeline
    _, data = shown(timeline, gate="state", switch="balancer")
    acts = data["runs"][0]["flow"]
    assert [state[1:] for state in acts["gate"]] == [["closed", 0, -1], ["open", 2, -1], ["half-open", 1, -1]]
    assert [state[1:] for state in acts["switch"]] == [["not ready", 2, -1], ["right", 0, 1]]
    with pytest.raises(ValueError, match="through, some, shut"):
        shown(timeline, gate="state", states={"open": "ajar"})


def test_what_never_ends() -> None:
    """A call without an answer is under way until the end."""
    world = World()
    service = world.service("op", then=hang())
    run = simulate(service, world=world, catch=True)
    sheet = lanes(run.timeline)
    acts = flow(run.timeline, Cast(), 5.0)
    assert acts["requests"] and acts["requests"][0][3:5] == [5.0, 3]
    assert sheet.plot


def test_too_much_to_play(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of a hundred thousand events is a still picture, and says why."""
    events = [Event(number, "mark", "a", {"name": "x", "value": number}) for number in range(100_000)]
    found: list[str] = []
    monkeypatch.setattr("faultlab.pictures.play.display_html", lambda markup, words: found.append(markup))
    play(Timeline(tuple(events)), alt="Much.")
    assert "too much in this run" in found[0] and not has_player(found[0])


def test_misuse() -> None:
    """A view that there isn't, something that is no run, a picture without an axis."""
    with pytest.raises(ValueError, match="lanes"):
        play(herd(), alt="x", view="film")
    with pytest.raises(TypeError, match="int"):
        play(3, alt="x")
    with pytest.raises(ValueError, match="time axis"):
        Played(Sheet(10, 10, ()), [])


def test_the_script_is_one_and_fixed() -> None:
    """It can stand in HTML, its hash is its own, and it has no way to turn text into markup or code."""
    text = script()
    assert "</" not in text and "<!--" not in text
    ways = (
        r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|Function\(|import\(|fetch\(|XMLHttp|\.src\b|href"
    )
    assert not re.search(ways, text)
    assert str(script_html()) == f"<script>{text}</script>"
    digest = hashlib.sha256(text.encode()).digest()
    assert script_hash().removeprefix("sha256-") == base64.b64encode(digest).decode()


def test_dots_have_the_pictures_colours_in_the_dark() -> None:
    """The script's pairs of colours are those of the still pictures."""
    pairs = re.findall(r'"(#\w{6})": "(#\w{6})"', script())
    assert len(pairs) == 4 and pairs == [(color, DARK[color]) for color, _ in pairs]
