"""What an SVG promises: well-formed, self-contained, the same every time, inert whatever the names say."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from faultlab.pictures.raster import raster, slots
from faultlab.pictures.series import occupancy
from faultlab.pictures.svg import compare_svg, svg
from faultlab.timeline import Timeline

SVG = "{http://www.w3.org/2000/svg}"
NASTY = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'/><svg onload=alert(1)>",
    "]]><!--",
    "&lt;&amp;&#x3c;",
    "\x00\x08\x1f\x7f\x85\ufffe\ud800",
    "\u202eevil\u2066\u2069\u200f",
    "javascript:alert(1)",
    "url(http://example.org/x)",
    "$x^2$",
]


def drawn(timeline: Timeline) -> list[str]:
    """Every kind of picture of a timeline."""
    sheets = [raster(timeline, state="state", steps={"<b>": [(0, 1)]}), slots(occupancy(timeline), timeline=timeline)]
    return [svg(timeline), svg(timeline, height=120), compare_svg(timeline, timeline), *map(svg, sheets)]


def test_parses(busy):
    """Every picture is well-formed XML with a role, a label, a title, and a size that can shrink."""
    for markup in drawn(busy):
        root = ElementTree.fromstring(markup)
        assert root.tag == f"{SVG}svg" and root.get("role") == "img" and root.get("aria-label")
        assert root.find(f"{SVG}title") is not None
        assert int(root.get("width") or 0) == 720 and int(root.get("height") or 0) > 60
        assert root.get("viewBox") == f"0 0 720 {root.get('height')}"


@pytest.mark.parametrize("name", NASTY)
def test_inert(name, pen):
    """A name from somebody's code is text and nothing else, wherever it stands."""
    pen.call(name, 0, 1, name, service=name).call(name, 1, 1, service="other").mark(name, 0.5, name, name)
    pen.mark(name, 0.6, "state", name).sleep(name, 2, 1).put(0, "world", name, what=name, service=name, on=True)
    pen.put(3, "end", "", how=name, error=name)
    allowed = {f"{SVG}{tag}" for tag in ("svg", "title", "style", "rect", "path", "text")}
    for markup in [*drawn(pen.timeline), svg(pen.timeline, alt=name, title=name)]:
        root = ElementTree.fromstring(markup)
        assert {element.tag for element in root.iter()} <= allowed
        keys = {key for element in root.iter() for key in element.attrib}
        assert not any(key.startswith("on") or key in ("href", "id") for key in keys)
        assert {element.get("class") for element in root.iter()} == {"faultlab", None}
        (rules,) = [str(element.text) for element in root.iter(f"{SVG}style")]
        assert not re.sub(r"[\w.#:;,(){}\[\]=>%\" -]", "", rules) and "evil" not in rules and "alert" not in rules
        assert not re.search(
            r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff]", markup
        )
        markup.encode()


def test_self_contained(busy):
    """No script, no reference, nothing from outside; without its style sheet the picture is the light one."""
    for markup in drawn(busy):
        bare = markup.replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert not re.search(r"<(script|image|use|foreignObject|link|a)\b|href|url\(|://|@import", bare)


def test_ground(busy):
    """The first thing painted is a ground as large as the picture: no page's own colour swallows the words."""
    root = ElementTree.fromstring(svg(busy))
    ground = root.find(f"{SVG}rect")
    assert ground is not None and ground.get("fill") == "#FFFFFF"
    assert (ground.get("width"), ground.get("height")) == (root.get("width"), root.get("height"))


def test_same_bytes(busy):
    """The same timeline gives the same bytes, also after a round through JSON."""
    assert drawn(busy) == drawn(Timeline.from_json(busy.to_json()))


def test_same_bytes_on_every_python(busy):
    """Made by another Python on another day. When the picture is changed on purpose, change them too."""
    assert hashlib.sha256("".join(drawn(busy)).encode()).hexdigest()[:16] == "d17f787592900847"


def test_failed_is_hatched(busy):
    """A failed call has lines over its colour, an answered one none."""
    markup = svg(busy, legend=False)
    after = {
        color: re.findall(rf'fill="{color}"><title>[^<]*</title></rect>(<path d="[^"]*" stroke="#FFFFFF")?', markup)
        for color in ("#D55E00", "#009E73")
    }
    assert [bool(hatch) for hatch in after["#D55E00"]] == [True] * 2
    assert [bool(hatch) for hatch in after["#009E73"]] == [False] * 3


def test_label(busy, pen):
    """The label is the given one; without one the events are described."""
    assert 'aria-label="Two clients &amp; &quot;one&quot; outage"' in svg(busy, alt='Two clients & "one" outage')
    assert 'aria-label="alice, carol and bob over 2.9 s: 7 calls' in svg(busy)
    said = compare_svg(busy, pen.timeline)
    assert 'aria-label="Your run over the intended run. First difference, at 0 s, alice: yours: calls op' in said
    assert "intended: does nothing more." in said


def test_words_of_unknown_width_are_made_to_fit(pen):
    """Scripts whose width we only guess carry it with them; Latin doesn't need to."""
    markup = svg(pen.call("日本語", 0, 1).call("plain", 0, 1).timeline)
    assert re.search(r'textLength="[\d.]+" lengthAdjust="spacingAndGlyphs">日本語<', markup)
    assert markup.count("textLength") == 1


def test_core_is_light():
    """Laying out and painting as SVG needs neither matplotlib nor numpy nor ipywidgets nor IPython."""
    code = (
        "import sys, faultlab, faultlab.explore, faultlab.raster, faultlab.pictures.figure, faultlab.pictures.svg\n"
        "heavy = {'matplotlib', 'numpy', 'ipywidgets', 'IPython', 'msgspec', 'autograder'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
