"""Commands while Redis is unreachable: what comes from elsewhere is marked, in JSON and on stderr."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from support.cli import LIMIT_SECONDS, Cli
from support.mongo import MongoServer
from support.serving import serving
from support.valkey import ValkeyServer, free_port


def archived(user: Cli) -> tuple[Cli, str]:
    """The same user without Redis, and the id of a live session whose newest state is in the archive."""
    session_id = user.ok("session", "create", "--agent", "browser-1").json["session_id"]
    user.ok("session", "apply", session_id, json.dumps({"n": 1}), "--action", "filter")
    user.ok("archive", "sweep", "--margin", "1d")
    return user.having(REDIS_PORT=str(free_port())), session_id


def test_reads_are_marked(sqlite_user: Cli) -> None:
    live, session_id = sqlite_user, sqlite_user.ok("session", "create", "--agent", "one").json["session_id"]
    assert "degraded" not in live.ok("session", "show", session_id).json
    away, session_id = archived(sqlite_user)
    shown = away.ok("session", "show", session_id)
    assert shown.json["degraded"] is True and shown.json["n"] == 1
    assert "Redis is unreachable and may have a newer state" in shown.err
    assert b"degraded" not in away.ok("session", "show", session_id, "-o", "raw").out, "the bytes as they were stored"
    history = away.ok("session", "history", session_id, "-o", "json")
    assert history.json["degraded"] is True and history.json["trajectory"][0]["action"] == "filter"
    assert "Redis is unreachable and may have a newer state" in history.err
    live.ok("session", "end", session_id)
    for words in (["show"], ["history", "-o", "json"]):
        ended = live.ok("session", words[0], session_id, *words[1:])
        assert "degraded" not in ended.json, "the archive is where an ended session is"


@pytest.mark.parametrize(
    "words", [["apply", "SESSION", "{}"], ["create", "--agent", "browser-1"]], ids=lambda one: one[0]
)
def test_writes_fail_without_the_fallback(mongo_user: Cli, words: list[str]) -> None:
    away, session_id = archived(mongo_user)
    words = [session_id if one == "SESSION" else one for one in words]
    away("session", *words, "--no-fallback").error(5, "cannot reach Redis")
    away.having(AWI_FALLBACK="off")("session", *words).error(5, "cannot reach Redis")


def checks_of(user: Cli) -> dict[str, dict[str, Any]]:
    """The checks of doctor by name; it may fail."""
    return {one["check"]: one for one in json.loads(user("doctor", "-o", "json", "--no-data").out)["checks"]}


def test_sessions_go_on_in_mongodb_and_come_home(
    user: Cli, mongo: MongoServer, new_valkey: Callable[..., ValkeyServer]
) -> None:
    server = new_valkey("--appendonly", "yes")
    user = user.having(REDIS_SOCKET=str(server.socket), MONGODB_URI=mongo.uri)
    first = user.ok("session", "create", "--agent", "browser-1").json["session_id"]
    user.ok("archive", "sweep", "--margin", "1d")
    before = user.ok("health").json
    assert "degraded" not in before and (before["journal_pending"], before["journal_set_aside"]) == (0, 0)
    assert checks_of(user)["journal"]["status"] == "pass"

    server.kill()
    applied = user.ok("session", "apply", first, json.dumps({"n": 1}), "--action", "filter", "--op-id", "op-1")
    assert (applied.json["degraded"], applied.json["n"]) == (True, 1)
    assert "the update is recorded in MongoDB" in applied.err
    created = user.ok("session", "create", "--agent", "browser-2")
    assert created.json["degraded"] is True and "the session begins in MongoDB" in created.err
    second = created.json["session_id"]
    for words in (["show", first], ["history", first, "-o", "json"], ["diff", first]):
        read = user.ok("session", *words)
        assert read.json["degraded"] is True and "Redis is unreachable" in read.err, words
    assert b"degraded" not in user.ok("session", "show", first, "-o", "raw").out
    mapped = user.ok("agent", "session", "browser-1")
    assert (mapped.json["session_id"], mapped.json["degraded"]) == (first, True)
    assert "Redis is unreachable" in mapped.err
    health = user("health")
    assert health.code == 5 and "cannot reach Redis" in health.err
    found = health.json
    assert (found["redis"], found["archive"], found["degraded"]) == ("disconnected", "connected", True)
    assert (found["journal_pending"], found["journal_set_aside"]) == (2, 0)
    journal = checks_of(user)["journal"]
    assert journal["status"] == "warn" and "2 sessions" in journal["evidence"]

    server.start()
    assert checks_of(user)["journal"]["remedy"].startswith("run `awictl archive sweep`")
    user.ok("archive", "sweep", "--margin", "1s")
    for session_id in (first, second):
        shown = user.ok("session", "show", session_id)
        assert "degraded" not in shown.json and shown.err == ""
    assert user.ok("session", "history", first).rows[0]["op_id"] == "op-1"
    after = user.ok("health").json
    assert "degraded" not in after and after["journal_pending"] == 0
    assert checks_of(user)["journal"]["status"] == "pass"


def test_a_session_that_began_in_mongodb_is_found_before_it_is_in_redis(
    user: Cli, mongo: MongoServer, new_valkey: Callable[..., ValkeyServer]
) -> None:
    server = new_valkey()
    user = user.having(REDIS_SOCKET=str(server.socket), MONGODB_URI=mongo.uri)
    server.kill()
    first, second = (user.ok("session", "create", "--agent", f"a{n}").json["session_id"] for n in range(2))
    user.ok("session", "apply", first, '{"n":1}')
    server.start()
    shown = user.ok("session", "show", first)
    assert "degraded" not in shown.json and shown.json["n"] == 1 and "it is not in Redis yet" in shown.err
    history = user.ok("session", "history", first, "-o", "json")
    assert "degraded" not in history.json and history.json["total"] == 2 and "it is not in Redis yet" in history.err
    assert not server.raw.exists(f"AWI:SESSION:{first}"), "reading writes nothing"
    for session_id, n in ((first, 3), (second, 2)):
        applied = user.ok("session", "apply", session_id, '{"n":2}')
        assert applied.json["statistics"]["total_actions"] == n - 1 and "degraded" not in applied.json
        assert server.raw.exists(f"AWI:SESSION:{session_id}")
    user("session", "show", "sess_unknown").error(3, "no session sess_unknown")
    user("session", "apply", "sess_unknown", "{}").error(3, "no session sess_unknown")


def test_a_server_without_the_fallback(mongo_user: Cli) -> None:
    with serving(mongo_user, "--no-fallback") as server:
        assert httpx.get(f"{server.url}/api/health", timeout=LIMIT_SECONDS).json()["breaker"] == "disabled"
