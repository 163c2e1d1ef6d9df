"""Servers that accept the connections of awictl and send whatever a test makes them send."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
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


#: Runs a command, and writes the memory of its process to a file descriptor, in KiB.
#: A process starts with the maximum of the one that forked it, so it must not be that of the tests.
_MEASURING = """
import os, resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
os.write(int(sys.argv[1]), b"%d" % resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
os._exit(code)
"""


def measure(user: Cli, words: Sequence[str]) -> Measured:
    """Run `awictl WORDS` in a process of its own, and measure its memory."""
    read, write = os.pipe()
    with os.fdopen(read, "rb") as memory:
        done = subprocess.run(
            [sys.executable, "-c", _MEASURING, str(write), sys.executable, "-m", "awictl", *words],
            cwd=user.home,
            env=user.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            pass_fds=[write],
            timeout=LIMIT_SECONDS,
            check=False,
        )
        os.close(write)
        kilobytes = int(memory.read())
    return Measured(Result(done.returncode, done.stdout, done.stderr.decode(), 0.0), kilobytes / 1024)
