"""Leases of a Redis Cluster's masters, with nodes that say whatever a test wants."""

from __future__ import annotations

import asyncio
import faulthandler
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import hiredis
import pytest

from awictl.store.redis import cluster_watch
from awictl.store.redis.address import Access
from awictl.store.redis.cluster import ClusterRouter
from awictl.store.redis.replies import Lost


class FakeNode:
    """A node of a cluster: replies to CLUSTER with what it is told to, and OK to all other commands."""

    def __init__(self) -> None:
        self.port = 0
        #: Its lines of CLUSTER NODES, and the epoch in CLUSTER INFO.
        self.nodes = ""
        self.epoch = 3
        #: Commands for keys that have arrived.
        self.received: list[list[bytes]] = []
        #: Not set: it is frozen.
        self.running = asyncio.Event()
        self.running.set()
        #: Called when a command for a key arrives, before the reply.
        self.on_command: Callable[[], object] = lambda: None
        self.connections: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections.add(writer)
        parser = hiredis.Reader()
        while data := await reader.read(65_536):
            await self.running.wait()
            parser.feed(data)
            while (command := parser.gets()) is not False:
                reply = self.reply(command)
                await self.running.wait()
                writer.write(reply)
        self.connections.discard(writer)
        writer.close()

    def reply(self, command: list[bytes]) -> bytes:
        """The reply to a command."""
        match command:
            case [b"PING"]:
                return b"+PONG\r\n"
            case [b"CLUSTER", b"INFO"]:
                return bulk(f"cluster_state:ok\r\ncluster_current_epoch:{self.epoch}\r\n")
            case [b"CLUSTER", b"NODES"]:
                return bulk(self.nodes)
            case [b"CLUSTER", _]:
                return b"*0\r\n"
        self.received.append(command)
        self.on_command()
        return b"+OK\r\n"


def bulk(text: str) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(text.encode()), text.encode())


@asynccontextmanager
async def fakes(count: int) -> AsyncIterator[list[FakeNode]]:
    """Nodes: the first three are masters of a third of the slots each, and further ones are replicas of the first."""
    nodes = [FakeNode() for _ in range(count)]
    servers = []
    for node in nodes:
        servers.append(await asyncio.start_server(node.serve, "127.0.0.1", 0))
        node.port = servers[-1].sockets[0].getsockname()[1]
    for node in nodes:
        node.nodes = described(nodes)
    try:
        yield nodes
    finally:
        for node, server in zip(nodes, servers, strict=True):
            node.running.set()
            server.close()
            for connection in list(node.connections):
                connection.transport.abort()
        while any(node.connections for node in nodes):
            await asyncio.sleep(0)


def described(nodes: list[FakeNode], *, replaced: bool = False, flags: str = "") -> str:
    """CLUSTER NODES. `replaced`: the fourth node was promoted in place of the first. `flags`: of the first."""
    shares = ["0-5460", "5461-10922", "10923-16383"]
    lines = []
    for i, node in enumerate(nodes):
        owned, epoch, role, of = "", i + 1, "slave", "n0"
        if i < 3:
            role, of, owned = "master", "-", shares[i]
        if replaced and i == 0:
            role, owned = "master,fail", ""
        elif replaced and i == 3:
            role, of, owned, epoch = "master", "-", shares[0], 4
        elif flags and i == 0:
            role = f"{role},{flags}"
        lines.append(f"n{i} 127.0.0.1:{node.port}@1 {role} {of} 0 0 {epoch} connected {owned}".strip())
    return "\n".join(lines)


@asynccontextmanager
async def routed(*seeds: FakeNode, timeout: float = 10.0) -> AsyncIterator[ClusterRouter]:
    router = ClusterRouter(
        [("127.0.0.1", seed.port) for seed in seeds], Access(timeout=timeout), "redis+cluster://fake"
    )
    yield router
    await router.close()


#: A command for a key of the first node: the slot of "b" is 3300.
WRITE = ("SET", "b", "1")


