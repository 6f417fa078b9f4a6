"""The project's English is plain, as far as a pattern can tell: turns that make one read twice are found here.

What people read is looked at: markdown, the cells of text in notebooks, docstrings, comments, contracts, headlines of
mistakes, and sentences among a program's strings. Code in backticks isn't prose.
"""

from __future__ import annotations

import ast
import inspect
import io
import re
import subprocess
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LONGEST = 35
"""Words of a sentence."""

TURNS = {
    "a clause that begins with a bare 'who': name who it is": re.compile(
        r"(?:^|[.:;!(]\s|\b(?:and|but|or|if|because|than|of|by|for|to|from|with|as|when|that)\s)"
        r"(?:who|whoever)\b(?!:)(?![^.]*\?)|(?:^|[.:;!]\s)(?:whose|whom)\b(?![^.]*\?)",
        re.IGNORECASE,
    ),
    "say 'the index of' or 'which'": re.compile(r"how-manieth", re.IGNORECASE),
    "say 'wall-clock time'": re.compile(r"\bon the wall\b", re.IGNORECASE),
    "say 'consecutive'": re.compile(r"\bin a row\b", re.IGNORECASE),
    "say 'counts as' or 'treats as'": re.compile(
        r"\b(?:take|takes|took|taking|taken)\s+(?:[\w'`*-]+\s+){0,4}for\s+(?:an?|the|no|one|another|it|its|what)\b"
        r"(?!\s+(?:\w+\s+)?(?:second|minute|hour|call|request|section|submission)s?\b)",
        re.IGNORECASE,
    ),
    "say 'fix'": re.compile(r"\bmend(?:s|ed|ing)?\b", re.IGNORECASE),
    "say 'forever'": re.compile(r"\bfor ever\b", re.IGNORECASE),
}

ALLOWED: dict[tuple[str, str], str] = {}
"""Where a turn or a long sentence may stay: the file and words of the sentence, and why."""


PROGRAM = re.compile(r"SELECT |=> |\bdef |\bimport |;\s*\w+ = |^\w+ = ")
"""A string that holds a program in another language, or in Python."""


def read_files() -> list[str]:
    """The files that people read, as git lists them; the notebooks are built of others."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py", "*.md", "*.toml", "*.diff", "*.html"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return [name for name in listed if not name.startswith("notebooks/") and (ROOT / name).is_file()]


def blocks(name: str, text: str) -> Iterator[tuple[int, str]]:
    """The paragraphs of a file that are prose, each with its line."""
    suffix = Path(name).suffix
    if suffix == ".md":
        yield from paragraphs(1, text)
    elif suffix == ".py":
        yield from python_blocks(text)
    elif suffix == ".diff":
        yield from ((n, line[1:]) for n, line in enumerate(text.splitlines(), 1) if line.startswith("# "))
    elif suffix == ".toml":
        yield from ((n, line.partition("# ")[2]) for n, line in enumerate(text.splitlines(), 1) if "# " in line)
        if name.endswith("equivalent.toml"):
            yield from ((1, words) for words in strings_in(tomllib.loads(text)) if " " in words)
    else:
        visible = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}|<style.*?</style>|<[^>]*>", "\n", text, flags=re.DOTALL)
        yield from paragraphs(1, visible)


def strings_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from strings_in(one)


def python_blocks(text: str) -> Iterator[tuple[int, str]]:
    """Comments that follow each other, cells of text among them, and strings that hold sentences."""
    comments: list[tuple[int, str]] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and not token.string.startswith(("# %%", "#!", "# type:", "# noqa")):
            if comments and token.start[0] != comments[-1][0] + 1:
                yield from joined(comments)
                comments = []
            comments.append((token.start[0], token.string.lstrip("#").removeprefix(" ").removeprefix("> ")))
    yield from joined(comments)
    for line, words in strings_of(ast.parse(text)):
        yield from paragraphs(line, inspect.cleandoc(words))


def strings_of(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Docstrings, and the other strings of one line that hold several words; longer ones are programs."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    bodies = [node.body for node in ast.walk(tree) if isinstance(node, documented)]
    alone = {id(one.value) for body in bodies for one in body if isinstance(one, ast.Expr)}
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        words = ""
        if isinstance(node, ast.JoinedStr):
            words = "".join(str(one.value) if isinstance(one, ast.Constant) else "0" for one in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            words = node.value
        if id(node) in alone or (len(words.split()) > 3 and "\n" not in words.strip() and not PROGRAM.search(words)):
            yield getattr(node, "lineno", 1), words


def joined(comments: list[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    if comments:
        yield from paragraphs(comments[0][0], "\n".join(text for _, text in comments))


def paragraphs(first: int, text: str) -> Iterator[tuple[int, str]]:
    """Paragraphs, items of lists and cells of tables, without code in fences and indented code."""
    text = re.sub(r"```.*?```|~~~.*?~~~", lambda fence: "\n" * fence[0].count("\n"), text, flags=re.DOTALL)
    start, lines = first, list[str]()
    for number, line in enumerate([*text.splitlines(), ""], first):
        row = re.search(r"\S {2,}\S", line)
        table = line.lstrip().startswith("|")
        if line.startswith("    ") and not lines:  # code
            continue
        fresh = re.match(r"\s*(?:[-*+] |\d+\. |#+ |>>> |\.\.\. |:?-{3,}|=+ +=|<|[a-z_][a-z_, ]*: )", line) or row
        if not line.strip() or table or fresh:
            if lines:
                yield start, " ".join(lines)
            start, lines = number, []
        if table:
            yield from ((number, cell) for cell in line.split("|"))
        elif line.strip() and not line.lstrip().startswith((">>> ", "... ")):
            start = start if lines else number
            lines.append(re.sub(r"^\s*(?:[-*+] |\d+\. |#+ |> )", "", line).strip())


def sentences(paragraph: str) -> list[str]:
    """A paragraph's sentences, code in backticks as one word, links as their words, and no markup."""
    text = re.sub(r"``?[^`]+``?", "CODE", paragraph)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)|<[^>]*>|\$[^$]+\$", lambda found: found[1] or " ", text)
    text = re.sub(r"[*_]{1,3}(?=\S)|(?<=\S)[*_]{1,3}", "", text)
    return re.split(r"(?<=[.!?])[\"')»”]?\s+(?=[\"'(A-Z0-9“‘])", text)


