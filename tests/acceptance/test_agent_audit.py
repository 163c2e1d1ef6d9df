"""`awictl agent audit` and `agent events`, over documents in the style of the app: none were recorded."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId, encode
from pymongo.asynchronous.cursor import AsyncCursor
from pymongo.errors import NetworkTimeout
from support.api import APP_ID, APP_SECRET
from support.cli import Cli
from support.mongo import MongoServer

from awictl import ReadOnly, Settings, StateManager, Unreachable
from awictl.agents.audit import AuditQuery

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def at(hours: float) -> ObjectId:
    """An id that MongoDB made some hours after noon."""
    return ObjectId(f"{int((NOON + timedelta(hours=hours)).timestamp()):08x}" + "0" * 16)


@pytest.fixture
def operator(awictl: Cli, mongo: MongoServer) -> Cli:
    mongo.put("agentapikeys", "mongo_agentapikey.ejson")
    return awictl.having(MONGODB_URI=mongo.uri)


@pytest.fixture
def log(mongo: MongoServer) -> list[dict[str, Any]]:
    """Entries of all kinds, the oldest first; the last three are of other agents."""
    agent = {"agentId": ObjectId(APP_ID), "agentName": "BrowserUseAgent"}
    found: list[dict[str, Any]] = [
        {"_id": at(0), **agent, "operation": "list_posts", "success": True, "timestamp": NOON, "ip": "10.0.0.1"},
        {
            "_id": at(1),
            "agentId": APP_ID,
            "action": "create_post",
            "success": False,
            "statusCode": 403,
            "timestamp": NOON + timedelta(hours=1),
            "error": "no \x1b[31mpermission",
            "key": APP_SECRET,
        },
        {"_id": at(2), **agent, "operation": "search", "statusCode": 500, "createdAt": NOON + timedelta(hours=2)},
        {"_id": at(3), "agentName": "BrowserUseAgent", "operation": [7], "timestamp": "2026-11-23T15:00:00.000Z"},
        {"_id": at(4), "agentId": ObjectId(), "agentName": "BrowserUseAgent", "operation": "search"},
        {"_id": at(5), "agentId": "x" * 24, "timestamp": 7, "deep": {"a": [{"b": APP_SECRET}]}},
        {"_id": "own id"},
    ]
    mongo.raw["agentauditlogs"].insert_many(found)
    return found


def test_audit(operator: Cli, log: list[dict[str, Any]], mongo: MongoServer) -> None:
    def hours(*words: str) -> list[int]:
        return [log_ids.index(one["_id"]) for one in operator.ok("agent", "audit", *words).rows]

    log_ids = [str(one["_id"]) for one in log]
    assert hours("BrowserUseAgent") == [3, 2, 1, 0] == hours(APP_ID)
    assert hours(APP_ID, "--limit", "2") == [3, 2]
    assert hours(APP_ID, "--since", "2026-11-23T13:00:00Z") == [3, 2, 1]
    assert hours(APP_ID, "--since", "2026-11-23T12:30:00Z", "--until", "2026-11-23T14:00:00Z") == [2, 1]
    for since in ("0001-01-01", "1960-01-01", "1970-01-01"):
        assert hours(APP_ID, "--since", since) == [3, 2, 1, 0]
    for since in ("2150-01-01", "9999-12-31"):
        assert hours(APP_ID, "--since", since) == []
    assert hours(APP_ID, "--operation", "create_post") == [1]
    assert hours(APP_ID, "--failed") == [2, 1]
    assert hours(str(log[4]["agentId"])) == [4], "an agent whose key was deleted"
    operator("agent", "audit", "nobody").error(3, "nobody", "`awictl agent list`")
    entry = operator.ok("agent", "audit", APP_ID, "--operation", "create_post").json
    assert entry["error"] == "no \x1b[31mpermission" and entry["timestamp"] == "2026-11-23T13:00:00.000Z"
    assert entry["statusCode"] == 403 and entry["key"] == "agent_********"
    shown = operator.ok("agent", "audit", APP_ID, "-o", "table").table()
    assert "\x1b" not in shown and "create_post" in shown and "10.0.0.1" in shown
    assert operator.ok("agent", "audit", APP_ID, "--limit", "1", "-o", "csv").text.startswith("_id,timestamp,")
    assert [encode(one) for one in mongo.raw["agentauditlogs"].find().sort("_id")] == [
        encode(one) for one in sorted(log, key=lambda one: str(type(one["_id"])), reverse=True)
    ], "nothing was written"


def test_nothing_is_there_yet(operator: Cli) -> None:
    assert operator.ok("agent", "audit", APP_ID).rows == [] == operator.ok("agent", "events").rows
    assert "no events" in operator.ok("agent", "events", "-o", "table").err


def test_the_app_has_no_log_in_sqlite(awictl: Cli) -> None:
    operator = awictl.having(AWI_ARCHIVE_URL=f"sqlite:///{awictl.home}/archive.db")
    operator("agent", "audit", APP_ID).error(4, "MongoDB", "sqlite")
    operator("agent", "events").error(4, "MONGODB_URI")
    awictl("agent", "events").error(4, "no archive")


@pytest.fixture
def events(mongo: MongoServer) -> list[dict[str, Any]]:
    agent = {"agentId": ObjectId(APP_ID), "agentName": "BrowserUseAgent"}
    found: list[dict[str, Any]] = [
        {"_id": at(0), **agent, "severity": "high", "type": "rate_limit", "resolved": False, "x": {"y": 1}},
        {"_id": at(1), **agent, "severity": "LOW", "eventType": "probe", "resolved": True, "resolvedAt": NOON},
        {"_id": at(2), "severity": "critical", "description": "\x1b]0;x\x07", "createdAt": NOON, "notes": "old"},
        {"_id": at(3), "severity": 9, "notes": ["a"]},
    ]
    mongo.raw["agentsecurityevents"].insert_many(found)
    return found


def test_events(operator: Cli, events: list[dict[str, Any]]) -> None:
    def found(*words: str) -> list[int]:
        return [ids.index(one) for one in operator.ok("agent", "events", "-o", "ids", *words).text.split()]

    ids = [str(one["_id"]) for one in events]
    assert found() == [3, 2, 1, 0] and found("--limit", "1") == [3]
    assert found("--severity", "high", "--severity", "low") == [1, 0]
    assert found("--unresolved") == [3, 2, 0]
    assert found("--agent", "BrowserUseAgent") == [1, 0]
    assert found("--severity", "h.*") == []
    shown = operator.ok("agent", "events", "-o", "table")
    assert "\x1b]" not in shown.text and "\x07" not in shown.text and "critical" in shown.table()


def test_resolve(operator: Cli, events: list[dict[str, Any]], mongo: MongoServer) -> None:
    def stored() -> dict[str, Any]:
        [one] = mongo.raw["agentsecurityevents"].find({"_id": event["_id"]})
        return one

    event = events[0]
    event_id = str(event["_id"])
    reader = operator.having(AWI_READ_ONLY="1")
    reader("agent", "events", "--resolve", event_id).error(4, "read-only")
    dry = reader.ok("agent", "events", "--resolve", event_id, "--dry-run")
    assert dry.json["resolved"] is False and "nothing was written" in dry.err
    assert encode(stored()) == encode(event)
    row = operator.ok("agent", "events", "--resolve", event_id, "--note", "known").json
    assert row["resolved"] is True and row["notes"] == "known" and row["x"] == {"y": 1}
    after = stored()
    assert set(after) - set(event) == {"resolvedAt", "notes"}
    assert encode(after | {"resolved": False}) == encode(
        event | {"resolvedAt": after["resolvedAt"], "notes": "known"}
    ), "nothing else changed"
    again = operator.ok("agent", "events", "--resolve", event_id, "--note", "twice")
    assert "already" in again.err and encode(stored()) == encode(after)
    event = events[2]
    assert operator.ok("agent", "events", "--resolve", str(event["_id"]), "--note", "new").json["notes"] == "old\nnew"
    operator("agent", "events", "--resolve", str(events[3]["_id"]), "--note", "new").error(4, "not text")
    assert operator.ok("agent", "events", "--resolve", str(events[3]["_id"])).json["notes"] == ["a"]
    operator("agent", "events", "--resolve", "nobody").error(3, "nobody")
    operator("agent", "events", "--resolve", event_id, "--note", "").error(2, "note")
    operator("agent", "events", "--note", "x").error(2, "--resolve")
    operator("agent", "events", "--resolve", event_id, "--unresolved").error(2, "--resolve")


async def test_the_library_resolves_events_too(mongo: MongoServer, events: list[dict[str, Any]]) -> None:
    settings = Settings(mongodb_uri=mongo.uri)
    event_id = str(events[0]["_id"])
    async with StateManager.open(replace(settings, read_only=True)) as manager:
        with pytest.raises(ReadOnly):
            await manager.audit_log.resolve(event_id)
        assert (await manager.audit_log.event(event_id))["resolved"] is False
    async with StateManager.open(settings) as manager:
        for written in (True, False):
            event, wrote = await manager.audit_log.resolve(event_id)
            assert event["resolved"] is True and wrote is written
        found = [one async for batch in manager.audit_log.events(AuditQuery(unresolved=True), 10) for one in batch]
    assert [one["_id"] for one in found] == [str(events[3]["_id"]), str(events[2]["_id"])]


async def test_a_search_that_takes_too_long_says_how_to_narrow_it(
    mongo: MongoServer, log: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def too_slow(cursor: AsyncCursor[Any], length: int | None = None) -> list[Any]:
        raise NetworkTimeout("timed out")

    async with StateManager.open(Settings(mongodb_uri=mongo.uri)) as manager:
        monkeypatch.setattr(AsyncCursor, "to_list", too_slow)
        for read in (manager.audit_log.entries, manager.audit_log.events):
            with pytest.raises(Unreachable, match=r"no index.*--since.*--timeout"):
                [one async for one in read(AuditQuery(APP_ID), 10)]
