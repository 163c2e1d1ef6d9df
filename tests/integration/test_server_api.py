"""The HTTP API on a real Valkey: shapes of responses, permissions, limits and errors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from support.api import BOTH, SESSION, Agent, an_agent, client_of, served
from support.archives import forget_sockets
from support.documents import DATA, assert_timestamp, plain, session_key
from support.mongo import MongoServer
from support.proxy import Proxy
from support.valkey import ValkeyServer

from awictl import Permission, Settings, StateManager
from awictl.document import keys
from awictl.document.token_estimate import estimated_tokens
from awictl.server.app import Api
from awictl.server.options import ServerOptions
from awictl.server.routes import ROUTES, Route
from awictl.store.mongo import connection


async def test_the_state_has_the_apps_shape(agent: Agent, valkey: ValkeyServer) -> None:
    answer = (await agent.get("state?x=1")).json()
    stored = plain(valkey.raw.get(session_key(answer["sessionId"])))
    assert stored["agent_id"] == agent.agent_id and stored["agent_name"] == "Browser agent"
    assert_timestamp(answer.pop("timestamp"))
    assert 0 <= answer["statistics"].pop("sessionDuration") < 60_000
    assert answer == {
        "success": True,
        "sessionId": stored["session_id"],
        "currentState": {
            "route": "/api/agent/session/state?x=1",
            "pagination": stored["page_state"]["pagination"],
            "filters": {},
            "sort": {"key": "createdAt", "order": "desc"},
            "visibleItems": 0,
            "metadata": {"title": "", "breadcrumbs": []},
        },
        "actionState": {"available": ["list_posts", "search"], "disabled": ["next_page", "prev_page"]},
        "statistics": {
            "totalActions": 0,
            "successfulActions": 0,
            "failedActions": 0,
            "successRate": "N/A",
            "lastActivity": stored["statistics"]["last_activity"],
        },
        "cacheInfo": {"activeCacheKey": None, "cachedAt": None},
    }


async def test_an_update_is_recorded_and_returned(agent: Agent, valkey: ValkeyServer) -> None:
    body = {
        "delta": {"page_state": {"visible_items": [{"id": 1}, {"id": 2}], "pagination": {"cursor": 2}}},
        "action": "next_page",
        "input": {"page": 2},
        "success": True,
        "observation": "Navigated to page 2",
        "op_id": "op-1",
    }
    done = (await agent.post("state", body)).json()
    assert (done["applied"], done["op_id"]) == (True, "op-1")
    assert done["currentState"]["visibleItems"] == 2 and done["currentState"]["pagination"]["cursor"] == 2
    assert done["statistics"]["successRate"] == "100.0%"
    recorded = done["action"]
    assert {name: recorded[name] for name in body} == body and recorded["t"] == 1
    stored = plain(valkey.raw.get(session_key(done["sessionId"])))
    assert stored["history"]["actions"][-1] == recorded

    again = (await agent.post("state", body)).json()
    assert (again["applied"], again["action"]) == (False, None)
    await agent.post("state", {"delta": {}, "success": False})
    state = (await agent.get("state")).json()
    assert state["statistics"]["totalActions"] == 2 and state["statistics"]["successRate"] == "50.0%"


async def test_the_state_is_always_current(agent: Agent, manager: StateManager) -> None:
    """Also if another client changed it, and if it was requested before."""
    session_id = (await agent.get("state")).json()["sessionId"]
    for cursor in range(3):
        await manager.apply(session_id, {"page_state": {"pagination": {"cursor": cursor}}})
        for _ in range(2):
            state = (await agent.get("state")).json()
            assert state["currentState"]["pagination"]["cursor"] == cursor
            assert state["statistics"]["totalActions"] == cursor + 1
    first = (await agent.get("state")).json()["statistics"]["sessionDuration"]
    await asyncio.sleep(0.01)
    assert (await agent.get("state")).json()["statistics"]["sessionDuration"] > first


async def test_the_state_has_any_text_as_it_is_stored(agent: Agent, valkey: ValkeyServer) -> None:
    """Also lone surrogates, and in members that differ from response to response."""
    texts = ["\x00 the duration goes here", "\x00 the time goes here", '"sessionDuration":0', "\u2028"]
    done = (
        await agent.post("state", {"delta": {"page_state": {"filters": {texts[0]: texts}, "metadata": texts}}})
    ).json()
    key = session_key(done["sessionId"])
    stored = plain(valkey.raw.get(key))
    stored["statistics"] |= {"last_activity": "\ud83d", "failed_actions": texts}
    stored["query_cache"]["cached_at"] = "\ude42"
    valkey.raw.set(key, json.dumps(stored), keepttl=True)
    for _ in range(2):
        state = json.loads((await agent.get("state")).content)
        assert state["currentState"]["metadata"] == texts and state["currentState"]["filters"] == {texts[0]: texts}
        assert state["statistics"]["lastActivity"] == "\ud83d" and state["statistics"]["failedActions"] == texts
        assert state["cacheInfo"]["cachedAt"] == "\ude42"
        assert_timestamp(state["timestamp"])
        assert isinstance(state["statistics"]["sessionDuration"], int)


async def test_history_has_the_apps_shape(agent: Agent) -> None:
    for page in range(5):
        await agent.post("state", {"delta": {}, "action": "next_page", "input": {"page": page}})
    answer = (await agent.get("history?limit=2&offset=1")).json()
    shown = answer.pop("trajectory")
    assert [action["input"] for action in shown] == [{"page": 3}, {"page": 2}]
    app = json.loads((DATA / "history_limit5_offset2.json").read_text())
    assert answer.keys() | {"trajectory"} == app.keys()
    assert (answer["total"], answer["limit"], answer["offset"]) == (6, 2, 1)
    assert len((await agent.get("history")).json()["trajectory"]) == 6


#: Query strings, with the limit and the offset that the app reads from them: `parseInt(limit) || 20`. Unlike there,
#: negative numbers count as none, and there is a maximum.
PAGES = {
    "": (20, 0),
    "limit=": (20, 0),
    "limit=0&offset=0": (20, 0),
    "limit=00": (20, 0),
    "limit=x&offset=x": (20, 0),
    "limit=NaN&offset=Infinity": (20, 0),
    "limit=5abc&offset=1x": (5, 1),
    "limit=1.9": (1, 0),
    "limit=0.9": (20, 0),
    "offset=1e3": (20, 1),
    "limit=%205": (5, 0),
    "limit=+5": (5, 0),
    "limit=%2B5": (5, 0),
    "limit=0x1f": (31, 0),
    "limit=0x": (20, 0),
    "limit=012": (12, 0),
    "limit=\u0663": (20, 0),
    "limit=%00": (20, 0),
    "limit=1_000": (1, 0),
    "limit=3&limit=4": (3, 0),
    "limit=&limit=4": (20, 0),
    "LIMIT=3": (20, 0),
    "limit=-1&offset=-1": (20, 0),
    "limit=--1": (20, 0),
    "limit=1000": (1000, 0),
    "limit=1001&offset=99999999": (1000, 10_000_000),
    f"limit={'9' * 9_000}&offset={'0' * 9_000}1": (1000, 1),
    f"limit=0x{'f' * 9_000}": (1000, 0),
}


@pytest.mark.parametrize("query", PAGES, ids=lambda query: query[:30])
async def test_the_page_of_a_history(agent: Agent, query: str) -> None:
    answer = await agent.get(f"history?{query}")
    assert answer.status_code == 200
    assert (answer.json()["limit"], answer.json()["offset"]) == PAGES[query]


async def test_the_diff(agent: Agent, valkey: ValkeyServer) -> None:
    nothing = await agent.get("diff")
    assert nothing.status_code == 200
    assert nothing.json()["success"] is False and nothing.json()["message"]
    delta = {"page_state": {"filters": {"tag": "awi"}}}
    done = (await agent.post("state", {"delta": delta, "action": "filter"})).json()
    answer = (await agent.get("diff")).json()
    assert_timestamp(answer.pop("timestamp"))
    assert answer == {"success": True, "delta": delta, "last_action": done["action"]}
    valkey.raw.delete(keys.diff_key(done["sessionId"]))
    assert (await agent.get("diff")).json()["success"] is False


async def test_the_cache(agent: Agent, manager: StateManager, valkey: ValkeyServer) -> None:
    assert (await agent.get("cache")).json() == {"success": True, "cached": False, "message": "No active cache"}
    session_id = (await agent.get("state")).json()["sessionId"]
    cache_key = "05924ac34f1a295ad31aa9941c665c32"
    await manager.apply(
        session_id, {"query_cache": {"active_cache_key": cache_key, "cached_at": "2026-11-23T07:09:41.403Z"}}
    )
    gone = (await agent.get("cache")).json()
    assert (gone["cached"], gone["resultCount"], gone["results"]) == (False, 0, [])
    valkey.raw.set(f"AWI:CACHE:LIST:{cache_key}", json.dumps([{"id": n} for n in range(9)]))
    assert (await agent.get("cache")).json() == {
        "success": True,
        "cached": True,
        "cacheKey": cache_key,
        "cachedAt": "2026-11-23T07:09:41.403Z",
        "resultCount": 9,
        "results": [{"id": n} for n in range(5)],
    }


@pytest.mark.parametrize("cache_key", ["../SESSION:sess_x", "*", "", 7, ["a"], "x" * 5000, "05924AC3" * 4])
async def test_no_other_key_can_be_read_through_the_cache(
    agent: Agent, manager: StateManager, valkey: ValkeyServer, cache_key: Any
) -> None:
    session_id = (await agent.get("state")).json()["sessionId"]
    await manager.apply(session_id, {"query_cache": {"active_cache_key": cache_key}})
    if isinstance(cache_key, str):
        valkey.raw.set(f"AWI:CACHE:LIST:{cache_key}", "[1]")
    answer = (await agent.get("cache")).json()
    assert answer["cached"] is False and not answer.get("results")


@pytest.mark.parametrize("name", ["permissions", "user_id", "agent_name", "query_cache"])
async def test_an_agent_cannot_change_fields_of_the_site(agent: Agent, name: str) -> None:
    answer = await agent.post("state", {"delta": {name: {"can_view_sensitive_info": True}}})
    assert answer.status_code == 403 and name in answer.json()["message"]
    assert (await agent.get("history")).json()["total"] == 1


@pytest.mark.parametrize("name", ["session_id", "agent_id", "history"])
async def test_an_agent_cannot_change_protected_fields(agent: Agent, name: str) -> None:
    answer = await agent.post("state", {"delta": {name: "sess_other"}})
    assert answer.status_code == 400 and name in answer.json()["message"]


async def test_unusual_names_are_data(agent: Agent, valkey: ValkeyServer) -> None:
    delta = {"__proto__": {"a": 1}, "$where": "1", "constructor": {"prototype": {}}, "a.b": {"🙂\x00": ["\u2028"]}}
    done = (await agent.post("state", {"delta": delta})).json()
    stored = plain(valkey.raw.get(session_key(done["sessionId"])))
    assert {name: stored[name] for name in delta} == delta
    assert (await agent.get("diff")).json()["delta"] == delta


async def test_ending_a_session(agent: Agent, valkey: ValkeyServer) -> None:
    assert (await agent.post("end")).status_code == 404
    session_id = (await agent.post("state", {"delta": {"n": 1}})).json()["sessionId"]
    answer = (await agent.post("end")).json()
    assert_timestamp(answer.pop("timestamp"))
    assert answer == {
        "success": True,
        "message": "Session ended successfully",
        "sessionId": session_id,
        "archived": True,
        "archivedToMongoDB": False,  # the archive is a file
    }
    assert valkey.raw.keys("AWI:*") == valkey.raw.keys("AGENT:*") == []
    found = await agent.manager.get_archived_session(session_id)
    assert found is not None and found.document["n"] == 1
    assert [action["action"] for action in found.document["history"]["actions"]][-1] == "session_end"
    assert (await agent.post("end")).status_code == 404
    assert (await agent.get("state")).json()["sessionId"] != session_id


# -- with MongoDB


@pytest.fixture
async def app_agent(settings: Settings, mongo: MongoServer) -> AsyncIterator[Agent]:
    """An agent with a key of the app."""
    mongo.put("agentapikeys", "mongo_agentapikey.ejson")
    async with served(replace(settings, mongodb_uri=mongo.uri)) as api, client_of(api) as client:
        yield Agent(client, "6b03e3a15c752fa9a5b94777", "agent_" + "0" * 32, api.worker.manager)


async def test_a_session_of_an_app_agent_is_archived_in_mongodb(app_agent: Agent, mongo: MongoServer) -> None:
    keys_before = list(mongo.raw["agentapikeys"].find())
    state = await app_agent.get("state")
    assert state.headers["x-ratelimit-limit"] == "1000"
    done = (await app_agent.post("state", {"delta": {}, "action": "list_posts"})).json()
    answer = (await app_agent.post("end")).json()
    assert answer["archivedToMongoDB"] is answer["archived"] is True
    [found] = mongo.sessions.find()
    assert found["sessionId"] == done["sessionId"] and str(found["agentId"]) == app_agent.agent_id
    assert found["agentName"] == "BrowserUseAgent" and found["sessionActive"] is False
    assert list(mongo.raw["agentapikeys"].find()) == keys_before, "the app's keys are only read"


async def test_ending_a_session_while_mongodb_is_unreachable(
    settings: Settings, new_mongo: Callable[[], MongoServer], valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "UNREACHABLE_SECONDS", 0.0)
    mongo = new_mongo()
    async with served(replace(settings, mongodb_uri=mongo.uri, timeout=0.7)) as api, client_of(api) as client:
        agent = await an_agent(api, client)
        session_id = (await agent.post("state", {"delta": {"n": 1}})).json()["sessionId"]
        mongo.kill()
        answer = (await agent.post("end")).json()
        assert (answer["success"], answer["archivedToMongoDB"], answer["archived"]) == (True, False, False)
        assert valkey.raw.pttl(session_key(session_id)) == -1, "it must not expire before it is archived"
        assert (await agent.get("state")).json()["sessionId"] != session_id, "the session has ended for the agent"
        health = await client.get("/api/health")
        assert (health.status_code, health.json()["services"]["mongodb"]) == (503, "disconnected")
        mongo.start()
        sweeper = api.worker.manager.sweeper(1)
        swept = await sweeper.sweep(await sweeper.candidates())
        assert swept.failed == {} and not valkey.raw.exists(session_key(session_id))
        [found] = mongo.sessions.find({"sessionId": session_id})
        assert found["sessionActive"] is False
        await forget_sockets(api.worker.manager.required_archive())


async def test_unknown_keys_while_mongodb_is_unreachable(
    settings: Settings, new_mongo: Callable[[], MongoServer]
) -> None:
    mongo = new_mongo()
    async with served(replace(settings, mongodb_uri=mongo.uri, timeout=0.7)) as api, client_of(api) as client:
        mongo.kill()
        answer = await client.get(f"{SESSION}/state", headers={"X-Agent-API-Key": "agent_" + "1" * 32})
        assert answer.status_code == 503 and answer.headers["retry-after"] == "1"
        assert str(mongo.port) not in answer.text, "agents must not learn the address"
        await forget_sockets(api.worker.manager.required_archive())


# -- authentication


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({}, "Agent API key is required"),
        ({"X-Agent-API-Key": ""}, "Agent API key is required"),
        ({"X-Agent-API-Key": "", "Authorization": ""}, "Agent API key is required"),
        ({"X-Agent-API-Key": "agent_" + "0" * 32}, "Invalid API key"),
        ({"X-Agent-API-Key": '{"$ne": null}'}, "Invalid API key"),
        ({"X-Agent-API-Key": "x" * 5000}, "Invalid API key"),
        ({"Authorization": "Basic YTpi"}, "Agent API key is required"),
        ({"Authorization": "Basic agent_1"}, "Agent API key is required"),
        ({"Authorization": "agent_1 agent_1"}, "Agent API key is required"),
        ({"Authorization": ""}, "Agent API key is required"),
        ({"Authorization": "  "}, "Agent API key is required"),
        ({"Authorization": "bearer"}, "Agent API key is required"),
        ({"Authorization": "Bearer "}, "Agent API key is required"),
        ({"Authorization": "Bearer agent_1"}, "Invalid API key"),
        ({"Authorization": "Bearer agent_1 agent_1"}, "Invalid API key"),
        ({"Authorization": "agent_1"}, "Invalid API key"),
    ],
)
@pytest.mark.parametrize("request_", [("GET", "state"), ("POST", "state"), ("GET", "diff"), ("POST", "end")])
async def test_requests_without_a_valid_key(
    agent: Agent, valkey: ValkeyServer, headers: dict[str, str], error: str, request_: tuple[str, str]
) -> None:
    answer = await agent.client.request(request_[0], f"{SESSION}/{request_[1]}", headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (401, error)
    assert answer.headers["www-authenticate"] == "Bearer"
    assert valkey.raw.dbsize() == 0


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER  ", "Bearer\t", "", " "])
async def test_keys_in_the_authorization_header(agent: Agent, scheme: str) -> None:
    """With the scheme Bearer, and without any, as in the app; also next to an empty `X-Agent-API-Key`."""
    for more in ({}, {"X-Agent-API-Key": ""}):
        headers = {"Authorization": f"{scheme}{agent.secret}", **more}
        assert (await agent.client.get(f"{SESSION}/state", headers=headers)).status_code == 200


@pytest.mark.parametrize("name", ["X-Agent-API-Key", "Authorization"])
async def test_several_keys_in_one_request(agent: Agent, name: str, valkey: ValkeyServer) -> None:
    """Which of them counts would depend on the server: this one refuses, unless all are equal."""
    for other in ("agent_" + "0" * 32, "", f"Bearer {agent.secret}"):
        for headers in ([(name, agent.secret), (name, other)], [(name, other), (name, agent.secret)]):
            answer = await agent.client.get(f"{SESSION}/state", headers=headers)
            assert (answer.status_code, answer.json()["error"]) == (401, "Several API keys")
    assert valkey.raw.dbsize() == 0
    same = [(name, agent.secret), (name, agent.secret)]
    assert (await agent.client.get(f"{SESSION}/state", headers=same)).status_code == 200
    mixed = [("Authorization", "Basic eDp5"), ("X-Agent-API-Key", agent.secret)]
    assert (await agent.client.get(f"{SESSION}/state", headers=mixed)).status_code == 200


async def test_permissions(api: Api, agent: Agent) -> None:
    reader = await an_agent(api, agent.client, Permission.READ)
    assert (await reader.get("state")).status_code == 200
    refused = await reader.post("state", {"delta": {}})
    assert refused.status_code == 403 and "write" in refused.json()["message"]
    assert (await reader.post("end")).status_code == 200, "as in the app"
    writer = await an_agent(api, agent.client, Permission.WRITE)
    assert (await writer.post("state", {"delta": {}})).status_code == 200
    assert (await writer.get("state")).status_code == 403


async def test_expired_and_revoked_keys(api: Api, agent: Agent) -> None:
    short = await api.worker.agents.register("short", permissions=BOTH, expires_in_ms=1)
    await asyncio.sleep(0.005)
    answer = await agent.client.get(f"{SESSION}/state", headers={"X-Agent-API-Key": short.secret})
    assert (answer.status_code, answer.json()["error"]) == (401, "API key inactive or expired")
    await api.worker.agents.revoke(agent.agent_id)
    assert (await agent.get("state")).status_code == 401


async def test_suspended_agents(app_agent: Agent, mongo: MongoServer) -> None:
    mongo.raw["agentapikeys"].update_many({}, {"$set": {"suspended": True, "suspensionReason": "too fast"}})
    answer = await app_agent.get("state")
    assert answer.status_code == 403
    assert answer.json()["errorCode"] == "AGENT_SUSPENDED" and "too fast" in answer.json()["message"]


async def test_agents_do_not_see_each_other(api: Api, agent: Agent) -> None:
    other = await an_agent(api, agent.client)
    mine, theirs = (await agent.get("state")).json(), (await other.get("state")).json()
    assert mine["sessionId"] != theirs["sessionId"]
    await agent.post("state", {"delta": {"page_state": {"filters": {"secret": 1}}}})
    assert (await other.get("state")).json()["currentState"]["filters"] == {}
    assert (await other.get("history")).json()["total"] == 1
    await other.post("end")
    assert (await agent.get("state")).json()["sessionId"] == mine["sessionId"]


# -- limits


async def test_the_rate_limit_and_its_headers(archived: Settings, valkey: ValkeyServer) -> None:
    async with served(archived, ServerOptions(rate_limit=3)) as api, client_of(api) as client:
        agent = await an_agent(api, client)
        for left in (2, 1, 0):
            answer = await agent.get("state")
            assert answer.headers["x-ratelimit-limit"] == "3"
            assert answer.headers["x-ratelimit-remaining"] == str(left)
        refused = await agent.get("state")
        assert refused.status_code == 429 and refused.json()["error"] == "Rate limit exceeded"
        assert 3_500 < int(refused.headers["retry-after"]) <= 3_600
        assert (await agent.get("diff")).status_code == 200, "another operation"
        assert int(valkey.raw.get(f"RATELIMIT:{agent.agent_id}:state")) == 4
    async with served(archived, ServerOptions(rate_limit=0)) as api, client_of(api) as client:
        agent = Agent(client, agent.agent_id, agent.secret, api.worker.manager)
        answer = await agent.get("state")
        assert answer.status_code == 200 and "x-ratelimit-limit" not in answer.headers


async def test_a_key_of_the_app_has_its_own_limit(app_agent: Agent, mongo: MongoServer) -> None:
    mongo.raw["agentapikeys"].update_many({}, {"$set": {"rateLimit": {"requestsPerHour": 2}}})
    assert [(await app_agent.get("diff")).status_code for _ in range(3)] == [200, 200, 429]


async def test_bodies_that_are_too_large(archived: Settings) -> None:
    async with served(archived, ServerOptions(max_body_bytes=1_000)) as api, client_of(api) as client:
        agent = await an_agent(api, client)
        fits = {"delta": {"x": "y" * 900}}
        assert (await agent.post("state", fits)).status_code == 200
        answer = await agent.post("state", {"delta": {"x": "y" * 1_000}})
        assert (answer.status_code, answer.json()["success"]) == (413, False)

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(100):
                yield b"x" * 100

        headers = {"X-Agent-API-Key": agent.secret}
        answer = await client.post(f"{SESSION}/state", content=chunks(), headers=headers)
        assert answer.status_code == 413, "without a declared size"


async def test_an_update_that_timed_out_can_be_repeated(
    archived: Settings, new_valkey: Callable[[], ValkeyServer]
) -> None:
    """The response has its op_id, even if the agent did not send one."""
    redis = new_valkey()
    options = ServerOptions(request_seconds=0.5)
    async with served(replace(archived, redis_socket=str(redis.socket)), options) as api, client_of(api) as client:
        agent = await an_agent(api, client)
        await agent.post("state", {"delta": {"n": 0}})
        visit = api.worker.manager.agent_sessions.get_or_create

        async def then_paused(*args: Any, **named: Any) -> Any:
            found = await visit(*args, **named)
            redis.pause()
            return found

        api.worker.manager.agent_sessions.get_or_create = then_paused  # type: ignore[method-assign]
        answer = await agent.post("state", {"delta": {"n": 1}})
        api.worker.manager.agent_sessions.get_or_create = visit  # type: ignore[method-assign]
        redis.resume()
        assert answer.status_code == 503, answer.text
        assert answer.json()["op_id"].startswith("op_")
        repeated = {"delta": {"n": 1}, "op_id": answer.json()["op_id"]}
        assert (await agent.post("state", repeated)).json()["op_id"] == repeated["op_id"]
        page = (await agent.get("history")).json()["trajectory"]
        assert [action.get("op_id") for action in page].count(repeated["op_id"]) == 1 and len(page) == 3


async def test_a_key_in_a_url_is_not_stored(agent: Agent, valkey: ValkeyServer) -> None:
    session_id = (await agent.get(f"state?key={agent.secret}&x=1")).json()["sessionId"]
    raw = valkey.raw.get(session_key(session_id))
    assert agent.secret.encode() not in raw and b"agent_********&x=1" in raw


async def test_a_session_that_would_be_too_large(archived: Settings) -> None:
    settings = replace(archived, max_document_bytes=3_000)
    async with served(settings) as api, client_of(api) as client:
        agent = await an_agent(api, client)
        answer = await agent.post("state", {"delta": {"x": "y" * 3_000}})
        assert answer.status_code == 413 and "session" in answer.json()["message"]
        assert (await agent.get("state")).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"delta"',
        b"{}",
        b'{"delta": null}',
        b'{"delta": []}',
        b'{"delta": {}, "more": 1}',
        b'{"delta": {}, "action": ""}',
        b'{"delta": {}, "action": 7}',
        b'{"delta": {}, "success": "yes"}',
        b'{"delta": {}, "op_id": "no spaces"}',
        b'{"delta": {"x": NaN}}',
        b'{"delta": {"x": 1e999}}',
        b'{"delta": {"x": "\\ud800"}}',
        b'{"delta": {"x": "\xff"}}',
        b'{"delta":' * 100_000,
        b'{"delta":' + b"[" * 300 + b"]" * 300 + b"}",
        b'{"delta": {"x":' + b"[" * 250 + b"]" * 250 + b"}}",
    ],
    ids=lambda body: body[:24].decode("latin-1"),
)
async def test_invalid_updates(agent: Agent, body: bytes) -> None:
    headers = {"X-Agent-API-Key": agent.secret}
    answer = await agent.client.post(f"{SESSION}/state", content=body, headers=headers)
    assert answer.status_code == 400, answer.text
    assert answer.json().keys() >= {"success", "error", "message"} and answer.json()["success"] is False


# -- for operators


async def test_registering_agents_over_http(archived: Settings, agent: Agent) -> None:
    refused = await agent.client.post("/api/agent/register", json={"name": "me"})
    assert refused.status_code == 403
    options = ServerOptions(allow_register=True, register_permissions=BOTH)
    async with served(archived, options) as api, client_of(api) as client:
        body = {"name": "BrowserUseAgent", "description": "a test", "permissions": ["write", "read"], "framework": "x"}
        answer = await client.post("/api/agent/register", json=body)
        assert answer.status_code == 201
        made = answer.json()["agent"]
        assert made["name"] == "BrowserUseAgent" and made["permissions"] == ["read", "write"]
        assert answer.json()["usage"]["header"] == "X-Agent-API-Key"
        own = Agent(client, made["id"], made["apiKey"], api.worker.manager)
        assert (await own.get("state")).status_code == 200
        plain_one = (await client.post("/api/agent/register", json={"name": "x"})).json()["agent"]
        assert plain_one["permissions"] == ["read"], "as in the app"
        for wrong in ({}, {"name": ""}, {"name": 7}, {"name": "x", "permissions": ["root"]}, {"name": "\x00"}):
            assert (await client.post("/api/agent/register", json=wrong)).status_code == 400


async def test_health(api: Api, agent: Agent, archived: Settings, new_valkey: Callable[[], ValkeyServer]) -> None:
    answer = await agent.client.get("/api/health")
    assert answer.status_code == 200
    assert answer.json()["services"] == {"redis": "connected", "mongodb": "disabled", "archive": "connected"}
    server = new_valkey()
    settings = replace(archived, redis_socket=str(server.socket), timeout=0.5)
    async with served(settings) as other, client_of(other) as client:
        server.kill()
        answer = await client.get("/api/health")
        assert (answer.status_code, answer.json()["success"]) == (503, False)
        assert answer.json()["services"]["redis"] == "disconnected"
        for path in ("state", "diff", "history", "cache"):
            headers = {"X-Agent-API-Key": agent.secret}
            told = await client.get(f"{SESSION}/{path}", headers=headers)
            assert told.status_code == 503 and str(server.folder) not in told.text


async def test_metrics_do_not_identify_agents(agent: Agent) -> None:
    session_id = (await agent.get("state")).json()["sessionId"]
    await agent.get("state")
    await agent.client.get("/nowhere/" + session_id)
    answer = await agent.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    line = 'awictl_http_requests_total{method="GET",route="/api/agent/session/state",status="200"} 2.0'
    assert line in answer.text.splitlines()
    assert 'route="other",status="404"' in answer.text
    for hidden in (session_id, agent.agent_id, agent.secret, "Browser agent"):
        assert hidden not in answer.text


async def test_metrics_count_the_estimated_tokens_that_agents_were_sent(agent: Agent) -> None:
    answers = [await agent.get("state"), await agent.get("state"), await agent.get("diff"), await agent.get("nowhere")]
    answers.append(await agent.client.head(f"{SESSION}/state", headers={"X-Agent-API-Key": agent.secret}))
    await agent.client.get("/api/health")
    await agent.client.get(f"{SESSION}/state")
    lines = (await agent.client.get("/metrics")).text.splitlines()
    counts = dict(line.rsplit(" ", 1) for line in lines if line.startswith("awictl_estimated_tokens_total{"))
    expected = {"state": answers[:2], "diff": answers[2:3], "history": []}
    for path, sent in expected.items():
        count = counts[f'awictl_estimated_tokens_total{{method="GET",route="{SESSION}/{path}"}}']
        assert float(count) == sum(estimated_tokens(len(one.content)) for one in sent)
    assert sum(float(count) > 0 for count in counts.values()) == 2, "of what agents read of their sessions"


UNKNOWN_PATHS = ["/", "/api", "/api/agent/session", "/openapi.json/x", "//api/health", "/api//health"]
UNKNOWN_PATHS += [f"{SESSION}/state{end}" for end in ("//", "/x/", "%0a", "%0a/", "/%0a", "%2f%2f", "%00/")]


@pytest.mark.parametrize("path", UNKNOWN_PATHS)
async def test_unknown_paths(agent: Agent, path: str) -> None:
    url = agent.client.base_url.copy_with(raw_path=path.encode())
    answer = await agent.client.get(url, headers={"X-Agent-API-Key": agent.secret})
    assert (answer.status_code, answer.json()["success"]) == (404, False)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_a_slash_at_the_end_of_a_path(agent: Agent, route: Route) -> None:
    """Express ignores it. The metrics have the path without it, so that the number of time series is bounded."""
    headers = {"X-Agent-API-Key": agent.secret}
    for path in (route.path, f"{route.path}/"):
        answers = [await agent.client.request(method, path, headers=headers) for method in (route.method, "PATCH")]
        assert [answer.status_code for answer in answers][1] == 405
        assert answers[0].status_code not in (401, 405) and "does not exist" not in answers[0].text
    metrics = (await agent.client.get("/metrics")).text
    assert f'route="{route.path}"' in metrics and '/",' not in metrics


@pytest.mark.parametrize(("method", "path"), [("PUT", "state"), ("DELETE", "end"), ("POST", "diff"), ("GET", "end")])
async def test_methods_that_are_not_allowed(agent: Agent, method: str, path: str) -> None:
    answer = await agent.client.request(method, f"{SESSION}/{path}")
    assert (answer.status_code, answer.json()["success"]) == (405, False)
    assert answer.headers["allow"] and method not in answer.headers["allow"].split(", ")


async def test_round_trips(proxy: Proxy, archived: Settings) -> None:
    """One for `state` and `diff` if the id of the session is cached, otherwise at most two."""
    settings = replace(archived, redis_socket=None, redis_host="127.0.0.1", redis_port=proxy.port)
    async with served(settings) as api, client_of(api) as client:
        warm = await an_agent(api, client)
        await warm.get("state")
        agent = await an_agent(api, client)
        for path, at_most in (("state", 2), ("state", 1), ("diff", 1), ("state", 1)):
            before = proxy.round_trips
            assert (await agent.get(path)).status_code == 200
            assert 0 < proxy.round_trips - before <= at_most, path
        other = await an_agent(api, client)
        before = proxy.round_trips
        await other.get("diff")
        assert proxy.round_trips - before == 2
