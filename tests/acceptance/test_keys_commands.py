"""`awictl keys` on a real server."""

from __future__ import annotations

from collections.abc import Callable

from support.cli import Cli, unchanged
from support.documents import compact, document, put
from support.mongo import MongoServer
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


def test_counts_of_requests_and_holders_of_locks(awictl: Cli, valkey: ValkeyServer, mongo: MongoServer) -> None:
    mongo.put("agentapikeys", "mongo_agentapikey.ejson")
    mongo.raw["agentapikeys"].update_one({}, {"$set": {"rateLimit.requestsPerHour": 700}})
    values = {
        "RATELIMIT:6b03e3a15c752fa9a5b94777:state": b"480",
        "RATELIMIT:a:b:update": b"7",
        "RATELIMIT:address 10.0.0.0/24:register": b"3",
        "RATELIMIT:a:odd": b"-1 \x1b[31m",
        "LOCK:SESSION:sess_1": b"worker-\x1b[31m7",
        "LOCK:SESSION:sess_2": b"x" * 1_000_000,
        "LOCK:SESSION:sess_3": b"\xff",
    }
    for name, value in values.items():
        valkey.raw.set(name, value, ex=100)
    valkey.raw.hset("RATELIMIT:a:hash", "a", "b")
    user = awictl.having(MONGODB_URI=mongo.uri)
    with unchanged(valkey):
        rows = {row["key"]: row for row in user.ok("keys", "list").rows}
        table = user.ok("keys", "list", "-o", "wide").text
    assert [rows[f"RATELIMIT:{one}"]["requests"] for one in ("6b03e3a15c752fa9a5b94777:state", "a:b:update")] == [
        480,
        7,
    ]
    own, default = rows["RATELIMIT:6b03e3a15c752fa9a5b94777:state"], rows["RATELIMIT:a:b:update"]
    assert (own["limit"], own["limit_is_default"]) == (700, False)
    assert (default["limit"], default["limit_is_default"]) == (1_000, True)
    assert rows["RATELIMIT:address 10.0.0.0/24:register"]["limit"] == 10, "registrations from an address"
    assert rows["RATELIMIT:a:odd"]["requests"] is None and "requests" not in rows["RATELIMIT:a:hash"]
    assert rows["LOCK:SESSION:sess_1"]["holder"] == "worker-\x1b[31m7"
    assert rows["LOCK:SESSION:sess_2"]["holder"] == "x" * 200 and rows["LOCK:SESSION:sess_3"]["holder"] == "\\xff"
    assert "480 of 700 requests" in table and "7 of ~1,000 requests" in table
    assert "held by worker-\\x1b[31m7" in table and "\x1b" not in table
    header = awictl.ok("keys", "list", "--kind", "session", "--kind", "ratelimit", "-o", "csv").text.splitlines()[0]
    assert {"holder", "requests", "limit", "limit_is_default"} <= set(header.split(","))
    away = awictl.having(MONGODB_URI="mongodb://127.0.0.1:1/awi").ok("--timeout", "1", "keys", "list")
    assert "limits are not available" in away.err and len(away.rows) == 8
