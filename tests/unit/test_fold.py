"""Recorded actions on another version of their session: the same as updates, with their own times."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from material import SESSIONS, input_values, raw
from trajectories import assert_laid_out, documents, written

from awictl.document.byte_layout import decode, encode
from awictl.document.fold import fold
from awictl.document.json_codec import json_equal
from awictl.document.schema import new_document
from awictl.document.splice import base_from_string, next_t
from awictl.document.update import Update, apply_update, ending
from awictl.errors import InvalidData

EARLY, START, LATE = (f"2026-11-23T{hour}:00:00.000Z" for hour in ("06", "07", "08"))


def new() -> dict[str, Any]:
    return new_document("sess_1", "agent", "Agent", "/", START)


def record(op_id: str, timestamp: str = LATE, **fields: Any) -> dict[str, Any]:
    """An action as it was recorded by another version of the session."""
    given = {"t": 77, "action": "filter", "input": {}, "delta": {}, "timestamp": timestamp, "success": True}
    return {**given, **fields, "op_id": op_id}


def folded(string: bytes, *records: dict[str, Any], drop: int = 0) -> dict[str, Any]:
    """The document after records were folded onto a string."""
    base = base_from_string(string)
    result = written(string, base, fold(base, records, drop).splice)
    document = decode(result)
    assert_laid_out(result, document["history"]["actions"], next_t(base) + len(records))
    return document


updates = st.builds(
    Update,
    st.dictionaries(st.sampled_from(["page_state", "x", "statistics_", "🙂"]), input_values, max_size=2),
    input=input_values,
    success=st.booleans(),
    observation=st.none() | input_values,
)


@given(documents(), st.lists(updates, min_size=1, max_size=4), st.integers(0, 3))
def test_folding_is_applying_one_after_the_other(document: dict[str, Any], chain: list[Update], drop: int) -> None:
    string = start = encode(document)
    drop = min(drop, len(document["history"]["actions"]))
    records = []
    for number, update in enumerate(chain):
        base = base_from_string(string)
        change = apply_update(base, update, f"9026-11-23T07:00:0{number}.000Z", drop if number == 0 else 0)
        records.append(change.action)
        string = written(string, base, change.splice)
    assert json_equal(folded(start, *records, drop=drop), decode(string))


@pytest.mark.parametrize("name", SESSIONS)
def test_documents_of_the_app_get_the_layout(name: str) -> None:
    before = decode(raw(name))
    after = folded(raw(name), record("op_1"), record("op_2"))
    count = len(before["history"]["actions"])
    assert json_equal(after["history"]["actions"][:count], before["history"]["actions"])
    assert [one["op_id"] for one in after["history"]["actions"][count:]] == ["op_1", "op_2"]
    assert after["statistics"]["total_actions"] == before["statistics"]["total_actions"] + 2


def test_actions_keep_their_times_and_the_times_of_the_document_never_go_back() -> None:
    document = folded(encode(new()), record("op_1", EARLY), record("op_2", EARLY))
    assert [one["timestamp"] for one in document["history"]["actions"]] == [START, EARLY, EARLY]
    assert [one["t"] for one in document["history"]["actions"]] == [0, 1, 2]
    assert document["last_updated"] == document["statistics"]["last_activity"] == START
    document = folded(encode(new()), record("op_1", LATE), record("op_2", EARLY))
    assert document["last_updated"] == document["statistics"]["last_activity"] == LATE
    assert document["history"]["last_action"]["op_id"] == "op_2"


def test_failed_actions_are_counted_as_such() -> None:
    statistics = folded(encode(new()), record("op_1", success=False), record("op_2"))["statistics"]
    assert (statistics["total_actions"], statistics["successful_actions"], statistics["failed_actions"]) == (2, 1, 1)


def test_an_end_is_not_counted_and_later_than_the_last_update() -> None:
    base = base_from_string(encode(new()))
    end = apply_update(base, ending(), EARLY).action
    change = fold(base, [record("op_1", START), {**end, "timestamp": EARLY}], persist=True)
    assert change.ends and change.persist
    assert change.head["statistics"]["total_actions"] == 1
    assert change.head["statistics"]["session_end"] == change.action["timestamp"] > START
    assert "success" not in change.action
    assert not fold(base, [record("op_1")], persist=True).persist


def test_dropped_actions_are_reported() -> None:
    string = encode(new())
    base = base_from_string(string)
    string = written(string, base, fold(base, [record(f"op_{n}") for n in range(1, 5)]).splice)
    base = base_from_string(string)
    change = fold(base, [record("op_5"), record("op_6")], 3)
    assert [one.get("op_id") for one in change.dropped] == [None, "op_1", "op_2"]
    document = folded(string, record("op_5"), record("op_6"), drop=3)
    assert document["history"]["trimmed_actions"] == 3
    assert [one["t"] for one in document["history"]["actions"]] == [3, 4, 5, 6]


@pytest.mark.parametrize("delta", [None, [], "x", {"history": {}}, {"session_id": "sess_2"}])
def test_what_is_not_an_update_is_not_folded(delta: Any) -> None:
    with pytest.raises(InvalidData):
        fold(base_from_string(encode(new())), [record("op_1", delta=delta)])
