"""Every command with live sessions in MongoDB instead of Redis (AWI_USE_REDIS=false)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from bson import BSON
from support.cli import LIMIT_SECONDS, Cli
from support.mongo import MongoServer
from support.serving import serving
from support.valkey import ValkeyServer

MISSING = "sess_" + "0" * 32


@pytest.fixture
def live(user: Cli, mongo: MongoServer) -> Cli:
    """A user whose live sessions, and whose archive, are in MongoDB. Nothing answers at the default port of Redis."""
    return user.having(AWI_USE_REDIS="false", MONGODB_URI=mongo.uri, REDIS_HOST="127.0.0.1", REDIS_PORT="1")


def create(live: Cli, agent: str = "agent-1") -> str:
    session_id: str = live.ok("session", "create", "--agent", agent, "--name", "Bot").json["session_id"]
    return session_id


def app_documents(mongo: MongoServer) -> dict[Any, bytes]:
    """The bytes of everything in the app's collections."""
    names = ("agentsessions", "agentsessions.parts", "agentapikeys")
    return {(name, one["_id"]): BSON.encode(one) for name in names for one in mongo.raw[name].find()}


def until_ok(request: Callable[[], httpx.Response]) -> None:
    """Repeat a request until it succeeds, as an agent does."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while (answer := request()).status_code != 200:
        assert answer.status_code == 503 and time.monotonic() < deadline, answer.text


def test_the_life_of_a_session(live: Cli) -> None:
    session_id = create(live)
    assert [one["session_id"] for one in live.ok("session", "list").rows] == [session_id]
    delta = json.dumps({"page_state": {"filters": {"tag": "awi"}}})
    applied = live.ok("session", "apply", session_id, delta, "--action", "filter").json
    assert applied["page_state"]["filters"] == {"tag": "awi"}
    assert live.ok("session", "show", session_id).json["statistics"]["total_actions"] == 1
    assert live.ok("session", "diff", session_id).json["last_action"]["action"] == "filter"
    assert [one["t"] for one in live.ok("session", "history", session_id).rows] == [1, 0]
    assert live.ok("session", "touch", session_id, "--ttl", "1h").json["ttl_ms"] == 3_600_000
    assert live.ok("agent", "session", "agent-1").json["session_id"] == session_id
    watched = live.ok("session", "watch", session_id, "--seconds", "0.1").rows
    assert watched[0]["state"]["session_id"] == session_id
    sample = live.ok("top", "--seconds", "0.1", "-o", "json").rows[0]
    assert sample["sessions"] == 1 and sample["used_memory"] is None
    swept = live.ok("archive", "sweep", "--margin", "2h").json
    assert (swept["archived"], swept["deleted"], swept["failed"]) == (1, 0, 0)
    raw = live.ok("session", "show", session_id, "-o", "raw").out
    ended = live.ok("session", "end", session_id).json
    assert ended["actions"] == 3 and ended["archive"].startswith("mongodb://127.0.0.1:")
    assert live("session", "touch", session_id).code == 3 and live.ok("session", "list").rows == []
    assert live.ok("archive", "show", session_id).json["page_state"]["filters"] == {"tag": "awi"}
    assert live.ok("archive", "restore", session_id).json["agent_session"] == session_id
    assert live.ok("session", "show", session_id, "-o", "raw").out != raw, "its end was recorded"
    live.ok("session", "end", "--discard", "--yes", session_id)
    assert live.ok("session", "list").rows == []


def test_caches_media_and_keys(live: Cli) -> None:
    session_id = create(live)
    put = live.ok("cache", "put", "[1,2]", "--filters", '{"q":1}', "--session", session_id).json
    assert live.ok("cache", "show", put["cache_key"]).text == "[1,2]\n"
    assert [one["sessions"] for one in live.ok("cache", "list").rows] == [[session_id]]
    assert live.ok("cache", "diagnose", "--filters", '{"q":2}').json["near"][0]["words"] == '"q" is 1 instead of 2'
    urls = ("--thumbnail", "http://h/t", "--full", "http://h/f", "--embedding", "-")
    for image, embedding in (("i", b"[1,0]"), ("j", b"[1,1]")):
        live.ok("media", "put", image, *urls, stdin=embedding)
    assert [one["id"] for one in live.ok("media", "similar", "i").rows] == ["j"]
    assert live.ok("media", "delete", "i", "--yes").json["with_embedding"] is True
    assert [one["id"] for one in live.ok("media", "list").rows] == ["j"]
    assert live.ok("media", "show", "j").json["dimensions"] == 2
    kinds = {one["kind"]: one for one in live.ok("keys", "stats").rows}
    assert kinds.keys() == {"session", "diff", "agent", "cache", "image", "embedding"}
    assert {one["memory_bytes"] for one in kinds.values()} == {None}
    assert [one["key"] for one in live.ok("keys", "list", "AGENT:*").rows] == ["AGENT:SESSION:agent-1"]
    assert {one["kind"] for one in live.ok("keys", "ttl").rows} == kinds.keys()
    assert live.ok("cache", "delete", put["cache_key"], "--yes").code == 0


def test_what_mongodb_cannot_do_is_said_in_one_line(live: Cli) -> None:
    live("monitor", "--seconds", "0.1").error(4, "MongoDB does not report the commands of its clients", "awictl top")
    live("session", "show", MISSING).error(3, f"there is no session {MISSING}", "it is not archived either")


def test_health_and_doctor(live: Cli, mongo: MongoServer) -> None:
    health = live.ok("health").json
    assert health["mongodb"] == "connected" and health["address"] == mongo.uri and "redis" not in health
    mongo.put_app_documents()
    mongo.sessions.update_many({"sessionActive": True}, {"$unset": {"expiresAt": ""}})
    create(live)
    report = live.ok("doctor").json
    checks = {one["check"]: one for one in report["checks"]}
    assert mongo.uri in checks["reachable"]["evidence"] and checks["reachable"]["status"] != "fail"
    assert checks["live indexes"]["evidence"] == "all indexes exist"
    assert checks["documents"]["evidence"].startswith("1 live session among")
    assert checks["sessions of the app"]["evidence"].startswith("1 active session of the app itself")
    assert {"persistence", "replication", "clock", "tls", "authentication", "archive"} <= checks.keys()
    assert "eviction" not in checks and "end by the app" not in checks
    mongo.raw["awi_live_parts"].drop_indexes()
    missing = {one["check"]: one for one in live.ok("doctor").json["checks"]}["live indexes"]
    assert missing["status"] == "warn"
    assert missing["evidence"] == "missing indexes: awi_live_parts (expires_at); awi_live_parts (session)"


def test_doctor_repairs_what_is_derived(live: Cli, mongo: MongoServer) -> None:
    session_id = create(live)
    mongo.raw["awi_live_sessions"].update_one({"_id": session_id}, {"$set": {"expires_at": None}})
    mongo.raw["awi_live_agents"].insert_one({"_id": "gone", "session_id": MISSING, "expires_at": None})
    live.ok("doctor", "--fix", "--yes")
    assert mongo.raw["awi_live_agents"].count_documents({"_id": "gone"}) == 0
    assert 0 < live.ok("session", "list").json["ttl_ms"] <= 1_800_000
    mongo.raw["awi_live_agents"].delete_many({})
    live.ok("doctor", "--fix", "--yes")
    assert live.ok("agent", "session", "agent-1").json["session_id"] == session_id


def test_sessions_of_the_app_are_readable_and_never_changed(live: Cli, mongo: MongoServer) -> None:
    documents = mongo.put_app_documents()
    [session_id] = [name for name, one in documents.items() if one["sessionActive"]]
    before = app_documents(mongo)
    shown = live.ok("session", "show", session_id)
    assert shown.json["agent_name"] == "BrowserUseAgent"
    assert "a session of the app in MongoDB" in shown.err and "awictl never changes it" in shown.err
    assert [one["action"] for one in live.ok("session", "history", session_id).rows] == ["list_posts", "session_start"]
    agent_id = shown.json["agent_id"]
    for words in (
        *(["session", verb, session_id] for verb in ("touch", "end", "diff")),
        ["session", "apply", session_id, "{}"],
        ["session", "end", "--discard", "--yes", session_id],
        ["archive", "restore", session_id],
        ["archive", "sweep"],
        ["agent", "session", agent_id],
        ["doctor", "--fix", "--yes"],
        ["cache", "put", "[]", "--session", session_id],
    ):
        result = live(*words)
        assert "Traceback" not in result.err and result.code in (0, 1, 3, 4), (words, result)
    created = create(live, agent_id)
    live.ok("session", "apply", created, '{"n":1}')
    assert app_documents(mongo) == before


def test_a_database_that_is_away_or_not_named(live: Cli, user: Cli) -> None:
    away = live.having(MONGODB_URI="mongodb://127.0.0.1:1/awi", AWI_TIMEOUT="0.2")
    for words in (["session", "show", MISSING], ["health"]):
        message = away(*words).error(5, "cannot reach MongoDB at mongodb://127.0.0.1:1/awi")
        assert "Redis" not in message and message.count("cannot reach") == 1
    report = away("doctor").json
    assert report["checks"][0]["status"] == "fail" and "MONGODB_URI" in report["checks"][0]["remedy"]
    secret = away.having(MONGODB_URI="mongodb://me:hunter2@127.0.0.1:1/awi")
    for words in (["doctor"], ["config", "show"], ["session", "create", "--agent", "a"]):
        result = secret(*words, "--verbose")
        assert "hunter2" not in result.text + result.err
    unnamed = user.having(AWI_USE_REDIS="false")
    unnamed("session", "list").error(2, "AWI_USE_REDIS=false", "set MONGODB_URI, or give --mongo URL")
    unnamed.ok("config", "show")
    sqlite = unnamed.having(AWI_ARCHIVE_URL="sqlite:///archive.db")
    sqlite("session", "list").error(2, "AWI_USE_REDIS=false", "set MONGODB_URI")


def test_an_archive_elsewhere_is_read_while_mongodb_is_away(live: Cli) -> None:
    live = live.having(AWI_ARCHIVE_URL="sqlite:///archive.db")
    session_id = create(live)
    assert live.ok("archive", "sweep", "--margin", "1h").json["archived"] == 1
    away = live.having(MONGODB_URI="mongodb://127.0.0.1:1/awi", AWI_TIMEOUT="0.2")
    for verb in ("show", "history"):
        assert "(MongoDB is unreachable and may have a newer state)" in away.ok("session", verb, session_id).err
    away("session", "apply", session_id, "{}").error(5, "cannot reach MongoDB")


def test_reading_creates_nothing(live: Cli, mongo: MongoServer) -> None:
    for words in (
        *(["session", verb, MISSING] for verb in ("show", "history", "diff")),
        *([noun, "list"] for noun in ("session", "cache", "media", "keys", "agent", "archive")),
        ["agent", "session", "nobody"],
        ["keys", "stats"],
        ["doctor"],
        ["health"],
    ):
        assert live(*words).code in (0, 3), words
    assert mongo.raw.list_collection_names() == []


def test_read_only_settings_refuse_writes(live: Cli, mongo: MongoServer) -> None:
    session_id = create(live)
    before = {name: list(mongo.raw[name].find()) for name in sorted(mongo.raw.list_collection_names())}
    for words in (
        ["session", "create", "--agent", "b"],
        ["session", "apply", session_id, "{}"],
        ["session", "end", session_id],
        ["cache", "put", "[]"],
    ):
        live.having(AWI_READ_ONLY="1")(*words).error(4, "read-only")
    live.having(AWI_READ_ONLY="1").ok("session", "show", session_id)
    assert {name: list(mongo.raw[name].find()) for name in sorted(mongo.raw.list_collection_names())} == before


def test_options_and_profiles_choose_the_store(user: Cli, live: Cli, valkey: ValkeyServer, mongo: MongoServer) -> None:
    session_id = create(live)
    redis = ("--redis", f"127.0.0.1:{valkey.port}")
    assert live.ok(*redis, "session", "list").rows == [], "the option names a Redis server"
    user.configure(f'[profiles.p]\nuse_redis = false\nmongodb_uri = "{mongo.uri}"\n[profiles.q]\nuse_redis = false\n')
    assert [one["session_id"] for one in user.ok("--profile", "p", "session", "list").rows] == [session_id]
    other = f"{mongo.uri}_2"
    assert user.ok("--profile", "q", "--mongo", other, "session", "list").rows == []
    rows = {one["profile"]: one for one in user.ok("config", "profiles").rows}
    assert rows["p"]["redis"] is None and rows["p"]["archive"] == mongo.uri


def test_redis_py_is_not_imported(live: Cli) -> None:
    session_id = create(live)
    result = live.python("-X", "importtime", "-m", "awictl", "session", "show", session_id)
    assert result.code == 0 and session_id in result.text
    imported = {line.rpartition("|")[2].strip() for line in result.err.splitlines()}
    assert "pymongo" in imported and "redis" not in imported and "typer" not in imported


@pytest.mark.parametrize("how", ["killed", pytest.param("frozen", marks=pytest.mark.soak)])
def test_the_server_says_when_mongodb_is_away_and_goes_on_afterwards(
    live: Cli, new_mongo: Callable[[], MongoServer], how: str
) -> None:
    mongo = new_mongo()
    live = live.having(MONGODB_URI=mongo.uri)
    secret = live.ok("agent", "register", "bot", "-o", "raw", "-q").text.strip()
    state = "/api/agent/session/state"
    update = {"delta": {"n": 1}, "action": "list_posts", "op_id": "op_1"}
    with (
        serving(live.having(AWI_TIMEOUT="0.5")) as server,
        httpx.Client(base_url=server.url, headers={"X-Agent-API-Key": secret}, timeout=60) as agent,
    ):
        until_ok(lambda: agent.get(state))
        (mongo.kill if how == "killed" else mongo.pause)()
        for answer in (agent.get(state), agent.post(state, json=update)):
            assert answer.status_code == 503 and answer.headers["Retry-After"] == "1", answer.text
        assert agent.get("/api/health").json()["services"] == {"redis": "disabled", "mongodb": "disconnected"}
        (mongo.start if how == "killed" else mongo.resume)()
        until_ok(lambda: agent.post(state, json=update))
    [session] = live.ok("session", "list").rows
    [action, _] = live.ok("session", "history", session["session_id"]).rows
    assert action["op_id"] == "op_1", "applied once"


def test_the_demo_uses_its_own_server(laptop: Cli, tmp_path: Path) -> None:
    away = laptop.having(AWI_USE_REDIS="false", MONGODB_URI="mongodb://127.0.0.1:1/awi")
    assert "a private Valkey is running" in away.ok("demo").text
