"""The whole state manager on a real Redis Cluster. `AWICTL_TEST_TOPOLOGY=cluster` runs the other tests on one, too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.topologies import Cluster

from awictl import Settings, StateManager
from awictl.document import keys
from awictl.store.redis.server import Server
from awictl.store.redis.slots import key_slot

SESSION_ID, AGENT_ID = "sess_0001", "agent"
NAMES = [keys.session_key(SESSION_ID), keys.diff_key(SESSION_ID), keys.agent_key(AGENT_ID)]


@pytest.fixture
def settings(cluster: Cluster, tmp_path: Path) -> Settings:
    return cluster.settings(archive_url=f"sqlite:///{tmp_path}/archive.db")


@pytest.fixture
async def manager(settings: Settings) -> AsyncIterator[StateManager]:
    async with StateManager.open(settings) as opened:
        yield opened


def stored(cluster: Cluster) -> set[str]:
    return {name.decode() for master in cluster.masters for name in master.raw.keys("*")}


def test_the_keys_of_a_session_are_in_different_slots() -> None:
    assert len({key_slot(name) for name in NAMES}) == 3
    assert key_slot(keys.ending_key(SESSION_ID)) == key_slot(NAMES[0])


async def test_the_life_of_a_session(cluster: Cluster, manager: StateManager) -> None:
    await manager.initialize_session(AGENT_ID, "Agent", session_id=SESSION_ID)
    await manager.update_state_with_delta(SESSION_ID, {"route": "/a"}, {"op_id": "mine"})
    diff = await manager.get_state_diff(SESSION_ID)
    assert diff is not None and diff["delta"] == {"route": "/a"}, "this process reads what it wrote"
    await manager.update_state_with_delta(SESSION_ID, {"route": "/a"}, {"op_id": "mine"})
    assert (await manager.get_action_history(SESSION_ID)).total == 2
    await manager.touch_session(SESSION_ID)
    assert stored(cluster) == set(NAMES)

    found = await manager.find_session_for_agent(AGENT_ID)
    assert found is not None
    assert [[one.session_id for one in batch] async for batch in manager.store.list_all(lambda one: one)] == [
        [SESSION_ID]
    ]
    assert [one.session_id for one in (await manager.store.versions([SESSION_ID, "sess_2"])).versions] == [SESSION_ID]
    assert (await manager.store.read_many([SESSION_ID, "sess_2"])).keys() == {SESSION_ID}

    await manager.end_session(SESSION_ID)
    assert await manager.store.diff(SESSION_ID) == (None, False)
    assert await manager.store.agent_session(AGENT_ID) is None
    assert stored(cluster) == set()
    await manager.restore_session(SESSION_ID)
    mapped = await manager.store.agent_session(AGENT_ID)
    assert mapped is not None and mapped.session_id == SESSION_ID


async def test_an_end_that_was_interrupted_is_finished(cluster: Cluster, manager: StateManager) -> None:
    await manager.initialize_session(AGENT_ID, "Agent", session_id=SESSION_ID)
    endings = manager.store.endings
    taken = await endings.take(SESSION_ID)
    assert stored(cluster) == {keys.ending_key(SESSION_ID), NAMES[2]}
    assert await endings.ids() == [SESSION_ID] and await endings.taken(SESSION_ID) == taken.value
    assert await endings.put_back(SESSION_ID, taken.value, None)
    assert await endings.ids() == []
    await endings.take(SESSION_ID)
    assert (await manager.finish_ends()).keys() == {SESSION_ID}
    assert await endings.ids() == []
    assert await manager.store.agent_session(AGENT_ID) is None and stored(cluster) == set()


async def test_requests_of_agents(cluster: Cluster, manager: StateManager) -> None:
    first = await manager.agent_sessions.get_or_create(AGENT_ID, "Agent", operation="read", limit=5)
    second = await manager.agent_sessions.get_or_create(AGENT_ID, "Agent", operation="read", limit=5, diff=True)
    assert first.session_id == second.session_id and second.rate_limit.requests == 2
    await manager.update_state_with_delta(first.session_id, {"n": 1})
    third = await manager.agent_sessions.get_or_create(AGENT_ID, "Agent", operation="read", limit=5, diff=True)
    assert third.last_delta is not None and third.last_delta["delta"] == {"n": 1}
    await manager.agent_sessions.unmap(AGENT_ID, first.session_id)
    fourth = await manager.agent_sessions.get_or_create(AGENT_ID, "Agent")
    assert fourth.session_id != first.session_id


async def test_an_update_waits_only_for_the_session(manager: StateManager, monkeypatch: pytest.MonkeyPatch) -> None:
    await manager.initialize_session(AGENT_ID, "Agent", session_id=SESSION_ID)
    await manager.update_state_with_delta(SESSION_ID, {"n": 1})
    waited: list[str] = []
    others, allowed = [], asyncio.Event()
    execute = Server._execute

    async def held_up(server: Server, commands: list[tuple[str, ...]], **options: bool) -> list[object]:
        names = [str(one[3] if one[0].startswith("EVAL") else one[1]) for one in commands]
        if names == NAMES[:1]:
            waited.extend(names)
        else:
            others.extend(names)
            await allowed.wait()
        return await execute(server, commands, **options)

    monkeypatch.setattr(Server, "_execute", held_up)
    await manager.update_state_with_delta(SESSION_ID, {"n": 2})
    assert waited == NAMES[:1], "one round trip"
    diff = asyncio.create_task(manager.get_state_diff(SESSION_ID))
    await asyncio.sleep(0.01)
    assert sorted(others) == sorted(NAMES[1:]) and not diff.done()
    allowed.set()
    found = await diff
    assert found is not None and found["delta"] == {"n": 2}


async def test_several_scans_at_the_same_time(cluster: Cluster, manager: StateManager) -> None:
    """Each of them asks for a map of its own, in rounds that they share."""
    made = {(await manager.initialize_session(f"agent-{number}", "Agent"))["session_id"] for number in range(9)}

    async def scan(after: int) -> set[str]:
        for _ in range(after):  # they begin at different points of a round
            await asyncio.sleep(0)
        return {one async for ids in manager.store.scan() for one in ids}

    assert await asyncio.gather(*(scan(number * 7) for number in range(20))) == [made] * 20
