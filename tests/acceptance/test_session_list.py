"""`awictl session list`: filters, sort order, output formats, pipes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.cli import Cli, unchanged
from support.documents import SESSION_ID, compact, document, plain, put, replaced, session_key, stored
from support.valkey import ValkeyServer

from awictl.document.byte_layout import encode
from awictl.document.timestamps import timestamp


def active(minutes_ago: float, *, session_id: str = SESSION_ID, sizes: tuple[int, ...] = (0,), **others: Any) -> Any:
    """A document that was last active `minutes_ago`."""
    moment = timestamp(datetime.now(UTC) - timedelta(minutes=minutes_ago))
    made = document(sizes, session_id, last_updated=moment, **others)
    return replaced(made, ("statistics", "last_activity"), moment)


@pytest.fixture
def three(valkey: ValkeyServer) -> ValkeyServer:
    """Sessions a, b and c: by activity b, a, c; by expiry c, a, b; by actions a, c, b; by route b, c, a."""
    for name, minutes, seconds, actions, route, agent in (
        ("sess_a", 10, 300, 1, "/z/posts", "Zoe"),
        ("sess_b", 1, 1700, 5, "/a/posts", "Adam"),
        ("sess_c", 25, 90, 3, "/m/users", "Mia"),
    ):
        others = {"agent_id": f"id-{agent}", "agent_name": agent}
        made = active(minutes, session_id=name, sizes=(0,) * actions, **others)
        raw = (encode if name == "sess_b" else compact)(replaced(made, ("page_state", "route"), route))
        put(valkey, raw, name, seconds)
    valkey.raw.set("AWI:SESSIONS", "no session")
    valkey.raw.set("AWI:SESSION:no session either", "{}")
    return valkey


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("", "abc"),
        ("--agent Zoe", "a"),
        ("--agent id-Mia", "c"),
        ("--agent Zo", ""),
        ("--route */posts", "ab"),
        ("--route /m/users", "c"),
        ("--route /?/posts", "ab"),
        ("--idle 5m", "ac"),
        ("--idle 24m59s", "c"),
        ("--idle 1h", ""),
        ("--ttl-below 5m1s", "ac"),
        ("--ttl-below 2m --agent Zoe", ""),
        ("--ttl-below 2m --idle 20m --agent Mia", "c"),
    ],
)
def test_list_filters(awictl: Cli, three: ValkeyServer, words: str, found: str) -> None:
    with unchanged(three):
        listed = awictl.ok("session", "list", "-o", "ids", *words.split()).lines
    assert sorted(listed) == [f"sess_{letter}" for letter in found]


@pytest.mark.parametrize(
    ("words", "order"),
    [
        ("--sort activity", "bac"),
        ("--sort activity --reverse", "cab"),
        ("--sort ttl", "cab"),
        ("--sort ttl --limit 2", "ca"),
        ("--sort actions", "bca"),
        ("--sort actions --reverse", "acb"),
        ("--sort bytes --limit 1", "b"),
        ("--sort agent", "bca"),
        ("--sort route", "bca"),
        ("--sort id --reverse", "cba"),
    ],
)
def test_list_sorts(awictl: Cli, three: ValkeyServer, words: str, order: str) -> None:
    listed = awictl.ok("session", "list", "-o", "ids", *words.split()).lines
    assert listed == [f"sess_{letter}" for letter in order]


def test_fields_of_a_listed_session(awictl: Cli, three: ValkeyServer) -> None:
    [row] = awictl.ok("session", "list", "--agent", "Adam").rows
    assert 60_000 <= row.pop("idle_ms") < 120_000
    assert 1_640_000 < row.pop("ttl_ms") <= 1_700_000
    assert row.pop("last_activity") == plain(stored(three, "sess_b"))["statistics"]["last_activity"]
    wanted = {"session_id": "sess_b", "agent_id": "id-Adam", "agent_name": "Adam", "route": "/a/posts"}
    wanted |= {"actions": 5, "bytes": len(stored(three, "sess_b")), "failed_actions": 0, "state": "live"}
    assert row == wanted


def test_each_output_format_of_a_listing(awictl: Cli, three: ValkeyServer) -> None:
    sorted_rows = awictl.ok("session", "list", "--sort", "id").rows
    names = [row["session_id"] for row in sorted_rows]
    assert names == ["sess_a", "sess_b", "sess_c"]
    as_array = awictl.ok("session", "list", "--sort", "id", "-o", "json").json
    assert [row["session_id"] for row in as_array] == names
    table = awictl.ok("session", "list", "-o", "table").table()
    for told in (*names, "Zoe", "Adam", "Mia", "/a/posts", "28m"):
        assert told in table
    awictl("session", "list", "-o", "raw").error(2, "raw")


def test_an_empty_listing_is_not_an_error(awictl: Cli, valkey: ValkeyServer) -> None:
    assert awictl.ok("session", "list").out == b""
    assert awictl.ok("session", "list", "-o", "json").json == []
    table = awictl.ok("session", "list", "-o", "table")
    assert table.out == b"" and "no live sessions" in table.err


def test_each_of_many_sessions_is_listed_once(awictl: Cli, valkey: ValkeyServer) -> None:
    raw = compact(document([0]))
    with valkey.raw.pipeline() as pipe:
        for number in range(2500):
            pipe.set(session_key(f"sess_{number}"), raw, ex=1000)
        pipe.execute()
    wanted = sorted(f"sess_{number}" for number in range(2500))
    assert sorted(awictl.ok("session", "list", "-o", "ids").lines) == wanted
    assert sorted(row["session_id"] for row in awictl.ok("session", "list").rows) == wanted
    assert len(awictl.ok("session", "list", "--limit", "7", "--rate", "100000").rows) == 7


def test_a_listing_can_be_piped_into_touch(awictl: Cli, valkey: ValkeyServer) -> None:
    put(valkey, compact(active(30, session_id="sess_idle")), "sess_idle", seconds=60)
    put(valkey, compact(active(0, session_id="sess_busy")), "sess_busy", seconds=60)
    result = awictl.shell("awictl session list -o ids --idle 20m | awictl session touch - -o ids")
    assert (result.code, result.text) == (0, "sess_idle\n")
    assert valkey.raw.pttl(session_key("sess_idle")) > 60_000 >= valkey.raw.pttl(session_key("sess_busy"))
    awictl.shell("awictl session list -o ids --idle 1h | awictl session touch -").error(2, "no id")
