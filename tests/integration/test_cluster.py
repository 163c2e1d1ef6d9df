"""Requests to a real Redis Cluster: slots that move, masters that die or freeze, and scans meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from support.processes import Member
from support.topologies import Cluster
from support.valkey import ValkeyServer

from awictl import Refused, Settings
from awictl.store.errors import ReplyLost
from awictl.store.redis import cluster_scan, cluster_watch, keyspace, scan_keys
from awictl.store.redis.cluster import ClusterRouter
from awictl.store.redis.server import Script, Server, connect
from awictl.store.redis.slots import key_slot


@pytest.fixture
async def server(cluster: Cluster) -> AsyncIterator[Server]:
    """The cluster, as a store uses it."""
    opened = connect(cluster.settings())
    yield opened
    await opened.close()


def router_of(server: Server) -> ClusterRouter:
    router = server.router
    assert isinstance(router, ClusterRouter)
    return router


def another(cluster: Cluster, than: Member) -> Member:
    return next(one for one in cluster.masters if one is not than)


def test_slots_are_those_of_the_servers(cluster: Cluster) -> None:
    keys = ["", "a", "AWI:SESSION:sess_1", "{tag}a", "x{tag}", "{}a", "{{a}}", "{a", "a}b{c}", "é{ü}", "x" * 1000]
    raw = cluster.masters[0].raw
    assert [key_slot(key) for key in keys] == [raw.execute_command("CLUSTER", "KEYSLOT", key) for key in keys]


async def test_requests_for_several_masters(cluster: Cluster, server: Server) -> None:
    keys = [cluster.key(master) for master in cluster.masters]
    await server.execute(*(("SET", key, key) for key in keys))
    replies = await server.execute_idempotent(("PING",), *(("GET", key) for key in keys), ("DBSIZE",))
    assert replies[:4] == [b"PONG", *(key.encode() for key in keys)] and replies[4] == 1
    assert [(await server.execute_on(one, ("DBSIZE",)))[0] for one in await server.masters()] == [1, 1, 1]


async def test_a_script_that_no_master_knows(cluster: Cluster, server: Server) -> None:
    keys = [cluster.key(master) for master in cluster.masters]
    for master in cluster.masters:
        master.raw.script_flush()
    calls = [(Script("set_min_ttl"), ([key], [60_000])) for key in keys]
    await server.execute(*(("SET", key, "", "PX", 1000) for key in keys))
    assert await server.run_each(calls) == [1, 1, 1]
    assert all(one.raw.script_exists(Script("set_min_ttl").sha) == [True] for one in cluster.masters)


async def test_a_slot_that_moves(cluster: Cluster, server: Server) -> None:
    here, gone = "{moving}here", "{moving}gone"
    await server.execute(("SET", here, 1), ("SET", gone, 2))
    slot = key_slot(here)
    target = another(cluster, cluster.owner(slot))
    source = cluster.begin_move(slot, target)
    try:
        source.raw.execute_command("MIGRATE", "127.0.0.1", target.port, gone, 0, 5000)
        assert await server.execute(("GET", here), ("GET", gone), ("SET", "{moving}new", 3)) == [b"1", b"2", b"OK"]
        assert target.raw.execute_command("ASKING") and target.raw.get("{moving}new") == b"3"
        # the keys of one command are on both: TRYAGAIN, until all have moved
        both = asyncio.create_task(server.execute(("EXISTS", here, gone)))
        await asyncio.sleep(0.1)
        assert not both.done()
        while cluster.move_keys(slot, source, target):
            pass
        assert await both == [2]
    finally:
        while cluster.move_keys(slot, source, target):
            pass
        cluster.end_move(slot, source, target)
    assert router_of(server).watch.map.slots[slot][1] == source.port  # type: ignore[union-attr, index]
    assert await server.execute(("GET", here), ("SET", gone, 4)) == [b"1", b"OK"], "MOVED"
    member = router_of(server).watch.of_slot(slot)
    assert member is not None and member.address[1] == target.port


async def test_a_master_dies(cluster: Cluster, server: Server) -> None:
    master = cluster.masters[0]
    key = cluster.key(master)
    others = [cluster.key(one) for one in cluster.masters[1:]]
    await server.execute(("SET", key, 1))
    try:
        cluster.kill(master)
        assert await server.execute(*(("SET", other, 1) for other in others)) == [b"OK", b"OK"]
        for _ in range(20):
            try:
                assert await server.execute(("SET", key, 2)) == [b"OK"]
                break
            except ReplyLost:
                pass  # on the connection that broke
        promoted = await asyncio.to_thread(cluster.failed_over, master)
        assert promoted.raw.get(key) == b"2"
    finally:
        await asyncio.to_thread(cluster.settle)


async def test_a_master_that_was_replaced_while_it_was_frozen(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After it thaws, it accepts writes until it hears that it was replaced: they would be lost.

    A single request that waits for it goes to the new master, also if the promotion takes long.
    """
    monkeypatch.setattr(cluster_watch, "IDLE_SECONDS", 0.3)
    master = cluster.masters[0]
    key = cluster.key(master)
    server = connect(cluster.settings(timeout=20))
    try:
        await server.execute(("SET", key, 0))
        cluster.pause(master)
        waiting = asyncio.create_task(server.execute(("SET", key, 1), idempotent=True))
        promoted = await asyncio.to_thread(cluster.failed_over, master)
        assert await waiting == [b"OK"] and promoted.raw.get(key) == b"1"
        cluster.resume(master)
        for number in range(2, 200):
            await server.execute(("SET", key, number))
        assert promoted.raw.get(key) == b"199"
    finally:
        await server.close()
        await asyncio.to_thread(cluster.settle)


