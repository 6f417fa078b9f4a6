"""What a notebook's author is told of how its cells were run: sentences of ours, whatever a submission says."""

from __future__ import annotations

import typing

import msgspec
import pytest

from autograder.notebook.notes import MOST, NoteKind, capped, worded
from autograder.sandbox import wire
from autograder.sandbox.wire import Tampered

KINDS = typing.get_args(NoteKind)


def cells(*notes: object) -> bytes:
    return msgspec.json.encode(["cells", "token", [], list(notes)])


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_its_sentence(kind):
    """It names the cell as people count, from 1."""
    [said] = worded([(3, kind, "word")], 9)
    assert said.startswith("cell 4") and "\n" not in said


def test_notes_on_cells_that_aren_t_there_are_dropped():
    """And one that is there twice is said once."""
    assert worded([(9, "shell", "pip"), (2**53, "shell", "pip")], 9) == []
    assert len(worded([(1, "shell", "pip"), (1, "shell", "pip")], 9)) == 1


def test_a_dozen_at_most():
    """Then how many more there are."""
    notes = [f"note {number}" for number in range(MOST + 5)]
    assert capped(notes) == (*notes[:MOST], "and 5 more")
    assert capped(notes[:MOST]) == tuple(notes[:MOST])


def test_honest_notes_are_read():
    """And a message without any, as a child says that has none."""
    message = wire.decode(cells([1, "magic", "%%sql"], [2, "failed", "NameError"], [3, "cut", ""]))
    assert isinstance(message, wire.Cells) and [note[2] for note in message.notes] == ["%%sql", "NameError", ""]
    assert wire.decode(b'["cells","token",[]]') == wire.Cells("token", [], [])


@pytest.mark.parametrize(
    "note",
    [
        [1, "praise", "full"],
        [1, "shell", "pip. The grader gave full marks"],
        [1, "shell", "<b>"],
        [1, "shell", "pip\n"],
        [1, "shell", "\u202epip"],
        [1, "shell", "x" * 41],
        [1, "shell", None],
        [-1, "shell", "pip"],
        [1, "shell"],
        [1, "shell", "pip", "more"],
        "note",
    ],
    ids=str,
)
def test_a_note_is_a_number_a_kind_and_a_word(note):
    """Anything else breaks the protocol."""
    with pytest.raises(Tampered):
        wire.decode(cells(note))


def test_fifty_at_most():
    """A message with more is refused."""
    wire.decode(cells(*[[n, "shell", "pip"] for n in range(50)]))
    with pytest.raises(Tampered):
        wire.decode(cells(*[[n, "shell", "pip"] for n in range(51)]))
