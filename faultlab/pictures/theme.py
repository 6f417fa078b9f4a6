"""Colours on dark pages: a picture says its light colours itself, and a style sheet beside them says the dark ones.

A picture is dark if the page around it is: in a dark theme of JupyterLab, and where a page declares it
(`color-scheme`), as our own pages do for people whose system is dark. Where style sheets are taken away, and in old
browsers, it stays light.
"""

from __future__ import annotations

import colorsys
import re

DARK = {
    "#FFFFFF": "#111111",
    "#222222": "#E8E8E8",
    "#111111": "#E8E8E8",
    "#595959": "#B0B0B0",
    "#6B6B6B": "#A8A8A8",
    "#E3E3E3": "#333333",
    "#009E73": "#16AD82",
    "#D55E00": "#E8742A",
    "#0072B2": "#4CA3DD",
    "#8A8A8A": "#8F8F8F",
    "#8C8C8C": "#7D7D7D",
    "#F8E8C4": "#3A2E12",
    "#B07A00": "#C99A3A",
    "#F1D9E7": "#3F1F34",
    "#B8559A": "#DB7DB8",
    "#A3006D": "#FF7BC8",
    "#FBEAF4": "#33142A",
    "#7B4FA3": "#A77FD1",
    "#8A8A00": "#A8A832",
    "#9E2A4F": "#E0708F",
    "#8C5A2B": "#BD8A56",
    "#34407F": "#8591D6",
    "#3A3A3A": "#C8C8C8",
    "#00664B": "#4FC9A4",
    "#A33A00": "#FF9A66",
}
"""The dark counterpart of each colour of the house: of the paper, words, lines and areas."""

SCHEME = (
    "[data-jp-theme-light=false] .faultlab{color-scheme:dark}"
    ".faultlab:root{color-scheme:light dark}"  # an SVG file on its own
)
"""The rules that say where it is dark. Elsewhere the page around says it."""

FIT = ".faultlab-fit{overflow-x:auto}.faultlab-fit>svg{max-width:100%;min-width:540px;height:auto}"
"""The rules by which a picture shrinks in a narrow notebook, as long as its words can be read."""

_PAINTED = re.compile(r'\b(fill|stroke)="(#[0-9A-F]{6})"')


def dark(color: str) -> str:
    """The counterpart of a colour: the house's own, or one of the same hue that can be seen on dark paper."""
    if color in DARK:
        return DARK[color]
    hue, light, strong = colorsys.rgb_to_hls(*(int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)))
    light = 1.07 - light if light > 0.8 or light < 0.3 else max(light, 0.6)
    return "#" + "".join(f"{round(255 * part):02X}" for part in colorsys.hls_to_rgb(hue, min(light, 1.0), strong))


def dark_style(body: str) -> str:
    """The style sheet, as an element of the picture, for the colours that SVG elements have."""
    used = sorted(set(_PAINTED.findall(body)))
    rules = [f'.faultlab [{what}="{color}"]{{{what}:light-dark({color},{dark(color)})}}' for what, color in used]
    return f"<style>{SCHEME}{FIT}{''.join(rules)}</style>"
