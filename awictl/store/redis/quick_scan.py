"""Find a few keys by a prefix over a plain socket, for shell completion.

redis-py alone takes longer to import than a completion may take in all.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import hiredis

from ...settings import Settings
from .. import private_socket

#: COUNT of each SCAN, and pause after it in seconds, so that other clients hardly wait.
SCAN_COUNT = 500
PAUSE_SECONDS = 0.001
#: Maximum number of bytes that are read in all.
MAX_BYTES = 4_194_304
#: The announcement of a reply that would not fit: hiredis would reserve memory for it.
_HUGE = re.compile(rb"[*$~%>]\d{7}")


def quick_scan(settings: Settings, prefix: str, limit: int) -> list[bytes]:
    """The names of keys that start with a prefix: all of them, or the first ones once there are `limit`.

    Blocks; the caller limits the time. Raises OSError, ValueError and hiredis errors if the server does not answer as
    Redis does, or with an error.
    """
    if settings.topology != "standalone":
        return []  # to find the primary takes more than one connection
    pattern = re.sub(r"([\\*?\[\]^-])", r"\\\1", prefix) + "*"
    with _connected(settings) as connection:
        replies = _replies(connection)
        for command in _greeting(settings):
            _send(connection, command)
            next(replies)
        found: list[bytes] = []
        cursor = b"0"
        while True:
            _send(connection, ("SCAN", cursor, "MATCH", pattern, "COUNT", SCAN_COUNT))
            cursor, names = next(replies)
            found += names
            if cursor == b"0" or len(found) >= limit:
                return found
            time.sleep(PAUSE_SECONDS)


def _connected(settings: Settings) -> socket.socket:
    if settings.redis_socket:
        if settings.embedded:
            return private_socket.connect(Path(settings.redis_socket), settings.timeout)[0]
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(settings.timeout)
        connection.connect(settings.redis_socket)
        return connection
    connection = socket.create_connection((settings.redis_host, settings.redis_port), settings.timeout)
    if not settings.redis_tls:
        return connection
    from .tls import context

    made = context(settings.redis_tls_ca_certs, settings.redis_tls_cert, settings.redis_tls_key)
    return made.wrap_socket(connection, server_hostname=settings.redis_host)


def _greeting(settings: Settings) -> Iterator[Sequence[Any]]:
    """The commands that a new connection starts with."""
    if settings.redis_password is not None:
        user = [settings.redis_username] if settings.redis_username else []
        yield ("AUTH", *user, settings.redis_password)
    if settings.redis_db:
        yield ("SELECT", settings.redis_db)


def _send(connection: socket.socket, command: Sequence[Any]) -> None:
    connection.sendall(hiredis.pack_command(tuple(command)))


def _replies(connection: socket.socket) -> Iterator[Any]:
    """The replies of the server. Raises one that is an error."""
    reader = hiredis.Reader()
    left = MAX_BYTES
    while True:
        reply = reader.gets()
        if reply is False:
            data = connection.recv(65_536)
            left -= len(data)
            if not data or left < 0 or _HUGE.search(data):
                raise ConnectionError("the server closed the connection, or sends too much")
            reader.feed(data)
        elif isinstance(reply, Exception):
            raise reply
        else:
            yield reply
