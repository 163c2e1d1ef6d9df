"""The byte layout: it loses nothing, its head is enough to count actions, and an op_id can be found as bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from material import SESSIONS, load, nested, raw, stored_texts, stored_values
from trajectories import any_documents, assert_laid_out, documents, head_base, op_ids

from awictl.document.byte_layout import complete_lines, decode, encode, encode_action, op_id_mark
from awictl.document.json_codec import json_equal, loads
from awictl.document.splice import action_count, base_from_string, next_t
from awictl.errors import InvalidData

# -- encode and decode


@given(any_documents)
def test_encoding_loses_nothing(document: dict[str, Any]) -> None:
    raw = encode(document)
    assert json_equal(decode(raw), document)
    assert json_equal(json.loads(raw), document)


@given(documents())
def test_the_head_of_a_layout_determines_the_number_of_actions(document: dict[str, Any]) -> None:
    raw = encode(document)
    if b"\n" in raw:
        assert_laid_out(raw, document["history"]["actions"], next_t(base_from_string(raw)))
    else:
        assert not base_from_string(raw).spliceable


@pytest.mark.parametrize("start", [0, 7])
@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_a_trajectory_with_consecutive_numbers_is_laid_out(start: int, count: int) -> None:
    trajectory = [{"t": t, "action": "x"} for t in range(start, start + count)]
    last = trajectory[-1] if trajectory else None
    raw = encode({"session_id": "sess_1", "history": {"actions": trajectory, "last_action": last}})
    assert_laid_out(raw, trajectory, start + count if count else 0)


@pytest.mark.parametrize("name", SESSIONS)
def test_documents_of_the_app_are_read_unchanged(name: str) -> None:
    base = base_from_string(raw(name))
    trajectory = load(name)["history"]["actions"]
    assert head_base(raw(name)) is None
    assert not base.spliceable
    assert json_equal(base.document, load(name))
    assert action_count(base) == len(trajectory)
    # the numbers stick at 100; then the length of the trajectory counts
    assert next_t(base) == max(trajectory[-1]["t"] + 1, trajectory[0]["t"] + len(trajectory))


def test_a_document_nested_300_deep_is_laid_out() -> None:
    document = {"a": nested(300), "history": {"actions": [{"t": 0, "input": nested(300)}], "last_action": None}}
    raw = encode(document)
    assert json_equal(decode(raw), document)
    assert_laid_out(raw, document["history"]["actions"], 1)


@pytest.mark.parametrize("stored", [b"", b"null", b"[]", b'"x"', b"{", b"{}{}", b"\xff", b'["\\ud800",1e999]'])
def test_strings_that_are_not_documents(stored: bytes) -> None:
    for read in (decode, base_from_string):
        with pytest.raises(InvalidData):
            read(stored)


@pytest.mark.parametrize(
    "history", ["", ',"history":null', ',"history":[]', ',"history":{}', ',"history":{"actions":{}}']
)
def test_a_document_without_a_trajectory_cannot_be_updated(history: str) -> None:
    text = f'{{"session_id":"sess_1"{history}}}'.encode()
    assert encode(decode(text)) == text
    with pytest.raises(InvalidData, match=r"history\.actions"):
        base_from_string(text)


# -- op_ids

op_id_fields = st.dictionaries(
    stored_texts | st.sampled_from(['x"op_id', "op_id\\", "OP_ID", 'x,"op_id']), op_ids | stored_values, max_size=3
)


@given(op_id_fields.map(lambda fields: {"t": 0, **fields}) | stored_values, op_ids)
@example({"t": 0, "delta": {"op_id": "op_1"}}, "op_1")
@example({"t": 0, "input": '"op_id":"op_1"}'}, "op_1")
@example([{"op_id": "op_1"}], "op_1")
@example({"t": 0, 'x"op_id': "op_1"}, "op_1")
def test_a_line_ends_with_the_mark_only_if_the_action_has_the_op_id(action: Any, op_id: str) -> None:
    marked = isinstance(action, dict) and action.get("op_id") == op_id
    assert encode_action(action).endswith(op_id_mark(op_id)) == marked


@given(documents(), op_ids)
def test_the_mark_occurs_before_a_newline_only_if_an_action_has_the_op_id(document: dict[str, Any], op_id: str) -> None:
    raw, mark = encode(document), op_id_mark(op_id)
    known = [one.get("op_id") == op_id for one in document["history"]["actions"] if isinstance(one, dict)]
    if b"\n" in raw:
        assert (mark + b",\n" in raw or raw.endswith(mark + b"\n]}}")) == any(known)


@given(stored_values | op_id_fields)
def test_the_line_of_an_action_decodes_to_the_action(action: Any) -> None:
    line = encode_action(action)
    assert b"\n" not in line
    assert json_equal(loads(line), action)


def test_complete_lines_of_the_end_of_a_string() -> None:
    trajectory = [{"t": t} for t in range(30)]
    raw = encode({"history": {"actions": trajectory, "last_action": trajectory[-1]}})
    assert complete_lines(raw[-40:], from_start=False) == [b'{"t":27}', b'{"t":28}', b'{"t":29}']
    assert complete_lines(encode({"history": {"actions": []}})[-3:], from_start=True) == []
