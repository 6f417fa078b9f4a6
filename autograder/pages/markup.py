"""Markup out of the templates beside this file: what they are given is cleaned and escaped, unless it is markup."""

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
"""Characters of an answer or a comment that a page shows."""
LONGEST_WORD = 1000
"""Characters of a word among them."""


def render(name: str, **values: Any) -> str:
    """The markup that a template makes of these values.

    Raises jinja2.UndefinedError for a value that the template asks for and isn't given.
    """
    return _environment().get_template(name).render(values)


@cache
def _environment() -> Environment:
    """Each process compiles a template once, when it first draws one."""
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
    ours = lru_cache(1024)(prose)  # titles and hints of the course, the same on page after page
    environment.filters.update(words=escaped, prose=prose, ours=ours, lines=_lines)
    return environment


def _lines(text: str) -> Markup:
    """A longer text as words, its lines and indentation as they were typed."""
    return Markup("\n".join(map(_line, text[:LONGEST].expandtabs(4).splitlines())))


def _line(line: str) -> str:
    if line.isascii() and line.isprintable() and len(line) <= LONGEST_WORD:
        return escape(line)  # nothing to clean
    return re.sub("[^ ]+", lambda word: safe(word[0], LONGEST_WORD), line)
