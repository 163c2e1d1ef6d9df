"""Proxies between awictl and a server: they count round trips, cut connections at a given point, or stop forwarding."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import struct
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from enum import Enum
from typing import Any

import pytest

from awictl import Settings

from .mongo import DATABASE, MongoServer
from .mongo_live import MongoLive, settings_for
from .valkey import ValkeyServer

_CHUNK = 1 << 18


class Cut(Enum):
    """The point at which a connection is cut. The client cannot distinguish them."""

    #: The server has executed the request; its reply is discarded.
    REPLY = "reply"
    #: The server receives nothing of the request.
    REQUEST = "request"
    #: The server receives the first half of the request.
    HALF = "half"


#: Decides from a request (its first chunk) whether and where to cut its connection.
Rule = Callable[[bytes], Cut | None]


async def at_once() -> None:
    """Do nothing: the default before a connection is cut."""


def never(_: bytes) -> None:
    """Rule: cut no connection."""


def once(cut: Cut, *containing: bytes) -> Rule:
    """Return a rule that cuts one connection, that of the next request containing all of `containing`."""
    left = [cut]

    def rule(request: bytes) -> Cut | None:
        return left.pop() if left and all(one in request for one in containing) else None

    return rule


def sometimes(share: float, seed: int) -> Rule:
    """Return a rule that cuts the connections of a share of all requests: half before the reply, the others earlier."""
    chance = random.Random(seed)

    def rule(_: bytes) -> Cut | None:
        if chance.random() >= share:
            return None
        return chance.choice((Cut.REPLY, Cut.REPLY, Cut.REQUEST, Cut.HALF))

    return rule


class Proxy:
    """Listens on 127.0.0.1 and forwards to a server; open one with `proxied`."""

    def __init__(self, target: ValkeyServer | MongoServer) -> None:
        self._target = target
        #: What serves a client, and the client's port.
        self._tasks: dict[asyncio.Task[None], int] = {}
        self._forwarding = asyncio.Event()
        self._forwarding.set()
        self.port = 0
        #: Number of round trips: requests that a client sent first, or after a reply.
        self.round_trips = 0
        #: Number of bytes in both directions.
        self.bytes = 0
        #: Number of connections that were cut, by point.
        self.cuts = dict.fromkeys(Cut, 0)
        self.rule: Rule = never
        #: Returns, from a request (its first chunk), what is sent instead of the reply; None: the reply.
        self.replacement: Callable[[bytes], bytes | None] = never
        #: Awaited before a connection is cut, while the client waits for the reply.
        self.before_cut: Callable[[], Awaitable[None]] = at_once
        #: Whether new connections of cut off clients are closed at once, as if the network refused them.
        self.refusing = False
        self._is_cut_off: Callable[[int], bool] = lambda _: True

    @property
    def all_cuts(self) -> int:
        """Number of connections that were cut."""
        return sum(self.cuts.values())

    def settings(self, **others: Any) -> Settings:
        """Return settings for the server behind this proxy."""
        if isinstance(self._target, MongoServer):
            # the driver must not look for the members of the replica set: it would bypass this. It must not repeat
            # writes itself either, which would hide what the store does after a lost reply
            options = "directConnection=true&retryWrites=false"
            return settings_for(f"mongodb://127.0.0.1:{self.port}/{DATABASE}?{options}", **others)
        return Settings(**{"redis_host": "127.0.0.1", "redis_port": self.port, **others})

    def update_with(self, op_id: str) -> tuple[bytes, ...]:
        """What the request contains that updates a session, and no other one with this op_id; for `once`."""
        return (b"update\0", b"$set", op_id.encode()) if isinstance(self._target, MongoServer) else (op_id.encode(),)

    def stop_forwarding(self) -> None:
        """Keep all connections, but forward nothing more."""
        self._forwarding.clear()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks[task] = writer.get_extra_info("peername")[1]
        task.add_done_callback(self._tasks.pop)
        task.add_done_callback(lambda _: writer.close())  # if it is cancelled before it has begun

    async def close(self) -> None:
        """Cut all remaining connections."""
        await self._cut(list(self._tasks))

    async def cut_off(self, is_cut_off: Callable[[int], bool] = lambda _: True) -> None:
        """Cut the connections of these clients, given by their port, until `refusing` is False again."""
        self._is_cut_off = is_cut_off
        self.refusing = True
        await self._cut([task for task, port in list(self._tasks.items()) if is_cut_off(port)])

    async def _cut(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        to_server: asyncio.StreamWriter | None = None
        try:
            if self.refusing and self._is_cut_off(to_client.get_extra_info("peername")[1]):
                return
            server, to_server = await self._connect()
            await _Connection(self, client, to_client, server, to_server).run()
        except OSError:
            pass  # one side has disconnected, so the other is disconnected as well
        finally:
            writers = [writer for writer in (to_client, to_server) if writer is not None]
            for writer in writers:
                writer.close()
            await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._target, MongoServer):
            return await asyncio.open_connection("127.0.0.1", self._target.port)
        return await asyncio.open_unix_connection(str(self._target.socket))

    async def forwarding(self) -> None:
        """Wait until forwarding is enabled."""
        await self._forwarding.wait()


class _Connection:
    """The connection of one client, and that to the server for it."""

    def __init__(
        self,
        proxy: Proxy,
        client: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
        server: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
    ) -> None:
        self._proxy = proxy
        self._client, self._to_client, self._server, self._to_server = client, to_client, server, to_server
        self._server_spoke = True
        self._swallow_reply = False
        self._replacement: bytes | None = None

    async def run(self) -> None:
        """Forward in both directions until one of the connections is closed."""
        pumps = {asyncio.create_task(self._requests()), asyncio.create_task(self._replies())}
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _requests(self) -> None:
        while data := await self._client.read(_CHUNK):
            self._proxy.bytes += len(data)
            await self._proxy.forwarding()
            if self._server_spoke:
                self._server_spoke = False
                self._proxy.round_trips += 1
                cut = self._proxy.rule(data)
                if cut is not None:
                    self._proxy.cuts[cut] += 1
                if cut is Cut.REQUEST or cut is Cut.HALF:
                    if cut is Cut.HALF:
                        self._to_server.write(data[: len(data) // 2])
                        await self._to_server.drain()
                    await self._proxy.before_cut()
                    return
                self._swallow_reply = cut is Cut.REPLY
                self._replacement = self._proxy.replacement(data)
            self._to_server.write(data)
            await self._to_server.drain()

    async def _replies(self) -> None:
        while data := await self._server.read(_CHUNK):
            self._proxy.bytes += len(data)
            await self._proxy.forwarding()
            if self._swallow_reply:
                await self._proxy.before_cut()
                return
            self._server_spoke = True
            self._to_client.write(data if self._replacement is None else self._replacement)
            await self._to_client.drain()


@asynccontextmanager
async def proxied(
    target: ValkeyServer | MongoServer | MongoLive, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Proxy]:
    """Open a proxy to `target`; with `tls`, clients connect to it with TLS."""
    if isinstance(target, MongoLive):
        target = target.server
    if not isinstance(target, (ValkeyServer, MongoServer)):
        pytest.skip("needs one server")
    proxy = Proxy(target)
    listener = await asyncio.start_server(proxy.accept, "127.0.0.1", 0, ssl=tls)
    try:
        proxy.port = listener.sockets[0].getsockname()[1]
        yield proxy
    finally:
        listener.close()
        await proxy.close()
        await listener.wait_closed()


#: Commands of MongoDB that write documents.
_WRITES = {b"insert", b"update", b"delete"}


class HangingWrites:
    """A proxy to a MongoDB-wire server whose writes hang, as if its disk did; open one with `hanging_writes`.

    It forwards everything else, so pings and queries are answered. It works in threads, so that commands in other
    processes and in this one can use it.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = [self._listener]
        self.port: int = self._listener.getsockname()[1]
        #: Whether writes hang at present.
        self.hanging = True
        #: Number of requests by command.
        self.requests: Counter[bytes] = Counter()
        #: Number of writes that were not forwarded.
        self.swallowed = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def uri(self, database: str) -> str:
        """The URL of a database. The driver must not look for the members of the replica set: it would bypass this."""
        return f"mongodb://127.0.0.1:{self.port}/{database}?directConnection=true"

    def close(self) -> None:
        """Close all connections."""
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                self._sockets += [client, server]
                for pump in (self._requests, self._replies):
                    threading.Thread(target=pump, args=(client, server), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError), client.makefile("rb") as stream:
            while len(header := stream.read(16)) == 16:
                length, _, _, kind = struct.unpack("<4i", header)
                body = stream.read(length - 16)
                # OP_MSG: flags, the kind of the section, length and type of its first field, and the name of that
                name = body[10 : body.index(b"\0", 10)] if kind == 2013 else b""
                self.requests[name] += 1
                if self.hanging and name in _WRITES:
                    self.swallowed += 1
                else:
                    server.sendall(header + body)
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)

    def _replies(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(_CHUNK):
                client.sendall(data)
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)


@contextmanager
def hanging_writes(port: int) -> Iterator[HangingWrites]:
    """Open a proxy to the MongoDB-wire server on a port of 127.0.0.1, whose writes hang."""
    proxy = HangingWrites(port)
    try:
        yield proxy
    finally:
        proxy.close()
