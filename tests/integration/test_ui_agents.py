"""The data of the pages of agents: what `awictl agent list`, `show`, `usage`, `session` and `audit` say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from bson import ObjectId
from support.api import APP_ID, APP_SECRET
from support.documents import agent_key, document, put
from support.mongo import MongoServer
from support.proxy import Proxy
from support.ui_client import inspected
from support.valkey import ValkeyServer

from awictl import Settings, StateManager
from awictl.agents.records import UsageSort
from awictl.agents.secret import digest_of
from awictl.document.byte_layout import encode
from awictl.document.redaction.rules import Redaction
from awictl.ui.api import agents
from awictl.ui.results.recent import REST_FACTOR, SECONDS, Recent


@pytest.fixture
def of_mongo(valkey: ValkeyServer, mongo: MongoServer) -> Settings:
    """Settings with the app's key in MongoDB."""
    mongo.put("agentapikeys", "mongo_agentapikey.ejson")
    return valkey.settings(mongodb_uri=mongo.uri)


@pytest.fixture
async def client(of_mongo: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with inspected(of_mongo) as opened:
        yield opened


async def ok(client: httpx.AsyncClient, path: str = "/api/agents", **params: Any) -> Any:
    response = await client.get(path, params=params)
    assert response.status_code == 200, response.text
    return response.json()


def in_session(valkey: ValkeyServer, agent_id: str, session_id: str, last_activity: str) -> None:
    made = document([0, 0], session_id, agent_id=agent_id)
    made["statistics"]["last_activity"] = last_activity
    put(valkey, encode(made), session_id)
    valkey.raw.set(agent_key(agent_id), session_id, ex=500)


async def test_the_list(valkey: ValkeyServer, of_mongo: Settings) -> None:
    async with StateManager.open(of_mongo) as manager:
        made = [await manager.agents.register(name, description=f"the {name}") for name in ("crawler", "zebra")]
        await manager.agents.suspend("crawler", reason=f"sent {APP_SECRET}", for_ms=3_600_000)
        secrets = [one.secret for one in made]
        in_session(valkey, APP_ID, "sess_app", "2099-01-02T03:04:05.678Z")
        records = [one.row() for one in await manager.agents.records()]
    async with inspected(of_mongo) as client:
        shown = await ok(client)
        text = (await client.get("/api/agents")).text + (await client.get(f"/api/agents/{made[0].key.agent_id}")).text
        by_id = {one["agent_id"]: one for one in records}
        assert [one["name"] for one in shown["agents"]] == [one["name"] for one in records]
        for one in shown["agents"]:
            expected = by_id[one["agent_id"]] | {"last_used_at": one["last_used_at"]}
            assert one.items() <= (expected | {"session_id": one["session_id"]}).items()
        app = next(one for one in shown["agents"] if one["agent_id"] == APP_ID)
        assert (app["session_id"], app["last_used_at"]) == ("sess_app", "2099-01-02T03:04:05.678Z")
        assert (await ok(client, f"/api/agents/{APP_ID}"))["record"]["last_used_at"] == app["last_used_at"]
        assert (shown["total"], shown["matching"], shown["problem"]) == (3, 3, None)
        assert shown["states"] == {"active": 2, "suspended": 1}
        for secret in (*secrets, APP_SECRET):
            assert secret not in text and digest_of(secret) not in text

        async def names(**params: Any) -> list[str]:
            return [one["name"] for one in (await ok(client, **params))["agents"]]

        assert await names(q="ZEB") == ["zebra"] == await names(q="the zeb")
        assert await names(q=APP_ID[:8]) == ["BrowserUseAgent"]
        assert await names(state="suspended") == ["crawler"]
        assert await names(sort="name") == ["BrowserUseAgent", "crawler", "zebra"]
        assert await names(sort="name", reverse="1") == ["zebra", "crawler", "BrowserUseAgent"]
        assert (await names(sort="requests"))[0] == "BrowserUseAgent"
        assert await names(sort="created", reverse="1") == [one["name"] for one in records[::-1]]
        for sort in UsageSort:
            assert len(await names(sort=sort)) == 3
        for wrong in ({"sort": "age"}, {"offset": "-1"}, {"offset": "x"}):
            assert (await client.get("/api/agents", params=wrong)).status_code == 400


async def test_the_list_comes_in_parts(
    client: httpx.AsyncClient, mongo: MongoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents, "MAX_AGENTS", 2)
    mongo.raw["awi_agent_keys"].insert_many([{"name": f"agent {number}", "digest": f"{number}"} for number in range(3)])
    parts = [await ok(client, sort="name", offset=offset) for offset in (0, 2, 4)]
    assert [[one["name"] for one in part["agents"]] for part in parts] == [
        *(["BrowserUseAgent", "agent 0"], ["agent 1", "agent 2"], []),
    ]
    assert {part["matching"] for part in parts} == {4}


async def test_an_agent(valkey: ValkeyServer, client: httpx.AsyncClient, mongo: MongoServer) -> None:
    history = [{"reason": f"reason {number}", "note": APP_SECRET} for number in range(60)]
    changes = {"securityMetrics.suspensionHistory": history, "description": "d" * 5_000, "usage.extra": "x" * 10_000}
    mongo.raw["agentapikeys"].update_one({}, {"$set": changes})
    in_session(valkey, APP_ID, "sess_app", "2026-11-23T07:09:41.403Z")
    shown = await ok(client, f"/api/agents/{APP_ID}")
    record = shown["record"]
    assert (shown["agent_id"], record["name"], record["requests"]) == (APP_ID, "BrowserUseAgent", 480)
    assert record["requests_per_hour"] == 1000
    assert (record["suspensions_total"], len(record["suspensions"])) == (60, agents.MAX_SUSPENSIONS)
    assert record["suspensions"][0] == {"reason": "reason 59", "note": "agent_********"}
    assert record["description"].endswith("… (5,000 characters)")
    assert shown["session"] == {
        "session_id": "sess_app",
        "ttl_ms": shown["session"]["ttl_ms"],
        "exists": True,
        "degraded": False,
    }
    assert shown["problems"] == {}
    assert (await ok(client, "/api/agents/BrowserUseAgent"))["agent_id"] == APP_ID, "by name, too"
    valkey.raw.delete("AWI:SESSION:sess_app")
    assert (await ok(client, f"/api/agents/{APP_ID}"))["session"]["exists"] is False


async def test_an_agent_without_a_key(valkey: ValkeyServer, client: httpx.AsyncClient) -> None:
    for name in ("unregistered", "a/b"):
        in_session(valkey, name, "sess_app", "2026-11-23T07:09:41.403Z")
        shown = await ok(client, f"/api/agents/{quote(name, safe='')}")
        assert shown["record"] is None and shown["session"]["session_id"] == "sess_app"
        assert shown["problems"]["key"]["status"] == 404 and name in shown["problems"]["key"]["detail"]


async def test_without_an_archive(valkey: ValkeyServer, settings: Settings) -> None:
    in_session(valkey, APP_ID, "sess_app", "2026-11-23T07:09:41.403Z")
    async with inspected(settings) as client:
        response = await client.get("/api/agents")
        assert response.status_code == 409
        assert "AWI_ARCHIVE_URL" in response.json()["detail"] and "keys of agents" in response.json()["detail"]
        shown = await ok(client, f"/api/agents/{APP_ID}")
        assert shown["problems"]["key"]["status"] == 409 and shown["session"]["session_id"] == "sess_app"
        assert (await client.get(f"/api/audit/{APP_ID}")).status_code == 409


async def test_the_audit_log(client: httpx.AsyncClient, mongo: MongoServer) -> None:
    entry = {"agentId": ObjectId(APP_ID), "operation": "create_post", "success": False, "error": "x" * 5_000}
    mongo.raw["agentauditlogs"].insert_many([entry | {"key": APP_SECRET, "at": number} for number in range(60)])
    event = {"agentName": "BrowserUseAgent", "severity": "high", "timestamp": datetime(2026, 11, 23, tzinfo=UTC)}
    mongo.raw["agentsecurityevents"].insert_many([event | {"resolved": False}, {"agentName": "other"}])
    response = await client.get(f"/api/audit/{APP_ID}")
    shown = response.json()
    assert response.status_code == 200 and APP_SECRET not in response.text
    assert len(shown["entries"]) == agents.MAX_ENTRIES == shown["limit"] and shown["entries"][0]["at"] == 59
    assert shown["entries"][0]["error"].endswith("… (5,000 characters)")
    [found] = shown["events"]
    assert (found["severity"], found["timestamp"]) == ("high", "2026-11-23T00:00:00.000Z")
    assert (await client.get("/api/audit/nobody")).status_code == 404


async def test_what_is_redacted(of_mongo: Settings, mongo: MongoServer) -> None:
    mongo.raw["agentapikeys"].update_one({}, {"$set": {"description": "x" * 1_990 + " jane.miller@example.org"}})
    mongo.raw["agentauditlogs"].insert_one({"agentId": ObjectId(APP_ID), "to": "jane.miller@example.org"})
    async with inspected(of_mongo, redaction=Redaction(("email",), ())) as client:
        for path in (f"/api/agents/{APP_ID}", f"/api/audit/{APP_ID}"):
            text = (await client.get(path)).text
            assert "jane" not in text and "<email" in text, text


async def test_redis_killed_and_back(valkey: ValkeyServer, proxy: Proxy, of_mongo: Settings) -> None:
    in_session(valkey, APP_ID, "sess_app", "2026-11-23T07:09:41.403Z")
    settings = proxy.settings(mongodb_uri=of_mongo.mongodb_uri, timeout=2)
    async with inspected(settings) as client:
        await proxy.cut_off()
        shown = await ok(client)
        assert "current sessions are not available" in shown["problem"]
        assert [one["session_id"] for one in shown["agents"]] == [None]
        proxy.refusing = False
        async with asyncio.timeout(20):
            while (shown := await ok(client))["problem"] is not None:
                await asyncio.sleep(0.05)
        assert [one["session_id"] for one in shown["agents"]] == ["sess_app"]


async def test_pages_share_a_reading() -> None:
    """All that ask at the same time, and shortly after it, get the same result, or the same error."""
    now, runs = [0.0], []

    async def compute() -> int:
        runs.append(now[0])
        await asyncio.sleep(0)
        now[0] += 1
        if len(runs) == 2:
            raise ValueError("away")
        return len(runs)

    shared = Recent(compute, clock=lambda: now[0])
    impatient = asyncio.create_task(shared.get())
    await asyncio.sleep(0)
    impatient.cancel()
    assert await asyncio.gather(*(shared.get() for _ in range(50))) == [1] * 50
    now[0] += REST_FACTOR - 0.5
    assert await shared.get() == 1 and REST_FACTOR > SECONDS
    now[0] += 1
    assert [type(one) for one in await asyncio.gather(shared.get(), shared.get(), return_exceptions=True)] == [
        *(ValueError, ValueError),
    ]
    now[0] += REST_FACTOR + 1
    assert await shared.get() == 3
