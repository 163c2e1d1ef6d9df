"""Names of keys, and the ids in them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awictl.document import keys
from awictl.document.json_codec import dumps
from awictl.errors import InvalidInput

GOOD_SESSION_IDS = ["sess_a", "sess_" + "0" * 64, "sess_fa98b181260642d9bf08786c6737970a", "sess_A-_z9"]
BAD_SESSION_IDS = [
    "",
    "sess_",
    "sess_" + "0" * 65,
    "SESS_a",
    "sess_a\n",
    " sess_a",
    "sess_é",
    "sess_٣",
    "sess_*",
    "x",
    None,
    7,
]
BAD_AGENT_IDS = ["", "x" * 257, "a\nb", "a\x00", "\ud800", "a\u2028b", None, 7]
BAD_OP_IDS = ["", "x" * 129, "a b", 'a"b', "a\\b", "é", "a\n", None, 7]


@pytest.mark.parametrize("session_id", GOOD_SESSION_IDS)
def test_session_ids_to_keys_and_back(session_id: str) -> None:
    assert keys.check_session_id(session_id) == session_id
    assert keys.session_key(session_id) == f"AWI:SESSION:{session_id}"
    assert keys.diff_key(session_id) == f"AWI:DIFF:{session_id}"
    assert keys.session_ids_of([keys.session_key(session_id).encode()]) == [session_id]
    assert keys.as_session_id(session_id.encode()) == session_id


@pytest.mark.parametrize("session_id", BAD_SESSION_IDS)
@pytest.mark.parametrize("named", [keys.check_session_id, keys.session_key, keys.diff_key])
def test_invalid_session_ids_are_rejected(session_id: str, named: object) -> None:
    with pytest.raises(InvalidInput, match="is not a session id"):
        named(session_id)  # type: ignore[operator]


@pytest.mark.parametrize("stored", [b"", b"sess_", b"sess_a\n", b"sess_\xff", b"null", "sess_é".encode()])
def test_stored_bytes_that_are_not_a_session_id(stored: bytes) -> None:
    assert keys.as_session_id(stored) is None
    assert keys.session_ids_of([keys.SESSION_PREFIX.encode() + stored, b"AWI:SESSION:sess_a"]) == ["sess_a"]


@pytest.mark.parametrize("agent_id", ["a", "69639c869d21a04f2375aa8b", "x" * 256, "my agent", "агент 🙂", "a:b*"])
def test_agent_ids(agent_id: str) -> None:
    assert keys.check_agent_id(agent_id) == agent_id
    assert keys.agent_key(agent_id) == f"AGENT:SESSION:{agent_id}"


@pytest.mark.parametrize("media_id", ["a", "x" * 256, "posts/1", "my photo.jpg", "фото 🙂", "a:b*"])
def test_media_ids(media_id: str) -> None:
    assert keys.is_media_id(media_id) and keys.check_media_id(media_id) == media_id
    assert keys.image_key(media_id) == f"MEDIA:IMG:{media_id}"
    assert keys.embedding_key(media_id) == f"MEDIA:EMBED:{media_id}"


@pytest.mark.parametrize("media_id", BAD_AGENT_IDS)
def test_invalid_media_ids_are_rejected(media_id: str) -> None:
    assert not keys.is_media_id(media_id)
    for named in (keys.check_media_id, keys.image_key, keys.embedding_key):
        with pytest.raises(InvalidInput, match="is not a media id"):
            named(media_id)


@pytest.mark.parametrize(
    ("check", "value"),
    [(keys.check_agent_id, value) for value in BAD_AGENT_IDS] + [(keys.check_op_id, value) for value in BAD_OP_IDS],
)
def test_invalid_ids_are_rejected(check: object, value: str) -> None:
    with pytest.raises(InvalidInput):
        check(value)  # type: ignore[operator]


def test_new_ids_are_valid_and_unique() -> None:
    sessions, ops = {keys.new_session_id() for _ in range(50)}, {keys.new_op_id() for _ in range(50)}
    assert len(sessions) == len(ops) == 50
    assert all(re.fullmatch("sess_[0-9a-f]{32}", keys.check_session_id(one)) for one in sessions)
    assert all(re.fullmatch("op_[0-9a-f]{32}", keys.check_op_id(one)) for one in ops)


@given(st.from_regex(r"\A[A-Za-z0-9_.:-]{1,128}\Z"))
def test_an_op_id_needs_no_escapes_in_json(op_id: str) -> None:
    assert dumps(keys.check_op_id(op_id)) == b'"' + op_id.encode() + b'"'


def test_the_message_about_an_invalid_id_is_short_and_printable() -> None:
    with pytest.raises(InvalidInput) as caught:
        keys.check_session_id("x\n\x1b[31m" * 1000)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 200
