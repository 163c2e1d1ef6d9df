"""Get or create the session of an agent for its request, in one or two round trips."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from support.documents import AGENT_ID, APP_FILES, LAYOUTS, SESSION_ID, Layout, document, plain, put, session_key
from support.mongo_live import needs_redis
from support.proxy import Proxy
from support.valkey import ValkeyServer

from awictl import InvalidData, NotFound, RateLimited, StateManager, Unreachable, UpdateConflict
from awictl.document import keys
from awictl.sessions.get_or_create import ATTEMPTS, AgentSessions
from awictl.store.get_or_create import AgentLookup

MAPPING = keys.agent_key(AGENT_ID)
OTHER_ID = "sess_" + "b" * 32


@pytest.fixture
def agents(manager: StateManager) -> AgentSessions:
    return manager.agent_sessions


def map_agent(valkey: ValkeyServer, session_id: str = SESSION_ID) -> None:
    valkey.raw.set(MAPPING, session_id, px=60_000)


async def test_the_first_request_creates_a_session(agents: AgentSessions, valkey: ValkeyServer) -> None:
    visit = await agents.get_or_create(AGENT_ID, "Agent", route="/api/agent/posts?page=2")
    stored = plain(valkey.raw.get(session_key(visit.session_id)))
    assert (stored["agent_id"], stored["agent_name"]) == (AGENT_ID, "Agent")
    assert stored["current_url"] == stored["page_state"]["route"] == "/api/agent/posts?page=2"
    assert [action["action"] for action in stored["history"]["actions"]] == ["session_start"]
    assert valkey.raw.get(MAPPING).decode() == visit.session_id
    assert visit.head["statistics"] == stored["statistics"] and "actions" not in visit.head["history"]
    assert visit.rate_limit.limit == visit.rate_limit.requests == 0 and not valkey.raw.keys("RATELIMIT:*")
    again = await agents.get_or_create(AGENT_ID, "Agent")
    assert again.session_id == visit.session_id and again.head == visit.head


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
async def test_a_request_gets_the_session_and_extends_its_ttl(
    agents: AgentSessions, valkey: ValkeyServer, layout: Layout
) -> None:
    made = document([10, 20, 5_000])
    put(valkey, layout(made))
    map_agent(valkey)
    for _ in range(2):  # not cached at first, then cached
        valkey.raw.pexpire(session_key(SESSION_ID), 5_000)
        valkey.raw.pexpire(MAPPING, 5_000)
        visit = await agents.get_or_create(AGENT_ID, "Agent")
        assert visit.session_id == SESSION_ID
        assert visit.head["statistics"] == made["statistics"]
        for key in (session_key(SESSION_ID), MAPPING):
            assert 1_790_000 < valkey.raw.pttl(key) <= 1_800_000


@pytest.mark.parametrize("file", APP_FILES, ids=lambda file: file.stem)
async def test_documents_of_the_app_are_found_and_not_rewritten(
    agents: AgentSessions, valkey: ValkeyServer, file: Path
) -> None:
    raw = file.read_bytes().strip()
    app = plain(raw)
    valkey.raw.set(session_key(app["session_id"]), raw, px=60_000)
    valkey.raw.set(keys.agent_key(app["agent_id"]), app["session_id"], px=60_000)
    visit = await agents.get_or_create(app["agent_id"], "whatever")
    assert visit.session_id == app["session_id"] and visit.head["page_state"] == app["page_state"]
    assert valkey.raw.get(session_key(app["session_id"])) == raw


async def test_round_trips(proxy: Proxy, valkey: ValkeyServer) -> None:
    """One if the agent's session id is cached, otherwise at most two."""
    needs_redis(valkey, "its round trips")

    async def counted(agents: AgentSessions, **how: object) -> int:
        before = proxy.round_trips
        await agents.get_or_create(AGENT_ID, "Agent", operation="state", limit=1000, **how)  # type: ignore[arg-type]
        return proxy.round_trips - before

    async with StateManager.open(proxy.settings()) as manager:
        agents = manager.agent_sessions
        await agents.get_or_create("warm-up", "Agent")
        assert await counted(agents) == 2, "created"
        assert await counted(agents) == 1, "cached"
        assert await counted(agents, diff=True) == 1, "cached, with the diff"
        other = await manager.initialize_session(AGENT_ID, "Agent")
        assert await counted(agents, diff=True) == 2, "mapped to another session"
        assert await counted(agents) == 1
        valkey.raw.delete(session_key(other["session_id"]))
        assert await counted(agents) == 2, "the session is gone, the mapping is not"
        valkey.raw.delete(MAPPING)
        assert await counted(agents) == 2, "no mapping"
        assert await counted(AgentSessions(manager.store.get_or_create), diff=True) == 2, "another process"
        assert int(valkey.raw.get(keys.rate_limit_key(AGENT_ID, "state"))) == 8, "each request is counted once"


