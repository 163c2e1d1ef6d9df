"""A client that was closed says so at once, so that nobody retries on it, whatever it is connected to."""

from __future__ import annotations

import asyncio

import pytest
from support.topologies import Cluster, Sentinels

from awictl import Settings
from awictl.store.errors import ClientClosed
from awictl.store.redis.cluster import ClusterRouter
from awictl.store.redis.server import connect

#: A command that needs a lease.
WRITE = ("SET", "AWI:SESSION:sess_test", "x")


async def closed_client_refuses(settings: Settings) -> None:
    server = connect(settings)
    assert await server.execute(WRITE) == [b"OK"]
    await server.close()
    if isinstance(server.router, ClusterRouter):
        for member in server.router.watch.masters():
            member.lease_until = -1e9  # as later
    async with asyncio.timeout(60):
        for idempotent in (False, True):
            with pytest.raises(ClientClosed, match="this client is closed"):
                await server.execute(WRITE, idempotent=idempotent)
        with pytest.raises(ClientClosed, match="this client is closed"):
            await server.masters()


async def test_of_a_cluster(cluster: Cluster) -> None:
    await closed_client_refuses(cluster.settings())


async def test_of_sentinel(sentinels: Sentinels) -> None:
    await closed_client_refuses(sentinels.settings())


async def test_of_a_cluster_while_requests_wait(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not cancelled: that would look as if their callers were."""

    async def unanswered() -> None:
        await asyncio.Event().wait()

    server = connect(cluster.settings())
    assert await server.execute(WRITE) == [b"OK"]
    assert isinstance(server.router, ClusterRouter)
    monkeypatch.setattr(server.router.watch, "_ask_round", unanswered)
    for member in server.router.watch.masters():
        member.lease_until = -1e9
    waiting = asyncio.create_task(server.execute(WRITE))
    async with asyncio.timeout(60):
        while server.router.watch._round is None:
            await asyncio.sleep(0)
        await server.close()
        with pytest.raises(ClientClosed, match="this client is closed"):
            await waiting
