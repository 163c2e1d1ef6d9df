"""Servers that accept the connections of awictl and send whatever a test makes them send."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from .cli import LIMIT_SECONDS, Cli, Result

#: Answers a request on a connection. The request is what arrived at once: usually all of its commands.
Answer = Callable[[bytes, socket.socket], None]
CHUNK = bytes(1 << 20)


class HostileServer:
    """Listens on a port of 127.0.0.1 and answers every request with `answer`."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._connections: list[socket.socket] = []
        #: All requests that were received.
        self.requests: list[bytes] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            while request := connection.recv(1 << 16):
                self.requests.append(request)
                self._answer(request, connection)

    def close(self) -> None:
        """Close all connections, which ends the threads."""
        for one in (self._listener, *self._connections):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@contextmanager
def hostile_server(answer: Answer) -> Iterator[HostileServer]:
    """Run a server for the duration of a block."""
    server = HostileServer(answer)
    try:
        yield server
    finally:
        server.close()


def send_forever(connection: socket.socket, start: bytes, chunk: bytes = CHUNK, limit: int = 1 << 30) -> None:
    """Send `start`, then the chunk until the client closes the connection, or `limit` bytes are sent."""
    connection.sendall(start)
    for _ in range(limit // len(chunk)):
        connection.sendall(chunk)


class Measured(NamedTuple):
    """The result of a command, and the maximum of the memory that its process used."""

    result: Result
    #: Maximum resident set size in MiB.
    memory: float


def measure(user: Cli, words: Sequence[str]) -> Measured:
    """Run `awictl WORDS` in a process of its own, and measure its memory."""
    process = user.start(*words)
    assert process.stdout is not None and process.stderr is not None
    killer = threading.Timer(LIMIT_SECONDS, process.kill)
    killer.start()
    try:
        with process.stdout, process.stderr:
            out, err = process.stdout.read(), process.stderr.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    except subprocess.SubprocessError:
        process.kill()
        raise
    finally:
        killer.cancel()
    return Measured(Result(process.returncode, out, err, 0.0), usage.ru_maxrss / 1024)
