"""Nothing that the inspector does writes, and no secret leaves it: every path of its API, with secrets everywhere."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from support.documents import compact, document, put
from support.mongo import MongoServer
from support.monitor import monitored
from support.ui_client import inspected, streamed
from support.ui_paths import routes
from support.valkey import ValkeyServer

from awictl import Settings, StateManager
from awictl.document.keys import AGENT_PREFIX, CACHE_PREFIX, DIFF_PREFIX, IMAGE_PREFIX, SESSION_PREFIX
from awictl.document.redaction.rules import parse_redaction

EMAIL, API_KEY = "bob.secret@example.org", "agent_" + "0123456789abcdef" * 2
LIVE, OTHER, ENDED, BY_APP = "sess_live", "sess_other", "sess_ended", "sess_by_app"
AGENT, KEY = "69639c869d21a04f2375aa8b", "a" * 32
#: Commands that do not write; a script is one of awictl's, which runs other commands, that are recorded as well.
READING = {
    *("PTTL", "STRLEN", "GETRANGE", "GET", "EXISTS", "SCAN", "DBSIZE", "HGET", "HKEYS", "TYPE", "TTL", "PEXPIRETIME"),
    *("TIME", "PING", "INFO", "MEMORY", "ACL", "CONFIG", "EVAL", "EVALSHA", "CLIENT", "COMMAND", "HELLO"),
    *("EXPIRETIME", "MGET", "HMGET", "HGETALL", "HLEN", "OBJECT", "ROLE", "SELECT"),
}


def a_session(secret: str, session_id: str = LIVE, **fields: Any) -> dict[str, Any]:
    """A session with a secret in every field that can have one."""
    made = document([0] * 3, session_id, agent_id=AGENT)
    made |= {"agent_name": f"name {secret}", secret: secret, "active_query": {"filters": {"user": secret}}}
    made["page_state"]["route"] = f"/of/{secret}"
    for action in made["history"]["actions"]:
        delta = {"page_state": {"user": secret, secret: {"name": secret}}}
        action |= {"observation": f"saw {secret}", "input": {"q": secret, secret: 1}, "delta": delta}
    return made | fields


async def fill(valkey: ValkeyServer, mongo: MongoServer, manager: StateManager, secret: str) -> tuple[list[str], str]:
    """Store secrets everywhere; return the ids of the sessions, and of an agent."""
    await manager.initialize_session("ender", secret, session_id=ENDED)
    await manager.update_state_with_delta(ENDED, {"user": secret}, {"observation": secret, "input": {secret: secret}})
    await manager.end_session(ENDED)
    made = (await manager.agents.register(f"name {secret}", description=f"about {secret}")).key.agent_id
    await manager.agents.suspend(made, reason=f"because of {secret}")
    about = {"agentId": made, "agentName": secret, "timestamp": datetime.now(UTC)}
    mongo.raw["agentauditlogs"].insert_one(
        {**about, "action": secret, "details": {secret: secret}, "url": f"/{secret}"}
    )
    mongo.raw["agentsecurityevents"].insert_one({**about, "type": secret, "details": secret})
    by_app = {"sessionId": BY_APP, "agentId": AGENT, "agentName": secret, "status": secret}
    mongo.raw["agentsessions"].insert_one({**by_app, "actions": [{"action": secret, "input": {secret: secret}}]})
    broken = [f'{{"session_id":"{secret}",'.encode(), secret.encode()]
    broken += [compact(a_session(secret, **one)) for one in ({"history": secret}, {"history": {"actions": [secret]}})]
    broken.append(compact(a_session(secret, statistics=secret, created_at=secret, trimmed_actions=secret)))
    put(valkey, compact(a_session(secret)), LIVE, 500)
    put(valkey, compact(a_session(secret, OTHER, other=1)), OTHER, 500)
    # the list cuts texts after 200 characters, which must not leave a part of a secret
    cut = a_session(secret, agent_name="x" * 190 + f" {secret}", cut=1)
    cut["page_state"]["route"] = "/" * 190 + f" {secret}"
    broken.append(compact(cut))
    for number, raw in enumerate(broken):
        put(valkey, raw, f"sess_broken_{number}", 500)
    for prefix in (SESSION_PREFIX, AGENT_PREFIX, DIFF_PREFIX, CACHE_PREFIX, IMAGE_PREFIX, "RATELIMIT:", "other:"):
        valkey.raw.set(prefix + secret, secret, ex=500)
    valkey.raw.set(AGENT_PREFIX + made, secret, ex=500)
    valkey.raw.set(DIFF_PREFIX + LIVE, secret, ex=500)
    valkey.raw.set(CACHE_PREFIX + KEY, compact([{"user": secret, secret: 1}]), ex=500)
    return [LIVE, OTHER, ENDED, BY_APP, *(f"sess_broken_{number}" for number in range(len(broken)))], made


def paths_of(sessions: list[str], agent: str) -> list[str]:
    """Every path of the API but the streams, with everything that its parameters may be."""
    pairs = [f"a={one}&b={OTHER}" for one in sessions]
    own = {
        "/api/agents": ["?q=name", "?sort=name", f"?sort={EMAIL}"],
        "/api/agents/{id}": [agent, AGENT, EMAIL],
        "/api/agents/{id}/audit": [agent, EMAIL],
        "/api/caches": ["?again=1"],
        "/api/caches/{key}": [KEY, EMAIL],
        "/api/caches/diagnose": [*(f"?session={one}" for one in sessions), f"?filters={EMAIL}"],
        "/api/compare": [*(f"?{one}" for one in pairs), f"?a={EMAIL}&b={LIVE}"],
        "/api/compare/step": [f"?{one}&{name}={at}" for one in pairs for name, at in (("first", 0), ("second", 99))],
        "/api/health": ["?again=1"],
        "/api/health/keys": ["?again=1"],
        "/api/sessions/{id}": [*sessions, EMAIL],
        "/api/sessions/{id}/raw": [*sessions, EMAIL],
    }
    found = []
    for route in routes():
        if route.path.startswith("/api/") and not route.path.endswith("/events"):
            one, parameters = re.subn(r"\{[^}]+\}", "{}", route.path)
            for value in own.get(route.path, [""] if not parameters else [LIVE]):
                found.append(one.format(value) if parameters else one + value)
    return found


async def everything(
    client: httpx.AsyncClient, sessions: list[str], agent: str, *, away: bool = False
) -> AsyncIterator[tuple[str, str]]:
    """Every path, and what it responds. `away`: Redis is."""
    for path in paths_of(sessions, agent):
        response = await client.get(path)
        assert response.status_code not in ((500,) if away else (500, 503)), (path, response.text)
        yield path, f"{response.headers} {response.text}"
    for path in (f"/api/sessions/events?where={EMAIL}", f"/api/sessions/events?sort={EMAIL}"):
        yield path, (await client.get(path)).text
    for one in sessions:
        async with streamed(client, f"/api/sessions/{one}/events") as stream:
            yield f"events of {one}", str(await stream.next())
    async with streamed(client, "/api/sessions/events", limit=200) as stream:
        yield "list", str(await stream.until(lambda window: away or (window["complete"] and window["total"] > 8)))


@pytest.mark.parametrize("secret", [EMAIL, API_KEY])
async def test_no_secret_leaves_and_nothing_is_written(valkey: ValkeyServer, mongo: MongoServer, secret: str) -> None:
    settings = valkey.settings(mongodb_uri=mongo.uri)
    async with StateManager.open(settings) as manager:
        sessions, agent = await fill(valkey, mongo, manager, secret)
    redaction = parse_redaction(["default"]) if secret == EMAIL else None
    before = contents(mongo)
    leaks = []
    with monitored(valkey) as recorded:
        async with inspected(settings, redaction=redaction) as client:
            async for path, text in everything(client, sessions, agent):
                if secret[:9] in text:
                    leaks.append((path, text[max(text.find(secret[:9]) - 200, 0) :][:300]))
    assert leaks == []
    assert set(recorded.names) <= READING
    assert contents(mongo) == before


def contents(mongo: MongoServer) -> dict[str, Any]:
    """All documents and indexes of a database."""
    names = mongo.raw.list_collection_names()
    return {one: (sorted(map(str, mongo.raw[one].find())), mongo.raw[one].index_information()) for one in names}


async def test_nothing_is_written_while_redis_is_away(valkey: ValkeyServer, mongo: MongoServer) -> None:
    """The journal, in which awictl notes what it does meanwhile, is only read."""
    settings = valkey.settings(mongodb_uri=mongo.uri)
    async with StateManager.open(settings) as manager:
        sessions, agent = await fill(valkey, mongo, manager, API_KEY)
    before = contents(mongo)
    away = Settings(redis_host="127.0.0.1", redis_port=1, mongodb_uri=mongo.uri)
    assert away.fallback
    async with inspected(away) as client:
        found = [text async for _, text in everything(client, sessions, agent, away=True)]
    assert any("degraded" in one for one in found) and not any(API_KEY in one for one in found)
    assert contents(mongo) == before
