"""The HTTP API under attack: unknown API keys, registrations, health checks, refused requests, large values."""

from __future__ import annotations

import asyncio
import json
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pymongo import monitoring
from support.api import Agent, an_agent, client_of, served, status_of
from support.documents import session_key
from support.mongo import DATABASE, MongoServer
from support.proxy import Proxy
from support.valkey import ValkeyServer

from awictl import Permission, Settings, StateManager, Unreachable
from awictl.agents import key_cache
from awictl.document import keys
from awictl.document.byte_layout import encode
from awictl.document.splice import Base, base_from_head
from awictl.server import state_response_cache
from awictl.server.addresses import UnknownKeyLimit
from awictl.server.app import Api
from awictl.server.middleware import LoadSession
from awictl.server.options import CONCURRENT_REQUESTS, UNUSED_KEY_MS, ServerOptions
from awictl.sessions import get_or_create as agent_sessions
from awictl.sessions import update
from awictl.sessions.get_or_create import AgentSessions
from awictl.store.mongo import connection
from awictl.store.redis import get_or_create
from awictl.util.http.connections import network_of

# -- unknown API keys


class FindCommands(monitoring.CommandListener):
    """Counts the queries that clients in this process send to the tests' database."""

    count = 0

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.count += event.command_name == "find" and event.database_name == DATABASE

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Do nothing."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Do nothing."""


@pytest.fixture
def find_commands() -> Iterator[FindCommands]:
    """Counts queries of the clients that are opened afterwards."""
    counter = FindCommands()
    listeners = monitoring._LISTENERS.command_listeners
    listeners.append(counter)
    yield counter
    listeners.remove(counter)


async def flood(api: Api, count: int, address: str = "127.0.0.1") -> dict[int, int]:
    """Requests with `count` unknown keys, 64 at a time. Returns the number of each status."""
    statuses: dict[int, int] = {}
    left = iter(range(count))

    async def client() -> None:
        for number in left:
            status = await status_of(api, f"agent_{number:032x}", address=address)
            statuses[status] = statuses.get(status, 0) + 1

    await asyncio.gather(*(client() for _ in range(64)))
    return statuses


