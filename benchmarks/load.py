"""Generates load on an HTTP server: connections that repeat a request as soon as it is answered."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

#: Number of concurrent connections, and duration of one measurement in seconds.
CONNECTIONS = 16
SLICE_SECONDS = 0.33


class Client(asyncio.Protocol):
    """One connection that repeats a request as soon as it is answered."""

    def __init__(self) -> None:
        self.request = b""
        self.answers = 0
        #: What the server sent instead of a successful response.
        self.failure = b""
        self.idle = asyncio.Event()
        self.idle.set()
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment]

    def start(self, request: bytes) -> None:
        """Send a request, and again after each response; stop after the next response if it is empty."""
        self.request = request
        if request and self.idle.is_set():
            self.idle.clear()
            self._transport.write(request)

    def connection_lost(self, _: Exception | None) -> None:
        """Wait for no response any more."""
        self.failure = self.failure or b"the connection was closed"
        self.idle.set()

    def data_received(self, data: bytes) -> None:
        """Count a complete response, and repeat the request."""
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found or len(body) < int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0]):
            return
        if not head.startswith(b"HTTP/1.1 200 "):
            self.failure = self._buffer[:300]
            self._transport.abort()
            return
        self._buffer = b""
        self.answers += 1
        if self.request:
            self._transport.write(self.request)
        else:
            self.idle.set()


class Slice(NamedTuple):
    """One measurement of a server."""

    #: Requests per second.
    speed: float
    #: Processor time of the server per request, in microseconds.
    cost: float


async def connected(port: int, connections: int = CONNECTIONS) -> list[Client]:
    """Open connections to a server."""
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(Client, "127.0.0.1", port))[1] for _ in range(connections)]


async def loaded(clients: Sequence[Client], path: str, pids: Sequence[int], *headers: str) -> Slice:
    """Request a path over all connections for SLICE_SECONDS. `pids`: the ids of the server's processes."""
    return await loaded_with(clients, [request("GET", path, b"", *headers)] * len(clients), pids, SLICE_SECONDS)


def request(method: str, path: str, body: bytes, *headers: str) -> bytes:
    """A request as it is sent."""
    length = [f"Content-Length: {len(body)}", "Content-Type: application/json"] if body else []
    head = "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *length, *headers])
    return f"{head}\r\n\r\n".encode() + body


async def loaded_with(
    clients: Sequence[Client], requests: Sequence[bytes], pids: Sequence[int], seconds: float
) -> Slice:
    """Repeat one request per connection for a number of seconds."""
    before, cpu, started = sum(one.answers for one in clients), sum(map(cpu_seconds, pids)), time.perf_counter()
    for one, its in zip(clients, requests, strict=True):
        one.start(its)
    await asyncio.sleep(seconds)
    for one in clients:
        one.start(b"")
    await asyncio.gather(*(one.idle.wait() for one in clients))
    assert not any(one.failure for one in clients), [one.failure for one in clients]
    answers = sum(one.answers for one in clients) - before
    speed = answers / (time.perf_counter() - started)
    return Slice(speed, (sum(map(cpu_seconds, pids)) - cpu) / answers * 1e6)


def wait_for(port: int) -> None:
    """Wait until a server accepts connections. Raises TimeoutError after 20 seconds."""
    for _ in range(400):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on port {port}")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
