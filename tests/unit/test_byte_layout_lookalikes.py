"""Strings that resemble the byte layout but are not are never mistaken for it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from material import load
from trajectories import head_base, written

from awictl.document.byte_layout import decode, decode_head, encode, ends_with_last_action
from awictl.document.json_codec import json_equal
from awictl.document.splice import base_from_head, base_from_string
from awictl.document.update import Update, actions_to_drop, apply_update

NOW = "2026-11-23T07:09:41.403Z"

HEADLIKE = {
    "pretty-printed": json.dumps(load("session_03_many.json"), indent=2).encode(),
    "pretty-printed without indent": json.dumps(load("session_02_one_delta.json"), indent=0).encode(),
    "a leading newline": b"\n" + encode({"history": {"actions": [{"t": 0}]}}),
    "a trailing newline": encode({"history": {"actions": [{"t": 0}]}}) + b"\n",
    "another object's array": b'{"other":{"actions":[\n1\n]},"history":{"actions":[{"t":0}]}}',
    "history that is not last": b'{"history":{"actions":[{"t":0}]},"other":{"actions":[\n{"t":5}\n]}}',
    "a nested array": b'{"history":{"actions":[{"t":0}],"more":{"actions":[\n{"t":5}\n]}}}',
    "an array in an action": b'{"history":{"actions":[{"actions":[\n1\n]}]}}',
    "in a string": b'{"a":"\\"actions\\":[","history":{"actions":[{"t":0}]},"b":"\\n]}}"}',
    "in a key": b'{"x\\"actions":[\n],"history":{"actions":[]}}',
    "at the end of a key": b'{"history":{"actions":[],"x\\"actions":[\n]}}',
    "several actions per line": b'{"history":{"actions":[\n{"t":0},{"t":1},\n{"t":2,\n"a":1}\n]}}',
    "another array at the end": b'{"history":{"actions":[\n1,2\n],"z":[\n]}}',
    "actions named twice": b'{"history":{"actions":[{"t":7}],"actions":[\n{"t":0}\n]}}',
}


#: Strings whose first line is a head, and which end like the layout, but in another array than the trajectory.
OTHER_ENDS = {
    "another array of actions": b'{"history":{"last_action":null,"actions":[\n{"t":0}],"more":[\n{"t":1}\n]}}',
    "an array after two actions": b'{"history":{"last_action":{"t":1},"actions":[\n{"t":0},\n{"t":1}],"more":[1\n]}}',
    "an array of numbers": b'{"history":{"last_action":{"t":0},"actions":[\n{"t":0}],"more":[\n1\n]}}',
    "an empty array": b'{"history":{"last_action":{"t":0},"actions":[\n{"t":0}],"more":[\n]}}',
    "one with a line that is no JSON": b'{"history":{"last_action":{"t":0},"actions":[\n{"t":0}],"more":[{"t":0}\n]}}',
    "one with another last action": b'{"history":{"last_action":{"t":0},"actions":[\n{"t":0}],"more":[\n{"t":9}\n]}}',
}
HEADLIKE |= OTHER_ENDS


@pytest.mark.parametrize("stored", OTHER_ENDS.values(), ids=OTHER_ENDS.keys())
def test_a_head_alone_is_not_trusted_if_the_string_ends_in_another_array(stored: bytes) -> None:
    base = head_base(stored)
    assert base is not None
    line = stored[stored[:-4].rindex(b"\n") :]
    for tail in (stored, line):
        assert ends_with_last_action(base.document, len(base.prefix), len(stored), tail) is False


@pytest.mark.parametrize(
    "document",
    [
        {"history": {"actions": []}},
        {"history": {"actions": [], "last_action": None}},
        {"history": {"actions": [{"t": 0, "action": "session_start"}], "last_action": None}},
        {"history": {"actions": [{"t": 0}, {"t": 1}], "last_action": {"t": 1}}},
        {
            "history": {
                "actions": [{"t": 0}, {"op_id": "x", "t": 1, "n": 1}],
                "last_action": {"n": 1.0, "op_id": "x", "t": 1},
            }
        },
    ],
    ids=str,
)
def test_the_end_of_the_layout(document: dict[str, Any]) -> None:
    raw = encode(document)
    base = head_base(raw)
    assert base is not None
    lengths = len(base.prefix), len(raw)
    assert ends_with_last_action(base.document, *lengths, raw) is True
    assert ends_with_last_action(base.document, *lengths, raw[len(base.prefix) - 1 :]) is True
    assert ends_with_last_action(base.document, *lengths, raw + b" ") is False
    if not base.empty:
        assert ends_with_last_action(base.document, *lengths, raw[-6:]) is None, "only a part of the last line"


@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
@pytest.mark.parametrize("stored", HEADLIKE.values(), ids=HEADLIKE.keys())
def test_a_lookalike_is_updated_correctly(stored: bytes, limit: int) -> None:
    base = base_from_string(stored)
    trajectory = base.document["history"]["actions"]
    drop = actions_to_drop(len(trajectory), limit)
    change = apply_update(base, Update({}), NOW, drop)
    after = decode(written(stored, base, change.splice))
    assert json_equal(after["history"]["actions"], [*trajectory[drop:], change.action])
    assert json_equal(
        {**after, "history": {**after["history"], "actions": []}},
        {**change.head, "history": {**change.head["history"], "actions": []}},
    )


NO_HEADS = ["pretty-printed", "pretty-printed without indent", "a leading newline", "another object's array"]
NO_HEADS += ["history that is not last", "a nested array", "an array in an action", "in a string", "in a key"]
NO_HEADS += ["at the end of a key"]


@pytest.mark.parametrize("name", NO_HEADS)
def test_first_lines_that_are_not_heads(name: str) -> None:
    assert head_base(HEADLIKE[name]) is None
    assert not base_from_string(HEADLIKE[name]).spliceable


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b'"actions":[\n',
        b'{"actions":[\n',
        b'[{"history":{"actions":[\n',
        b'{"history":{"actions":[1,\n',
        b'{"history":{"actions":[ "actions":[\n',
        b'{"a":1e999,"b":"\\ud800","history":{"actions":[\n',
    ],
)
def test_lines_that_are_not_heads(line: bytes) -> None:
    assert decode_head(line) is None


def test_an_incomplete_head_is_not_decoded() -> None:
    raw = encode({"history": {"actions": [{"t": 0}]}})
    line = raw.index(b"\n")
    assert base_from_head(raw[:line], len(raw)) is None
    assert base_from_head(raw[: line + 1], len(raw)) is not None
