"""The typed decoder of heads returns the same fields as full decoding, or nothing."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.documents import APP_FILES, action, compact, document

from awictl.document.byte_layout import CLOSE, encode, encode_head
from awictl.document.splice import base_from_string
from awictl.document.timestamps import parse_timestamp
from awictl.sessions.summaries import FIELDS, FIELDS_OF_ALL, epoch_ms, json_lines, summaries
from awictl.store import session_fields
from awictl.store.session_fields import SessionFields, decode_batch, decode_fields, fields_of

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
    actions = len(base.document["history"]["actions"])
    size = len(raw) - raw.find(b"\n") - 1 - len(CLOSE)
    return fields_of(SESSION_ID, base.head, actions, ttl_ms, len(raw), None, size)


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
    [one] = summaries([fields])
    row = one.row()
    assert (*FIELDS, "where", "degraded") == FIELDS_OF_ALL
    assert list(row) == [*(FIELDS if error else FIELDS[:-1])]
    line, end = json_lines([one]).split(b"\n")
    assert json.loads(line) == row and not end
    assert json_lines([one, one]) == 2 * (line + b"\n")
    one.where, one.degraded = "archived", True
    assert one.row() == row | {"where": "archived", "degraded": True} == json.loads(json_lines([one]))
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
    assert epoch_ms(text) == (math.floor(moment.timestamp() * 1000 + 1e-6) if moment is not None else None)


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


def _heads() -> st.SearchStrategy[bytes]:
    """First bytes of strings: of ordinary sessions, of odd ones, of others in disguise, and mutilated ones."""
    values = st.sampled_from(
        [
            {}, {"agent_name": "文字 🙂"}, {"agent_name": NASTY[4]}, {"agent_name": None}, {"agent_id": 7},
            {"page_state": {}}, {"statistics": {"last_activity": ""}}, {"forged": FORGED}, {"agent_name": "\ud800"},
            {"statistics": {"last_activity": "x", "total_actions": 7, "failed_actions": 2}},
        ]
    )  # fmt: skip
    sessions = st.builds(lambda sizes, one: encode(document(sizes, **one)), st.sampled_from([[], [0], [9] * 5]), values)
    cuts = st.tuples(sessions, st.integers(0, 1200), st.integers(0, 3), st.sampled_from(SPLICED)).map(
        lambda one: one[0][: one[1]] + one[3] + one[0][one[1] + one[2] :]
    )
    forged = st.sampled_from(
        [
            b'{"agent_id":"a","x":"' + b'"actions":[\n',
            b'{"agent_id":["actions":[\n',
            encode(document([1])).replace(b'"history":', b'"other":'),
            encode(document([1])).replace(b'"history":', b'"history":{"actions":[]},"other":'),
            encode(document([1])).replace(b'{"session_id"', b'{"agent_id":1},{"session_id"'),
            encode(document([1])).replace(b'"last_action":', b'"actions":[null],"last_action":'),
            encode(document([1])).replace(b'"last_action":', b'"actions":[1],"trimmed_actions":-5,"last_action":'),
            compact(document([1, 2])),
            b"",
            b"\n",
        ]
    )
    return st.one_of(sessions, cuts, forged)


#: Bytes that are inserted into heads.
SPLICED = [b"", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b"\n", b" ", b'"}},{"', b'"actions":[', b"\xff", b"\x00"]


@given(st.lists(_heads(), max_size=20))
def test_a_batch_is_decoded_as_each_head_alone(raws: list[bytes]) -> None:
    ids = [f"sess_{number}" for number in range(len(raws))]
    chunks = [raw[:4096] for raw in raws]
    found = decode_batch(ids, [(1234, len(raw), chunk, None) for raw, chunk in zip(raws, chunks, strict=True)])
    assert found == [
        decode_fields(one, chunk, len(raw), 1234) for one, chunk, raw in zip(ids, chunks, raws, strict=True)
    ]


def test_heads_that_complete_each_other_are_not_taken_for_sessions() -> None:
    line = encode(document([1]))
    opens, closes = line.replace(b'"actions":[', b'"x":"actions":['), b'{"a":"' + line
    raws = [line, line[:40] + b'"' + line[40:], line, opens, closes, line]
    found = decode_batch([SESSION_ID] * len(raws), [(None, len(raw), raw, None) for raw in raws])
    assert [one is not None for one in found] == [True, False, True, False, False, True]


def test_text_that_is_not_utf_8_is_left_to_full_decoding() -> None:
    raw = encode(document([1]))
    odd = raw.replace(b'"agent_name":"', b'"agent_name":"\xff')
    assert odd != raw and quick(odd) is None
    found = decode_batch([SESSION_ID] * 2, [(None, len(one), one, None) for one in (odd, raw)])
    assert found[0] is None and found[1] is not None


def test_heads_are_decoded_in_few_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    decode = session_fields._decode_marked_heads

    def counting(text: bytes) -> list[Any]:
        calls.append(len(text))
        return decode(text)

    monkeypatch.setattr(session_fields, "_decode_marked_heads", counting)
    raw = encode(document([1]))
    starts: list[session_fields.Start] = [(None, len(raw), raw, None)] * 200
    assert None not in decode_batch([SESSION_ID] * 200, starts) and len(calls) == 1
    odd = encode(document([1], agent_id=None))
    starts[77] = (None, len(odd), odd, None)
    assert decode_batch([SESSION_ID] * 200, starts).count(None) == 1 and len(calls) < 15