async def test_a_frozen_seed_does_not_delay(cluster: Cluster) -> None:
    replica = cluster.replicas[0]
    seeds = f"127.0.0.1:{replica.port},127.0.0.1:{cluster.masters[0].port},127.0.0.1:1"
    cluster.pause(replica)
    server = connect(Settings(redis_cluster=True, redis_host=seeds, timeout=60))
    try:
        async with asyncio.timeout(30):
            assert await server.execute(("SET", "a", 1)) == [b"OK"]
    finally:
        cluster.resume(replica)
        await server.close()
        await asyncio.to_thread(cluster.settle)


async def test_not_a_cluster(valkey: ValkeyServer) -> None:
    server = connect(valkey.tcp_settings(redis_cluster=True))
    with pytest.raises(Refused, match="is not a node of a Redis Cluster; do not set REDIS_CLUSTER"):
        await server.execute(("PING",))
    await server.close()


async def test_a_scan_while_slots_move(
    cluster: Cluster, server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One slot moves key by key, many others at once, both from a master that is not scanned yet to one that was."""
    monkeypatch.setattr(scan_keys, "SCAN_COUNT", 10)
    await server.execute(*(("SET", f"{{slow}}{i}", "") for i in range(50)))
    await server.execute(*(("SET", f"key{i}", "") for i in range(600)))
    first = key_slot("{slow}")
    source = cluster.owner(first)
    target = another(cluster, source)
    low, _ = next(row for row in cluster.nodes(source) if row.myself).slots[0]
    scanned, scan = asyncio.Event(), cluster_scan.scan_keys
    moved = False

    async def in_order(execute: Any, *others: Any) -> AsyncGenerator[list[bytes], None]:
        """The scan of the source begins when the target was scanned, and some slots have moved after that."""
        nonlocal moved
        if execute.args[0].address.port == source.port and not moved:
            moved = True
            await scanned.wait()
            await asyncio.to_thread(cluster.move_slot, first, target)
            if first != low and supports_atomic(source):
                await asyncio.to_thread(cluster.migrate_slots, low, min(first - 1, low + 2000), target)
        async for names in scan(execute, *others):
            yield names
        if execute.args[0].address.port == target.port:
            scanned.set()

    monkeypatch.setattr(cluster_scan, "scan_keys", in_order)
    found: set[bytes] = set()
    async with aclosing(keyspace.scan(server, None)) as batches:
        async for names in batches:
            found.update(names)
    assert len(found) == 650
    assert not caplog.records


async def test_a_scan_while_slots_never_stop_to_move(
    cluster: Cluster, server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cluster_scan, "MAX_PASSES", 2)
    await server.execute(*(("SET", f"key{i}", "") for i in range(60)))
    slot = key_slot("key0")
    found: set[bytes] = set()
    with caplog.at_level(logging.WARNING):
        async with aclosing(keyspace.scan(server, None)) as batches:
            async for names in batches:
                found.update(names)
                cluster.move_slot(slot, another(cluster, cluster.owner(slot)))
    assert "slots kept moving between its nodes while their keys were listed" in caplog.text


def supports_atomic(member: Member) -> bool:
    """Whether a server can migrate slots at once (Valkey 9)."""
    return int(str(member.info("server").get("valkey_version", "0")).partition(".")[0]) >= 9
