"""Proxies that kill a process at a chosen step: before a server gets a request, or before the process gets the reply.

Steps are the requests to Redis and to MongoDB, in the order in which the process sends them, without those that the
MongoDB driver sends to monitor the server (`hello`).
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from enum import Enum

_CHUNK = 1 << 18
#: Commands with which the MongoDB driver monitors the server.
_MONITORING = {"hello", "ismaster", "isMaster", "endSessions"}


class Moment(Enum):
    """When the process is killed."""

    #: The server never gets the request.
    BEFORE = "before the request"
    #: The server has executed the request; the process does not get the reply.
    AFTER = "after the reply"


class Killer:
    """Counts the steps of one process over all its servers, and kills it at one of them.

    step: the number of the step, counted from 0; None to only record the steps.
    """

    def __init__(self, step: int | None = None, moment: Moment = Moment.BEFORE) -> None:
        self._step = step
        self._moment = moment
        self._lock = threading.Lock()
        self._listeners: list[socket.socket] = []
        #: The command of each step.
        self.steps: list[str] = []
        #: The id of the process; it is killed when this is known.
        self.pid = 0
        self.killed = False
        #: Whether steps are counted; a test may begin later.
        self.counting = True

    def redis(self, target: str | int, port: int = 0) -> int:
        """Start a proxy to a Redis server, given by its Unix socket or port. Returns the port of the proxy.

        `port`: the one to listen on; 0: any free one.
        """
        return self._serve(target, _redis_command, port)

    def mongo(self, port: int) -> int:
        """Start a proxy to a MongoDB-wire server. Returns the port of the proxy."""
        return self._serve(port, _command)

    def close(self) -> None:
        """Stop listening."""
        for listener in self._listeners:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # ends `accept`, which would keep the port
            listener.close()

    def _serve(self, target: str | int, name_of: Callable[[bytes], str], port: int = 0) -> int:
        listener = socket.create_server(("127.0.0.1", port))
        self._listeners.append(listener)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=self._forward, args=(client, target, name_of), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        used: int = listener.getsockname()[1]
        return used

    def _forward(self, client: socket.socket, target: str | int, name_of: Callable[[bytes], str]) -> None:
        server = socket.socket(socket.AF_UNIX if isinstance(target, str) else socket.AF_INET)
        try:
            server.connect(target if isinstance(target, str) else ("127.0.0.1", target))
        except OSError:  # the server is down: the process notices a closed connection
            server.close()
            client.close()
            return
        killing = threading.Event()

        def replies() -> None:
            with suppress(OSError):
                while data := server.recv(_CHUNK):
                    if killing.is_set():
                        self._kill()
                    client.sendall(data)
            client.close()

        threading.Thread(target=replies, daemon=True).start()
        with suppress(OSError):
            while data := client.recv(_CHUNK):
                name = name_of(data)
                if name and self._is_kill_step(name):
                    if self._moment is Moment.BEFORE:
                        self._kill()
                        break
                    killing.set()
                server.sendall(data)
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)  # ends `replies`, which closes the other socket
        server.close()

    def _is_kill_step(self, name: str) -> bool:
        with self._lock:
            if not self.counting:
                return False
            self.steps.append(name)
            return len(self.steps) - 1 == self._step

    def _kill(self) -> None:
        while not self.pid:
            time.sleep(0.001)
        os.kill(self.pid, signal.SIGKILL)
        self.killed = True


def _redis_command(data: bytes) -> str:
    """Return the first command of a request; empty for the rest of one."""
    return data.split(b"\r\n")[2:3][0].decode() if data[:1] == b"*" else ""


def _command(data: bytes) -> str:
    """Return the command of an OP_MSG; empty for other data, parts of a message, and the driver's monitoring."""
    if len(data) < 27 or struct.unpack_from("<i", data, 12)[0] != 2013:
        return ""
    name = data[26 : data.index(b"\0", 26)].decode("ascii", "replace")
    return "" if name in _MONITORING else name