async def test_the_base_of_a_request_saves_the_next_update_a_round_trip(valkey: ValkeyServer, proxy: Proxy) -> None:
    needs_redis(valkey, "its round trips")
    async with StateManager.open(proxy.settings()) as manager:
        session_id = (await manager.agent_sessions.get_or_create(AGENT_ID, "Agent")).session_id
        await manager.apply(session_id, {"n": 0})
    async with StateManager.open(proxy.settings()) as manager:
        visit = await manager.agent_sessions.get_or_create(AGENT_ID, "Agent")
        before = proxy.round_trips
        updated = await manager.apply(session_id, {"n": 1}, base=visit.base)
        assert proxy.round_trips - before == 1
        assert updated.head["n"] == 1
        # an outdated base is read again
        assert (await manager.apply(session_id, {"m": 2}, base=visit.base)).head["n"] == 1


async def test_the_diff_is_returned_on_request(manager: StateManager, agents: AgentSessions) -> None:
    visit = await agents.get_or_create(AGENT_ID, "Agent", diff=True)
    assert visit.last_delta is None
    done = await manager.apply(visit.session_id, {"page_state": {"filters": {"a": 1}}}, {"action": "filter"})
    expected = {"delta": {"page_state": {"filters": {"a": 1}}}, "last_action": done.action}
    assert (await agents.get_or_create(AGENT_ID, "Agent", diff=True)).last_delta == expected
    assert (
        await AgentSessions(manager.store.get_or_create).get_or_create(AGENT_ID, "Agent", diff=True)
    ).last_delta == expected
    assert (await agents.get_or_create(AGENT_ID, "Agent")).last_delta is None, "not requested"


async def test_requests_are_counted_by_agent_and_operation(agents: AgentSessions, valkey: ValkeyServer) -> None:
    for count in range(1, 4):
        visit = await agents.get_or_create(AGENT_ID, "Agent", operation="state", limit=3)
        assert (visit.rate_limit.requests, visit.rate_limit.remaining) == (count, 3 - count)
        assert 3_500_000 < visit.rate_limit.reset_ms <= 3_600_000
    valkey.raw.pexpire(MAPPING, 5_000)
    with pytest.raises(RateLimited) as refused:
        await agents.get_or_create(AGENT_ID, "Agent", operation="state", limit=3)
    assert refused.value.limit == 3 and 3_500_000 < refused.value.reset_ms <= 3_600_000
    assert valkey.raw.pttl(MAPPING) <= 5_000, "a refused request extends no TTL"
    await agents.get_or_create(AGENT_ID, "Agent", operation="diff", limit=3)
    await agents.get_or_create("another", "Agent", operation="state", limit=3)
    valkey.raw.delete(keys.rate_limit_key(AGENT_ID, "state"))
    assert (await agents.get_or_create(AGENT_ID, "Agent", operation="state", limit=3)).rate_limit.requests == 1


async def test_a_refused_request_creates_no_session(agents: AgentSessions, valkey: ValkeyServer) -> None:
    valkey.raw.set(keys.rate_limit_key(AGENT_ID, "state"), 5, px=1_000)
    with pytest.raises(RateLimited):
        await agents.get_or_create(AGENT_ID, "Agent", operation="state", limit=5)
    assert valkey.raw.keys("A*") == []


async def test_a_counter_without_ttl_gets_one(agents: AgentSessions, valkey: ValkeyServer) -> None:
    """As the app leaves it if it crashes between INCR and EXPIRE."""
    valkey.raw.set(keys.rate_limit_key(AGENT_ID, "state"), 1)
    assert (await agents.get_or_create(AGENT_ID, "Agent", operation="state", limit=9)).rate_limit.requests == 2
    assert 3_500_000 < valkey.raw.pttl(keys.rate_limit_key(AGENT_ID, "state")) <= 3_600_000


async def test_concurrent_first_requests_create_one_session(manager: StateManager, valkey: ValkeyServer) -> None:
    processes = [AgentSessions(manager.store.get_or_create) for _ in range(4)]
    found = await asyncio.gather(*(one.get_or_create(AGENT_ID, "Agent") for one in processes * 8))
    assert len({visit.session_id for visit in found}) == 1
    assert len(valkey.raw.keys("AWI:SESSION:*")) == 1


