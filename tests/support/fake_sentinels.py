"""Sentinels and servers over TCP that answer what a test wants, when it wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import hiredis

from awictl.store.redis.address import Access, Address
from awictl.store.redis.sentinel import SentinelRouter


def encode(reply: Any) -> bytes:
    """A reply as it is sent. An exception is an error reply."""
    if isinstance(reply, list):
        return b"*%d\r\n" % len(reply) + b"".join(map(encode, reply))
    if isinstance(reply, int):
        return b":%d\r\n" % reply
    if isinstance(reply, Exception):
        return b"-%s\r\n" % str(reply).encode()
    return b"$%d\r\n%s\r\n" % (len(str(reply)), str(reply).encode())


class FakeServer:
    """Answers commands with `answer`, in order, as long as it is not frozen."""

    def __init__(self) -> None:
        self.port = 0
        #: Set while it answers.
        self.thawed = asyncio.Event()
        self.thawed.set()
        #: The commands that arrived, without those of the greeting.
        self.commands: list[list[str]] = []
        #: All connections that there were.
        self.connections: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Refuse connections, and end those that there are."""
        if self._server is not None:
            self._server.close()
        for writer in self.connections:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        parser = hiredis.Reader(notEnoughData=None)
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                parser.feed(data)
                while (command := parser.gets()) is not None:
                    words = [word.decode() for word in command]
                    await self.take(words, writer)

    async def take(self, command: list[str], writer: asyncio.StreamWriter) -> None:
        """Answer one command."""
        if command[0] not in ("ROLE", "AUTH"):
            self.commands.append(command)
        await self.thawed.wait()
        writer.write(encode(self.answer(command)))

    def answer(self, command: list[str]) -> Any:
        """The reply to a command."""
        raise NotImplementedError


class FakePrimary(FakeServer):
    """Answers every command with its name, unless told otherwise."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.role = "master"
        #: Replies to the next commands.
        self.next: list[Any] = []

    def answer(self, command: list[str]) -> Any:
        """The reply to a command."""
        if command[0] == "ROLE":
            return [self.role, 0, []]
        return self.next.pop(0) if self.next else self.name


class FakeSentinel(FakeServer):
    """Names a primary."""

    def __init__(self, number: int, deployment: FakeDeployment) -> None:
        super().__init__()
        self.number = number
        self._deployment = deployment
        self.primary: FakePrimary = deployment.old
        self.epoch = 1
        self.flags = "master"
        #: The reply to everything, instead.
        self.error: Exception | None = None

    def name(self, primary: FakePrimary, epoch: int) -> None:
        """Name another primary from now on."""
        self.primary, self.epoch, self.flags = primary, epoch, "master"

    def answer(self, command: list[str]) -> Any:
        """The reply to a command."""
        if self.error is not None:
            return self.error
        port = str(self.primary.port)
        others = [one for one in self._deployment.sentinels if one is not self]
        if command[1] == "MYID":
            return f"id-{self.number}"
        if command[1] == "MASTER":
            fields = {"ip": "127.0.0.1", "port": port, "flags": self.flags, "last-ping-sent": 0}
            fields |= {"down-after-milliseconds": 2500, "config-epoch": self.epoch, "quorum": 2}
            return [str(part) for pair in (fields | {"num-other-sentinels": len(others)}).items() for part in pair]
        if command[1] == "SENTINELS":
            return [["ip", "127.0.0.1", "port", str(one.port), "runid", f"id-{one.number}"] for one in others]
        return ["127.0.0.1", port]


class FakeDeployment:
    """Three Sentinels, and two servers of which they name `old` as the primary at first."""

    def __init__(self) -> None:
        self.old, self.new = FakePrimary("old"), FakePrimary("new")
        self.sentinels: list[FakeSentinel] = []
        self.sentinels += [FakeSentinel(number, self) for number in range(3)]
        #: The time on the clock of the routers.
        self.now = 1000.0

    def promote(self) -> None:
        """All Sentinels name the new primary."""
        for sentinel in self.sentinels:
            sentinel.name(self.new, 2)

    @asynccontextmanager
    async def router(
        self, count: int = 3, timeout: float = 20.0, answer_timeout: float = 30.0
    ) -> AsyncIterator[SentinelRouter]:
        """A router that is configured with some of the Sentinels, and whose clock stands still."""
        addresses = [Address("127.0.0.1", one.port) for one in self.sentinels[:count]]
        router = SentinelRouter(
            addresses,
            Access(timeout=answer_timeout),
            "mymaster",
            Access(timeout=30),
            "redis+sentinel://fake",
            self.clock,
        )
        router._timeout = timeout  # by its own clock; connections have that of the machine
        try:
            yield router
        finally:
            await router.close()

    def clock(self) -> float:
        """The time."""
        return self.now


@asynccontextmanager
async def fake_deployment() -> AsyncIterator[FakeDeployment]:
    """Run a deployment during a block."""
    deployment = FakeDeployment()
    servers = (deployment.old, deployment.new, *deployment.sentinels)
    for server in servers:
        await server.open()
    try:
        yield deployment
    finally:
        for server in servers:
            server.thawed.set()
            server.close()
        await asyncio.sleep(0)
