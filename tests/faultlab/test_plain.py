"""Only exact built-in types leave running code, of bounded size."""

from __future__ import annotations

import collections
import enum
import json

import pytest

from faultlab.plain import LETTERS, ROOM, plain, short, told, worded


class Liar(str):
    __slots__ = ()

    def __eq__(self, other):
        return True

    __hash__ = str.__hash__


class Colour(enum.IntEnum):
    RED = 1


@pytest.mark.parametrize("value", [None, True, 0, -(2**63), 2**63 - 1, 1.5, "é", [1, [2]], {"a": {"b": []}}])
def test_plain_data_stays_as_it_is(value):
    """Equal, of the same type, and a copy."""
    copied = plain(value)
    assert copied == value and type(copied) is type(value)
    assert copied is not value or not isinstance(value, list | dict)


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        (Liar("x"), {"$object": "Liar"}),
        (Colour.RED, {"$object": "Colour"}),
        (collections.OrderedDict(a=1), {"$object": "OrderedDict"}),
        ({1, 2}, {"$object": "set"}),
        (b"x", {"$object": "bytes"}),
        (object(), {"$object": "object"}),
        (2**63, {"$int": "0x8000000000000000"}),
        (float("nan"), {"$float": "nan"}),
        (float("-inf"), {"$float": "-inf"}),
        ((1, 2), [1, 2]),
        ({1: "a", None: "b"}, {"1": "a", "None": "b"}),
        ("\ud800", "\\ud800"),
    ],
)
def test_everything_else_is_described(value, seen):
    """Subclasses too: nobody's `__eq__` travels."""
    assert plain(value) == seen
    assert type(plain(value)) is type(seen)


def test_a_nest_has_a_bottom():
    """Also one that contains itself."""
    endless: list = []
    endless.append(endless)
    assert "$deep" in json.dumps(plain(endless))


@pytest.mark.parametrize(
    "value",
    ["x" * 10**6, ["\x00" * 2_000] * 1_000, list(range(10**5)), {str(i): i for i in range(10**5)}, 1 << 20_000],
    ids=["text", "escapes", "numbers", "pairs", "number"],
)
def test_what_comes_out_is_small(value):
    """About as much JSON as promised, however large the value."""
    assert len(json.dumps(plain(value))) < ROOM + 12 * LETTERS + 200


@pytest.mark.parametrize("name", ["x" * 500, "\ud800" * 300, None, 5, Liar("x"), [1] * 500])
def test_names_are_short_and_encodable(name):
    """A lane's name is at most 200 letters, whatever was given."""
    cut = short(name)
    assert type(cut) is str and len(cut) <= 200
    cut.encode()


def test_an_errors_text_is_told_whatever_it_does():
    """An error whose `str` fails or isn't a plain str."""

    class Silent(Exception):
        def __str__(self):
            raise RuntimeError

    class Long(Exception):
        def __str__(self):
            return Liar("x" * 10_000)

    assert told(Silent()) == "(its text can't be shown)"
    assert told(Long()) == "x" * 300 and type(told(Long())) is str


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "None"),
        ("a", "'a'"),
        ([1, "a"], "[1, 'a']"),
        ({"a": 1.5}, "{'a': 1.5}"),
        (object(), "an object"),
        ([Colour.RED], "[a Colour]"),
        (float("nan"), "nan"),
        ({"$object": 5}, "a 5"),
        ({}, "{}"),
    ],
)
def test_values_are_told_in_words(value, words):
    """What has no plain form is told by its class, and whatever somebody made up is told somehow."""
    assert worded(plain(value)) == words
