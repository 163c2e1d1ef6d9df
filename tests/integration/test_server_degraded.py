"""The HTTP API while Redis is unreachable: every response that MongoDB was used for says so, and no other."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from support.api import Agent, an_agent, client_of, served
from support.archives import forget_sockets
from support.documents import SESSION_ID, action, compact, document
from support.mongo import MongoServer
from support.valkey import ValkeyServer

from awictl import Settings, Unreachable
from awictl.server.app import Api
from awictl.server.options import ServerOptions
from awictl.store.breaker import BreakerState

MARK = "x-awi-degraded"
REQUESTS: list[tuple[str, str, Any]] = [
    ("GET", "state", None),
    ("GET", "diff", None),
    ("GET", "history", None),
    ("GET", "cache", None),
    ("POST", "state", {"delta": {"page_state": {"sort": {"key": "title"}}}}),
    ("POST", "end", None),
]


@pytest.fixture
async def api(settings: Settings, mongo: MongoServer, mongo_sockets: None) -> AsyncIterator[Api]:
    with_mongodb = replace(settings, mongodb_uri=mongo.uri)
    async with served(with_mongodb, ServerOptions(cors=("*",))) as opened:
        yield opened
        await forget_sockets(opened.worker.manager.required_archive())


@pytest.fixture
async def agent(api: Api) -> AsyncIterator[Agent]:
    async with client_of(api) as client:
        yield await an_agent(api, client)


async def send(agent: Agent, method: str, path: str, body: Any) -> httpx.Response:
    return await (agent.get(path) if method == "GET" else agent.post(path, body))


async def test_responses_are_marked_if_mongodb_was_used(
    api: Api, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = api.worker.manager.agent_sessions
    normal = sessions.get_or_create

    async def degraded(*args: Any, **named: Any) -> Any:
        return (await normal(*args, **named))._replace(degraded=True)

    manager = api.worker.manager
    apply, record_end = manager.apply, manager.record_end

    async def applied(*args: Any, **named: Any) -> Any:
        return replace(await apply(*args, **named), degraded=True)

    async def ended(session_id: str) -> bool:
        await record_end(session_id)
        return True

    for number, (method, path, body) in enumerate(REQUESTS):
        await send(agent, "GET", "state", None)  # creates the session, once more after its end
        plain = await send(agent, method, path, body)
        assert plain.status_code == 200, path
        assert MARK not in plain.headers and "degraded" not in plain.json(), path
        await send(agent, "GET", "state", None)
        with monkeypatch.context() as patch:
            patch.setattr(sessions, "get_or_create", degraded)
            patch.setattr(manager, "apply", applied)
            patch.setattr(manager, "record_end", ended)
            marked = await send(agent, method, path, body)
        assert marked.status_code == 200, path
        assert marked.headers[MARK] == "1" and marked.json()["degraded"] is True, path
        metrics = (await agent.client.get("/metrics")).text
        assert f"awictl_degraded_requests_total {number + 1}.0" in metrics
    exposed = marked.headers.get("access-control-expose-headers", "")
    assert MARK in exposed, "pages of other origins may read the mark"


async def test_an_update_is_marked_if_redis_vanished_after_the_visit(
    api: Api, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = api.worker.manager
    normal = manager.apply

    async def degraded(*args: Any, **named: Any) -> Any:
        return replace(await normal(*args, **named), degraded=True)

    monkeypatch.setattr(manager, "apply", degraded)
    marked = await agent.post("state", {"delta": {}})
    assert marked.headers[MARK] == "1" and marked.json()["degraded"] is True


async def test_cached_results_are_a_miss_while_redis_is_away(
    api: Api, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = (await agent.get("state")).json()["sessionId"]
    manager = api.worker.manager
    await manager.cache_query_results(session_id, {"tag": "awi"}, None, [1, 2])
    assert (await agent.get("cache")).json()["resultCount"] == 2
    normal = manager.agent_sessions.get_or_create

    async def degraded(*args: Any, **named: Any) -> Any:
        return (await normal(*args, **named))._replace(degraded=True)

    async def away(*_: Any) -> Any:
        raise Unreachable("away")

    monkeypatch.setattr(manager, "get_cached_query_results", away)
    assert (await agent.get("cache")).status_code == 503
    monkeypatch.setattr(manager.agent_sessions, "get_or_create", degraded)
    missed = (await agent.get("cache")).json()
    assert (missed["cached"], missed["resultCount"], missed["degraded"]) == (False, 0, True)


async def test_metrics_have_what_waits_in_the_journal(api: Api, agent: Agent) -> None:
    assert "awictl_journal_pending_sessions 0.0" in (await agent.client.get("/metrics")).text
    assert api.worker.manager.fallback is not None
    journal = api.worker.manager.fallback.journal
    await journal.begin(SESSION_ID, compact(document([0])))
    entry = await journal.entry(SESSION_ID)
    assert entry is not None
    await journal.set_aside(entry, [{**action(1), "op_id": "op-1"}], "the session has ended meanwhile")
    metrics = (await agent.client.get("/metrics")).text
    assert "awictl_journal_pending_sessions 1.0" in metrics and "awictl_journal_set_aside 1.0" in metrics


async def test_health_is_good_but_degraded_while_only_redis_is_away(
    mongo: MongoServer, mongo_sockets: None, new_valkey: Callable[[], ValkeyServer]
) -> None:
    server = new_valkey()
    settings = server.settings(mongodb_uri=mongo.uri, timeout=0.5)
    async with served(settings) as api, client_of(api) as client:
        api.worker.health._clock = iter(range(100)).__next__  # type: ignore[assignment]  # ask anew each time
        body = (await client.get("/api/health")).json()
        assert (body["success"], body["degraded"], body["breaker"]) == (True, False, "closed")
        server.kill()
        for _ in range(3):
            with pytest.raises(Unreachable):
                await api.worker.manager.store.read("sess_0001")
        answer = await client.get("/api/health")
        body = answer.json()
        assert (answer.status_code, body["success"], body["degraded"]) == (200, True, True)
        assert body["breaker"] in ("open", "half-open")
        assert body["services"] == {"redis": "disconnected", "mongodb": "connected"}
        state = re.search(r"^awictl_redis_breaker_state (\S+)", (await client.get("/metrics")).text, re.M)
        breaker = api.worker.manager.breaker
        assert state is not None and breaker is not None
        assert float(state[1]) == list(BreakerState).index(breaker.state) > 0
        await forget_sockets(api.worker.manager.required_archive())


async def test_health_fails_if_both_are_away_or_there_is_no_fallback(
    mongo: MongoServer, mongo_sockets: None, new_valkey: Callable[[], ValkeyServer]
) -> None:
    server = new_valkey()
    server.kill()
    nothing = "mongodb://127.0.0.1:1/awi?serverSelectionTimeoutMS=100"
    given: list[tuple[dict[str, Any], str]] = [
        ({"mongodb_uri": nothing}, "closed"),
        ({"mongodb_uri": mongo.uri, "fallback": False}, "disabled"),
    ]
    for more, breaker in given:
        async with served(server.settings(timeout=0.5, **more)) as api, client_of(api) as client:
            answer = await client.get("/api/health")
            body = answer.json()
            assert (answer.status_code, body["success"], body["degraded"]) == (503, False, False)
            assert body["breaker"] == breaker
            await forget_sockets(api.worker.manager.required_archive())