async def test_without_creating(agents: AgentSessions, manager: StateManager, valkey: ValkeyServer) -> None:
    with pytest.raises(NotFound, match="has no session"):
        await agents.get_or_create(AGENT_ID, "Agent", create=False)
    map_agent(valkey)
    with pytest.raises(NotFound):
        await agents.get_or_create(AGENT_ID, "Agent", create=False)
    assert valkey.raw.keys("AWI:*") == []
    put(valkey, LAYOUTS["app"](document([1])))
    assert (await agents.get_or_create(AGENT_ID, "Agent", create=False)).session_id == SESSION_ID
    other = await manager.initialize_session(AGENT_ID, "Agent")
    assert (await agents.get_or_create(AGENT_ID, "Agent", create=False)).session_id == other["session_id"]


async def test_unmapping(agents: AgentSessions, manager: StateManager, valkey: ValkeyServer) -> None:
    first = await agents.get_or_create(AGENT_ID, "Agent")
    await agents.unmap(AGENT_ID, first.session_id)
    assert valkey.raw.exists(session_key(first.session_id)) and not valkey.raw.exists(MAPPING)
    second = await agents.get_or_create(AGENT_ID, "Agent")
    assert second.session_id != first.session_id
    await agents.unmap(AGENT_ID, first.session_id)
    assert (await agents.get_or_create(AGENT_ID, "Agent")).session_id == second.session_id


async def test_a_session_of_another_agent_is_not_returned(
    agents: AgentSessions, valkey: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = await agents.get_or_create("another", "Agent")
    map_agent(valkey, theirs.session_id)
    for fresh in (agents, agents):
        visit = await fresh.get_or_create(AGENT_ID, "Agent", diff=True)
        assert visit.session_id != theirs.session_id and visit.head["agent_id"] == AGENT_ID
    assert "belongs to another agent" in caplog.text
    assert valkey.raw.exists(session_key(theirs.session_id)), "it is left alone"


async def test_a_session_that_waits_to_be_archived_gets_no_ttl(agents: AgentSessions, valkey: ValkeyServer) -> None:
    visit = await agents.get_or_create(AGENT_ID, "Agent")
    valkey.raw.persist(session_key(visit.session_id))
    await agents.get_or_create(AGENT_ID, "Agent")
    assert valkey.raw.pttl(session_key(visit.session_id)) == -1


@pytest.mark.parametrize("mapped", [b"junk", b"\xff\xfe", b"sess_" + b"x" * 65, b""], ids=repr)
async def test_an_invalid_mapping_is_replaced(agents: AgentSessions, valkey: ValkeyServer, mapped: bytes) -> None:
    valkey.raw.set(MAPPING, mapped)
    visit = await agents.get_or_create(AGENT_ID, "Agent")
    assert valkey.raw.get(MAPPING).decode() == visit.session_id


async def test_an_unreadable_session_is_an_error(agents: AgentSessions, valkey: ValkeyServer) -> None:
    map_agent(valkey)
    for damage in (b"not JSON", b"{}", b"[1]\n", b'{"history":{"actions":[   \n garbage'):
        valkey.raw.set(session_key(SESSION_ID), damage)
        with pytest.raises(InvalidData, match=SESSION_ID):
            await agents.get_or_create(AGENT_ID, "Agent")
    valkey.raw.delete(session_key(SESSION_ID))
    valkey.raw.lpush(session_key(SESSION_ID), "a list")
    with pytest.raises(InvalidData, match="not a string"):
        await agents.get_or_create(AGENT_ID, "Agent")


async def test_names_that_cannot_be_encoded(agents: AgentSessions) -> None:
    visit = await agents.get_or_create(AGENT_ID, "a\ud800b", route="/\udfff?{}")
    assert visit.head["agent_name"] == "a?b" and visit.head["current_url"] == "/??{}"


async def test_a_dead_server(new_valkey: Callable[[], ValkeyServer]) -> None:
    server = new_valkey()
    async with StateManager.open(server.settings(timeout=0.5)) as other:
        await other.agent_sessions.get_or_create(AGENT_ID, "Agent")
        server.kill()
        with pytest.raises(Unreachable):
            await other.agent_sessions.get_or_create(AGENT_ID, "Agent")


async def test_the_number_of_attempts_is_bounded() -> None:
    """If other requests create and end sessions of the agent at every attempt."""
    asked = 0

    class Busy:
        where = "busy"

        async def read_for_request(self, *_: object, **__: object) -> AgentLookup:
            return AgentLookup(0, 0)

        async def create_if_absent(self, *_: object, **__: object) -> tuple[AgentLookup, bool]:
            nonlocal asked
            asked += 1
            return AgentLookup(0, 0, current=OTHER_ID.encode()), False

    with pytest.raises(UpdateConflict):
        await AgentSessions(Busy()).get_or_create(AGENT_ID, "Agent")  # type: ignore[arg-type]
    assert asked == ATTEMPTS
