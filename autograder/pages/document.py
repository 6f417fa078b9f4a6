"""A page to open in a browser: whole, calm, the same everywhere. It fetches nothing and runs nothing."""

from __future__ import annotations

from faultlab.pictures.words import safe

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_STYLE = """
:root{color-scheme:light}
body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#111;background:#fff}
h1{font-size:1.6rem;margin:0 0 .3rem}h2{font-size:1.2rem;margin:2rem 0 .3rem}
a{color:#0058a3}small{color:#555}code{font-family:ui-monospace,monospace;font-size:.92em}
table.wide{border-collapse:collapse;width:100%}
.wide th,.wide td{padding:.35rem .8rem;text-align:left;border-bottom:1px solid #ddd;vertical-align:top}
.wide th{border-bottom:2px solid #bbb}.wide .n{text-align:right;white-space:nowrap}meter{width:8rem}
svg{max-width:100%;height:auto}
"""


def document(title: str, body: str) -> str:
    """The page of this title; `body` is markup, and begins below the title's heading."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{safe(title)}</title>'
        f"<style>{_STYLE}</style></head><body><main><h1>{safe(title)}</h1>{body}</main></body></html>\n"
    )


def meter(score: float, best: float) -> str:
    """Points as a bar, with words for those who don't see it."""
    bounds = f'min="0" max="{best or 1:g}" value="{score:g}"'
    return f'<meter {bounds} aria-label="{score:g} of {best:g} points"></meter>'
