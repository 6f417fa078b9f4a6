"""What figures and `show` promise: the same picture as the SVG, never without words."""

from __future__ import annotations

import re
from base64 import b64decode
from io import BytesIO

import pytest
from matplotlib.colors import to_hex

from faultlab.pictures.figure import axes, figure, rendered, show
from faultlab.pictures.lanes import lanes
from faultlab.pictures.raster import raster
from faultlab.pictures.sheet import STYLES
from faultlab.pictures.svg import svg


def png(fig) -> bytes:
    """A figure's bytes."""
    data = BytesIO()
    fig.savefig(data, metadata={"Software": None})
    return data.getvalue()


@pytest.fixture
def displayed(monkeypatch):
    """What is displayed while a notebook seems to run."""
    from IPython import display
    from IPython.core import getipython

    shown: list[dict[str, str]] = []
    monkeypatch.setattr(getipython, "get_ipython", lambda: object())
    monkeypatch.setattr(display, "display", lambda bundle, raw=False: shown.append(bundle))
    return shown


def test_same_lanes_and_colours(busy):
    """The figure has the sheet's size, words and bars, in the sheet's colours."""
    sheet = lanes(busy, title="A run that costs $5 and $6")
    fig = figure(sheet)
    ax = fig.axes[0]
    assert [round(72 * inches) for inches in fig.get_size_inches()] == [sheet.width, sheet.height]
    assert [text.get_text() for text in ax.texts] == [text.text for text in sheet.texts]
    fills = [to_hex(patch.get_facecolor()).upper() for patch in ax.patches]
    assert fills == [STYLES[bar.style].fill for bar in sheet.bars]
    assert not any(text.get_parse_math() for text in ax.texts)


def test_same_bytes(busy):
    """The same timeline gives the same picture, byte for byte."""
    assert png(figure(busy)) == png(figure(busy))


def test_raster(pen):
    """Dots have the shapes of their outcomes."""
    for turn, error in enumerate(["", "ValueError", "cancel"]):
        pen.call("alice", turn, 0.1, error)
    pen.call("bob", 3, None)
    fig = figure(raster(pen.timeline))
    assert len(fig.axes[0].collections) == 2 * 4  # the dots and their legend
    png(fig)


def test_not_pyplots(busy):
    """Figures don't show themselves, and don't pile up in pyplot."""
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    axes("Title")
    figure(busy)
    assert pyplot.get_fignums() == before


def test_lines_differ_in_dashes():
    """Lines of a chart are told apart without their colours."""
    _, ax = axes("Wait", "attempt", "seconds")
    lines = [ax.plot([0, 1], [0, slope])[0] for slope in range(5)]
    assert len({str(vars(line)["_dash_pattern"]) for line in lines}) == 5
    assert (ax.get_title(loc="left"), ax.get_xlabel(), ax.get_ylabel()) == ("Wait", "attempt", "seconds")


def test_show_a_timeline(busy, displayed):
    """A timeline is displayed as labelled SVG with its table beneath, described in plain text; nothing is returned."""
    assert show(busy, title="Mine") is None  # type: ignore[func-returns-value]
    (bundle,) = displayed
    assert svg(busy, title="Mine") in bundle["text/html"] and "<details>" in bundle["text/html"]
    assert bundle["text/plain"].startswith("alice, carol and bob over 2.9 s")


def test_show_a_chart(displayed):
    """A chart becomes an image with alt text; its size is fixed."""
    fig, ax = axes("Wait")
    ax.plot([0, 1], [0, 1])
    show(fig, alt='It "grows" & grows')
    (bundle,) = displayed
    found = re.search(r'<img alt="It &quot;grows&quot; &amp; grows" width="(\d+)" height="(\d+)"', bundle["text/html"])
    assert found and found.groups() == ("691", "307")
    data = re.search(r"base64,([^\"]+)", bundle["text/html"])
    assert data and b64decode(data[1]).startswith(b"\x89PNG")


def test_no_chart_without_words():
    """A chart without alt text is refused, with what to write."""
    fig, _ = axes()
    with pytest.raises(ValueError, match=r"show\(figure, alt="):
        rendered(fig)


def test_show_an_svg(busy):
    """An SVG string keeps its label, or takes the given one; another string is refused."""
    assert rendered(svg(busy, alt="Mine"))[1] == "Mine"
    markup, words = rendered(svg(busy), "Other <words>")
    assert 'aria-label="Other &lt;words&gt;"' in markup and words == "Other <words>"
    with pytest.raises(ValueError, match="this string is no <svg>"):
        rendered("hello")


def test_without_a_notebook(busy, capsys):
    """In a plain terminal the words are printed."""
    show(busy, alt="Three clients.")
    assert capsys.readouterr().out == "Three clients.\n"
