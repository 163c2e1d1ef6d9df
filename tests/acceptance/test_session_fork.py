"""`session fork`: what it prints and says; what it makes is in tests/integration/test_fork.py."""

from __future__ import annotations

from support.cli import Cli, data_of, unchanged
from support.valkey import ValkeyServer, free_port
from test_session_at import lived, put


def test_the_new_session_is_printed(awictl: Cli, valkey: ValkeyServer) -> None:
    session_id = put(valkey, lived("sess_a"))
    before = data_of(valkey)
    forked = awictl.ok("session", "fork", session_id, "--at", "12:02:30", "--ttl", "2h")
    new_id = forked.json["session_id"]
    assert forked.json["forked_from"] == {"session_id": session_id, "t": 2, "ordinal": 2}
    assert forked.json["page_state"]["filters"] == {"tag": "t2"}
    assert f"no agent is mapped to {new_id}" in forked.err
    assert awictl.ok("session", "show", new_id).json == forked.json
    after = data_of(valkey)
    assert {*after} - {*before} == {f"AWI:SESSION:{new_id}".encode()}, "no mapping and no diff"
    assert {key: after[key][0] for key in before} == {key: dump for key, (dump, _) in before.items()}
    assert 3_600_000 < valkey.raw.pttl(f"AWI:SESSION:{new_id}") <= 7_200_000
    table = awictl.ok("session", "fork", session_id, "-o", "table").table()
    assert "forked from        sess_a, action 5" in table
    assert "expires in         30m" in table and "sess_a " not in table


def test_an_agent_and_its_previous_session(awictl: Cli, valkey: ValkeyServer) -> None:
    session_id = put(valkey, lived("sess_a"))
    previous = awictl.ok("session", "create", "--agent", "b", "-o", "ids").text.strip()
    forked = awictl.ok("session", "fork", session_id, "--agent", "b", "-o", "ids")
    assert valkey.raw.get("AGENT:SESSION:b") == forked.out.strip() and forked.text.startswith("sess_")
    assert f"the previous session of agent b, {previous}, is not ended" in forked.err


def test_nothing_is_written(awictl: Cli, valkey: ValkeyServer) -> None:
    session_id = put(valkey, lived("sess_a", minutes=3))
    with unchanged(valkey):
        dry = awictl.ok("session", "fork", session_id, "--at", "1", "--agent", "b", "--dry-run")
        assert dry.json["session_id"] is None and dry.json["agent_id"] == "b" and "dry run" in dry.err
        awictl.having(AWI_READ_ONLY="1")("session", "fork", session_id).error(4, "read-only")
        awictl("session", "fork", session_id, "--at", "7").error(3, "there is no action 7: the newest is 3")
        awictl("session", "fork", session_id, "--agent", "").error(2, "agent")
        awictl("session", "fork", session_id, "--ttl", "0s").error(2, "--ttl")


def test_what_is_unknown_is_left_out_on_request(awictl: Cli, valkey: ValkeyServer) -> None:
    document = lived("sess_a", minutes=9)
    history = document["history"]
    put(valkey, {**document, "history": {**history, "trimmed_actions": 2, "actions": history["actions"][2:]}})
    error = awictl("session", "fork", "sess_a", "--at", "2").error(4, "--allow-unknown, or fork at action 9")
    assert "/note_3" in error and "2 more fields" in error
    forked = awictl.ok("session", "fork", "sess_a", "--at", "2", "--allow-unknown")
    assert "left out, since it is unknown after action 2 of sess_a" in forked.err
    assert "2 earlier actions of sess_a" not in forked.err, "they are missing anyway"
    assert sorted(forked.json["forked_from"]["unknown"]) == [f"/note_{minute}" for minute in range(3, 10)]


def test_the_embedded_server(laptop: Cli) -> None:
    """A session that was ended goes on there."""
    laptop = laptop.having(AWI_EMBEDDED="1")
    session_id = laptop.ok("session", "create", "--agent", "a", "-o", "ids").text.strip()
    laptop.ok("session", "apply", session_id, '{"n": 1}')
    laptop.ok("session", "end", session_id)
    forked = laptop.ok("session", "fork", session_id)
    assert "read from the archive" in forked.err and forked.json["n"] == 1
    assert laptop.ok("session", "apply", forked.json["session_id"], '{"n": 2}').json["n"] == 2


def test_without_redis_no_session_is_made(sqlite_user: Cli, valkey: ValkeyServer) -> None:
    session_id = put(valkey, lived("sess_a"))
    sqlite_user.ok("archive", "sweep", "--margin", "1d")
    with unchanged(valkey):
        sqlite_user.having(REDIS_PORT=str(free_port()))("session", "fork", session_id).error(5, "cannot reach Redis")
