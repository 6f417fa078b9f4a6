"""Figures are dark where the page around them is, and light everywhere else."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from faultlab.pictures.figure import axes, chart_svg
from faultlab.pictures.lanes import lanes
from faultlab.pictures.svg import svg
from faultlab.pictures.theme import dark
from faultlab.timeline import Timeline
from tests.browser.conftest import Visit

PAPER = "element => getComputedStyle(element).fill"
LIGHT, NIGHT = "#FFFFFF", dark("#FFFFFF")
DARK_PAGE = "<style>:root{color-scheme:light dark}</style><body>"


def chart() -> str:
    """A matplotlib figure."""
    fig, ax = axes("Rise", "seconds", "calls")
    ax.plot([0, 1], [0, 1])
    return chart_svg(fig, "It rises.")


@pytest.mark.parametrize(
    ("page", "prefers", "paper"),
    [
        ("<body>", "light", LIGHT),
        ("<body>", "dark", LIGHT),  # a page that knows no dark, such as formgrader's
        ('<body data-jp-theme-light="true">', "dark", LIGHT),  # an exported notebook
        ('<body data-jp-theme-light="false">', "light", NIGHT),  # a dark theme of JupyterLab
        (DARK_PAGE, "light", LIGHT),
        (DARK_PAGE, "dark", NIGHT),  # a page of ours
    ],
)
def test_figures_follow_the_page(page: str, prefers: str, paper: str, visit: Callable[[], Visit]) -> None:
    """A sheet and a chart, in each kind of page; without its style sheet a figure is light."""
    tab = visit().page
    tab.emulate_media(color_scheme="dark" if prefers == "dark" else "light")
    for markup in (svg(lanes(Timeline(), title="Nothing")), chart()):
        tab.set_content(f"<!doctype html>{page}{markup}")
        assert tab.locator("svg rect").first.evaluate(PAPER) == rgb(paper)
        tab.set_content(f"<!doctype html>{page}{re.sub('<style>.*?</style>', '', markup)}")
        assert tab.locator("svg rect").first.evaluate(PAPER) == rgb(LIGHT)


def rgb(color: str) -> str:
    """As a browser says a colour."""
    return f"rgb({', '.join(str(int(color[place : place + 2], 16)) for place in (1, 3, 5))})"
