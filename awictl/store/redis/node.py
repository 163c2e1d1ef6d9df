"""One server, and the connections to it: a shared one for small requests, and some for one request at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from .address import Access, Address
from .connection import Command, Connection, pack
from .replies import Lost, client_closed

#: Maximum number of connections to one server; further requests wait for a free one.
MAX_CONNECTIONS = 64
#: Commands that get a connection of their own: they block it, take long, or have a large reply.
_OWN = frozenset({"SCAN", "WAIT", "GET", "INFO", "MEMORY", "HKEYS"})
#: A request with as many bytes or commands, or that may read as many bytes of a string, gets one too.
_LARGE_BYTES = 65_536
_MANY_COMMANDS = 50


class Node:
    """One server. Connections are opened on demand, in the event loop in which it is used first."""

    def __init__(self, address: Address, access: Access) -> None:
        self.address = address
        self._access = access
        #: The connections to all servers of the deployment that were lost.
        self.losses = access.losses
        #: The server's address for messages, without secrets.
        self.where = access.url(address)
        self._shared: Connection | None = None
        self._opening: asyncio.Task[Connection] | None = None
        #: With which the connections that are being opened can be given up.
        self._openings: set[asyncio.Timeout] = set()
        self._idle: list[Connection] = []
        self._used: set[Connection] = set()
        self._free = asyncio.Semaphore(MAX_CONNECTIONS - 1)
        self._closed = False
        #: Whether it has ever sent a reply of the Redis protocol.
        self.answered = False

    async def execute(self, commands: Sequence[Command], *, own: bool = False) -> list[Any]:
        """Send commands together, and return their replies; error replies are returned as ErrorReply.

        `own`: on a connection that no other request uses meanwhile. Raises Lost, or an ErrorReply to the greeting.
        """
        packed = pack(commands)
        if own or len(packed) > _LARGE_BYTES or len(commands) > _MANY_COMMANDS or any(map(_is_large, commands)):
            return await self._execute_alone(commands, packed)
        shared = self._shared
        if shared is None or not shared.is_usable():
            shared = await self._open_shared()
        try:
            return await shared.send(commands, packed)
        finally:
            self.answered = self.answered or shared.answered

    async def _open_shared(self) -> Connection:
        """Open the shared connection once for all that wait for it; a waiter that is cancelled does not stop it."""
        task = self._opening
        if task is None:
            task = self._opening = asyncio.create_task(self._open())
            task.add_done_callback(self._opened)
        return await asyncio.shield(task)

    def _opened(self, task: asyncio.Task[Connection]) -> None:
        self._opening = None
        if not task.cancelled() and task.exception() is None:
            self._shared = task.result()
            if self._closed:
                self._shared.abort()

    async def _open(self) -> Connection:
        if self._closed:
            raise client_closed(self.where)
        opening = asyncio.timeout(None)
        try:
            async with opening:
                self._openings.add(opening)
                return await Connection.open(self.address, self._access)
        except TimeoutError:
            raise Lost(self.where, "the connection was closed", sent=False, opening=True) from None
        finally:
            self._openings.discard(opening)

    async def _execute_alone(self, commands: Sequence[Command], packed: bytes) -> list[Any]:
        async with self._free:
            while self._idle and not self._idle[-1].is_usable():
                self._idle.pop()
            connection = self._idle.pop() if self._idle else await self._open()
            self._used.add(connection)
            try:
                return await connection.send(commands, packed)
            finally:
                self.answered = self.answered or connection.answered
                self._used.discard(connection)
                if connection.is_open and connection.is_idle and not self._closed:
                    self._idle.append(connection)
                else:  # replies may still arrive
                    connection.abort()

    async def stream(self, command: Command, seconds: float) -> AsyncGenerator[Any, None]:
        """The endless replies to a command, for a number of seconds; see `Connection.stream`."""
        async with self._free:
            connection = await self._open()
            self._used.add(connection)
            try:
                async for reply in connection.stream(command, seconds):
                    yield reply
            finally:
                self._used.discard(connection)
                connection.abort()

    def disconnect(self) -> None:
        """Close all connections at once; requests that wait get Lost. New requests open new ones."""
        if self._shared is not None:
            self._shared.abort()
            self._shared = None
        for connection in (*self._idle, *self._used):
            connection.abort()
        self._idle.clear()
        while self._openings:
            self._openings.pop().reschedule(0.0)

    def abandon(self) -> None:
        """Close all connections for good. Requests that wait get Lost."""
        self._closed = True
        self.disconnect()

    async def close(self) -> None:
        """Close all connections for good, and wait until that has happened."""
        self.abandon()
        if self._opening is not None:
            await asyncio.wait([self._opening])


def _is_large(command: Command) -> bool:
    name = command[0]
    if name == "GETRANGE":
        return int(command[3]) - int(command[2]) > _LARGE_BYTES
    return name in _OWN
