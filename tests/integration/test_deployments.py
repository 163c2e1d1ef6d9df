"""The doctor, monitor, health and key counts on real clusters and Sentinel deployments, before and after a failover."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any

import pytest
import redis
from support.processes import tls_program
from support.topologies import Cluster, Sentinels
from support.valkey import ValkeyServer

from awictl import Settings, StateManager
from awictl.diagnostics.command_monitor import Operation, OperationMonitor
from awictl.diagnostics.doctor import Check, Status, examine
from awictl.errors import Refused

needs_tls = pytest.mark.skipif(tls_program() is None, reason="no server with TLS is installed (Debian: redis-tools)")
LOCK = "LOCK:SESSION:"


async def examined(settings: Settings, **options: Any) -> dict[str, Check]:
    """The checks of the servers, by name."""
    async with StateManager.open(settings) as manager:
        report, _ = await examine(manager, data=False)
    assert all(one.remedy or one.status is Status.PASS for one in report.checks)
    return {one.name: one for one in report.checks}


def failing(checks: dict[str, Check]) -> set[str]:
    return {name for name, one in checks.items() if one.status is not Status.PASS}


class Reading:
    """A running monitor: the keys of the commands that it has reported, and its notices."""

    def __init__(self, manager: StateManager) -> None:
        self.keys: list[str] = []
        self.notices: list[str] = []
        self._monitor = OperationMonitor(manager.store.keyspace)
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        found: AsyncGenerator[Operation, None] = self._monitor.follow(120, self.notices.append)
        async with aclosing(found):
            async for one in found:
                self.keys += one.keys

    async def until(self, write: Any, key: str) -> None:
        """Write a key again and again until it is reported: the monitor may not have begun."""
        while key not in self.keys:
            assert not self._task.done(), self._task.exception()
            await asyncio.to_thread(write, key, "x")
            await asyncio.sleep(0.05)

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def test_slots_without_an_owner_are_a_failed_check(cluster: Cluster) -> None:
    master = cluster.masters[1]
    slot = cluster.slot(cluster.key(master))
    master.raw.execute_command("CLUSTER", "DELSLOTS", slot)
    try:
        checks = await examined(cluster.settings())
    finally:
        master.raw.execute_command("CLUSTER", "ADDSLOTS", slot)
    assert checks["slots"].status is Status.FAIL and "1 of 16,384 slots have no owner" in checks["slots"].evidence
    assert checks["cluster"].status is Status.FAIL and master.address in checks["cluster"].evidence


async def test_caches_and_media_on_deployments_of_their_own(
    valkey: ValkeyServer, cluster: Cluster, sentinels: Sentinels
) -> None:
    settings = valkey.settings(cache_redis_url=cluster.url(), media_redis_url=sentinels.url())
    async with StateManager.open(settings) as manager:
        stored = await manager.cache.put({"q": 1}, None, [{"id": 7}])
        assert await manager.get_cached_query_results(stored.cache_key) == [{"id": 7}]
        assert await manager.inventory.size() == 1
    assert sum(master.raw.dbsize() for master in cluster.masters) == 1 and valkey.raw.dbsize() == 0
    # a node used as a single server says so, whatever is asked
    alone = Settings(redis_host="127.0.0.1", redis_port=cluster.masters[0].port)
    async with StateManager.open(alone) as manager:
        session_id = cluster.key(cluster.masters[1], "AWI:SESSION:sess_").removeprefix("AWI:SESSION:")
        with pytest.raises(Refused, match=r"is a node of a Redis Cluster.*set REDIS_CLUSTER=true"):
            await manager.get_session_state(session_id)
    found = (await examined(alone))["replication"]
    assert found.status is Status.FAIL and "REDIS_CLUSTER=true" in found.remedy

    checks = await examined(settings)
    assert checks["cache: slots"].status is Status.PASS
    assert checks["media: quorum"].status is Status.PASS
    assert "eviction" in checks and not {"cache: eviction", "media: persistence"} & checks.keys()


async def test_a_cluster_is_examined_counted_and_monitored_also_after_a_failover(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    # nobody asks who is in charge between two looks of the monitor
    monkeypatch.setattr("awictl.store.redis.cluster_watch.IDLE_SECONDS", 0.05)
    masters = cluster.masters
    keys = [cluster.key(master, LOCK) for master in masters]
    for master, key in zip(masters, keys, strict=True):
        master.raw.set(key, "held")
    settings = cluster.settings(wait_replicas=1)

    checks = await examined(settings)
    assert failing(checks) == {"persistence", "acknowledged writes", "archive"}
    assert {"cluster", "slots", "nodes", "replication", "version"} <= checks.keys()
    assert "3 masters with slots, 6 nodes" in checks["cluster"].evidence
    assert "min-replicas-to-write is 0" in checks["acknowledged writes"].evidence
    assert failing(await examined(cluster.settings(wait_replicas=2))) >= {"replication"}, "every write is unconfirmed"

    async with StateManager.open(settings) as manager:
        ping = await manager.store.ping()
        assert (ping["masters"], ping["cluster_state"]) == (3, "ok")
        assert await manager.inventory.size() == 3
        used, limit = await manager.store.keyspace.server_info.memory()
        assert used is not None and limit is None
        assert used > max(master.info("memory")["used_memory"] for master in masters) * 2
        reading = Reading(manager)
        try:
            for master, key in zip(masters, keys, strict=True):
                await reading.until(master.raw.set, key)
            cluster.kill(masters[0])
            promoted = await asyncio.to_thread(cluster.failed_over, masters[0])
            reading.keys.clear()
            await reading.until(promoted.raw.set, keys[0])
        finally:
            await reading.stop()
    notices = "\n".join(reading.notices)
    assert f"{masters[0].address}/0 closed the connection" in notices
    assert f"{masters[0].address}/0 is no longer a master" in notices
    assert f"{promoted.address}/0 is a master now" in notices

    checks = await examined(settings)
    assert checks["nodes"].status is Status.WARN and f"{masters[0].address} failed" in checks["nodes"].evidence
    assert checks["replication"].status is Status.FAIL and promoted.address in checks["replication"].evidence


async def test_a_sentinel_deployment_is_examined_and_monitored_also_after_a_failover(sentinels: Sentinels) -> None:
    old = sentinels.primary
    settings = sentinels.settings(wait_replicas=1)
    checks = await examined(settings)
    assert failing(checks) == {"persistence", "acknowledged writes", "archive"}
    assert f"{old.address}, named by all" in checks["primary"].evidence
    assert "2 replicas, all up" in checks["replicas"].evidence
    assert "Quorum and failover authorization can be reached" in checks["quorum"].evidence
    assert "set AWI_WAIT_REPLICAS=2" in checks["acknowledged writes"].remedy
    other_name = await examined(sentinels.settings(redis_sentinel_master="other"))
    assert other_name["sentinels"].status is Status.FAIL and "REDIS_SENTINEL_MASTER" in other_name["sentinels"].remedy

    rules = ["on", ">secret", "+@all", "-sentinel|ckquorum", "-sentinel|replicas"]
    for sentinel in sentinels.sentinels:
        sentinel.raw.execute_command("ACL", "SETUSER", "limited", *rules)
    limited = sentinels.settings(redis_sentinel_username="limited", redis_sentinel_password="secret")
    checks = await examined(limited)
    assert {checks[name].status for name in ("reachable", "sentinels", "primary")} == {Status.PASS}
    for name in ("quorum", "replicas"):
        assert checks[name].status is Status.WARN and "not permitted: SENTINEL" in checks[name].evidence

    async with StateManager.open(settings) as manager:
        assert (await manager.store.ping())["primary"] == f"redis://{old.address}/0"
        reading = Reading(manager)
        try:
            await reading.until(old.raw.set, f"{LOCK}a")
            sentinels.kill(old)

            def write(*words: str) -> None:
                # on a slow machine, sentinels may choose twice: then the first choice becomes a replica again
                with suppress(redis.ReadOnlyError):
                    sentinels.failed_over(old).raw.set(*words)

            await reading.until(write, f"{LOCK}b")
            promoted = sentinels.failed_over(old)
        finally:
            await reading.stop()
        assert (await manager.store.ping())["primary"] == f"redis://{promoted.address}/0"
    notices = "\n".join(reading.notices)
    assert f"{old.address}/0 is no longer a master" in notices
    assert f"{promoted.address}/0 is a master now" in notices

    sentinels.kill(sentinels.sentinels[0])
    checks = await examined(settings)
    assert checks["sentinels"].status is Status.WARN and "2 of 3 sentinels answered" in checks["sentinels"].evidence
    assert f"{promoted.address}" in checks["primary"].evidence

    sentinels.kill(sentinels.sentinels[1])  # no majority: the doctor still says what is wrong
    checks = await examined(sentinels.settings(timeout=0.5))
    assert checks["reachable"].status is Status.FAIL and "sentinels" in checks["reachable"].remedy
    assert checks["sentinels"].status is Status.FAIL and "1 of 3 sentinels answered" in checks["sentinels"].evidence


@needs_tls
async def test_deployments_with_tls_and_passwords() -> None:
    """Every connection uses TLS, to sentinels and to all nodes: these have no other port."""
    with Cluster(replicas=0, tls=True, password="secret") as cluster:
        checks = await examined(cluster.settings())
        assert checks["cluster"].status is checks["tls"].status is checks["reachable"].status is Status.PASS
        await write_and_read(cluster.settings())
    with Sentinels(replicas=1, tls=True, password="secret", sentinel_password="watch") as sentinels:
        checks = await examined(sentinels.settings())
        assert checks["primary"].status is checks["tls"].status is checks["reachable"].status is Status.PASS
        await write_and_read(sentinels.settings())
        checks = await examined(sentinels.settings(redis_sentinel_password="wrong"))
        assert checks["sentinels"].status is Status.FAIL and "REDIS_SENTINEL_PASSWORD" in checks["sentinels"].remedy


async def write_and_read(settings: Settings) -> None:
    async with StateManager.open(settings) as manager:
        stored = await manager.cache.put({"q": 1}, None, [{"id": 7}])
        assert await manager.get_cached_query_results(stored.cache_key) == [{"id": 7}]
