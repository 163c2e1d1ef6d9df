"""The store on fakeredis, a second implementation of the Lua and the byte ranges that the scripts need."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import fakeredis.aioredis
import pytest
from support.documents import APP_FILES, assert_same, diff_key, plain, session_key

from awictl import NotFound, Refused, Settings, StateManager


@pytest.fixture
def client() -> fakeredis.aioredis.FakeRedis:
    return fakeredis.aioredis.FakeRedis()


@pytest.fixture
async def manager(client: fakeredis.aioredis.FakeRedis) -> AsyncIterator[StateManager]:
    settings = Settings(max_actions=10)
    async with StateManager.open(settings, redis=client) as opened:
        yield opened


async def test_the_life_of_a_session(manager: StateManager, client: fakeredis.aioredis.FakeRedis) -> None:
    created = await manager.initialize_session("agent", "Agent", route="/posts")
    session_id = created["session_id"]
    assert await manager.get_session_state(session_id) == created
    assert await manager.find_session_for_agent("agent") == session_id
    with pytest.raises(Refused, match="exists already"):
        await manager.initialize_session("agent", "Agent", session_id=session_id)

    updated = await manager.apply(session_id, {"page_state": {"sort": {"key": "title"}}}, {"op_id": "op-1"})
    again = await manager.apply(session_id, {"page_state": {"sort": {"key": "title"}}}, {"op_id": "op-1"})
    assert updated.action is not None and again.action is None
    assert updated.head["page_state"]["sort"] == {"key": "title", "order": "desc"}
    diff = await manager.get_state_diff(session_id)
    assert diff == {"delta": updated.action["delta"], "last_action": updated.action}
    assert 0 < await client.ttl(diff_key(session_id)) <= 300

    for n in range(2, 25):
        await manager.update_state_with_delta(session_id, {"n": n})
    document = plain(await client.get(session_key(session_id)))
    assert [action["t"] for action in document["history"]["actions"]] == list(range(15, 25))
    page = await manager.get_action_history(session_id, 3, 2)
    assert ([action["t"] for action in page.trajectory], page.total) == ([22, 21, 20], 10)

    await client.pexpire(session_key(session_id), 1000)
    await manager.touch_session(session_id)
    assert await client.pttl(session_key(session_id)) > 1_000_000
    [listed] = [one async for one in manager.list_sessions()]
    assert (listed.session_id, listed.actions, listed.error) == (session_id, 10, None)


@pytest.mark.parametrize("file", APP_FILES, ids=lambda file: file.stem)
async def test_a_document_of_the_app_is_converted(
    manager: StateManager, client: fakeredis.aioredis.FakeRedis, file: Path
) -> None:
    raw = file.read_bytes()
    await client.set(session_key(), raw)
    assert_same(await manager.get_session_state("sess_test"), plain(raw))
    updated = await manager.apply("sess_test", {"n": 1})
    after = plain(await client.get(session_key()))
    assert after["n"] == 1
    assert_same(after["history"]["last_action"], updated.action)
    assert_same(after["page_state"], plain(raw)["page_state"])


async def test_a_missing_session_is_not_found(manager: StateManager) -> None:
    assert await manager.get_session_state("sess_none") is None
    for call in (manager.touch_session, manager.get_action_history, manager.get_state_diff):
        with pytest.raises(NotFound):
            await call("sess_none")
    with pytest.raises(NotFound):
        await manager.update_state_with_delta("sess_none", {})