async def test_a_flood_of_unknown_keys(
    settings: Settings, mongo: MongoServer, find_commands: FindCommands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A good agent at the same address is served all the time, and MongoDB gets few queries."""
    options = ServerOptions(rate_limit=0)
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 60.0)  # a busy machine answers late
    busy = replace(settings, mongodb_uri=mongo.uri, timeout=60)
    async with served(busy, options) as api, client_of(api) as client:
        good = await an_agent(api, client)
        assert await status_of(api, good.secret) == 200
        before = find_commands.count
        started = time.monotonic()
        flooding = asyncio.create_task(flood(api, 3_000))
        served_meanwhile = 0
        while not flooding.done():
            assert await status_of(api, good.secret) == 200
            served_meanwhile += 1
        statuses = await flooding
        # the first 64 requests begin before one of them is counted
        allowed = options.unknown_keys * (1 + (time.monotonic() - started) / 60) + 64
        assert statuses.keys() == {401, 429} and statuses[401] <= allowed
        queries = find_commands.count - before
        assert 0 < queries <= 2 * allowed + 2, "two for each key: those of awictl, and those of the app"
        assert served_meanwhile > 10

        monkeypatch.setattr(api.worker.agents._cache, "_clock", lambda: time.monotonic() + key_cache.CACHE_SECONDS + 1)
        assert await status_of(api, good.secret) == 200, "its key is looked up again, in spite of the limit"
        fresh = await an_agent(api, client)
        answer = await fresh.get("state")
        assert answer.status_code == 429 and answer.json()["error"] == "Too many unknown API keys"
        assert 1 <= int(answer.headers["retry-after"]) <= 61
        assert await status_of(api, fresh.secret, address="192.0.2.1") == 200, "another address is not affected"
        assert await status_of(api, fresh.secret) == 200, "now it is in the cache"


async def test_the_limit_of_unknown_keys_can_be_disabled(archived: Settings) -> None:
    async with served(archived, ServerOptions(unknown_keys=0)) as api:
        assert await flood(api, 200) == {401: 200}


async def test_the_middleware_limits_unknown_keys_too(archived: Settings) -> None:
    async def page(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with StateManager.open(archived) as manager:
        known = (await manager.agents.register("x")).secret
    site = LoadSession(page, archived, unknown_keys=2)
    try:
        assert await status_of(site, known) == 200
        assert [await status_of(site, f"agent_{number:032x}") for number in range(3)] == [401, 401, 429]
        assert await status_of(site, known) == 200
        assert await status_of(site, "agent_1", address="192.0.2.1") == 401
    finally:
        await site._close()


def test_unknown_keys_come_back_evenly() -> None:
    now = 0.0
    limit = UnknownKeyLimit(60, clock=lambda: now)

    def allowed(address: str = "a") -> int:
        count = 0
        while not limit.begin(address):
            limit.end(address, unknown=True)
            count += 1
        return count

    assert allowed() == 60 and limit.begin("a") == 1.0 and limit.begin("b") == 0
    now = 1.5
    assert allowed() == 1 and limit.begin("a") == 0.5
    now = 3_600.0
    assert allowed() == 60 and allowed("c") == 60


def test_concurrent_lookups_of_an_address_with_unknown_keys_count() -> None:
    now = 0.0
    limit = UnknownKeyLimit(60, clock=lambda: now)
    assert [limit.begin("a") for _ in range(300)] == [0] * 300, "it had no unknown keys yet"
    for _ in range(300):
        limit.end("a", unknown=True)
    assert limit.begin("a") == 61.0, "what was too many is made up for, within limits"
    now = 61.0
    assert limit.begin("a") == 0 and limit.begin("a") == 1.0, "one at a time now"
    limit.end("a", unknown=False)
    assert limit.begin("a") == 0 and not limit._running["b"]


async def test_many_known_agents_of_one_address_come_at_once(archived: Settings) -> None:
    """As behind a proxy, after the server was restarted: only unknown keys count."""
    async with served(archived) as api:
        made = [(await api.worker.agents.register(f"agent {number}")).secret for number in range(80)]
        assert await asyncio.gather(*(status_of(api, secret) for secret in made)) == [200] * 80


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
    ],
)
def test_addresses_of_one_network_share_a_limit(host: str, network: str) -> None:
    assert network_of(host) == network


# -- registration

REGISTER = "/api/agent/register"


async def test_the_permissions_of_agents_that_register_are_capped(archived: Settings) -> None:
    async with served(archived, ServerOptions(allow_register=True)) as api, client_of(api) as client:
        answer = await client.post(REGISTER, json={"name": "x", "permissions": ["write", "read", "delete"]})
        assert answer.status_code == 201 and answer.json()["agent"]["permissions"] == ["read"]
        own = Agent(client, answer.json()["agent"]["id"], answer.json()["agent"]["apiKey"], api.worker.manager)
        assert (await own.post("state", {"delta": {}})).status_code == 403
        refused = await client.post(REGISTER, json={"name": "x", "permissions": ["write"]})
        assert refused.status_code == 403 and "read" in refused.json()["message"]
    options = ServerOptions(allow_register=True, register_permissions=(Permission.WRITE,))
    async with served(archived, options) as api, client_of(api) as client:
        answer = await client.post(REGISTER, json={"name": "x", "permissions": ["write", "read"]})
        assert answer.json()["agent"]["permissions"] == ["write"]


async def test_registrations_are_limited_by_address(archived: Settings, valkey: ValkeyServer) -> None:
    options = ServerOptions(allow_register=True, register_limit=3)
    async with served(archived, options) as api, served(archived, options) as other:
        async with client_of(api, "2001:db8::1") as client, client_of(other, "2001:db8::2") as neighbour:
            for number, one in enumerate((client, neighbour, client)):
                assert (await one.post(REGISTER, json={"name": f"agent {number}"})).status_code == 201
            answer = await neighbour.post(REGISTER, json={"name": "one too many"})
            assert answer.status_code == 429 and 3_500 < int(answer.headers["retry-after"]) <= 3_600
        async with client_of(api, "192.0.2.1") as client:
            assert (await client.post(REGISTER, json={"name": "y"})).status_code == 201
        names = {key.name for key in await api.worker.agents.all()}
        assert names == {"agent 0", "agent 1", "agent 2", "y"}
    assert all(3_000_000 < valkey.raw.pttl(key) <= 3_600_000 for key in valkey.raw.keys("RATELIMIT:*"))


async def test_a_key_from_registration_expires_unless_it_is_used(archived: Settings) -> None:
    async with served(archived, ServerOptions(allow_register=True)) as api, client_of(api) as client:
        made = [(await client.post(REGISTER, json={"name": name})).json()["agent"] for name in ("used", "unused")]
        by_name = {key.name: key for key in await api.worker.agents.all()}
        for key in by_name.values():
            assert key.provisional and key.created_at is not None and key.expires_at is not None
            assert (key.expires_at - key.created_at).total_seconds() * 1000 == UNUSED_KEY_MS
        assert made[0]["expiresAt"] is not None
        assert await status_of(api, made[0]["apiKey"]) == 200
        await asyncio.gather(*api.worker.agents._confirming)
        by_name = {key.name: key for key in await api.worker.agents.all()}
        assert by_name["used"].expires_at is None and by_name["unused"].expires_at is not None


# -- refused requests


async def test_refused_requests_count_towards_the_rate_limit(archived: Settings, valkey: ValkeyServer) -> None:
    async with served(archived, ServerOptions(rate_limit=4)) as api, client_of(api) as client:
        agent = await an_agent(api, client)
        reader = await an_agent(api, client, Permission.READ)
        for body, status in (({"delta": 1}, 400), ({"delta": {"user_id": 1}}, 403), ({"more": 1}, 400), (None, 400)):
            answer = await agent.post("state", body)
            assert answer.status_code == status and "x-ratelimit-remaining" in answer.headers
        assert answer.headers["x-ratelimit-remaining"] == "0"
        answer = await agent.post("state", {"delta": 1})
        assert answer.status_code == 429 and int(answer.headers["retry-after"]) > 3_000
        assert (await agent.post("state", {"delta": {}})).status_code == 429
        assert valkey.raw.keys("AWI:SESSION:*") == [], "a refused request creates no session"
        assert [(await agent.get("history?limit=x")).status_code for _ in range(5)] == [200] * 4 + [429]
        assert [(await reader.post("state", {})).status_code for _ in range(5)] == [403] * 4 + [429]
        assert [(await agent.get("state")).status_code for _ in range(5)] == [200] * 4 + [429]


async def test_a_suspended_agent_is_limited_too(archived: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(archived, ServerOptions(rate_limit=2)) as api, client_of(api) as client:
        agent = await an_agent(api, client)
        found = await api.worker.agents.find(agent.secret)
        assert found is not None
        suspended = replace(found, suspended=True)
        monkeypatch.setattr(api.worker.agents, "cached", lambda _: suspended)
        assert [(await agent.get("state")).status_code for _ in range(3)] == [403, 403, 429]


# -- health


async def test_health_checks_share_one_check_per_second(
    api: Api, proxy: Proxy, archived: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(archived, redis_socket=None, redis_host="127.0.0.1", redis_port=proxy.port)
    async with served(settings) as api:
        assert await status_of(api, "", path="/api/health") == 200
        before = proxy.round_trips
        now = time.monotonic() + 2
        monkeypatch.setattr(api.worker.health, "_clock", lambda: now)
        statuses = await asyncio.gather(*(status_of(api, "", path="/api/health") for _ in range(100)))
        assert statuses == [200] * 100
        once = proxy.round_trips - before
        assert 1 <= once <= 2
        now += 0.9
        assert await status_of(api, "", path="/api/health") == 200 and proxy.round_trips - before == once
        now += 0.2
        assert await status_of(api, "", path="/api/health") == 200 and proxy.round_trips - before == 2 * once


# -- sizes of caches

#: Values of which the decoded form takes much more memory than the stored bytes.
LARGE: dict[str, Any] = {
    "text": "x" * 10_000,
    "wide characters": "\U0001f600" * 2_500,
    "empty lists": [[]] * 3_000,
    "empty objects": [{}] * 3_000,
    "small numbers": [1.5] * 2_500,
    "objects": [{"a": 1}] * 1_500,
}


@pytest.mark.parametrize("name", LARGE)
def test_the_estimate_of_a_heads_memory_is_not_too_low(name: str) -> None:
    raw = encode({"page_state": {"metadata": LARGE[name]}, "history": {"actions": [], "last_action": None}})
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        base = base_from_head(raw, len(raw))
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert isinstance(base, Base)
    assert used <= base.memory <= 100 * len(raw)


async def test_the_caches_are_bounded_by_bytes(archived: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Agents with large sessions take a bounded amount of memory, and each is still answered correctly."""
    limit = 2_000_000
    monkeypatch.setattr(get_or_create, "CACHED_HEADS_BYTES", limit)
    monkeypatch.setattr(update, "CACHED_HEADS_BYTES", limit)
    monkeypatch.setattr(state_response_cache, "MAX_MEMORY", limit)
    async with served(archived, ServerOptions(rate_limit=0)) as api, client_of(api) as client:
        manager = api.worker.manager
        values = list(LARGE.values())
        agents = [await an_agent(api, client) for _ in range(12)]
        for number, agent in enumerate(agents):
            delta = {"page_state": {"metadata": values[number % len(values)]}}
            assert (await agent.post("state", {"delta": delta})).status_code == 200
        for _ in range(2):
            for number, agent in enumerate(agents):
                state = (await agent.get("state")).json()
                assert state["currentState"]["metadata"] == values[number % len(values)]
        decoded = manager.store.get_or_create._decoded  # type: ignore[attr-defined]
        for cache in (decoded, manager._updater._heads, api.worker.state_responses._entries):
            assert 0 < len(cache) < len(agents) and 0 < cache.bytes <= limit


async def test_the_ids_of_sessions_are_bounded_by_bytes(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_sessions, "CACHED_AGENTS_BYTES", 20_000)
    sessions = agent_sessions.AgentSessions(api.worker.manager.store.get_or_create)
    for number in range(30):
        visit = await sessions.get_or_create("x" * 200 + str(number), "Agent")
        assert (await sessions.get_or_create("x" * 200 + str(number), "Agent")).session_id == visit.session_id
    assert 0 < len(sessions._session_ids) < 30 and sessions._session_ids.bytes <= 20_000


# -- sessions that other clients change


LAYOUTS_ON_SEVERAL_LINES = {
    "indented": lambda text: text.replace(b"{", b"{\n ", 1),
    "with a newline at the end": lambda text: text + b"\n",
}


@pytest.mark.parametrize("layout", [*LAYOUTS_ON_SEVERAL_LINES, "compact", "awictl"])
async def test_an_edit_that_keeps_the_length_is_seen(agent: Agent, valkey: ValkeyServer, layout: str) -> None:
    """SETRANGE by another client: what was decoded before must not be returned."""
    done = await agent.post("state", {"delta": {"page_state": {"filters": {"value": "before"}}}})
    key = session_key(done.json()["sessionId"])
    if layout != "awictl":
        text = json.dumps(json.loads(valkey.raw.get(key)), separators=(",", ":")).encode()
        valkey.raw.set(key, LAYOUTS_ON_SEVERAL_LINES.get(layout, lambda text: text)(text), keepttl=True)
    for value in ("before", "edited", "others"):
        raw = valkey.raw.get(key)
        for old in (b'"before"', b'"edited"'):
            at = raw.find(b'"value":' + old)
            while at >= 0:
                valkey.raw.setrange(key, at, b'"value":"%b"' % value.encode())
                at = raw.find(b'"value":' + old, at + 1)
        for _ in range(2):
            state = (await agent.get("state")).json()
            assert state["currentState"]["filters"] == {"value": value}


# -- one agent with a large session


async def test_one_agent_does_not_hold_more_than_its_slots(
    agent: Agent, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with client_of(api) as client:
        other = await an_agent(api, client)
        release, running, highest = asyncio.Event(), 0, 0
        visit = AgentSessions.get_or_create

        async def slow(self: AgentSessions, agent_id: str, *args: Any, **named: Any) -> Any:
            nonlocal running, highest
            if agent_id == agent.agent_id:
                running += 1
                highest = max(highest, running)
                await release.wait()
                running -= 1
            return await visit(self, agent_id, *args, **named)

        monkeypatch.setattr(AgentSessions, "get_or_create", slow)
        requests = [asyncio.create_task(agent.get("history")) for _ in range(5 * CONCURRENT_REQUESTS)]
        async with asyncio.timeout(30):
            while api.worker.agent_slots.users(agent.agent_id) < len(requests):
                await asyncio.sleep(0.005)
        assert (await other.get("history")).status_code == 200, "other agents do not wait"
        state = asyncio.create_task(agent.get("state"))
        async with asyncio.timeout(30):
            while running <= CONCURRENT_REQUESTS:
                await asyncio.sleep(0.005)
        release.set()
        assert {(await one).status_code for one in [*requests, state]} == {200}
        assert highest == CONCURRENT_REQUESTS + 1, "the state takes no slot"
        assert api.worker.agent_slots.users(agent.agent_id) == 0


async def test_the_requests_of_an_agent_at_the_same_time_are_limited(
    archived: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that wait for a slot count, too; the state takes none, and is always answered."""
    async with served(archived, ServerOptions(agent_requests=6)) as api, client_of(api) as client:
        agent, other = await an_agent(api, client), await an_agent(api, client)
        await agent.get("state")
        release = asyncio.Event()
        visit = AgentSessions.get_or_create

        async def slow(self: AgentSessions, agent_id: str, *args: Any, **named: Any) -> Any:
            if agent_id == agent.agent_id and named["operation"] == "history":
                await release.wait()
            return await visit(self, agent_id, *args, **named)

        monkeypatch.setattr(AgentSessions, "get_or_create", slow)
        requests = [asyncio.create_task(agent.get("history")) for _ in range(6)]
        async with asyncio.timeout(30):
            while api.worker.agent_slots.users(agent.agent_id) < len(requests):
                await asyncio.sleep(0.005)
        for answer in (await agent.get("history"), await agent.post("state", {"delta": {}}), await agent.post("end")):
            assert (answer.status_code, answer.json()["error"]) == (429, "Too many requests")
            assert answer.headers["retry-after"] == "1"
        assert (await agent.get("state")).status_code == 200
        assert (await other.get("history")).status_code == 200
        release.set()
        assert {(await one).status_code for one in requests} == {200}
        assert (await agent.get("history")).status_code == 200, "the place of a finished request is free again"


@pytest.mark.parametrize("layout", ["awictl", "app"])
async def test_the_size_of_a_history_is_bounded(agent: Agent, valkey: ValkeyServer, layout: str) -> None:
    session_id = (await agent.get("state")).json()["sessionId"]
    for _ in range(10):
        await agent.manager.apply(session_id, {}, {"action": "x", "input": "y" * 1_000_000})
    if layout == "app":
        document = json.loads(valkey.raw.get(session_key(session_id)) or b"")
        valkey.raw.set(session_key(session_id), json.dumps(document, separators=(",", ":")), ex=1800)
    else:
        page = (await agent.get("history", params={"limit": 1})).json()
        assert (len(page["trajectory"]), page["total"]) == (1, 11)
    for params in ({"limit": 1000}, {"limit": 1, "offset": 10}):
        answer = await agent.get("history", params=params)
        assert answer.status_code == 413 and "fewer" in answer.json()["message"]


# -- repeated updates


async def test_an_update_is_not_applied_again_after_its_session_has_ended(agent: Agent, valkey: ValkeyServer) -> None:
    body = {"delta": {"n": 1}, "op_id": "mine"}
    first = (await agent.post("state", body)).json()
    assert (first["applied"], first["appliedTo"]) == (True, None)
    assert (await agent.post("end")).json()["archived"] is True
    assert not valkey.raw.exists(keys.ended_key(agent.agent_id))
    for _ in range(2):
        repeated = (await agent.post("state", body)).json()
        assert repeated["sessionId"] != first["sessionId"]
        assert (repeated["applied"], repeated["action"]) == (False, None)
        assert (repeated["op_id"], repeated["appliedTo"]) == ("mine", first["sessionId"])
    assert (await agent.get("history")).json()["total"] == 1, "only the start of the session"
    other = (await agent.post("state", {**body, "op_id": "another"})).json()
    assert (other["applied"], other["appliedTo"]) == (True, None)
    assert (await agent.post("state", {"delta": {"n": 2}})).json()["applied"] is True


async def test_another_worker_and_another_agent(agent: Agent, archived: Settings) -> None:
    body = {"delta": {"n": 1}, "op_id": "mine"}
    first = (await agent.post("state", body)).json()
    await agent.post("end")
    async with served(archived) as worker, client_of(worker) as client:
        same = Agent(client, agent.agent_id, agent.secret, worker.worker.manager)
        await same.get("state")
        assert (await same.post("state", body)).json()["appliedTo"] == first["sessionId"]
        other = await an_agent(worker, client)
        assert (await other.post("state", body)).json()["applied"] is True, "op_ids are those of one agent"


async def test_a_session_that_is_not_archived_yet(
    agent: Agent, api: Api, archived: Settings, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreachable(_: str) -> None:
        raise Unreachable

    body = {"delta": {"n": 1}, "op_id": "mine"}
    first = (await agent.post("state", body)).json()
    monkeypatch.setattr(api.worker.manager, "end_session", unreachable)
    assert (await agent.post("end")).json()["archived"] is False
    assert valkey.raw.exists(session_key(first["sessionId"]))
    async with served(archived) as worker, client_of(worker) as client:
        restarted = Agent(client, agent.agent_id, agent.secret, worker.worker.manager)
        for one in (agent, restarted, agent):
            assert (await one.post("state", body)).json()["appliedTo"] == first["sessionId"]
        monkeypatch.undo()
        assert (await restarted.post("end")).json()["archived"] is True
        assert valkey.raw.get(keys.ended_key(agent.agent_id)) == first["sessionId"].encode()


async def test_an_old_op_id_without_a_trace_is_unknown(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now - 2 * 3_600_000_000_000)
    old = keys.new_op_id()
    monkeypatch.setattr(time, "time_ns", lambda: now - 60_000_000_000)
    recent = keys.new_op_id()
    monkeypatch.undo()
    answer = await agent.post("state", {"delta": {"n": 1}, "op_id": old})
    assert answer.status_code == 503 and answer.json()["op_id"] == old
    assert (await agent.get("history")).json()["total"] == 1
    answer = await agent.post("state", {"delta": {"n": 1}, "op_id": recent})
    assert answer.json()["applied"] is True, "its session cannot have expired since"