def found_in(name: str) -> list[str]:
    """What is to be rewritten in a file: where, what, and the sentence."""
    found = []
    for line, paragraph in blocks(name, (ROOT / name).read_text(encoding="utf-8")):
        for sentence in sentences(paragraph):
            if any(name == file and words in sentence for file, words in ALLOWED):
                continue
            found += [f"{name}:{line}: {what}: {sentence}" for what, turn in TURNS.items() if turn.search(sentence)]
            if (count := len(re.findall(r"[\w'’-]+", sentence))) > LONGEST:
                found.append(f"{name}:{line}: {count} words, at most {LONGEST} are read easily: {sentence}")
    return found


FILES = [name for name in read_files() if name != "tests/test_words.py"]
GROUPS = sorted({"/".join(name.split("/")[:2]) if "/" in name else name for name in FILES})


@pytest.mark.parametrize("group", GROUPS)
def test_plain_english(group: str) -> None:
    """Nothing of what the patterns find stands in what people read."""
    names = [name for name in FILES if name == group or name.startswith(f"{group}/")]
    found = [line for name in names for line in found_in(name)]
    assert not found, "\n".join(found)


def test_exceptions_are_needed() -> None:
    """Each exception names a sentence that is there."""
    for name, words in ALLOWED:
        paragraphs_there = blocks(name, (ROOT / name).read_text(encoding="utf-8"))
        assert any(words in sentence for _, one in paragraphs_there for sentence in sentences(one)), (name, words)


@pytest.mark.parametrize(
    "sentence",
    [
        "Who gets no connection gives up.",
        "Five failures in a row open it.",
        "Polly takes it for no failure.",
        "Mend the counter.",
        "A second on the wall.",
        "It waits for ever.",
        "This counts for who asks.",
    ],
)
def test_each_turn_is_found(sentence: str) -> None:
    """The patterns find what they are for."""
    assert any(turn.search(sentence) for turn in TURNS.values())


@pytest.mark.parametrize(
    "sentence",
    [
        "Who must decide about this failure?",
        "A caller who gives up frees its slot.",
        "It takes three seconds for a call to end.",
        "Anyone who grades can read it.",
        "The notebooks take it for granted.",
    ],
)
def test_plain_sentences_pass(sentence: str) -> None:
    """A question, a relative clause with its noun, and a duration are plain."""
    assert not any(turn.search(sentence) for turn in TURNS.values())
