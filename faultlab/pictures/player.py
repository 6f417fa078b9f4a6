"""A player's markup: the still picture, what the script has to know as escaped JSON, and the script itself.

The script is fixed: four files in one, which build what they show from text and attributes. Data never become script
or markup: they stand in an attribute, as JSON in ASCII with everything escaped that could end it. So a page that allows
no script shows the still picture and its table, and a page of ours allows this one script by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from markupsafe import Markup

from faultlab.pictures.figure import tables
from faultlab.pictures.moments import Moment
from faultlab.pictures.sheet import Sheet, clean
from faultlab.pictures.svg import svg
from faultlab.pictures.words import fill

ELEMENT = "faultlab-player1"
"""The element's name. Another form of its data gets another number, so that no script misreads an older page."""
SECONDS = 10.0
"""How long a run plays, whatever its length."""
CHARACTERS = 3_000_000
"""The most that a player's data may be; beyond it the still picture stands alone."""
TITLE = 22
"""Height of a still picture's title in pixels, which the player shows in its own place."""

_PARTS = ("tools", "pen", "flow", "player")
_TOO_MUCH = Markup("<p>There is too much in this run to play it.</p>")
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "'": "&#39;"}


@dataclass(frozen=True)
class Played:
    """One run to play: its still picture, what happens in it, and its flow, if that is shown."""

    still: Sheet
    moments: Sequence[Moment]
    flow: dict[str, Any] | None = None
    label: str = ""
    data: dict[str, Any] = field(init=False)
    """What the script is told."""

    def __post_init__(self) -> None:
        plot = self.still.plot
        if plot is None:
            raise ValueError("a player needs a picture with one time axis: of `lanes`, `raster`, `slots` or `overlay`")
        data = {
            "label": clean(self.label),
            "size": [self.still.width, self.still.height],
            "plot": [round(value, 1) for value in plot[:4]],
            "span": [round(plot.since, 6), round(plot.until, 6)],
            "at": [round(moment.at, 6) for moment in self.moments],
            "say": [moment.words for moment in self.moments],
            "flow": self.flow,
        }
        object.__setattr__(self, "data", data)


def player_html(
    runs: Sequence[Played],
    *,
    title: str = "",
    seconds: float = SECONDS,
    key: str = "",
    table: bool = True,
    whole: bool = False,
) -> Markup:
    """The player as markup without its script: alone it is the still pictures with their tables.

    runs: one, or two that are played side by side on one clock.
    seconds: how long it plays.
    key: of players that replace one another; the next goes on where the last one stood.
    table: whether the events stand beneath, as folded tables.
    whole: whether all is seen at first, and unfolds only when it is played.
    """
    data = {
        "title": clean(title),
        "seconds": seconds,
        "key": key,
        "whole": whole,
        "crop": TITLE if title else 0,
        "runs": [run.data for run in runs],
    }
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    stills = Markup().join(
        fill('<div slot="still-{}" style="overflow-x:auto">{}</div>', number, Markup(svg(run.still)))
        + (tables(run.still) if table else "")
        for number, run in enumerate(runs)
    )
    if len(text) > CHARACTERS:
        return Markup().join(still_html(run.still, table=table) for run in runs)
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return fill(
        "<{0} class='faultlab' style='display:block' data-lm-suppress-shortcuts='true' data-run='{1}'>{2}</{0}>",
        ELEMENT,
        Markup(text),
        stills,
    )


def has_player(markup: str) -> bool:
    """Whether there is something in this markup that the script would play."""
    return f"<{ELEMENT} " in markup


@cache
def script() -> str:
    """The player's script, always the same."""
    folder = Path(__file__).with_name("script")
    parts = [folder.joinpath(f"{name}.js").read_text(encoding="utf-8") for name in _PARTS]
    return f'(() => {{\n"use strict";\n{"".join(parts)}}})();\n'


def script_html() -> Markup:
    """The script as markup. Several on a page do no harm: it defines itself once."""
    return fill("<script>{}</script>", Markup(script()))


def script_hash() -> str:
    """What a page's Content-Security-Policy says to allow this script, and no other."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script().encode()).digest()).decode()


def still_html(sheet: Sheet, *, table: bool = True) -> Markup:
    """A still picture with its table, for a run that can't be played, and a line that says why."""
    return Markup(svg(sheet)) + (tables(sheet) if table else "") + _TOO_MUCH
