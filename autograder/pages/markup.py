"""Fill the templates beside this file: values are cleaned and escaped, unless they are markup."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from faultlab.pictures.words import escaped, prose, safe

if TYPE_CHECKING:
    from jinja2 import Environment

LONGEST = 100_000
"""The most characters of an answer or a comment that a page shows."""
LONGEST_WORD = 1000
"""The most characters of one word."""


def render(name: str, **values: Any) -> str:
    """Fill a template with these values.

    Raises jinja2.UndefinedError for a missing value.
    """
    return _environment().get_template(name).render(values)


@cache
def _environment() -> Environment:
    """Each process compiles a template once, at first use."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # most commands draw nothing

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        auto_reload=False,
        undefined=StrictUndefined,
        finalize=escaped,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    ours = lru_cache(1024)(prose)  # titles and hints of the course, the same on every page
    environment.filters.update(words=escaped, prose=prose, ours=ours, lines=_lines)
    return environment


def _lines(text: str) -> Markup:
    """A longer text, escaped, with its lines and indentation."""
    return Markup("\n".join(map(_line, text[:LONGEST].expandtabs(4).splitlines())))


def _line(line: str) -> str:
    if line.isascii() and line.isprintable() and len(line) <= LONGEST_WORD:
        return escape(line)  # nothing to clean
    return re.sub("[^ ]+", lambda word: safe(word[0], LONGEST_WORD), line)
