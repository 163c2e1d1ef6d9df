"""The cache key: JavaScript's JSON.stringify, byte for byte; compared with Node if it is installed."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from material import json_values, load, stored_texts

from awictl.document.json_codec import loads
from awictl.query_cache.cache_key import cache_key, stringify

NODE = shutil.which("node")
#: Replies to each line of JSON with `JSON.stringify(JSON.parse(line))`.
ECHO = """require("readline").createInterface({input: process.stdin}).on("line", (line) =>
  process.stdout.write(JSON.stringify(JSON.parse(line)) + "\\n"))"""

EMPTY = hashlib.md5(b"{}:{}", usedforsecurity=False).hexdigest()

NUMBERS = [
    ("1.0", "1"),
    ("-0", "0"),
    ("-0.0", "0"),
    ("1e-400", "0"),
    ("1e21", "1e+21"),
    ("1.5e21", "1.5e+21"),
    ("1e20", "100000000000000000000"),
    ("123456789012345680000", "123456789012345680000"),
    ("999999999999999999999", "1e+21"),
    ("1e300", "1e+300"),
    ("1e-7", "1e-7"),
    ("1.25e-7", "1.25e-7"),
    ("0.000001", "0.000001"),
    ("0.00000123", "0.00000123"),
    ("0.1", "0.1"),
    ("-0.5", "-0.5"),
    ("100.25", "100.25"),
    ("5e-324", "5e-324"),
    ("1.7976931348623157e308", "1.7976931348623157e+308"),
    ("9007199254740993", "9007199254740992"),
    ("18446744073709551615", "18446744073709552000"),
    ("-9223372036854775808", "-9223372036854776000"),
    ("4.35", "4.35"),
    ("1e5", "100000"),
]
KEYS = [
    ('{"b":1,"2":2,"a":3,"10":4,"1":5}', '{"1":5,"2":2,"10":4,"b":1,"a":3}'),
    ('{"x":1,"01":2,"0":3,"-1":4,"1.5":5}', '{"0":3,"x":1,"01":2,"-1":4,"1.5":5}'),
    ('{"4294967295":1,"4294967294":2}', '{"4294967294":2,"4294967295":1}'),
    ('{"٣":1,"3":2}', '{"3":2,"٣":1}'),
    ('{"a":1,"b":2,"a":3}', '{"a":3,"b":2}'),
    ('{"":{"2":[{"1":0,"0":1}],"1":null}}', '{"":{"1":null,"2":[{"0":1,"1":0}]}}'),
]
TEXTS = [
    ('"\\u2028\\u007f\\u00e9"', '"\u2028\x7fé"'),
    ('"\\b\\t\\n\\f\\r\\"\\\\\\/"', '"\\b\\t\\n\\f\\r\\"\\\\/"'),
    ('"\\u0000\\u001F"', '"\\u0000\\u001f"'),
    ('"\\uD800"', '"\\ud800"'),
    ('{"\\uDFFFx":"\\ud83d\\ude42\\ude42"}', '{"\\udfffx":"🙂\\ude42"}'),
]


@pytest.mark.parametrize("vector", load("cache_key_vectors.json"))
def test_vectors_from_the_app(vector: dict[str, str]) -> None:
    assert cache_key(json.loads(vector["filters_json"]), json.loads(vector["sort_json"])) == vector["key"]


@pytest.mark.parametrize(("text", "printed"), NUMBERS + KEYS + TEXTS)
def test_stringify(text: str, printed: str) -> None:
    assert stringify(loads(text.encode())) == printed


def test_numbers_beyond_a_double_are_null() -> None:
    assert stringify([10**400, float("inf"), float("nan")]) == "[null,null,null]"


@pytest.mark.parametrize("falsy", [None, False, 0, -0.0, ""])
def test_falsy_values_count_as_an_empty_object(falsy: Any) -> None:
    assert cache_key(falsy, falsy) == cache_key() == EMPTY


def test_an_empty_array_is_true_in_javascript() -> None:
    assert cache_key([], []) == hashlib.md5(b"[]:[]", usedforsecurity=False).hexdigest()


def test_the_order_of_keys_and_lone_surrogates() -> None:
    assert cache_key({"a": 1, "b": 2}) != cache_key({"b": 2, "a": 1})
    assert cache_key({"q": "\ud800"}) == hashlib.md5(b'{"q":"\\ud800"}:{}', usedforsecurity=False).hexdigest()


class Node:
    """A running Node process that replies line by line."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def stringify(self, text: str) -> str:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(text.encode() + b"\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().decode().removesuffix("\n")


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    if NODE is None:
        pytest.skip("node is not installed")
    with subprocess.Popen([NODE, "-e", ECHO], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield Node(process)


number_texts = st.from_regex(r"\A-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?\Z").filter(
    lambda text: abs(float(text)) < float("inf")
)
index_keys = st.integers(0, 20).map(str) | st.sampled_from(["4294967294", "4294967295", "00", "-1", "1.0", "__proto__"])


@given(st.lists(number_texts, max_size=20))
def test_numbers_against_node(node: Node, numbers: list[str]) -> None:
    text = f"[{','.join(numbers)}]"
    assert stringify(loads(text.encode())) == node.stringify(text)


@given(json_values(stored_texts | index_keys))
def test_values_against_node(node: Node, value: Any) -> None:
    text = json.dumps(value)
    assert stringify(loads(text.encode())) == node.stringify(text)
