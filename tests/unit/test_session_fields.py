"""The typed decoder of heads returns the same fields as full decoding, or nothing."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.documents import APP_FILES, action, compact, document

from awictl.document.byte_layout import encode, encode_head
from awictl.document.splice import base_from_string
from awictl.document.timestamps import parse_timestamp
from awictl.sessions.summaries import _epoch_ms, json_line, summary
from awictl.store.session_fields import SessionFields, decode_fields, fields_of

NASTY = [
    "plain",
    'a"b',
    "back\\slash",
    "文字 🙂",
    '","agent_name":"other","x":"',
    ',"history":{"last_action":{"t":7}',
    '"statistics":{"last_activity":"1999-01-01T00:00:00.000Z"},"last_updated":"x"',
    "{}",
    "",
]
#: An input of an agent that looks like the end of a head.
FORGED = {
    "statistics": {"total_actions": 9, "last_activity": "1999-01-01T00:00:00.000Z"},
    "last_updated": "1999-01-01T00:00:00.000Z",
    "history": {"last_action": {"t": 900}, "trimmed_actions": 3, "actions": []},
}


SESSION_ID = "sess_test"


def full(raw: bytes, ttl_ms: int | None = None) -> SessionFields:
    """The fields by full decoding."""
    base = base_from_string(raw)
    return fields_of(SESSION_ID, base.head, len(base.document["history"]["actions"]), ttl_ms, len(raw))


def quick(raw: bytes, length: int | None = None, ttl_ms: int | None = None) -> SessionFields | None:
    """The fields by the typed decoder, from what a listing reads first."""
    return decode_fields(SESSION_ID, raw[:4096], len(raw) if length is None else length, ttl_ms)


@pytest.mark.parametrize("sizes", [[], [0], [5, 5, 5], [0] * 300], ids=len)
@pytest.mark.parametrize("ttl_ms", [None, 1234])
def test_an_ordinary_session_is_decoded(sizes: list[int], ttl_ms: int | None) -> None:
    raw = encode(document(sizes))
    assert quick(raw, ttl_ms=ttl_ms) == full(raw, ttl_ms)
    assert quick(raw) is not None


@pytest.mark.parametrize(
    "others",
    [
        {},
        {"agent_name": "文字 🙂"},
        {"agent_name": 'a"b\\'},
        {"statistics": {"last_activity": "x"}},
        {"statistics": {"last_activity": "x", "total_actions": None}},
        {"statistics": {"last_activity": "2026-11-23T07:09:41.377Z", "total_actions": 7, "failed_actions": 2}},
    ],
)
def test_a_session_with_other_values_is_decoded(others: dict[str, Any]) -> None:
    raw = encode(document([1, 2, 3], **others))
    assert quick(raw) == full(raw) and quick(raw) is not None


@pytest.mark.parametrize(
    "others",
    [
        {"agent_id": None},
        {"agent_name": 7},
        {"agent_name": "\ud800"},
        {"page_state": {}},
        {"page_state": []},
        {"statistics": None},
        {"statistics": {}},
        {"statistics": {"last_activity": ""}},
        {"statistics": {"last_activity": "x", "total_actions": True}},
        {"statistics": {"last_activity": "x", "failed_actions": 1.5}},
    ],
)
def test_a_session_with_values_of_other_types_is_decoded_in_full(others: dict[str, Any]) -> None:
    raw = encode(document([1, 2, 3], **others))
    assert quick(raw) is None
    fields = full(raw)
    assert (fields.session_id, fields.actions, fields.bytes, fields.error) == (SESSION_ID, 3, len(raw), None)
    if others.get("statistics", 0) in ({}, {"last_activity": ""}, None):
        assert fields.last_activity == document([])["last_updated"]
    assert all(isinstance(one, int | None) for one in (fields.total_actions, fields.failed_actions))
    assert not isinstance(fields.total_actions, bool)


@pytest.mark.parametrize("others", [{}, {"agent_name": "文字 🙂"}, {"agent_name": "\ud800"}, {"agent_id": None}])
@pytest.mark.parametrize("error", [None, "not valid JSON"])
def test_a_summary_as_json_is_its_row(others: dict[str, Any], error: str | None) -> None:
    fields = full(encode(document([1, 2, 3], **others)), 1234)
    fields.error = error
    one = summary(fields)
    row = one.row()
    names = [field.name for field in msgspec.structs.fields(one)]
    assert list(row) == (names if error else names[:-1])
    assert json.loads(json_line(one)) == row
    assert b"\n" not in json_line(one)
    assert isinstance(one.idle_ms, int) and (one.ttl_ms, one.actions) == (1234, 3)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T07:09:41.403Z", "2026-11-23T07:09:59.999Z", "1969-12-31T23:59:59.001Z", "2026-11-23T07:09:41Z",
        "2026-11-23T07:09:41.403456Z", "2026-11-23T07:09:41.403+02:00", "2026-11-23T07:09:61.403Z", "2026-11-23", "",
        "2026-11-23T25:09:41.403Z", "2026-11-23T07:0٩:41.403Z", "2026-11-23T07:09:4١.403Z", None, 7,
    ],
)  # fmt: skip
def test_milliseconds_of_a_timestamp_are_those_of_the_parsed_one(text: Any) -> None:
    moment = parse_timestamp(text)
    assert _epoch_ms(text) == (math.floor(moment.timestamp() * 1000 + 1e-6) if moment is not None else None)


@pytest.mark.parametrize("path", APP_FILES, ids=lambda path: path.stem)
def test_documents_of_the_app(path: Any) -> None:
    assert quick(path.read_bytes()) is None, "they have no first line"
    raw = encode(base_from_string(path.read_bytes()).document)
    assert quick(raw) in (None, full(raw))


@given(
    st.dictionaries(
        st.sampled_from(["agent_id", "agent_name", "current_url", "last_updated", "user_id"]), st.sampled_from(NASTY)
    ),
    st.sampled_from(NASTY),
    st.sampled_from([{}, FORGED, {"x": FORGED}, [FORGED], "text"]),
    st.sampled_from([{}, FORGED, {"history": FORGED}]),
    st.integers(0, 3),
)
def test_any_contents(fields: dict[str, str], route: str, given_input: Any, page: Any, count: int) -> None:
    made = document([1] * count, **fields)
    made["page_state"] = {**made["page_state"], "route": route, "metadata": page}
    for one in made["history"]["actions"]:
        one["input"] = given_input
    if count:
        made["history"]["last_action"] = made["history"]["actions"][-1]
    raw = encode(made)
    assert quick(raw) in (None, full(raw))
    assert quick(compact(made)) is None


@pytest.mark.parametrize("place", ["input", "page", "statistics", "top", "history"])
def test_forged_fields_in_other_places_are_ignored(place: str) -> None:
    made = document([1, 1])
    last = made["history"]["actions"][-1]
    match place:
        case "input":
            last["input"] = FORGED
        case "page":
            made["page_state"]["metadata"] = FORGED
        case "statistics":
            made["statistics"]["nested"] = FORGED
        case "top":
            made["more"] = FORGED
        case "history":
            made["history"]["more"] = FORGED
    made["history"]["last_action"] = last
    raw = encode(made)
    assert full(raw).actions == 2
    assert quick(raw) in (None, full(raw))


def test_an_incomplete_head_is_not_decoded() -> None:
    raw = encode(document([1, 1]))
    end = raw.find(b"\n") + 1
    for cut in range(end + 7):
        assert quick(raw[:cut], len(raw)) is None
    head = encode_head({**document([]), "history": {"last_action": action(4), "more": {"actions": 1}}})
    assert quick(head.replace(b'"actions":[ ', b'"actions":{ '), 5000) is None
