"""`awictl keys` on a real server."""

from __future__ import annotations

from collections.abc import Callable

from support.cli import Cli, unchanged
from support.documents import compact, document, put
from support.valkey import ValkeyServer


def fill(server: ValkeyServer) -> None:
    put(server, compact(document([0])), seconds=100)
    server.raw.set("AWI:DIFF:sess_test", b"{}")
    server.raw.set("AWI:DIFF:\x1b[2J\u202e", b"{}", ex=200)
    server.raw.set("other", b"x", ex=1000)


def test_list_prints_kind_ttl_and_size(awictl: Cli, valkey: ValkeyServer) -> None:
    fill(valkey)
    rows = {row["key"]: row for row in awictl.ok("keys", "list").rows}
    assert rows["AWI:SESSION:sess_test"]["kind"] == "session" and rows["AWI:DIFF:sess_test"]["ttl_ms"] is None
    assert "other" not in rows
    assert awictl.ok("keys", "list", "oth*", "--all", "-o", "ids").text == "other\n"
    assert awictl.ok("keys", "list", "nothing*", "-o", "table").err.startswith("no keys at redis://127.0.0.1")
    assert "never" in awictl.ok("keys", "list", "-o", "table").table()
    assert len(awictl.ok("keys", "list", "--limit", "1", "--rate", "1000").rows) == 1


def test_ttl_histogram_and_stats(awictl: Cli, valkey: ValkeyServer) -> None:
    fill(valkey)
    with unchanged(valkey):
        table = awictl.ok("keys", "ttl", "-o", "table").table()
        assert "session (1)" in table and "< 5m" in table and "never" in table and "█" in table
        kinds = {row["kind"]: row for row in awictl.ok("keys", "stats", "--all").rows}
        assert kinds.keys() == {"session", "diff", "other"}
        assert kinds["session"]["biggest"][0]["key"] == "AWI:SESSION:sess_test"
        assert "AWI:SESSION:sess_test" in awictl.ok("keys", "stats", "-o", "table").table()
    assert "#" in awictl.having(PYTHONIOENCODING="ascii").ok("keys", "ttl", "-o", "table").table()


def test_a_sample_is_marked_as_an_estimate(awictl: Cli, valkey: ValkeyServer) -> None:
    with valkey.raw.pipeline() as pipe:
        for number in range(3_000):
            pipe.set(f"AWI:SESSION:sess_{number}", b"x" * 50, ex=1000)
        pipe.execute()
    result = awictl.ok("keys", "stats", "--sample", "100", "-o", "table")
    assert "sampled 1," in result.err and "of 3,000 keys" in result.err
    assert "~150,000" in result.table()
    assert awictl.ok("keys", "stats").err == ""


def test_key_names_are_escaped(awictl: Cli, valkey: ValkeyServer) -> None:
    valkey.raw.set("AWI:SESSION:a\n\x1b[31m", "x", ex=100)
    assert awictl.ok("keys", "list", "-o", "ids").text == "AWI:SESSION:a\\n\\x1b[31m\n"


def test_keys_without_read_permission_are_reported(user: Cli, new_valkey: Callable[..., ValkeyServer]) -> None:
    server = new_valkey("--user", "reader", "on", ">word", "~AWI:SESSION:*", "+@all")
    fill(server)
    reader = user.having(REDIS_SOCKET=str(server.socket), REDIS_USERNAME="reader", REDIS_PASSWORD="word")
    listing = reader.ok("keys", "list", "AWI:DIFF:*", "-o", "table")
    assert "not permitted" in listing.table() and "never" not in listing.table()
    result = reader.ok("keys", "ttl", "AWI:DIFF:*", "-o", "table")
    assert "could not be read" in result.err and "never" not in result.table()
