"""AWI_WAIT_REPLICAS: a write that too few replicas acknowledge is reported as unconfirmed, never as success."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.api import an_agent, client_of, served
from support.cli import Cli
from support.topologies import Cluster
from support.valkey import ValkeyServer

from awictl import Settings, StateManager, Unconfirmed

SESSION_ID = "sess_0001"
#: The time for which replicas are waited for is half of this.
TIMEOUT = 0.5


class Pair:
    """A primary and its replica, which can be frozen."""

    def __init__(self, primary: ValkeyServer, replica: ValkeyServer) -> None:
        self.primary, self.replica = primary, replica
        self.settings = primary.settings(wait_replicas=1, timeout=TIMEOUT)

    def actions(self) -> int:
        return (self.primary.raw.get(f"AWI:SESSION:{SESSION_ID}") or b"").count(b'"op_id":"mine"')


@pytest.fixture
async def pair(new_valkey: Callable[..., ValkeyServer]) -> AsyncIterator[Pair]:
    primary = new_valkey()
    replica = new_valkey("--replicaof", "127.0.0.1", str(primary.port))
    while primary.raw.wait(1, 100) < 1 or replica.raw.info("replication")["master_link_status"] != "up":
        await asyncio.sleep(0.01)
    yield Pair(primary, replica)
    replica.resume()


@pytest.fixture
async def manager(pair: Pair) -> AsyncIterator[StateManager]:
    async with StateManager.open(replace(pair.settings, timeout=20.0)) as patient:
        await patient.initialize_session("agent", "Agent", session_id=SESSION_ID)
    async with StateManager.open(pair.settings) as opened:
        # opens several connections, so that each request may get another one
        await asyncio.gather(*(opened.get_session_state(SESSION_ID) for _ in range(5)))
        yield opened


async def test_an_update_is_unconfirmed_until_a_replica_acknowledges_it(pair: Pair, manager: StateManager) -> None:
    pair.replica.pause()
    for _ in range(2):  # a retry finds the action, and has to wait again
        with pytest.raises(Unconfirmed, match=r"0 of 1 replicas.*retry it with op_id mine") as raised:
            await manager.update_state_with_delta(SESSION_ID, {"n": 1}, {"op_id": "mine"})
        error = raised.value
        assert (error.op_id, error.acknowledged, error.wanted, error.exit_code) == ("mine", 0, 1, 7)
    pair.replica.resume()
    async with StateManager.open(replace(pair.settings, timeout=20.0)) as patient:
        await patient.update_state_with_delta(SESSION_ID, {"n": 1}, {"op_id": "mine"})
    assert pair.actions() == 2, "once as an action, and once as the last action"
    assert pair.replica.raw.get(f"AWI:SESSION:{SESSION_ID}") == pair.primary.raw.get(f"AWI:SESSION:{SESSION_ID}")


async def test_a_retry_that_finds_the_action_deep_in_the_trajectory_waits_too(
    pair: Pair, manager: StateManager
) -> None:
    async with StateManager.open(replace(pair.settings, wait_replicas=0)) as other:
        await other.update_state_with_delta(SESSION_ID, {"n": 1}, {"op_id": "mine"})
        for n in range(5):
            await other.update_state_with_delta(SESSION_ID, {"n": n})
    before = pair.primary.raw.get(f"AWI:SESSION:{SESSION_ID}"), pair.primary.raw.pttl(f"AWI:SESSION:{SESSION_ID}")
    pair.replica.pause()
    with pytest.raises(Unconfirmed, match="0 of 1 replicas"):
        await manager.update_state_with_delta(SESSION_ID, {"n": 1}, {"op_id": "mine"})
    assert pair.primary.raw.get(f"AWI:SESSION:{SESSION_ID}") == before[0]
    assert pair.primary.raw.pttl(f"AWI:SESSION:{SESSION_ID}") <= before[1], "waiting again changes nothing"


async def test_create_is_unconfirmed_and_touch_and_discard_need_no_acknowledgement(
    pair: Pair, manager: StateManager
) -> None:
    pair.replica.pause()
    with pytest.raises(Unconfirmed, match="sess_2 was created, but only 0 of 1"):
        await manager.initialize_session("other", "Other", session_id="sess_2")
    assert pair.primary.raw.exists("AWI:SESSION:sess_2")
    await manager.touch_session(SESSION_ID)
    await manager.discard_session("sess_2")


async def test_what_a_replica_acknowledges_is_confirmed(pair: Pair, manager: StateManager) -> None:
    async with StateManager.open(replace(pair.settings, timeout=20.0)) as patient:
        await asyncio.gather(*(patient.initialize_session(f"agent-{n}", "Agent") for n in range(20)))
        await patient.update_state_with_delta(SESSION_ID, {"n": 1}, {"op_id": "mine"})
    assert pair.actions() == 2


async def test_each_of_many_concurrent_writes_waits_for_the_replica(pair: Pair, manager: StateManager) -> None:
    """WAIT applies to the writes of its own connection."""
    pair.replica.pause()
    async with StateManager.open(replace(pair.settings, timeout=2.0)) as patient:
        created = await asyncio.gather(
            *(patient.initialize_session(f"agent-{n}", "Agent") for n in range(20)), return_exceptions=True
        )
    assert [type(one) for one in created] == [Unconfirmed] * 20


async def test_restore_can_be_repeated_until_it_is_confirmed(pair: Pair, manager: StateManager, tmp_path: Path) -> None:
    archived = replace(pair.settings, archive_url=f"sqlite:///{tmp_path}/archive.db")
    async with StateManager.open(archived) as archiving:
        await archiving.end_session(SESSION_ID)
        pair.replica.pause()
        for _ in range(2):
            with pytest.raises(Unconfirmed, match="sess_0001 was restored, but only 0 of 1"):
                await archiving.restore_session(SESSION_ID)
        # an end archives the session, so no replica has to acknowledge that it is gone from Redis
        await archiving.end_session(SESSION_ID)
    assert not pair.primary.raw.exists(f"AWI:SESSION:{SESSION_ID}")


async def test_the_command_exits_with_7_and_names_the_op_id(pair: Pair, manager: StateManager, tmp_path: Path) -> None:
    pair.replica.pause()
    user = Cli.at(tmp_path / "home", REDIS_URL=f"redis://127.0.0.1:{pair.primary.port}", AWI_WAIT_REPLICAS="1")
    words = ("session", "apply", SESSION_ID, '{"n": 1}', "--op-id", "mine", "--timeout", "1")
    result = await asyncio.to_thread(user, *words)
    result.error(7, "unconfirmed", "0 of 1 replicas", "op_id mine")


async def test_the_api_replies_503_with_unconfirmed(pair: Pair, manager: StateManager, tmp_path: Path) -> None:
    settings = replace(pair.settings, archive_url=f"sqlite:///{tmp_path}/archive.db")
    async with served(settings) as api, client_of(api) as client:
        agent = await an_agent(api, client)
        await agent.get("state")
        pair.replica.pause()
        for _ in range(2):
            response = await agent.post("state", {"delta": {"n": 1}, "op_id": "mine"})
            assert response.status_code == 503 and response.headers["retry-after"] == "1"
            body = response.json()
            assert (body["success"], body["unconfirmed"], body["op_id"]) == (False, True, "mine")


async def test_a_cluster_waits_for_the_replicas_of_the_master_of_the_session(cluster: Cluster) -> None:
    settings: Settings = cluster.settings(wait_replicas=1, timeout=20.0)
    async with StateManager.open(settings) as manager:
        await manager.initialize_session("agent", "Agent", session_id=SESSION_ID)
        await manager.update_state_with_delta(SESSION_ID, {"n": 1})
    [replica] = cluster.replicas_of(cluster.owner(cluster.slot(f"AWI:SESSION:{SESSION_ID}")))
    cluster.pause(replica)
    try:
        async with StateManager.open(replace(settings, timeout=1.0)) as manager:
            for _ in range(2):
                with pytest.raises(Unconfirmed, match="0 of 1 replicas"):
                    await manager.update_state_with_delta(SESSION_ID, {"n": 2}, {"op_id": "mine"})
    finally:
        cluster.resume(replica)
    async with StateManager.open(settings) as manager:
        await manager.update_state_with_delta(SESSION_ID, {"n": 2}, {"op_id": "mine"})
