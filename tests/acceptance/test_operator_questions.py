"""The questions that an operator asks, from the app's own "Monitoring", "Debugging" and "Troubleshooting" pages.

Each is one command, run on documents as the app writes them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from support.cli import Cli, unchanged
from support.documents import APP_FILES, put
from support.valkey import ValkeyServer, free_port

#: The app's documents. All are of one session, so each gets its own id here.
STRINGS = [
    re.sub(rb"sess_[0-9a-f]{32}", b"sess_%032x" % number, file.read_bytes()) for number, file in enumerate(APP_FILES)
]
DOCUMENTS = [json.loads(raw) for raw in STRINGS]
BUSY = DOCUMENTS[2]
BUSY_ID, AGENT = BUSY["session_id"], BUSY["agent_id"]
CACHED = BUSY["query_cache"]["active_cache_key"]
FILTERS, SORT = {"category": "tech", "tags": ["awi", "agents"]}, {"key": "createdAt", "order": "desc"}


@pytest.fixture
def awictl(awictl: Cli) -> Cli:
    """The user; each command runs in a new interpreter."""
    return replace(awictl, fresh=True)


@pytest.fixture
def production(valkey: ValkeyServer) -> ValkeyServer:
    """A server with data of the app: sessions, a mapping, a diff, cached results, and keys of other programs."""
    for raw, made in zip(STRINGS, DOCUMENTS, strict=True):
        put(valkey, raw, made["session_id"], seconds=1500)
    valkey.raw.set(f"AGENT:SESSION:{AGENT}", BUSY_ID, ex=1500)
    valkey.raw.set(f"AWI:DIFF:{BUSY_ID}", (APP_FILES[0].parent / "diff_02.json").read_bytes(), ex=250)
    valkey.raw.set(f"AWI:CACHE:LIST:{CACHED}", b'[{"id":"post_1"},{"id":"post_2"}]', ex=240)
    valkey.raw.set("bull:jobs:1", b"x", ex=1500)
    return valkey


# -- monitoring


def test_which_sessions_exist(awictl: Cli, production: ValkeyServer) -> None:
    with unchanged(production):
        rows = awictl.ok("session", "list").rows
    assert sorted(row["session_id"] for row in rows) == [made["session_id"] for made in DOCUMENTS]
    assert all(1_400_000 < row["ttl_ms"] <= 1_500_000 for row in rows)


def test_what_state_is_a_session_in(awictl: Cli, production: ValkeyServer) -> None:
    assert awictl.ok("session", "show", BUSY_ID).json == BUSY


def test_how_long_does_a_session_stay(awictl: Cli, production: ValkeyServer) -> None:
    [row] = awictl.ok("keys", "list", f"*{BUSY_ID}", "-o", "json").json[:1]
    assert row["ttl_ms"] is not None
    rows = {row["kind"]: row for row in awictl.ok("keys", "list", f"AWI:*{BUSY_ID}").rows}
    assert 1_400_000 < rows["session"]["ttl_ms"] <= 1_500_000 and 200_000 < rows["diff"]["ttl_ms"] <= 250_000
    assert "expires in" in awictl.ok("session", "show", BUSY_ID, "-o", "table").table()


def test_what_is_cached(awictl: Cli, production: ValkeyServer) -> None:
    [row] = awictl.ok("cache", "list").rows
    assert (row["cache_key"], row["count"]) == (CACHED, 2)
    assert BUSY_ID in row["sessions"] and 200_000 < row["ttl_ms"] <= 240_000
    assert awictl.ok("cache", "show", CACHED).json == [{"id": "post_1"}, {"id": "post_2"}]


def test_what_did_an_agent_do(awictl: Cli, production: ValkeyServer) -> None:
    session_id = awictl.ok("agent", "session", AGENT, "-o", "ids").text.strip()
    actions = awictl.ok("session", "history", session_id, "--limit", "3").rows
    assert actions == BUSY["history"]["actions"][:-4:-1]


def test_what_uses_the_memory(awictl: Cli, production: ValkeyServer) -> None:
    kinds = {row["kind"]: row for row in awictl.ok("keys", "stats").rows}
    assert kinds["session"]["count"] == len(DOCUMENTS)
    assert kinds["session"]["memory_bytes"] > kinds["session"]["bytes"] > 10_000
    assert kinds["session"]["biggest"][0]["bytes"] == max(map(len, STRINGS))
    checks = {one["check"]: one for one in awictl.ok("doctor", "--no-data").json["checks"]}
    assert "bytes in use" in checks["memory"]["evidence"]


def test_is_everything_healthy(awictl: Cli, production: ValkeyServer) -> None:
    assert awictl.ok("health").json["redis"] == "connected"
    with unchanged(production):
        report = awictl.ok("doctor").json
    checks = {one["check"]: one for one in report["checks"]}
    assert report["status"] == "warn" and checks["documents"]["status"] == "pass"
    assert f"{len(DOCUMENTS)} live sessions" in checks["documents"]["evidence"]


# -- a session is not found


def test_session_not_found_because_the_server_is_unreachable(user: Cli) -> None:
    port = free_port()
    away = user.having(REDIS_HOST="127.0.0.1", REDIS_PORT=str(port))
    away("session", "show", BUSY_ID).error(5, f"127.0.0.1:{port}", "connection refused", "config show")


def test_session_not_found_because_it_expired(awictl: Cli, production: ValkeyServer) -> None:
    production.raw.delete(f"AWI:SESSION:{BUSY_ID}")
    line = awictl("session", "show", BUSY_ID).error(3, BUSY_ID, "expired", "no archive is configured")
    assert "was updated 5" in line and "its diff still exists" in line, (
        "that was 50 seconds before its diff has 250 left"
    )
    archived = awictl.having(AWI_ARCHIVE_URL="sqlite:///archive.db")
    archived("session", "diff", DOCUMENTS[0]["session_id"][:-1] + "x").error(
        3, "whether it is archived is unknown", "there is no archive sqlite:///"
    )


def test_session_not_found_because_it_was_archived(awictl: Cli, production: ValkeyServer) -> None:
    archived = awictl.having(AWI_ARCHIVE_URL="sqlite:///archive.db")
    archived.ok("session", "end", BUSY_ID)
    assert "is read from the archive" in archived.ok("session", "show", BUSY_ID).err
    archived("session", "diff", BUSY_ID).error(3, f"awictl archive show {BUSY_ID}")
    archived("session", "apply", BUSY_ID, "{}").error(3, f"awictl archive restore {BUSY_ID}")


def test_session_not_found_because_the_id_is_wrong(awictl: Cli, production: ValkeyServer) -> None:
    awictl("session", "show", BUSY_ID.removeprefix("sess_")).error(2, "not a session id", "sess_")
    awictl("session", "show", BUSY_ID[:-3]).error(3, "32 hex digits", "complete", "awictl session list")


def test_session_not_found_because_it_is_in_another_database(awictl: Cli, production: ValkeyServer) -> None:
    line = awictl.having(REDIS_DB="3")("session", "show", BUSY_ID).error(3, "database 3 is empty", "database 0 has")
    assert "REDIS_DB" in line


# -- cache misses


def test_cache_miss_because_the_result_expired(awictl: Cli, production: ValkeyServer) -> None:
    production.raw.delete(f"AWI:CACHE:LIST:{CACHED}")
    query = ["--filters", json.dumps(FILTERS), "--sort", json.dumps(SORT)]
    verdict = awictl.ok("cache", "diagnose", *query).json["verdict"]
    assert verdict.startswith(("expired: ", "deleted or evicted before it expired: ")) and "the TTL is 5m" in verdict


def test_cache_miss_because_the_query_is_spelled_differently(awictl: Cli, production: ValkeyServer) -> None:
    query = ["--filters", json.dumps(dict(reversed(FILTERS.items()))), "--sort", json.dumps(SORT)]
    found = awictl.ok("cache", "diagnose", *query).json
    assert found["near"][0]["cache_key"] == CACHED and "order" in found["verdict"]
    exact = ["--filters", json.dumps(FILTERS), "--sort", json.dumps(SORT)]
    assert awictl.ok("cache", "diagnose", *exact).json["hit"] is True


def test_cache_miss_because_of_eviction(user: Cli, new_valkey: Callable[..., ValkeyServer]) -> None:
    small = new_valkey("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
    result = user.having(REDIS_HOST="127.0.0.1", REDIS_PORT=str(small.port))("doctor", "--no-data")
    assert result.code == 1
    checks = {one["check"]: one for one in result.json["checks"]}
    assert checks["eviction"]["status"] == "fail" and "AWI_CACHE_REDIS_URL" in checks["eviction"]["remedy"]


# -- Redis does not start


def test_redis_is_down(user: Cli) -> None:
    port = free_port()
    away = user.having(REDIS_HOST="127.0.0.1", REDIS_PORT=str(port))
    away("health").error(5, f"127.0.0.1:{port}", "connection refused")
    result = away("doctor")
    assert result.code == 1
    [reachable] = [one for one in result.json["checks"] if one["check"] == "reachable"]
    assert reachable["status"] == "fail" and f"redis-cli -p {port} ping" in reachable["remedy"]
    assert "FAIL" in away("doctor", "-o", "table").text


def test_the_embedded_server_needs_no_other_server(laptop: Cli) -> None:
    assert laptop.ok("--embedded", "health").json["redis"] == "connected"


# -- repairs of the doctor


def test_the_doctor_repairs_derived_data(awictl: Cli, production: ValkeyServer) -> None:
    production.raw.set("AGENT:SESSION:gone", "sess_gone", ex=1000)
    production.raw.persist(f"AGENT:SESSION:{AGENT}")
    with unchanged(production):
        planned = awictl.ok("doctor", "--fix", "--dry-run").json["repairs"]
        awictl("doctor", "--fix").error(4, "--yes")
        awictl("doctor", "--yes").error(2, "--fix")
        table = awictl.ok("doctor", "--fix", "--dry-run", "-o", "table").table()
        assert "AGENT:SESSION:gone" in table and re.search(r"AGENT:SESSION:gone +delete +no\b", table)
    assert {(one["key"], one["done"]) for one in planned} >= {
        ("AGENT:SESSION:gone", None), (f"AGENT:SESSION:{AGENT}", None)
    }  # fmt: skip
    fixed = awictl.ok("doctor", "--fix", "--yes").json["repairs"]
    assert [one["key"] for one in fixed] == [one["key"] for one in planned]
    assert {one["done"] for one in fixed} == {True}
    assert production.raw.exists("AGENT:SESSION:gone") == 0
    assert 1_700_000 < production.raw.pttl(f"AGENT:SESSION:{AGENT}") <= 1_800_000
    again = awictl.ok("doctor", "--fix", "--yes")
    assert again.json["repairs"] == [] and "nothing to repair" in again.err


def test_a_broken_archive_does_not_hide_the_other_checks(awictl: Cli, production: ValkeyServer) -> None:
    (awictl.home / "archive.db").write_bytes(b"this is no database" * 100)
    broken = awictl.having(AWI_ARCHIVE_URL=f"sqlite:///{awictl.home}/archive.db")
    missing = "sess_" + "0" * 31 + "f"
    broken("session", "show", missing).error(6, missing, "there is no session", "whether it is archived is unknown")
