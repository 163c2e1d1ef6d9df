"""A session string is divided among documents of MongoDB, and put together again byte for byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
from bson import BSON
from hypothesis import given, settings
from hypothesis import strategies as st
from support.documents import APP_FILES, DATA, LAYOUTS, SESSION_ID, compact, document, varied_sizes

from awictl.document.byte_layout import encode
from awictl.errors import InvalidData
from awictl.store.mongo import documents
from awictl.store.mongo.documents import Divided, NewPart, Part, divide, join, seal, without_first

#: Maximum size of a document of MongoDB, in bytes.
MONGO_BYTES = 16_777_216


def joined(divided: Divided) -> bytes:
    return join(divided.head, [*(new.data for new in divided.parts), *divided.lines], divided.actions)


def assert_divided(raw: bytes) -> Divided:
    """Fail unless the string can be put together again, and fits into documents. Returns how it was divided."""
    divided = divide(SESSION_ID, 7, raw)
    assert joined(divided) == raw
    assert divided.length == len(raw)
    assert [(new.part.bytes, new.part.skip) for new in divided.parts] == [(len(new.data), 0) for new in divided.parts]
    assert len({new.part.id for new in divided.parts}) == len(divided.parts)
    if divided.actions is not None:
        assert divided.actions == sum(new.part.actions for new in divided.parts) + len(divided.lines)
        assert len(divided.lines) <= documents.MAX_LINES
        assert documents.size_of(divided.lines) <= documents.MAX_LINES_BYTES
    for stored in ({"head": divided.head, "lines": divided.lines}, *({"data": new.data} for new in divided.parts)):
        assert len(BSON.encode(stored)) < MONGO_BYTES
    return divided


@pytest.mark.parametrize("path", sorted(one for one in DATA.iterdir() if one.is_file()), ids=lambda path: path.name)
def test_every_file_of_the_app_is_kept_byte_for_byte(path: Any) -> None:
    """Whatever it is: a string that is no session is kept, too."""
    assert_divided(path.read_bytes())


@pytest.mark.parametrize("path", APP_FILES, ids=lambda path: path.name)
def test_the_app_writes_another_layout_than_awictl(path: Any) -> None:
    raw = path.read_bytes()
    assert divide(SESSION_ID, 7, raw).actions is None
    made = json.loads(raw)
    divided = assert_divided(encode(made))
    assert divided.actions in (None, len(made["history"]["actions"]))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.floats(allow_nan=False, width=32),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(JSON, max_size=400),
    st.dictionaries(st.text(max_size=5), JSON, max_size=3),
    st.sampled_from(["app", "awictl"]),
)
def test_any_document_is_kept_byte_for_byte(actions: list[Any], others: dict[str, Any], layout: str) -> None:
    made = document(**others) | {"history": {"actions": actions, "last_action": None}}
    try:
        raw = LAYOUTS[layout](made)
    except UnicodeEncodeError:  # a lone surrogate
        raw = json.dumps(made).encode()
    assert_divided(raw)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 4_000), st.binary(max_size=8))
def test_any_bytes_are_kept(noise: bytes, at: int, instead: bytes) -> None:
    assert_divided(noise)
    raw = encode(document([5] * 12))
    assert_divided(raw[:at] + noise + raw[at + len(instead) :])


@pytest.mark.parametrize("count", [0, 1, 128, 129, 5_000])
def test_the_newest_actions_are_in_the_document(count: int) -> None:
    divided = assert_divided(encode(document([40] * count)))
    assert divided.actions == count
    assert len(divided.lines) == (count if count <= 128 else 64)
    assert len(divided.parts) == (0 if count <= 128 else -(-(count - 64) // 128))


def test_large_actions_are_divided_by_size() -> None:
    divided = assert_divided(encode(document([300_000] * 60)))
    assert len(divided.lines) == 1 and all(new.part.bytes <= 1_048_576 for new in divided.parts)
    assert assert_divided(encode(document([3_000_000, 10, 3_000_000]))).lines == []


def test_a_string_of_the_app_beyond_a_document_has_pieces() -> None:
    divided = assert_divided(compact(document([1_000_000] * 20)))
    assert divided.actions is None and len(divided.parts) == 2


def test_a_head_or_a_line_beyond_a_document_has_pieces_too() -> None:
    head = assert_divided(encode(document([1], more="x" * 13_000_000)))
    line = assert_divided(encode(document([16_000_000, 1])))
    assert head.actions is None and line.actions is None


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 300), min_size=1, max_size=400), st.lists(st.integers(1, 60), max_size=6))
def test_trimming_and_appending_gives_the_same_string_as_in_one_piece(sizes: list[int], drops: list[int]) -> None:
    lines = [json.dumps({"t": t, "x": "y" * size, "op_id": f"o{t}"}).encode() for t, size in enumerate(sizes)]
    head = b"{\n"
    new, inline = seal(SESSION_ID, 1, lines)
    data = {one.part.id: one.data for one in new}
    parts = [one.part for one in new]
    for round_number, drop in enumerate(drops):
        drop = min(drop, len(lines))
        starts, offset = [], len(head)
        for line in lines:
            starts.append(offset)
            offset += len(line) + 2
        parts, inline = without_first(parts, inline, drop, starts)
        added = [json.dumps({"n": n, "round": round_number}).encode() for n in range(drop * 3)]
        lines = [*lines[drop:], *added]
        more, inline = seal(SESSION_ID, 1, [*inline, *added])
        data |= {one.part.id: one.data for one in more}
        parts += [one.part for one in more]
        pieces = [data[part.id][part.skip :] for part in parts]
        assert [len(piece) for piece in pieces] == [part.bytes for part in parts]
        assert join(head, [*pieces, *inline], len(lines)) == join(head, lines, len(lines))
        assert sum(part.actions for part in parts) + len(inline) == len(lines)


def test_op_ids_are_found_where_a_commit_writes_them() -> None:
    lines = [b'{"t":0}', b'{"t":1,"op_id":"op_1"}', b'{"op_id":"first","t":2}', b'{"t":3,"x":{"op_id":"in"}}', b"null"]
    assert documents.op_ids_of(lines) == ["op_1"]


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"parts": None},
        {"parts": ["x"]},
        {"parts": [{"id": "a"}]},
        {"parts": [{"id": 1, "actions": 1, "bytes": 1, "skip": 0}]},
        {"parts": [{"id": "a", "actions": -1, "bytes": 1, "skip": 0}]},
        {"parts": [{"id": "a", "actions": True, "bytes": 1, "skip": 0}]},
    ],
)
def test_damaged_lists_of_parts_are_invalid(stored: dict[str, Any]) -> None:
    with pytest.raises(InvalidData):
        documents.parts_of(stored)


def test_parts_are_stored_and_read_again() -> None:
    part = Part("a", 3, 20, 4)
    assert documents.parts_of({"parts": documents.stored_parts([part])}) == [part]
    assert isinstance(divide(SESSION_ID, 1, encode(document([1] * 200))).parts[0], NewPart)


def test_sizes_vary_within_a_document() -> None:
    assert_divided(encode(document(varied_sizes(3_000, seed=3))))