async def test_a_zombie_as_seed() -> None:
    """The only seed was frozen, and does not know that it was replaced."""
    async with fakes(4) as nodes, routed(nodes[0]) as router:
        for node in nodes[1:]:
            node.nodes, node.epoch = described(nodes, replaced=True), 4
        assert await router.execute([WRITE], idempotent=False) == [b"OK"]
        assert not nodes[0].received and len(nodes[3].received) == 1


async def test_no_write_without_a_majority() -> None:
    async with fakes(3) as nodes, routed(*nodes, timeout=0.5) as router:
        await router.execute([("GET", "b")], idempotent=True)
        nodes[1].running.clear()
        nodes[2].running.clear()
        with pytest.raises(Lost, match="a majority of its masters did not confirm") as caught:
            await router.execute([WRITE], idempotent=False)
        assert not caught.value.sent and len(nodes[0].received) == 1
        await router.execute([("GET", "b")], idempotent=True)
        nodes[1].running.set()
        assert await router.execute([WRITE], idempotent=False) == [b"OK"], "two of three are a majority"
        nodes[2].running.set()


async def test_no_write_to_a_master_that_may_be_replaced_any_moment() -> None:
    async with fakes(4) as nodes, routed(*nodes, timeout=0.5) as router:
        nodes[1].nodes = described(nodes, flags="fail")
        with pytest.raises(Lost, match="a majority of its masters did not confirm"):
            await router.execute([WRITE], idempotent=False)
        assert not nodes[0].received


@pytest.mark.parametrize("replaced", [True, False])
async def test_a_reply_without_a_lease_counts_only_if_its_master_is_still_in_charge(
    monkeypatch: pytest.MonkeyPatch, replaced: bool
) -> None:
    monkeypatch.setattr(cluster_watch, "LEASE_SECONDS", 0.3)
    async with fakes(4) as nodes, routed(*nodes) as router:

        def freeze() -> None:
            for node in nodes:
                node.running.clear()

        nodes[0].on_command = freeze
        writing = asyncio.create_task(router.execute([WRITE], idempotent=False))
        while nodes[0].running.is_set():
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.4)
        nodes[0].running.set()
        await asyncio.sleep(0.1)
        assert not writing.done(), "the others are asked"
        for node in nodes[1:]:
            if replaced:
                node.nodes, node.epoch = described(nodes, replaced=True), 4
            node.running.set()
        if replaced:
            with pytest.raises(Lost, match="was replaced by another node meanwhile") as caught:
                await writing
            assert caught.value.sent
        else:
            assert await writing == [b"OK"]


async def test_a_pending_request_fails_when_its_master_was_replaced() -> None:
    """Not only when it times out."""
    async with fakes(4) as nodes, routed(*nodes, timeout=600) as router:
        nodes[0].on_command = nodes[0].running.clear
        writing = asyncio.create_task(router.execute([WRITE], idempotent=False))
        while nodes[0].running.is_set():
            await asyncio.sleep(0.001)
        for node in nodes[1:]:
            node.nodes, node.epoch = described(nodes, replaced=True), 4
        with pytest.raises(Lost) as caught:
            await asyncio.wait_for(writing, 60)
        assert caught.value.sent and not nodes[3].received
        nodes[0].running.set()


async def test_nothing_is_asked_while_the_cluster_is_not_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_watch, "IDLE_SECONDS", 0.0)
    async with fakes(3) as nodes, routed(*nodes) as router:
        await router.execute([WRITE], idempotent=False)
        while router.watch._poll is not None:
            await asyncio.sleep(0.01)
        assert [task for task in asyncio.all_tasks() if "_keep_asking" in repr(task)] == []
        assert await router.execute([WRITE], idempotent=False) == [b"OK"]


async def test_a_round_that_has_just_ended_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even before the event loop has run its callbacks: waiting for it would not yield, for ever."""
    watch = ClusterRouter([("127.0.0.1", 1)], Access(), "redis+cluster://fake").watch
    rounds: list[asyncio.Task[None]] = []

    async def ask_round() -> None:
        # runs directly after this round
        if not rounds:
            rounds.append(asyncio.create_task(watch.next_round()))

    monkeypatch.setattr(watch, "_ask_round", ask_round)
    faulthandler.dump_traceback_later(30, exit=True)
    await watch.next_round()
    await rounds[0]
    faulthandler.cancel_dump_traceback_later()
