"""Load on HTTP servers: a few connections that ask again as soon as they are answered, for a moment at a time."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

CONNECTIONS = 16
SLICE_SECONDS = 0.33


class Client(asyncio.Protocol):
    """One connection that asks again as soon as it is answered."""

    def __init__(self) -> None:
        self.request = b""
        self.answers = 0
        self.idle = asyncio.Event()
        self.idle.set()
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def ask(self, request: bytes) -> None:
        """Begin to ask; an empty request: stop."""
        self.request = request
        if request and self.idle.is_set():
            self.idle.clear()
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found or len(body) < int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0]):
            return
        assert head.startswith(b"HTTP/1.1 200 "), self._buffer[:300]
        self._buffer = b""
        self.answers += 1
        if self.request:
            self._transport.write(self.request)
        else:
            self.idle.set()


class Slice(NamedTuple):
    """What a server did for a moment."""

    #: Requests a second.
    speed: float
    #: Its processor time for each, in microseconds.
    cost: float


async def connected(port: int) -> list[Client]:
    """Connections to a server."""
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(Client, "127.0.0.1", port))[1] for _ in range(CONNECTIONS)]


async def loaded(clients: Sequence[Client], path: str, pids: Sequence[int], *headers: str) -> Slice:
    """Ask for a path over all connections for a moment. `pids`: the server's processes."""
    head = "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *headers])
    request = f"{head}\r\n\r\n".encode()
    before, cpu, started = sum(one.answers for one in clients), sum(map(cpu_seconds, pids)), time.perf_counter()
    for one in clients:
        one.ask(request)
    await asyncio.sleep(SLICE_SECONDS)
    for one in clients:
        one.ask(b"")
    await asyncio.gather(*(one.idle.wait() for one in clients))
    answers = sum(one.answers for one in clients) - before
    speed = answers / (time.perf_counter() - started)
    return Slice(speed, (sum(map(cpu_seconds, pids)) - cpu) / answers * 1e6)


def wait_for(port: int) -> None:
    """Wait until a server listens."""
    for _ in range(400):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on port {port}")


def cpu_seconds(pid: int) -> float:
    """Processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
