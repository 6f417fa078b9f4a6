"""The README's picture is what its command writes, and shows itself to everybody."""

from __future__ import annotations

from tools.unfolding import TARGET, picture


def test_is_what_its_command_writes() -> None:
    """Both runs are real ones of the laboratory as it is now."""
    assert TARGET.read_text(encoding="utf-8") == picture(), "run `uv run python tools/unfolding.py`"


def test_for_every_reader() -> None:
    """It has words, follows dark surroundings, stands still on request, runs no script and fetches nothing."""
    text = TARGET.read_text(encoding="utf-8")
    assert 'role="img" aria-label="A hundred clients' in text
    assert "prefers-color-scheme:dark" in text and "prefers-reduced-motion:reduce" in text
    assert "<script" not in text and "url(" not in text and "href" not in text
    assert len(text) < 120_000
