"""Invalid stored data: exit code 6, one line that names the key, and the data is not changed."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from support.cli import Cli, unchanged
from support.documents import SESSION_ID, agent_key, compact, diff_key, document, put, session_key
from support.valkey import ValkeyServer

from awictl.document.byte_layout import encode

WHOLE = document([0, 40, 0])
#: Text that controls terminals: colors, C1 controls, a title, a bell, a newline, bidirectional overrides.
WILD = "\x1b[31mred\x9b1m\x1b]0;title\x07\r\nline\u202etxt\u2028\x7f"

#: Strings that are not session documents.
CORRUPT: dict[str, bytes] = {
    "empty": b"",
    "no JSON": b"hello",
    "no UTF-8": b'{"session_id":"\xff"}',
    "NULs": bytes(100),
    "an array": b"[]",
    "null": b"null",
    "a string in JSON": b'"sess_test"',
    "the app's layout, truncated": compact(WHOLE)[:-1],
    "the app's layout, half": compact(WHOLE)[: len(compact(WHOLE)) // 2],
    "the app's layout, twice": compact(WHOLE) * 2,
    "NaN": compact(WHOLE | {"n": 0}).replace(b'"n":0', b'"n":NaN'),
    "awictl's layout, half a head": encode(WHOLE)[:300],
    "awictl's layout, the head alone": encode(WHOLE)[: encode(WHOLE).index(b"\n") + 1],
    "awictl's layout, half an action": encode(WHOLE)[:-100],
    "awictl's layout, without its end": encode(WHOLE)[:-4],
    "awictl's layout, without its last byte": encode(WHOLE)[:-1],
    "awictl's layout, bytes after its end": encode(WHOLE) + b"garbage",
}
#: Documents with an invalid trajectory only; `show` prints these.
STRANGE: dict[str, bytes] = {
    "an empty object": b"{}",
    "no trajectory": compact(WHOLE | {"history": {}}),
    "history is an array": compact(WHOLE | {"history": []}),
    "actions are an object": compact(WHOLE | {"history": {"actions": {}}}),
}
#: Commands that read a session document, with their other arguments. `session diff ID` does not read it.
READING: dict[str, list[str]] = {"show": [], "history": [], "diff": ["sess_good"]}

#: Redis types other than string, with a command that creates one.
TYPES: dict[str, Callable[[ValkeyServer, str], object]] = {
    "list": lambda server, key: server.raw.rpush(key, "x"),
    "hash": lambda server, key: server.raw.hset(key, "x", "y"),
    "set": lambda server, key: server.raw.sadd(key, "x"),
    "sorted set": lambda server, key: server.raw.zadd(key, {"x": 1}),
    "stream": lambda server, key: server.raw.xadd(key, {"x": "y"}),
}


@pytest.fixture(autouse=True)
def others(valkey: ValkeyServer) -> ValkeyServer:
    """Valid sessions beside the invalid one."""
    put(valkey, encode(document([0], "sess_good")), "sess_good")
    put(valkey, compact(document([0], "sess_fine")), "sess_fine")
    return valkey


def make(valkey: ValkeyServer, kind: str, key: str) -> None:
    TYPES[kind](valkey, key)
    valkey.raw.expire(key, 1000)


@pytest.mark.parametrize("raw", CORRUPT.values(), ids=CORRUPT)
def test_a_corrupt_document_is_reported_and_left_alone(awictl: Cli, valkey: ValkeyServer, raw: bytes) -> None:
    put(valkey, raw)
    with unchanged(valkey):
        for words in (["show", SESSION_ID], ["apply", SESSION_ID, '{"n":1}']):
            assert len(awictl("session", *words).error(6, session_key(), str(valkey.port))) < 500


@pytest.mark.parametrize("raw", [compact(WHOLE)[:-1], encode(WHOLE)[:-100]], ids=["app", "awictl"])
def test_every_read_command_reports_a_truncated_document(awictl: Cli, valkey: ValkeyServer, raw: bytes) -> None:
    put(valkey, raw)
    with unchanged(valkey):
        for words in (
            ["history", SESSION_ID],
            ["diff", SESSION_ID, "sess_good"],
            ["apply", SESSION_ID, '{"n":1}', "--op-id", "x"],
        ):
            awictl("session", *words).error(6, session_key())
        assert awictl.ok("session", "show", SESSION_ID, "-o", "raw").out == raw


@pytest.mark.parametrize("raw", STRANGE.values(), ids=STRANGE)
def test_a_document_without_a_trajectory_cannot_be_updated(awictl: Cli, valkey: ValkeyServer, raw: bytes) -> None:
    put(valkey, raw)
    with unchanged(valkey):
        assert awictl.ok("session", "show", SESSION_ID).json == json.loads(raw)
        awictl.ok("session", "show", SESSION_ID, "-o", "table").table()
        awictl("session", "apply", SESSION_ID, '{"n":1}').error(6, session_key())
        awictl("session", "history", SESSION_ID).error(6, session_key())


@pytest.mark.parametrize("kind", ["list", "hash", "stream"])
def test_a_key_of_the_wrong_type_is_reported_and_left_alone(awictl: Cli, valkey: ValkeyServer, kind: str) -> None:
    make(valkey, kind, session_key())
    with unchanged(valkey):
        for command, more in {**READING, "apply": ["{}"], "touch": []}.items():
            awictl("session", command, SESSION_ID, *more).error(6, session_key(), "string")


@pytest.mark.parametrize("kind", ["list", "hash"])
def test_derived_keys_of_the_wrong_type(awictl: Cli, valkey: ValkeyServer, kind: str) -> None:
    for key in (diff_key("sess_good"), agent_key("lost")):
        make(valkey, kind, key)
    with unchanged(valkey):
        awictl("session", "diff", "sess_good").error(6, diff_key("sess_good"))
        awictl("agent", "session", "lost").error(6, agent_key("lost"))
    awictl.ok("session", "apply", "sess_good", '{"n":1}')
    assert awictl.ok("session", "diff", "sess_good").json["delta"] == {"n": 1}, "derived data is repaired"
    made = awictl.ok("session", "create", "--agent", "lost", "-o", "ids").lines
    assert awictl.ok("agent", "session", "lost", "-o", "ids").lines == made


def test_corrupt_derived_keys(awictl: Cli, valkey: ValkeyServer) -> None:
    for raw in (b"", b"{", b"[]", b"\xff"):
        valkey.raw.set(diff_key("sess_good"), raw, ex=100)
        valkey.raw.set(agent_key("lost"), raw, ex=100)
        with unchanged(valkey):
            awictl("session", "diff", "sess_good").error(6, diff_key("sess_good"))
            awictl("agent", "session", "lost").error(6, agent_key("lost"))


def test_one_corrupt_document_does_not_stop_a_listing(awictl: Cli, valkey: ValkeyServer) -> None:
    broken = {f"sess_bad{number}": raw for number, raw in enumerate(CORRUPT.values())}
    for name, raw in broken.items():
        put(valkey, raw, name)
    for number, kind in enumerate(TYPES):
        make(valkey, kind, session_key(f"sess_type{number}"))
    with unchanged(valkey):
        result = awictl.ok("session", "list")
        ids = awictl.ok("session", "list", "-o", "ids").lines
        by_id = awictl.ok("session", "list", "-o", "json", "--sort", "id").json
        table = awictl.ok("session", "list", "-o", "table", "--sort", "agent").table()
    rows = {row["session_id"]: row for row in result.rows}
    assert set(rows) == set(ids) == {row["session_id"] for row in by_id}
    assert set(rows) == {"sess_good", "sess_fine", *broken, *(f"sess_type{number}" for number in range(len(TYPES)))}
    assert "error" not in rows["sess_good"] | rows["sess_fine"]
    unreadable = [name for name, row in rows.items() if "error" in row]
    # a listing reads only the head of a document: damage behind it is not found
    assert len(unreadable) >= len(TYPES) + sum(not name.startswith("awictl") for name in CORRUPT)
    assert f"{len(unreadable)} sessions could not be read" in result.err
    assert all(name in table for name in rows)


def test_show_continues_after_a_corrupt_document(awictl: Cli, valkey: ValkeyServer) -> None:
    put(valkey, b"{")
    result = awictl("session", "show", "sess_good", SESSION_ID, "sess_fine", "sess_missing")
    assert [row["session_id"] for row in result.rows] == ["sess_good", "sess_fine"]
    assert result.code == 6, "the first error decides"
    assert [name for name in (SESSION_ID, "sess_missing") if name in result.err] == [SESSION_ID, "sess_missing"]


@pytest.mark.parametrize("write", [compact, encode], ids=["app", "awictl"])
def test_stored_text_is_escaped_on_a_terminal(
    awictl: Cli, valkey: ValkeyServer, write: Callable[[object], bytes]
) -> None:
    made = document([0, 0], agent_id=WILD, agent_name=WILD, **{WILD: WILD})
    made["page_state"] |= {"route": WILD, "filters": {WILD: WILD}}
    made["action_state"]["available_actions"] = [WILD]
    made["history"]["actions"][0] |= {"action": WILD, "observation": WILD, "input": WILD, "timestamp": WILD}
    put(valkey, write(made))
    put(valkey, write(made | {WILD: 1}), "sess_other")
    valkey.raw.set(agent_key("agent"), SESSION_ID, ex=100)
    with unchanged(valkey):
        assert awictl.ok("session", "list", "-o", "table").table().count("\\x1b[31mred") == 4
        for words in (
            ["session", "show", SESSION_ID],
            ["session", "history", SESSION_ID],
            ["session", "diff", SESSION_ID, "sess_other"],
        ):
            assert "\\x1b[31mred" in awictl.ok(*words, "-o", "table").table()
        assert awictl.ok("session", "show", SESSION_ID).json[WILD] == WILD, "JSON keeps it"
    delta = json.dumps({WILD: WILD})
    words = ["session", "apply", SESSION_ID, delta, "--action", WILD, "--observation", WILD, "-o", "table"]
    assert "\\x1b[31mred" in awictl.ok(*words).table()
    assert "\\x1b[31mred" in awictl.ok("session", "diff", SESSION_ID, "-o", "table").table()


def test_stored_text_is_escaped_in_messages(awictl: Cli, valkey: ValkeyServer) -> None:
    valkey.raw.set(agent_key("lost"), WILD, ex=100)
    awictl("agent", "session", "lost").error(6)
    put(valkey, WILD.encode())
    awictl("session", "show", SESSION_ID).error(6)
    assert "\x1b" not in awictl("session", "show", SESSION_ID, "-v").err


def test_a_session_that_looks_like_a_large_reply_of_the_server(awictl: Cli, valkey: ValkeyServer) -> None:
    """It is unreadable, but does not keep others from being listed."""
    put(valkey, compact(document([0])))
    put(valkey, b'{"session_id":"sess_bad"\r\n*9999999\r\n$99999999999\r\n}', "sess_bad")
    result = awictl("session", "list")
    assert {row["session_id"] for row in result.rows} >= {SESSION_ID, "sess_bad"}, result
    awictl("session", "show", "sess_bad").error(6, "sess_bad")
