"""Encode and decode JSON: the rules for numbers, for input, and for stored text."""

from __future__ import annotations

import enum
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from material import input_values, nested, stored_values

from awictl.document.json_codec import _dumps_deep, check_input, dumps, json_equal, loads, parse_input
from awictl.errors import InvalidData, InvalidInput

#: The standard library decodes a stored text with this: orjson rejects the lone surrogate.
ODD = b'"\\ud800"'

NUMBERS = [
    (b"9223372036854775807", 2**63 - 1, int),
    (b"-9223372036854775808", -(2**63), int),
    (b"18446744073709551615", 2**64 - 1, int),
    (b"18446744073709551616", 2.0**64, float),
    (b"-9223372036854775809", -(2.0**63), float),
    (b"123456789012345678901234567890", 1.2345678901234568e29, float),
    (b"1" + b"0" * 300, 1e300, float),
    (b"9007199254740993", 2**53 + 1, int),
    (b"1e21", 1e21, float),
    (b"5e-324", 5e-324, float),
    (b"0." + b"0" * 5000 + b"1", 0.0, float),
]
NOT_JSON = [
    b"",
    b"{",
    b"{'a':1}",
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"1e999",
    b"-1e999",
    b"9" * 5000,
    b'"\xff"',
    b"1 2",
]


@given(stored_values)
def test_encoding_and_decoding_round_trip_on_one_line(value: Any) -> None:
    text = dumps(value)
    assert json_equal(loads(text), value)
    assert b"\n" not in text
    text.decode("utf-8")


@pytest.mark.parametrize(("text", "value", "kind"), NUMBERS)
def test_numbers_are_exact_to_64_bits_and_doubles_beyond(text: bytes, value: float, kind: type) -> None:
    alone, beside_a_surrogate, given_by_user = loads(text), loads(b"[%b,%b]" % (text, ODD))[0], parse_input(text)
    for number in (alone, beside_a_surrogate, given_by_user):
        assert number == value
        assert type(number) is kind


@pytest.mark.parametrize("text", NOT_JSON)
def test_text_that_is_not_json_is_rejected_by_every_decoder(text: bytes) -> None:
    with pytest.raises(InvalidInput):
        parse_input(text)
    for stored in (text, b"[%b,%b]" % (ODD, text)):
        with pytest.raises(InvalidData):
            loads(stored)


@pytest.mark.parametrize("value", [{"a": "\ud800"}, {"\udfff": 1}, ["x\ud83d"]])
def test_lone_surrogates_are_decoded_in_stored_text_and_rejected_in_input(value: Any) -> None:
    text = dumps(value)
    assert loads(text) == value
    assert loads(json.dumps(value).encode()) == value
    for refuse in (lambda: parse_input(text), lambda: check_input(value)):
        with pytest.raises(InvalidInput):
            refuse()


def test_a_surrogate_pair_next_to_a_lone_surrogate_is_one_character() -> None:
    assert loads(b'["\\ud83d\\ude42","\\ud83d"]') == ["🙂", "\ud83d"]


def test_input_may_be_nested_200_levels_deep() -> None:
    deep = nested(200)
    assert parse_input(dumps(deep)) == deep
    assert check_input(deep) == deep


@pytest.mark.parametrize("depth", [201, 300, 1100, 100_000])
def test_deeper_input_is_rejected(depth: int) -> None:
    with pytest.raises(InvalidInput, match=r"nested deeper than 200|depth"):
        parse_input(b"[" * depth + b"]" * depth)
    with pytest.raises(InvalidInput, match="nested deeper than 200"):
        check_input(nested(depth))


@pytest.mark.parametrize("inmost", ["x", "\ud800", 2**64 - 1])
def test_stored_text_nested_300_levels_deep_is_decoded_and_encoded(inmost: Any) -> None:
    deep = {"a": nested(300, inmost)}
    assert json_equal(loads(dumps(deep)), deep)


@pytest.mark.parametrize("depth", [1100, 100_000])
def test_stored_text_nested_too_deeply_is_invalid_data(depth: int) -> None:
    with pytest.raises(InvalidData):
        loads(b"[" * depth + b"]" * depth)


@given(input_values)
def test_checked_input_is_equal_and_shares_nothing(value: Any) -> None:
    checked = check_input(value)
    assert json_equal(checked, value)
    if isinstance(value, (dict, list)):
        assert checked is not value


@pytest.mark.parametrize(
    ("given_value", "checked"), [(2**64, 2.0**64), (-(2**63) - 1, -(2.0**63)), ((1, (2,)), [1, [2]])]
)
def test_input_is_converted_as_json_would(given_value: Any, checked: Any) -> None:
    result = check_input(given_value)
    assert result == checked
    assert type(result) is type(checked)


class _Level(enum.IntEnum):
    LOW = 1


class _Name(str):
    __slots__ = ()


@pytest.mark.parametrize("value", [_Level.LOW, _Name("x")])
def test_subclasses_of_scalars_become_plain_scalars(value: Any) -> None:
    assert type(check_input(value)) in (int, str)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400, {1: 2}, {None: 1}, {1, 2}, b"x", object()])
def test_values_that_json_cannot_represent_are_rejected(value: Any) -> None:
    with pytest.raises(InvalidInput):
        check_input([value])


EQUAL = [(1, 1.0), (0, -0.0), ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ([{}], [{}]), ("\ud800", "\ud800")]
UNEQUAL = [(1, True), (0, False), (None, False), (None, 0), ("1", 1), ([], {}), ([], ""), ([1, 2], [2, 1]), ({}, None)]
UNEQUAL += [({"a": None}, {}), ([1], [1, 1]), (2**53 + 1, float(2**53)), ({"a": [True]}, {"a": [1]})]


@pytest.mark.parametrize(("a", "b"), EQUAL)
def test_equal_json(a: Any, b: Any) -> None:
    assert json_equal(a, b)
    assert json_equal(b, a)


@pytest.mark.parametrize(("a", "b"), UNEQUAL)
def test_unequal_json(a: Any, b: Any) -> None:
    assert not json_equal(a, b)
    assert not json_equal(b, a)


@given(st.lists(stored_values, min_size=2, max_size=2))
def test_equality_is_that_of_canonical_json(pair: list[Any]) -> None:
    a, b = pair

    def canonical(value: Any) -> str:
        text = json.dumps(value, sort_keys=True)
        return json.dumps(json.loads(text, parse_int=_canonical, parse_float=_canonical), sort_keys=True)

    assert json_equal(a, b) == (canonical(a) == canonical(b))


def _canonical(digits: str) -> str:
    # equal ints and floats get the same text
    number = float(digits)
    exact = int(digits) if digits.lstrip("-").isdigit() else number
    return f"number {int(exact) if exact == int(exact) else exact!r}"


@given(stored_values)
def test_encoding_without_recursion_gives_the_same(value: Any) -> None:
    assert _dumps_deep(value) == json.dumps(value, separators=(",", ":")).encode()


def test_values_nested_deeper_than_the_stack_are_encoded() -> None:
    value: Any = 1
    for _ in range(5_000):
        value = {"a": [value, "x"], "b": None}
    assert dumps(value) == b'{"a":[' * 5_000 + b"1" + b',"x"],"b":null}' * 5_000


def test_values_nested_deeper_than_the_stack_are_compared() -> None:
    one, other, third = nested(5_000, 1), nested(5_000, 1), nested(5_000, 2)
    assert json_equal(one, other) and not json_equal(one, third)
    assert json_equal({"a": one}, {"a": other}) and not json_equal({"a": one}, {"a": third})
