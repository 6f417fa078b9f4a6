"""What `show` and charts promise: never a picture without words."""

from __future__ import annotations

import re

import pytest

from faultlab.pictures.figure import axes, rendered, show
from faultlab.pictures.svg import svg


@pytest.fixture
def displayed(monkeypatch):
    """What is displayed while a notebook seems to run."""
    from IPython import display
    from IPython.core import getipython

    shown: list[dict[str, str]] = []
    monkeypatch.setattr(getipython, "get_ipython", lambda: object())
    monkeypatch.setattr(display, "display", lambda bundle, raw=False: shown.append(bundle))
    return shown


def test_not_pyplots():
    """Figures don't show themselves, and don't pile up in pyplot."""
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    axes("Title")
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
    """A chart becomes an SVG of fixed size with its words."""
    fig, ax = axes("Wait")
    ax.plot([0, 1], [0, 1])
    show(fig, alt='It "grows" & grows')
    (bundle,) = displayed
    found = re.search(
        r'width="(\d+)" height="(\d+)" viewBox="0 0 691 307" role="img" aria-label="([^"]*)"', bundle["text/html"]
    )
    assert found and found.groups() == ("691", "307", "It &quot;grows&quot; &amp; grows")


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
